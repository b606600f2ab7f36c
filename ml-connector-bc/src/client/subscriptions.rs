//! The resource `subscriptions`, which lies beside the companies.

use bytes::Bytes;
use http::{Method, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp, decode,
    http::{Call, Envelope, Pages, Position},
};
use serde::Serialize;
use url::Url;

use super::{ApiClient, cannot_build, common, list_of, refuse_actions};

/// A subscription as it is listed. It has no `Debug`: its `clientState` proves who sends.
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) notification_url: String,
    pub(crate) client_state: String,
    pub(crate) etag: String,
    pub(crate) expires: Timestamp,
}

/// What is sent to create or to renew one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSubscription<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscription_id: Option<&'a str>,
    pub(crate) notification_url: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) client_state: &'a str,
}

impl ApiClient {
    /// `GET subscriptions`, all pages. Rows of others are among them, whatever they look like.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says.
    pub(crate) async fn subscriptions(&self, ctx: &Context) -> Result<Vec<Subscription>> {
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        loop {
            let url = match pages.at() {
                Some(Position::Link(link)) => link.clone(),
                _ => self.http.url(&["v2.0", "subscriptions"]),
            };
            let answer = self.read(ctx, "business_central.list_subscriptions", &url).await?;
            let rows = list_of(&answer, "subscriptionId", |row| {
                Ok(Subscription {
                    id: row.id("subscriptionId")?,
                    notification_url: row.text("notificationUrl"),
                    client_state: row.text("clientState"),
                    etag: row.text("@odata.etag"),
                    expires: row.instant("expirationDateTime").unwrap_or_default(),
                })
            })?;
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            all.extend(rows);
            let next = Envelope::of(&answer)?.take("@odata.nextLink");
            let next = next.as_deref().and_then(decode::plain_text);
            let next = next.map(|link| self.own_link(&link)).transpose()?;
            if !pages.advance(next.map(Position::Link), ids)? {
                return Ok(all);
            }
        }
    }

    /// `GET webhookSupportedResources`: the sets that tell about changes, by name. `None` where this version does not say.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says.
    pub(crate) async fn webhook_resources(&self, ctx: &Context) -> Result<Option<Vec<String>>> {
        let company = format!("companies({})", self.company);
        let mut url = self.http.url(&["microsoft", "runtime", "beta", &company, "webhookSupportedResources"]);
        url.query_pairs_mut().append_pair("$filter", "resource eq 'v2.0*'");
        match self.read(ctx, "business_central.list_webhook_resources", &url).await {
            Ok(answer) => {
                let resources = list_of(&answer, "resource", |row| row.id("resource"))?;
                let name = |resource: String| resource.rsplit('/').next().map(str::to_owned);
                Ok(Some(resources.into_iter().filter_map(name).collect()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `POST subscriptions`. Business Central calls the URL before it answers.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says; the effect is honest.
    pub(crate) async fn create_subscription(&self, ctx: &Context, new: &NewSubscription<'_>) -> Result<()> {
        let url = self.http.url(&["v2.0", "subscriptions"]);
        self.change(ctx, "business_central.create_subscription", Method::POST, &url, None, Some(new)).await
    }

    /// `PATCH subscriptions('{id}')`: another three days.
    ///
    /// # Errors
    /// As [`create_subscription`](Self::create_subscription).
    pub(crate) async fn renew_subscription(
        &self,
        ctx: &Context,
        known: &Subscription,
        new: &NewSubscription<'_>,
    ) -> Result<()> {
        let (url, etag) = (self.subscription(&known.id), Some(known.etag.as_str()));
        self.change(ctx, "business_central.renew_subscription", Method::PATCH, &url, etag, Some(new)).await
    }

    /// `DELETE subscriptions('{id}')`.
    ///
    /// # Errors
    /// As [`create_subscription`](Self::create_subscription).
    pub(crate) async fn delete_subscription(&self, ctx: &Context, known: &Subscription) -> Result<()> {
        let (url, etag) = (self.subscription(&known.id), Some(known.etag.as_str()));
        self.change(ctx, "business_central.delete_subscription", Method::DELETE, &url, etag, None).await
    }

    /// The key is quoted, its quotes are doubled, and the whole is encoded.
    fn subscription(&self, id: &str) -> Url {
        self.http.url(&["v2.0", &format!("subscriptions('{}')", id.replace('\'', "''"))])
    }

    async fn change(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: Method,
        url: &Url,
        etag: Option<&str>,
        body: Option<&NewSubscription<'_>>,
    ) -> Result<()> {
        refuse_actions(url)?;
        let mut request = common(Request::builder().method(method).uri(url.as_str()));
        if let Some(etag) = etag {
            request = request.header(header::IF_MATCH, if etag.is_empty() { "*" } else { etag });
        }
        let body = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body).map_err(|source| {
                    Error::new(ErrorKind::Unexpected, "a subscription cannot be written as JSON")
                        .with_source(source)
                })?)
            }
        };
        let request = request.body(body).map_err(|_| cannot_build())?;
        let call = Call::write(operation, request).with_costs(self.costs());
        self.http.send(ctx, call).await.map(drop).map_err(|error| self.in_scope(error))
    }
}
