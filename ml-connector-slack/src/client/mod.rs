//! Every call to Slack, one method each.

mod chat;
mod conversations;
mod people;
mod views;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope,
    auth::Authenticator,
    http::{Answer, Call, Client as HttpClient, require_secure},
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
    base: Url,
    /// Where people find the workspace: as the host says, or Slack. All clones know it.
    workspace: Arc<OnceLock<Url>>,
}

impl Client {
    pub(crate) fn new(
        base: Url,
        auth: Arc<dyn Authenticator>,
        pacing: Pacing,
        workspace: Option<Url>,
    ) -> Result<Self> {
        let http = HttpClient::new("slack", base.clone(), auth, check)?;
        let workspace = Arc::new(workspace.map_or_else(OnceLock::new, OnceLock::from));
        Ok(Self { http, pacing, base, workspace })
    }

    /// Where people find the workspace, once that is known.
    pub(crate) fn workspace_url(&self) -> Option<&Url> {
        self.workspace.get()
    }

    /// Whether Slack can mean this address: a workspace is below the API's own domain.
    fn is_workspace(&self, url: &Url) -> bool {
        let (Some(host), Some(domain)) = (url.host_str(), self.base.host_str()) else { return false };
        let is_below = host.strip_suffix(domain).is_some_and(|name| name.ends_with('.'));
        require_secure(url).is_ok() && (is_below || url.origin() == self.base.origin())
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
        let url = identity.url.as_deref().and_then(|url| Url::parse(url).ok());
        if let Some(url) = url.filter(|url| self.is_workspace(url)) {
            _ = self.workspace.set(url);
        }
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
