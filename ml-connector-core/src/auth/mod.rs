//! What proves to a vendor who is calling.

mod authorizer;
mod oauth2;

use std::sync::Arc;

use async_trait::async_trait;
pub use authorizer::{Authorizer, AuthorizerConfig, Callback, Connected};
#[cfg(feature = "certificate")]
pub use oauth2::CertificateAssertion;
pub use oauth2::{
    ClientAssertion, ClientAuth, Grant, OAuth2, OAuth2Config, TokenError, TokenErrorKind, TokenResponse,
    TokenStatus,
};

use crate::{Context, Error, ErrorKind, Result, Secret};
pub use crate::{
    http::{Authenticator, Authorization},
    token::Rotation,
};

/// A token that does not expire, such as a Slack bot token without rotation.
#[derive(Debug, Clone)]
pub struct StaticToken(Arc<Authorization>);

impl StaticToken {
    /// Sends `scheme token` with every call.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the token is empty or cannot stand in a header.
    pub fn new(scheme: &str, token: &Secret) -> Result<Self> {
        if token.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the token is empty"));
        }
        Authorization::new(scheme, token, 0).map(|authorization| Self(Arc::new(authorization)))
    }
}

#[async_trait]
impl Authenticator for StaticToken {
    async fn authorize(&self, _: &Context) -> Result<Authorization> {
        Ok((*self.0).clone())
    }

    async fn rejected(&self, _: &Context, _: &Authorization) -> Result<()> {
        Err(Error::new(ErrorKind::Unauthenticated, "the token was refused, and nothing can renew it")
            .with_scope(crate::Scope::Connection))
    }
}
