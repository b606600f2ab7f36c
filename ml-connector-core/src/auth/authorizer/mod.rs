//! How a person connects an account: a URL to begin with, and what the vendor's redirect leads to.

mod callback;
mod config;
mod pending;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

pub use callback::Callback;
pub use config::AuthorizerConfig;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope as OAuthScope,
    basic::BasicClient,
};
use serde_json::Value;
use tracing::Instrument;
use url::Url;

use self::pending::Consent;
use super::oauth2::{Exchange, TokenEndpoint, shown};
use crate::{
    Context, Effect, Error, ErrorKind, Result, Retry, Scope, Secret,
    clock::sleep_until,
    error_context,
    http::{Answer, Phase, TransportError, require_secure},
    model::ConnectionId,
    token::{Cause, Granted, Manager, TokenOutcome, told},
};

/// Connects accounts by a person's consent: OAuth's authorization code, with a state, and PKCE where the vendor takes
/// it. One for an app, whatever number of connections it has. Cheap to clone.
///
/// A host mounts it at two paths of its own web server: one redirects to what [`begin`](Self::begin) returns, the
/// other is the app's redirect URI and hands its query to [`finish`](Self::finish).
///
/// ```
/// # use ml_connector_core::{Connector, Result, auth::Authorizer, model::ConnectionId};
/// # async fn mounted(connector: Connector, authorizer: Authorizer, session: &str, query: &str) -> Result<()> {
/// let ctx = connector.context();
/// // GET /connect/books: answer 303 with this as `Location`
/// let url = authorizer.begin(&ctx, &"books".into(), Some(session)).await?;
/// // GET /connected?code=…&state=…
/// let connected = authorizer.finish(&ctx, query, Some(session)).await?;
/// connector.resume(&connected.connection).await?;
/// # Ok(()) }
/// ```
///
/// - A state holds 244 random bits of the operating system. It works once, for ten minutes, for the connection and in
///   the session it was made for, and on every host that shares the [`TokenStore`](crate::TokenStore).
/// - The vendor's answer is stored before it is read. When this process dies in between, whoever wants the
///   connection's token next connects with it.
/// - A consent that fails leaves the tokens that are there alone.
#[derive(Debug, Clone)]
pub struct Authorizer {
    config: Arc<AuthorizerConfig>,
}

/// An account that was connected: its tokens are stored. `Debug` shows names only.
#[derive(Clone)]
#[non_exhaustive]
pub struct Connected {
    /// The connection that was asked for.
    pub connection: ConnectionId,
    /// Where the tokens came from, and where they have to be renewed.
    pub token_url: Url,
    /// What was granted; `None`: the vendor does not say.
    pub granted_scopes: Option<Vec<String>>,
    /// What was asked for and not granted, as far as the vendor says.
    pub missing_scopes: Vec<String>,
    callback: Callback,
    fields: BTreeMap<&'static str, Value>,
}

impl Connected {
    /// A field of the token answer, if [`AuthorizerConfig::fields`] names it and it was there.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// A parameter of the callback, such as Zoho's `location`. `code` and `state` are gone.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.callback.parameter(name)
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("connection", &self.connection)
            .field("token_url", &self.token_url.as_str())
            .field("missing_scopes", &self.missing_scopes)
            .field("callback", &self.callback)
            .field("fields", &self.fields.keys())
            .finish_non_exhaustive()
    }
}

