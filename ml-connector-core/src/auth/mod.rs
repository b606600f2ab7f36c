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
pub struct StaticToken(Arc<Token>);

#[derive(Debug)]
enum Token {
    Fixed(Authorization),
    /// Made into a header when it is used: it may change.
    Named {
        scheme: String,
        token: Secret,
    },
}

impl StaticToken {
    /// Sends `scheme token` with every call.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the token is empty or cannot stand in a header.
    pub fn new(scheme: &str, token: &Secret) -> Result<Self> {
        if token.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the token is empty"));
        }
        let fixed = Authorization::new(scheme, token, 0)?;
        let named = || Token::Named { scheme: scheme.to_owned(), token: token.clone() };
        Ok(Self(Arc::new(if token.is_named() { named() } else { Token::Fixed(fixed) })))
    }
}

#[async_trait]
impl Authenticator for StaticToken {
    async fn authorize(&self, _: &Context) -> Result<Authorization> {
        match &*self.0 {
            Token::Fixed(authorization) => Ok(authorization.clone()),
            Token::Named { scheme, token } => Authorization::new(scheme, token, token.generation()),
        }
    }

    async fn rejected(&self, _: &Context, refused: &Authorization) -> Result<()> {
        if let Token::Named { token, .. } = &*self.0
            && token.generation() != refused.generation()
        {
            // It was changed while the call was under way.
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unauthenticated, "the token was refused, and nothing can renew it")
            .with_scope(crate::Scope::Connection))
    }
}
