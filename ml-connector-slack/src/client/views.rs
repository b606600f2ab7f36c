//! `views.*`: modals.

use ml_connector_core::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Client;
use crate::{blocks::View, models::ViewRef};

#[derive(Serialize)]
struct Open<'a> {
    trigger_id: &'a str,
    view: &'a View,
}

#[derive(Serialize)]
struct Update<'a> {
    view_id: &'a str,
    hash: &'a str,
    view: &'a View,
}

#[derive(Deserialize)]
struct Answer {
    view: ViewRef,
}

impl Client {
    /// Opens a modal in answer to a click. Slack takes the trigger once, and for three seconds only.
    ///
    /// # Errors
    /// Slack's refusals: `expired_trigger_id`, `exchanged_trigger_id` and `invalid_trigger_id` mean that the person has
    /// to click again.
    pub async fn views_open(&self, ctx: &Context, trigger_id: &str, view: &View) -> Result<ViewRef> {
        self.view(ctx, "slack.views_open", "views.open", &Open { trigger_id, view }).await
    }

    /// Rewrites a modal that is still as `open` says.
    ///
    /// # Errors
    /// Slack's refusals: `hash_conflict` when it changed meanwhile, `not_found` when it was closed.
    pub async fn views_update(&self, ctx: &Context, open: &ViewRef, view: &View) -> Result<ViewRef> {
        let update = Update { view_id: &open.id, hash: &open.hash, view };
        self.view(ctx, "slack.views_update", "views.update", &update).await
    }

    async fn view(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        body: &impl Serialize,
    ) -> Result<ViewRef> {
        let cost = self.pacing.method(method);
        let key = cost.key.clone();
        let answer = self.write(ctx, operation, method, body, vec![cost], key).await?;
        let answer: Answer = answer.json().map_err(|error| error.with_operation(operation))?;
        Ok(answer.view)
    }
}
