//! `chat.*`: what deliveries are made of. Their pace is admitted by the engine.

use ml_connector_core::{Context, Result, Retry, rate::QuotaKey};
use serde::Deserialize;

use super::Client;
use crate::models::{EphemeralMessage, PostMessage, Posted, UpdateMessage};

impl Client {
    /// Posts a message, or a reply.
    ///
    /// # Errors
    /// Slack's refusals. An effect of [`Unknown`](ml_connector_core::Effect::Unknown) means that the message may have
    /// been posted.
    pub(crate) async fn chat_post_message(
        &self,
        ctx: &Context,
        message: &PostMessage<'_>,
        paused_by_429: QuotaKey,
    ) -> Result<Posted> {
        const OPERATION: &str = "slack.chat_post_message";
        let answer =
            self.write(ctx, OPERATION, "chat.postMessage", message, Vec::new(), paused_by_429).await?;
        // An answer without the message's handle proves nothing: it has to be looked up.
        answer.json().map_err(|error| error.with_retry(Retry::Backoff).with_operation(OPERATION))
    }

    /// Rewrites a message of the bot's. Repeating it changes nothing.
    ///
    /// # Errors
    /// Slack's refusals. An effect of [`Unknown`](ml_connector_core::Effect::Unknown) means that it may be rewritten.
    pub(crate) async fn chat_update(&self, ctx: &Context, message: &UpdateMessage<'_>) -> Result<()> {
        let paused = self.pacing.method("chat.update").key;
        self.write(ctx, "slack.chat_update", "chat.update", message, Vec::new(), paused).await.map(drop)
    }

    /// Shows a message to one person, for as long as their Slack is open. Nobody can ask for it later.
    ///
    /// # Errors
    /// Slack's refusals. An effect of [`Unknown`](ml_connector_core::Effect::Unknown) means that it may be shown.
    pub(crate) async fn chat_post_ephemeral(
        &self,
        ctx: &Context,
        message: &EphemeralMessage<'_>,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Shown {
            #[serde(default)]
            message_ts: String,
        }
        const OPERATION: &str = "slack.chat_post_ephemeral";
        let paused = self.pacing.method("chat.postEphemeral").key;
        let answer = self.write(ctx, OPERATION, "chat.postEphemeral", message, Vec::new(), paused).await?;
        let shown: Shown =
            answer.json().map_err(|error| error.with_retry(Retry::Backoff).with_operation(OPERATION))?;
        Ok(shown.message_ts)
    }
}
