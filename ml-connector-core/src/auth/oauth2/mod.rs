//! OAuth 2.0 tokens that are neither lost nor raced.

mod answer;
mod assertion;
#[cfg(feature = "certificate")]
mod certificate;
mod config;
mod endpoint;
mod response;

use std::sync::Arc;

use async_trait::async_trait;

#[cfg(feature = "certificate")]
pub use self::certificate::CertificateAssertion;
pub(super) use self::{
    answer::shown,
    endpoint::{Exchange, TokenEndpoint},
};
pub use self::{
    assertion::ClientAssertion,
    config::{ClientAuth, Grant, OAuth2Config},
    response::{TokenError, TokenErrorKind, TokenResponse},
};
use super::{Authenticator, Authorization};
use crate::{
    Context, Error, ErrorKind, Result, Scope, Secret, Timestamp, error_context,
    token::{Blob, Granted, Input, Manager, TokenKey},
};

/// An [`Authenticator`] whose tokens live in the [`TokenStore`](crate::TokenStore). Cheap to clone.
///
/// All clones, all `OAuth2` values with the same key and all hosts on the same store share one chain of tokens:
/// - one of them refreshes, the others wait for it only if no token can be used meanwhile;
/// - an answer is stored before it is read, and whoever finds one that was stored finishes the refresh;
/// - an answer that was lost is followed up as [`Rotation`](crate::token::Rotation) says, and no refresh token is used a third time
///   without knowing what became of the first two;
/// - a refresh goes on when the caller that caused it gives up.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    manager: Arc<Manager<TokenEndpoint>>,
    system: &'static str,
    scheme: &'static str,
}

/// What is known about a chain of tokens. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenStatus {
    /// How often the tokens were renewed; 0 before the first time.
    pub generation: u64,
    /// When the newest token arrived.
    pub issued_at: Option<Timestamp>,
    /// When it ends, if the vendor says.
    pub expires_at: Option<Timestamp>,
    /// Somebody has to connect the account anew: no token is there, or it is dead.
    pub reconnect_required: bool,
    /// The answer to the last refresh was lost: the refresh token may be spent.
    pub in_doubt: bool,
    /// Why the last token request failed: the vendor's code or the status.
    pub failure: Option<String>,
    /// After a failure: nobody asks before.
    pub retry_at: Option<Timestamp>,
}

impl OAuth2 {
    /// Tokens under `key`, by these rules.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when a field is empty or the URL is not secure.
    pub fn new(key: TokenKey, config: OAuth2Config) -> Result<Self> {
        config.validate()?;
        let (system, scheme) = (config.system, config.scheme);
        let rules = config.rules();
        let manager = Arc::new(Manager::new(key, rules, TokenEndpoint { config }));
        Ok(Self { manager, system, scheme })
    }

    /// Where its chain is kept. Connections with the same key share the chain.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        self.manager.key()
    }

    /// How long its refresh token lives without being used.
    pub(crate) fn idle_life(&self) -> Option<std::time::Duration> {
        self.manager.rules().idle_life
    }

    /// Stores the refresh token of a new consent in place of whatever is there. A connection that waited for it
    /// resumes.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) when it is empty;
    /// [`Unavailable`](ErrorKind::Unavailable) when storage cannot be written.
    pub async fn connect(&self, ctx: &Context, refresh_token: Secret) -> Result<()> {
        if refresh_token.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the refresh token is empty"));
        }
        let granted = Granted { refresh: Some(refresh_token), ..Granted::default() };
        self.manager.tell(ctx, &Input::Connect(granted)).await
    }

    /// Uses the refresh token if it would die of disuse otherwise (see [`OAuth2Config::idle_life`]), and is done at
    /// once if not. However many hosts ask, one of them does it.
    ///
    /// The engine does this for the tokens that a source or a sink names in its info.
    ///
    /// # Errors
    /// As [`authorize`](Authenticator::authorize): the next call will meet the same.
    pub async fn keep_alive(&self, ctx: &Context) -> Result<()> {
        self.manager.keep_alive(ctx).await.map_err(|error| self.named(error))
    }

    /// What is known about the tokens; `None` if nothing is stored yet.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when storage cannot be read.
    pub async fn status(&self, ctx: &Context) -> Result<Option<TokenStatus>> {
        let rules = self.manager.rules();
        let has_none =
            |blob: &Blob| rules.needs_refresh_token && blob.refresh.is_none() && blob.access.is_none();
        Ok(self.manager.peek(ctx).await?.map(|blob| TokenStatus {
            generation: blob.generation,
            issued_at: blob.issued_at,
            expires_at: blob.expires_at,
            reconnect_required: blob.is_parked() || has_none(&blob),
            in_doubt: blob.lost > 0,
            retry_at: blob.failure.as_ref().and_then(|failure| failure.until),
            failure: blob.failure.map(|failure| failure.code),
        }))
    }

    /// With whose token it is about, and which of a company's servers gives it.
    fn named(&self, error: Error) -> Error {
        let mut token_url = self.manager.endpoint().config.token_url.clone();
        token_url.set_query(None);
        error
            .with_context(error_context::SYSTEM, self.system)
            .with_context(error_context::TOKEN_URL, token_url)
    }

    fn authorization(&self, blob: &Blob) -> Result<Authorization> {
        let token = blob.access.as_ref().ok_or_else(|| {
            // Refused by the API in the moment between the refresh and this line.
            Error::new(ErrorKind::Unavailable, "the token was dropped meanwhile")
                .with_scope(Scope::Connection)
        })?;
        Authorization::new(self.scheme, &token.0, blob.generation)
    }
}

#[async_trait]
impl Authenticator for OAuth2 {
    async fn authorize(&self, ctx: &Context) -> Result<Authorization> {
        let blob = self.manager.usable(ctx).await;
        blob.and_then(|blob| self.authorization(&blob)).map_err(|error| self.named(error))
    }

    async fn rejected(&self, ctx: &Context, refused: &Authorization) -> Result<()> {
        let input = Input::Rejected { generation: refused.generation() };
        self.manager.tell(ctx, &input).await.map_err(|error| self.named(error))
    }
}

#[cfg(test)]
mod tests;
