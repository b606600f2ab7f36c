//! Whether a connection works, and what it would miss.

use ml_connector_core::{CheckResult, CheckStep, Context, Error, ErrorKind, Result, Scope};

use super::{read::passes, tells};
use crate::{
    BusinessCentral,
    client::ApiClient,
    error::RIGHT,
    models::{Company, Environment, Set},
};

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

    /// Looks whether the connection works: a token proves nothing, so the company and every set are read. Nothing is written,
    /// and nothing comes near an action: whether the app may post is seen at the first posting.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let company = self.find_company(ctx, &self.client).await;
        let mut steps = vec![CheckStep::of("company", company.as_ref())];
        let Ok(company) = company else { return steps };
        steps[0] =
            CheckStep::passed("company").with_found(format!("{} {}", company.name, company.system_version));
        for set in &*self.sets {
            steps.push(self.look_at(ctx, *set).await);
        }
        if self.sets.contains(&Set::SalesInvoices) {
            steps.extend(self.look_at_halves(ctx).await);
        }
        steps.extend(self.look_at_webhooks(ctx).await);
        if self.sets.iter().any(|set| set.is_invoice()) && !self.has_poster {
            steps.push(
                CheckStep::warning(
                    "app that reads",
                    "give it read-only permission sets, and name another app by poster_id that posts",
                )
                .with_found("one app reads and posts: reading a draft then writes to it"),
            );
        }
        if self.approval_entries && company.major_version().is_none_or(|version| version < 29) {
            steps.push(
                CheckStep::warning("approval entries", "leave approval_entries out until then")
                    .with_found("they exist from version 29 on: drafts that wait read as drafts"),
            );
        }
        match self.people_missing(ctx).await {
            Ok(missing) => steps.extend(missing.into_iter().map(|who| {
                CheckStep::warning("people", "correct purchasers, or the employee's card").with_found(who)
            })),
            Err(error) => steps.push(CheckStep::of("people", Err::<(), _>(&error))),
        }
        steps
    }

    /// The same of the app that posts, if it is another one.
    pub(crate) async fn look_at_poster(&self, ctx: &Context) -> CheckStep {
        let step = "app that posts";
        let seen = "whether it may post is seen at the first posting";
        if !self.has_poster {
            return CheckStep::new(step, CheckResult::Skipped)
                .with_found(format!("the one that reads: {seen}"));
        }
        match self.find_company(ctx, &self.poster).await {
            Ok(_) => CheckStep::passed(step).with_found(seen),
            Err(error) => CheckStep::of(step, Err::<(), _>(&error)),
        }
    }

    /// Why the app that posts could not, as far as a read tells: what passes by itself is none.
    pub(super) async fn poster_problem(&self, ctx: &Context) -> Option<String> {
        if !self.has_poster {
            return None;
        }
        let error = self.find_company(ctx, &self.poster).await.err()?;
        tracing::warn!(%error, connection = %self.source.connection, "the app that posts does not work");
        (!passes(&error)).then(|| format!("the app that posts does not work: {}", error.message()))
    }

    /// The company, as an app sees it.
    async fn find_company(&self, ctx: &Context, client: &ApiClient) -> Result<Company> {
        let own = client.company_id();
        let found = client.companies(ctx).await?;
        let ids: Vec<&str> = found.iter().map(|company| company.id.as_str()).collect();
        let ids = ids.join(", ");
        found.into_iter().find(|company| company.id == own).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "company_id is none of the companies of the environment")
                .with_scope(Scope::Connection)
                .with_context("companies", ids)
        })
    }

    async fn look_at(&self, ctx: &Context, set: Set) -> CheckStep {
        match self.client.sees_any(ctx, set, None).await {
            Ok(true) => CheckStep::passed(set.name()),
            Ok(false) => CheckStep::warning(
                set.name(),
                "if there are some in Business Central, assign the right to read them, or run the API's data upgrade",
            )
            .with_found("empty"),
            Err(error) => {
                let step = CheckStep::of(set.name(), Err::<(), _>(&error));
                match error.context(RIGHT) {
                    Some(right) => step.with_remedy(format!("assign a permission set with {right}")),
                    None => step,
                }
            }
        }
    }

    /// Without a right one half of the sales invoices is left out, and nothing says so. Nor does anything say which of them
    /// are released only, but a route of its own.
    async fn look_at_halves(&self, ctx: &Context) -> Vec<CheckStep> {
        let mut steps = Vec::new();
        let sees = async |status| self.client.sees_any(ctx, Set::SalesInvoices, Some(status)).await;
        if let (Ok(draft), Ok(posted)) = (sees("Draft").await, sees("Open").await)
            && draft != posted
        {
            let half = if draft { "posted" } else { "unposted" };
            steps.push(
                CheckStep::warning(
                    "salesInvoices, both halves",
                    "if there are some in Business Central, assign the right to read them",
                )
                .with_found(format!("no {half} ones are shown")),
            );
        }
        match self.client.posted_among(ctx, Set::SalesInvoices, &[""]).await {
            Ok(Some(_)) => steps.push(CheckStep::passed("posted sales invoices")),
            Ok(None) => steps.push(
                CheckStep::warning(
                    "posted sales invoices",
                    "assign the right to read posted sales invoices to the app, or update Business Central",
                )
                .with_found("their list cannot be read: one that is released counts as not posted until its number changes"),
            ),
            Err(error) => steps.push(CheckStep::of("posted sales invoices", Err::<(), _>(&error))),
        }
        steps
    }

    /// Which sets tell about their changes, where the connection wants to be told.
    async fn look_at_webhooks(&self, ctx: &Context) -> Option<CheckStep> {
        self.webhook.as_ref()?;
        let step = "sets with webhooks";
        let supported = match self.client.webhook_resources(ctx).await {
            Ok(supported) => supported,
            Err(error) => return Some(CheckStep::of(step, Err::<(), _>(&error))),
        };
        let silent: Vec<&str> = self.sets.iter().map(|set| set.name()).collect();
        let silent: Vec<&str> =
            silent.into_iter().filter(|name| !tells(supported.as_deref(), name)).collect();
        let by = if supported.is_some() { "" } else { " (by the documentation: this version does not say)" };
        let found = match &silent[..] {
            [] => format!("all{by}"),
            silent => format!("all but {}, which are polled{by}", silent.join(", ")),
        };
        Some(CheckStep::passed(step).with_found(found))
    }
}
