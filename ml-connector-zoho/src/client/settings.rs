//! The calls that set up webhooks: `/settings/webhooks` and `/settings/workflows`.

use bytes::Bytes;
use http::Method;
use ml_connector_core::{
    Context, Result, Secret,
    decode::{self, Object},
    http::Envelope,
};
use serde::Serialize;

use super::{BooksClient, list_of, write::json};

/// A webhook: what a rule does.
pub(crate) struct Hook {
    pub(crate) webhook_id: String,
    pub(crate) webhook_name: String,
    pub(crate) entity: String,
    pub(crate) url: String,
    /// The ids of the rules that call it. `None` where the answer does not say: its shape is not documented.
    pub(crate) related_rules: Option<Vec<String>>,
}

impl Hook {
    fn read(hook: &Object<'_>) -> Result<Self> {
        let rules = || hook.objects("related_rules").iter().map(|rule| rule.text("workflow_id")).collect();
        Ok(Self {
            webhook_id: hook.id("webhook_id")?,
            webhook_name: hook.text("webhook_name"),
            entity: hook.text("entity"),
            url: hook.text("url"),
            related_rules: hook.has("related_rules").then(rules),
        })
    }
}

/// A workflow rule: when a webhook is called.
pub(crate) struct Workflow {
    pub(crate) workflow_id: String,
    pub(crate) workflow_name: String,
    pub(crate) is_active: bool,
}

impl Workflow {
    fn read(rule: &Object<'_>) -> Result<Self> {
        Ok(Self {
            workflow_id: rule.id("workflow_id")?,
            workflow_name: rule.text("workflow_name"),
            is_active: rule.flag("is_active") || !rule.has("is_active"),
        })
    }
}

/// A webhook to create, or as an existing one has to be.
#[derive(Serialize)]
pub(crate) struct NewHook<'a> {
    pub(crate) webhook_name: &'a str,
    pub(crate) description: &'static str,
    pub(crate) entity: &'a str,
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    #[serde(serialize_with = "exposed")]
    pub(crate) secret: &'a Secret,
}

/// A rule that calls one webhook at once.
#[derive(Serialize)]
pub(crate) struct NewWorkflow<'a> {
    pub(crate) workflow_name: &'a str,
    pub(crate) description: &'static str,
    pub(crate) entity: &'a str,
    pub(crate) rule_type: &'static str,
    pub(crate) rule: Criteria,
    pub(crate) apply_rule_always: bool,
    pub(crate) instant_actions: [Action<'a>; 1],
}

/// None.
#[derive(Serialize)]
pub(crate) struct Criteria {}

/// With more fields than these, Zoho makes a second webhook of it.
#[derive(Serialize)]
pub(crate) struct Action<'a> {
    pub(crate) action_type: &'static str,
    pub(crate) action_id: &'a str,
}

impl BooksClient {
    /// `GET /settings/webhooks`.
    ///
    /// # Errors
    /// As [`error::check`](crate::error::check) says.
    pub(crate) async fn webhooks(&self, ctx: &Context) -> Result<Vec<Hook>> {
        let url = self.http.url(&["settings", "webhooks"]);
        let answer = self.read(ctx, "zoho_books.list_webhooks", url).await?;
        list_of(&answer, "webhooks", "webhook_id", Hook::read)
    }

    /// `GET /settings/workflows`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn workflows(&self, ctx: &Context) -> Result<Vec<Workflow>> {
        let url = self.http.url(&["settings", "workflows"]);
        let answer = self.read(ctx, "zoho_books.list_workflows", url).await?;
        list_of(&answer, "workflows", "workflow_id", Workflow::read)
    }

    /// `POST /settings/webhooks`. Returns the id.
    ///
    /// # Errors
    /// [`Conflict`](ml_connector_core::ErrorKind::Conflict) when the name is in use; as [`webhooks`](Self::webhooks).
    pub(crate) async fn create_webhook(&self, ctx: &Context, hook: &NewHook<'_>) -> Result<String> {
        let path = ["settings", "webhooks"];
        let answer = self.write(ctx, "zoho_books.create_webhook", Method::POST, &path, json(hook)?).await?;
        let hook = Envelope::of(&answer)?.member("webhook")?;
        Ok(decode::object(&hook, Hook::read)?.value.webhook_id)
    }

    /// `PUT /settings/webhooks/{id}`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn update_webhook(&self, ctx: &Context, id: &str, hook: &NewHook<'_>) -> Result<()> {
        let path = ["settings", "webhooks", id];
        self.write(ctx, "zoho_books.update_webhook", Method::PUT, &path, json(hook)?).await.map(drop)
    }

    /// `POST /settings/workflows`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn create_workflow(&self, ctx: &Context, workflow: &NewWorkflow<'_>) -> Result<()> {
        let path = ["settings", "workflows"];
        let body = json(workflow)?;
        self.write(ctx, "zoho_books.create_workflow", Method::POST, &path, body).await.map(drop)
    }

    /// `POST /settings/workflows/{id}/active`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn activate_workflow(&self, ctx: &Context, id: &str) -> Result<()> {
        let path = ["settings", "workflows", id, "active"];
        let operation = "zoho_books.activate_workflow";
        self.write(ctx, operation, Method::POST, &path, Bytes::new()).await.map(drop)
    }

    /// `DELETE /settings/webhooks/{id}`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn delete_webhook(&self, ctx: &Context, id: &str) -> Result<()> {
        let path = ["settings", "webhooks", id];
        self.write(ctx, "zoho_books.delete_webhook", Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// `DELETE /settings/workflows/{id}`.
    ///
    /// # Errors
    /// As [`webhooks`](Self::webhooks).
    pub(crate) async fn delete_workflow(&self, ctx: &Context, id: &str) -> Result<()> {
        let path = ["settings", "workflows", id];
        let operation = "zoho_books.delete_workflow";
        self.write(ctx, operation, Method::DELETE, &path, Bytes::new()).await.map(drop)
    }
}

fn exposed<S: serde::Serializer>(secret: &Secret, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}