impl Authorizer {
    /// Connects accounts by these rules.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when a field is empty, a URL is not secure or the grant is no refresh token.
    pub fn new(config: AuthorizerConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Where the person's browser has to go. `session` is what tells the host's sessions apart, such as the value
    /// of a session cookie: the callback has to come in the same one.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the connection's id is malformed; [`ErrorKind::Unavailable`] when the
    /// token store cannot be written.
    pub async fn begin(
        &self,
        ctx: &Context,
        connection: &ConnectionId,
        session: Option<&str>,
    ) -> Result<Url> {
        connection.validate()?;
        let config = &*self.config;
        let Consent { state, verifier } = pending::add(ctx, connection, session, config.pkce).await?;
        let client = BasicClient::new(ClientId::new(config.oauth.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(config.authorize_url.clone()));
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose().into()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(config.redirect_uri.clone())));
        if !config.scopes.is_empty() {
            // As one, because the crate knows spaces only.
            request = request.add_scope(OAuthScope::new(config.scopes.join(config.scope_separator)));
        }
        if let Some(verifier) = &verifier {
            let verifier = PkceCodeVerifier::new(verifier.expose().into());
            request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        }
        for (name, value) in &config.parameters {
            request = request.add_extra_param(*name, value);
        }
        Ok(request.url().0)
    }

    /// Exchanges the code in a callback's query for tokens and stores them in place of whatever is there. Tell
    /// [`Connector::resume`](crate::Connector::resume) afterwards: a connection that is parked is otherwise tried
    /// again only after a while, 15 minutes at most.
    ///
    /// What was begun goes on when the caller gives up.
    ///
    /// # Errors
    /// In each case the person has to begin anew.
    /// - [`ErrorKind::PermissionDenied`]: the person, or the vendor on their behalf, refused.
    /// - [`ErrorKind::InvalidRequest`]: the query holds no code, or a state that is forged, used, expired or of
    ///   another session; the vendor's fault or an attack.
    /// - [`ErrorKind::Unauthenticated`]: the vendor refused the code, or granted no refresh token.
    /// - [`ErrorKind::ConfigInvalid`]: the vendor refused the app, or [`AuthorizerConfig::token_url`] the callback.
    /// - [`ErrorKind::RateLimited`], [`ErrorKind::Unavailable`] or [`ErrorKind::InvalidResponse`]: the vendor gave
    ///   no usable answer, or the token store failed.
    pub async fn finish(&self, ctx: &Context, query: &str, session: Option<&str>) -> Result<Connected> {
        self.finish_inner(ctx, query, session)
            .await
            .map_err(|error| error.with_context("system", self.config.oauth.system))
    }

    async fn finish_inner(&self, ctx: &Context, query: &str, session: Option<&str>) -> Result<Connected> {
        let mut callback = Callback::parse(query)?;
        let (code, state) = (callback.take("code"), callback.take("state"));
        if let Some(error) = callback.parameter("error") {
            if let Some(state) = &state {
                pending::take(ctx, state, session).await?;
            }
            return Err(refusal(error));
        }
        let (Some(code), Some(state)) = (code, state) else {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected a code and a state in the callback"));
        };
        // Before the state is spent, and long before the secret is sent.
        let token_url = self.token_url(&callback)?;
        let (connection, verifier) = pending::take(ctx, &state, session).await?;
        let exchange = Arc::clone(&self.config).exchange(ctx.clone(), connection, token_url, code, verifier);
        let mut connected = tokio::spawn(exchange.in_current_span()).await.map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the exchange of the code ended without a result")
                .with_source(source)
        })??;
        connected.callback = callback;
        Ok(connected)
    }

    fn token_url(&self, callback: &Callback) -> Result<Url> {
        let chosen = (self.config.token_url)(callback)?;
        let url = chosen.unwrap_or_else(|| self.config.oauth.token_url.clone());
        require_secure(&url)?;
        Ok(url)
    }
}

