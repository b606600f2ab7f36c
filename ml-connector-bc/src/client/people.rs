//! Employees, and the files beside a document.

use ml_connector_core::{Context, Result, model::Attachment};

use super::{ApiClient, list_of};
use crate::models::{Set, decoded};

/// An employee. It has no `Debug`: names and addresses are the person's.
#[derive(Clone)]
pub(crate) struct Employee {
    pub(crate) number: String,
    pub(crate) name: Option<String>,
    /// The company's address; the private one is nobody's business.
    pub(crate) email: Option<String>,
    pub(crate) is_active: bool,
}

impl ApiClient {
    /// `GET employees`, of which only what tells them apart is asked for.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says.
    pub(crate) async fn employees(&self, ctx: &Context) -> Result<Vec<Employee>> {
        let mut url = self.below(&[Set::Employees.name()]);
        url.query_pairs_mut().append_pair("$select", "id,number,displayName,email,status");
        let answer = self.read(ctx, Set::Employees.list(), &url).await?;
        list_of(&answer, "id", |row| {
            Ok(Employee {
                number: row.text("number"),
                name: row.some_text("displayName"),
                email: row.some_text("email"),
                is_active: decoded(&row.text("status")) == "Active",
            })
        })
    }

    /// `GET {set}({id})/documentAttachments`: the names of the files that people see beside a document.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says.
    pub(crate) async fn attachments(&self, ctx: &Context, set: Set, id: &str) -> Result<Vec<Attachment>> {
        let url = self.below(&[&format!("{}({id})", set.name()), "documentAttachments"]);
        let answer = self.read(ctx, "business_central.list_attachments", &url).await?;
        list_of(&answer, "id", |row| {
            Ok(Attachment { id: Some(row.id("id")?.into()), name: row.text("fileName"), url: None })
        })
    }
}
