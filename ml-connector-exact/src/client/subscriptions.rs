//! The calls that register webhooks: `webhooks/WebhookSubscriptions`.

use bytes::Bytes;
use http::{Method, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result,
    decode::{self, Object},
    http::Call,
};
use serde::Serialize;
use url::Url;

use super::{ExactClient, Query, USER_AGENT};
use crate::models::is_guid;

const PATH: &str = "webhooks/WebhookSubscriptions";
const LIST: &str = "exact_online.list_webhook_subscriptions";

/// What Exact Online calls about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) url: String,
}

impl Subscription {
    fn read(row: &Object<'_>) -> Result<Self> {
        Ok(Self { id: row.id("ID")?, topic: row.text("Topic"), url: row.text("CallbackURL") })
    }
}

/// Exactly these two: more is an error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct New<'a> {
    topic: &'a str,
    #[serde(rename = "CallbackURL")]
    callback_url: &'a str,
}

impl ExactClient {
    /// The app's own subscriptions in this company.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without the scope Organization administration; else as
    /// [`error::check`](crate::error::check) says.
    pub(crate) async fn subscriptions(&self, ctx: &Context) -> Result<Vec<Subscription>> {
        let query = Query { select: "ID,Topic,CallbackURL,Division".to_owned(), ..Query::default() };
        let raws = self.all(ctx, (LIST, PATH), "ID", &query).await?;
        raws.iter().map(|raw| Ok(decode::object(raw, Subscription::read)?.value)).collect()
    }

    /// Subscribes to a topic. Exact Online then sends an empty request to the URL, which has to be answered with 200.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when there is one already; [`ErrorKind::InvalidRequest`] when the URL was not reached, or is
    /// refused; as [`subscriptions`](Self::subscriptions).
    pub(crate) async fn subscribe(&self, ctx: &Context, topic: &str, callback_url: &str) -> Result<()> {
        let body = serde_json::to_vec(&New { topic, callback_url }).map_err(|source| {
            Error::new(ErrorKind::InvalidRequest, "the request cannot be written").with_source(source)
        })?;
        let url = self.url(PATH);
        self.write(ctx, "exact_online.create_webhook_subscription", Method::POST, url, body.into()).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`subscriptions`](Self::subscriptions).
    pub(crate) async fn unsubscribe(&self, ctx: &Context, id: &str) -> Result<()> {
        if !is_guid(id) {
            return Err(Error::new(ErrorKind::InvalidResponse, "a subscription's id is no GUID"));
        }
        let url = self.url(&format!("{PATH}(guid'{id}')"));
        let operation = "exact_online.delete_webhook_subscription";
        match self.write(ctx, operation, Method::DELETE, url, Bytes::new()).await {
            // It is gone already.
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            done => done,
        }
    }

    async fn write(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: Method,
        url: Url,
        body: Bytes,
    ) -> Result<()> {
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(body)
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        self.call(ctx, Call::write(operation, request), PATH).await.map(drop)
    }
}
