//! `conversations.*` and `reactions.get`.

use ml_connector_core::{Context, Result};
use serde::Deserialize;

use super::Client;
use crate::models::{Channel, ChannelPage, HistoryPage, HistoryQuery, MessageRef, Reaction, lax_list};

/// The ceiling is 1,000, exclusive. Few large pages spend less of the method's tier than many small ones.
const CHANNELS_PER_PAGE: &str = "999";

#[derive(Deserialize)]
struct OneChannel<T> {
    channel: T,
}

impl Client {
    /// Lists public channels, and the private ones the bot is in: one page.
    ///
    /// # Errors
    /// Slack's refusals; `invalid_cursor` means that the list has to begin again.
    pub async fn conversations_list(&self, ctx: &Context, cursor: Option<&str>) -> Result<ChannelPage> {
        let mut fields = vec![("types", "public_channel,private_channel"), ("limit", CHANNELS_PER_PAGE)];
        fields.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.read(ctx, "slack.conversations_list", "conversations.list", &fields).await
    }

    /// Reads one channel.
    ///
    /// # Errors
    /// Slack's refusals; `channel_not_found` also for a private channel without the bot.
    pub async fn conversations_info(&self, ctx: &Context, channel: &str) -> Result<Channel> {
        let fields = [("channel", channel)];
        let answer: OneChannel<Channel> =
            self.read(ctx, "slack.conversations_info", "conversations.info", &fields).await?;
        Ok(answer.channel)
    }

    /// Makes the bot a member of a public channel. Repeating it changes nothing.
    ///
    /// # Errors
    /// Slack's refusals; into a private channel the bot has to be invited.
    pub async fn conversations_join(&self, ctx: &Context, channel: &str) -> Result<Channel> {
        let fields = [("channel", channel)];
        let answer: OneChannel<Channel> =
            self.read(ctx, "slack.conversations_join", "conversations.join", &fields).await?;
        Ok(answer.channel)
    }

    /// Finds the id of the bot's direct messages with a person. Repeating it changes nothing.
    ///
    /// # Errors
    /// Slack's refusals.
    pub async fn conversations_open(&self, ctx: &Context, user: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let fields = [("users", user)];
        let opened: OneChannel<Id> =
            self.read(ctx, "slack.conversations_open", "conversations.open", &fields).await?;
        Ok(opened.channel.id)
    }

    /// Reads a conversation's messages, without replies, with their metadata: one page, newest first.
    ///
    /// # Errors
    /// Slack's refusals.
    pub async fn conversations_history(&self, ctx: &Context, query: HistoryQuery<'_>) -> Result<HistoryPage> {
        self.messages(ctx, "slack.conversations_history", "conversations.history", query, None).await
    }

    /// Reads a thread, its first message included, with metadata: one page, oldest first. `thread_ts` is the first
    /// message's.
    ///
    /// # Errors
    /// Slack's refusals; `thread_not_found` when the first message is gone.
    pub async fn conversations_replies(
        &self,
        ctx: &Context,
        thread_ts: &str,
        query: HistoryQuery<'_>,
    ) -> Result<HistoryPage> {
        self.messages(ctx, "slack.conversations_replies", "conversations.replies", query, Some(thread_ts))
            .await
    }

    /// Reads who put which emoji on a message. The truth about reactions, whose events may come in any order.
    ///
    /// # Errors
    /// Slack's refusals.
    pub async fn reactions_get(&self, ctx: &Context, message: &MessageRef) -> Result<Vec<Reaction>> {
        #[derive(Deserialize)]
        struct Answer {
            message: Message,
        }
        #[derive(Deserialize)]
        struct Message {
            #[serde(default, deserialize_with = "lax_list")]
            reactions: Vec<Reaction>,
        }
        let fields = [("channel", &*message.channel), ("timestamp", &*message.ts), ("full", "true")];
        let answer: Answer = self.read(ctx, "slack.reactions_get", "reactions.get", &fields).await?;
        Ok(answer.message.reactions)
    }

    async fn messages(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        query: HistoryQuery<'_>,
        thread_ts: Option<&str>,
    ) -> Result<HistoryPage> {
        let limit = query.limit.to_string();
        let mut fields = vec![("channel", query.channel)];
        fields.extend(thread_ts.map(|ts| ("ts", ts)));
        fields.push(("oldest", query.oldest));
        fields.extend([("inclusive", "true"), ("include_all_metadata", "true"), ("limit", &limit)]);
        fields.extend(query.cursor.map(|cursor| ("cursor", cursor)));
        self.read(ctx, operation, method, &fields).await
    }
}
