//! Whether a connection works, and what it would miss.

use ml_connector_core::{Context, Error, ErrorKind, Result, Scope};

use crate::{
    BusinessCentral,
    error::RIGHT,
    models::{Company, Environment, Set},
};

/// What a look at the connection showed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// The company.
    pub company: Company,
    /// What works less well than it could, in words for the operator.
    pub warnings: Vec<String>,
}

impl BusinessCentral {
    /// The companies of the environment: for a host that asks which of them is meant.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when the API does not take the token.
    pub async fn companies(&self, ctx: &Context) -> Result<Vec<Company>> {
        self.client.companies(ctx).await
    }

    /// The environments of the directory. Whether an application may ask is not documented: an error says nothing about the
    /// connection.
    ///
    /// # Errors
    /// As [`companies`](Self::companies).
    pub async fn environments(&self, ctx: &Context) -> Result<Vec<Environment>> {
        self.client.environments(ctx).await
    }

    /// Looks whether the connection works: a token proves nothing, so the company and every set are read. Nothing is posted and
    /// nothing is written; whether the app may post is seen at the first posting.
    ///
    /// # Errors
    /// What keeps the connection from working, with the operator's next step.
    pub async fn check(&self, ctx: &Context) -> Result<Checked> {
        let own = self.client.company_id();
        let found = self.companies(ctx).await?;
        let ids: Vec<&str> = found.iter().map(|company| company.id.as_str()).collect();
        let ids = ids.join(", ");
        let company = found.into_iter().find(|company| company.id == own).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "company_id is none of the companies of the environment")
                .with_scope(Scope::Connection)
                .with_context("companies", ids)
        })?;
        let mut warnings = vec!["whether the app may post will be seen at the first posting".to_owned()];
        for set in &*self.sets {
            match self.client.sees_any(ctx, *set, None).await {
                Ok(true) => {}
                Ok(false) => warnings.push(format!(
                    "{} is empty: if it is not, the app lacks rights, or the API's data upgrade was skipped",
                    set.name()
                )),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => warnings.push(format!(
                    "{} cannot be read: {}",
                    set.name(),
                    error.context(RIGHT).unwrap_or("a right is missing")
                )),
                Err(error) => return Err(error),
            }
        }
        if self.sets.contains(&Set::SalesInvoices) {
            let draft = self.client.sees_any(ctx, Set::SalesInvoices, Some("Draft")).await?;
            let posted = self.client.sees_any(ctx, Set::SalesInvoices, Some("Open")).await?;
            if draft != posted {
                let half = if draft { "posted" } else { "unposted" };
                warnings.push(format!(
                    "no {half} sales invoice can be seen: there is none, or a right is missing"
                ));
            }
        }
        if self.approval_entries && company.major_version().is_none_or(|version| version < 29) {
            warnings.push(
                "approval entries exist from version 29 on: drafts that wait read as drafts".to_owned(),
            );
        }
        warnings.extend(self.people_missing(ctx).await?);
        Ok(Checked { company, warnings })
    }
}
