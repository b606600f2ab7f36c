//! Every call to Slack, one method each.

mod chat;
mod conversations;
mod people;
mod views;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope,
    auth::Authenticator,
    http::{Answer, Call, Client as HttpClient},
    rate::{Cost, QuotaKey},
};
use serde::{Serialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use crate::{error::check, models::AuthTest, pacing::Pacing};

/// Slack warns about JSON without a charset …
const JSON: &str = "application/json; charset=utf-8";
/// … and about forms with one.
const FORM: &str = "application/x-www-form-urlencoded";

/// The Web API as one bot sees it. Cheap to clone.
///
/// Every call spends of its method's tier, except those that deliveries are made of: the engine admits these. An error
/// holds Slack's word under `code` in its context; warnings are logged and fail nothing.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    pacing: Pacing,
}

impl Client {
    pub(crate) fn new(base: Url, auth: Arc<dyn Authenticator>, pacing: Pacing) -> Result<Self> {
        let http = HttpClient::new("slack", base, auth, check)?;
        Ok(Self { http, pacing })
    }

    /// Tells who the token is.
    ///
    /// # Errors
    /// Slack's refusals.
    pub async fn auth_test(&self, ctx: &Context) -> Result<AuthTest> {
        const OPERATION: &str = "slack.auth_test";
        let answer = self.call(ctx, OPERATION, "auth.test", &[]).await?;
        let mut identity: AuthTest = answer.json().map_err(|error| error.with_operation(OPERATION))?;
        let scopes = answer.header("x-oauth-scopes");
        identity.scopes = scopes.map(|list| list.split(',').map(|scope| scope.trim().to_owned()).collect());
        identity.date = answer.date();
        Ok(identity)
    }

    /// Calls a method that may be repeated.
    async fn read<T: DeserializeOwned>(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        fields: &[(&str, &str)],
    ) -> Result<T> {
        let answer = self.call(ctx, operation, method, fields).await?;
        answer.json().map_err(|error| error.with_operation(operation))
    }

    async fn call(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer> {
        // Most methods that read see nothing of a JSON body, and none says so.
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let call = Call::read(operation, self.request(method, FORM, body)?);
        self.http.send(ctx, call.with_costs(vec![self.pacing.method(method)])).await
    }

    /// Calls a method that does something. `paused_by_429` is what waits when Slack says later.
    async fn write(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: &str,
        body: &impl Serialize,
        costs: Vec<Cost>,
        paused_by_429: QuotaKey,
    ) -> Result<Answer> {
        let body = serde_json::to_vec(body).map_err(|source| {
            Error::new(ErrorKind::InvalidRequest, "the call cannot be written as JSON")
                .with_operation(operation)
                .with_source(source)
        })?;
        let call = Call::write(operation, self.request(method, JSON, body)?).with_costs(costs);
        self.http.send(ctx, call).await.map_err(|error| match (error.kind(), error.scope()) {
            (ErrorKind::RateLimited, Scope::Entry) => error.with_scope(Scope::Quota(paused_by_429)),
            _ => error,
        })
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