impl AuthorizerConfig {
    async fn exchange(
        self: Arc<Self>,
        ctx: Context,
        connection: ConnectionId,
        token_url: Url,
        code: Secret,
        verifier: Option<Secret>,
    ) -> Result<Connected> {
        let mut oauth = self.oauth.clone();
        oauth.token_url = token_url.clone();
        let (rules, request_time) = (oauth.rules(), oauth.request_time);
        let key = (self.token_key)(&oauth.client_id, &connection);
        let manager = Manager::new(key, rules, TokenEndpoint { config: oauth });
        let exchange =
            Exchange::Code { code: &code, redirect_uri: &self.redirect_uri, verifier: verifier.as_ref() };
        let response = tokio::select! {
            biased;
            response = manager.endpoint().send(&ctx, &exchange) => response,
            () = sleep_until(ctx.clock(), ctx.now() + request_time) => {
                Err(TransportError::new(Phase::Written, "the transport did not keep its time limit"))
            }
        };
        let answer = Answer::new(response.map_err(no_answer)?, ctx.now());
        let granted = granted(manager.consented(&ctx, &answer).await?)?;
        if !manager.rules().connects_with(&granted) {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "expected a refresh token, but the vendor granted none: the consent has to be asked for in the \
                 way that gives one, for example with prompt=consent",
            )
            .with_scope(Scope::Connection));
        }
        Ok(self.connected(connection, token_url, &answer))
    }

    fn connected(&self, connection: ConnectionId, token_url: Url, answer: &Answer) -> Connected {
        let body: Value = answer.json().unwrap_or_default();
        let scopes = (self.oauth.normalize)(answer).scopes;
        let granted_scopes = Some(scopes).filter(|scopes| !scopes.is_empty());
        let missing =
            |wanted: &&String| granted_scopes.as_ref().is_some_and(|granted| !granted.contains(wanted));
        Connected {
            missing_scopes: self.scopes.iter().filter(missing).cloned().collect(),
            fields: self
                .fields
                .iter()
                .filter_map(|name| Some((*name, field(&body, name)?.clone())))
                .collect(),
            granted_scopes,
            connection,
            token_url,
            callback: Callback::default(),
        }
    }
}

/// The field that a path of names leads to.
fn field<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, name| value.get(name))
}

/// The callback said `error`.
fn refusal(code: &str) -> Error {
    let (kind, message) = match code {
        "access_denied" => (ErrorKind::PermissionDenied, "the consent was refused"),
        "server_error" | "temporarily_unavailable" => {
            (ErrorKind::Unavailable, "the vendor could not ask for the consent")
        }
        _ => (ErrorKind::ConfigInvalid, "the vendor refused to ask for the consent"),
    };
    Error::new(kind, message).with_retry(Retry::Never).with_context(error_context::CODE, shown(code))
}

/// A code works once, so that nothing is repeated.
fn no_answer(error: TransportError) -> Error {
    let (effect, message) = match error.phase() {
        Phase::NotWritten => (Effect::None, "the code could not be sent to the token endpoint"),
        Phase::StatusRead(status) if !status.is_success() => {
            (Effect::None, "the token endpoint's answer to the code broke off")
        }
        Phase::Written | Phase::StatusRead(_) => {
            (Effect::Unknown, "the token endpoint's answer to the code was lost")
        }
    };
    Error::new(ErrorKind::Unavailable, message)
        .with_retry(Retry::Never)
        .with_effect(effect)
        .with_source(error)
}

fn granted(verdict: TokenOutcome) -> Result<Granted> {
    let (cause, code, message) = match verdict {
        TokenOutcome::Granted(granted) => return Ok(granted),
        TokenOutcome::Failed { cause, code, message, .. } => (cause, code, message),
        TokenOutcome::Unreadable => {
            let message = "the token endpoint's answer to the code could not be understood";
            return Err(Error::new(ErrorKind::InvalidResponse, message).with_effect(Effect::Unknown));
        }
    };
    let (kind, what) = match cause {
        Cause::Refused | Cause::AnswerLost => {
            (ErrorKind::Unauthenticated, "the token endpoint refused the code")
        }
        Cause::Misconfigured => {
            (ErrorKind::ConfigInvalid, "the token endpoint refused the app's id, secret or request")
        }
        Cause::Throttled => (ErrorKind::RateLimited, "the token endpoint wants to be left alone"),
        Cause::Unavailable => (ErrorKind::Unavailable, "the token endpoint gave no usable answer"),
    };
    Err(Error::new(kind, told(what, message.as_deref()))
        .with_retry(Retry::Never)
        .with_context(error_context::CODE, code))
}
