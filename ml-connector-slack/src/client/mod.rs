//! Every call to Slack, one method each.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, Scope,
    auth::Authenticator,
    http::{Answer, Call, Client as HttpClient},
    rate::{Cost, QuotaKey},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use crate::{
    error::check,
    models::{AuthTest, ChannelPage, HistoryPage, HistoryQuery, PostMessage, Posted},
    pacing::{Pacing, TIER_2_PER_MINUTE, TIER_3_PER_MINUTE},
};

/// Slack warns about JSON without a charset …
const JSON: &str = "application/json; charset=utf-8";
/// … and about forms with one.
const FORM: &str = "application/x-www-form-urlencoded";
/// The ceiling is 1,000, exclusive. Few large pages spend less of the method's tier than many small ones.
const CHANNELS_PER_PAGE: &str = "999";

/// The Web API as one bot sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    pacing: Pacing,
    history_per_minute: u32,
}

impl Client {
    pub(crate) fn new(
        base: Url,
        auth: Arc<dyn Authenticator>,
        pacing: Pacing,
        history_per_minute: u32,
    ) -> Result<Self> {
        let http = HttpClient::new("slack", base, auth, check)?;
        Ok(Self { http, pacing, history_per_minute })
    }

    /// Tells who the token is.
    ///
    /// # Errors
    /// Slack's refusals, with its word for them under `code` in the context.
    pub async fn auth_test(&self, ctx: &Context) -> Result<AuthTest> {
        // A tier of its own that the vendor does not put in numbers.
        let costs = self.pacing.method("auth.test", TIER_2_PER_MINUTE);
        self.read(ctx, "slack.auth_test", "auth.test", &[], costs).await
    }

    /// Lists public channels, and the private ones the bot is in: one page.
    ///
    /// # Errors
    /// Slack's refusals, with its word for them under `code` in the context: `invalid_cursor` means that the list
    /// has to begin again.
    pub async fn conversations_list(&self, ctx: &Context, cursor: Option<&str>) -> Result<ChannelPage> {
        let mut fields = vec![("types", "public_channel,private_channel"), ("limit", CHANNELS_PER_PAGE)];
        fields.extend(cursor.map(|cursor| ("cursor", cursor)));
        let costs = self.pacing.method("conversations.list", TIER_2_PER_MINUTE);
        self.read(ctx, "slack.conversations_list", "conversations.list", &fields, costs).await
    }

    /// Reads a conversation's messages with their metadata: one page.
    ///
    /// # Errors
    /// Slack's refusals, with its word for them under `code` in the context.
    pub async fn conversations_history(&self, ctx: &Context, query: HistoryQuery<'_>) -> Result<HistoryPage> {
        let limit = query.limit.to_string();
        let mut fields = vec![
            ("channel", query.channel),
            ("oldest", query.oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", &limit),
        ];
        fields.extend(query.cursor.map(|cursor| ("cursor", cursor)));
        let costs = self.pacing.method("conversations.history", self.history_per_minute);
        self.read(ctx, "slack.conversations_history", "conversations.history", &fields, costs).await
    }

    /// Finds the id of the bot's direct messages with a person. Repeating it changes nothing.
    ///
    /// # Errors
    /// Slack's refusals, with its word for them under `code` in the context.
    pub async fn conversations_open(&self, ctx: &Context, user: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Opened {
            channel: Id,
        }
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let costs = self.pacing.method("conversations.open", TIER_3_PER_MINUTE);
        let fields = [("users", user)];
        let opened: Opened =
            self.read(ctx, "slack.conversations_open", "conversations.open", &fields, costs).await?;
        Ok(opened.channel.id)
    }

    /// Posts a message. Its pace is admitted by the caller; `paused_by_429` is what waits when Slack says later.
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
        let body = serde_json::to_vec(message).map_err(|source| {
            Error::new(ErrorKind::InvalidRequest, "the message cannot be written as JSON")
                .with_operation(OPERATION)
                .with_source(source)
        })?;
        let call = Call::write(OPERATION, self.request("chat.postMessage", JSON, body)?);
        let answer = self.http.send(ctx, call).await.map_err(|error| match error.kind() {
            ErrorKind::RateLimited => error.with_scope(Scope::Quota(paused_by_429)),
            _ => error,
        })?;
        // An answer without the message's handle proves nothing: it has to be looked up.
        decode(&answer).map_err(|error| error.with_retry(Retry::Backoff).with_operation(OPERATION))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        fields: &[(&str, &str)],
        costs: Vec<Cost>,
    ) -> Result<T> {
        // Most methods that read see nothing of a JSON body, and none says so.
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let call = Call::read(operation, self.request(method, FORM, body)?).with_costs(costs);
        let answer = self.http.send(ctx, call).await?;
        decode(&answer).map_err(|error| error.with_operation(operation))
    }

    fn request(&self, method: &str, content_type: &str, body: impl Into<Bytes>) -> Result<Request<Bytes>> {
        Request::post(self.http.url(&["api", method]).as_str())
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(body.into())
            .map_err(|source| {
                Error::new(ErrorKind::InvalidRequest, "the request cannot be built").with_source(source)
            })
    }
}

fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    answer.json()
}
