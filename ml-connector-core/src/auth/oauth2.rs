//! OAuth 2.0 tokens that are neither lost nor raced.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use url::Url;

use super::{Authenticator, Authorization};
use crate::{Context, Error, Result, Secret, http::Answer, token::TokenKey};

/// How a vendor hands out tokens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OAuth2Config {
    /// The system, for error operations and spans, such as `zoho_books`.
    pub system: &'static str,
    /// The token endpoint. https, or http to a loopback address.
    pub token_url: Url,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
    /// Where the app's id and secret go.
    pub client_auth: ClientAuth,
    /// What is exchanged for an access token.
    pub grant: Grant,
    /// The word before the token in the `Authorization` header.
    pub scheme: &'static str,
    /// A token is renewed when it is this old, or has this little left (see `lead`), whichever comes first.
    pub refresh_after: Option<Duration>,
    /// A token with less than this left is renewed before it is used.
    pub lead: Duration,
    /// The vendor refuses a refresh of a token younger than this.
    pub not_before: Duration,
    /// What happens to the refresh token.
    pub rotation: Rotation,
    /// Judges a token answer that holds no `access_token`: the vendor's own codes. `None` = the rules of RFC 6749.
    pub parse_error: Option<fn(&Answer) -> Option<Error>>,
}

/// Where the app's id and secret go in a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// In the form body.
    Body,
    /// In an HTTP Basic header.
    Basic,
}

/// What is exchanged for an access token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Grant {
    /// A refresh token. `initial` is stored under the key if nothing is there yet.
    RefreshToken {
        /// The token that a person's consent led to.
        initial: Option<Secret>,
    },
    /// The app's own credentials; there is no refresh token.
    ClientCredentials {
        /// What is asked for.
        scopes: Vec<String>,
    },
}

/// What happens to the refresh token at a refresh, and therefore what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// It stays: a lost answer costs nothing.
    None,
    /// It is replaced; the vendor answers a repeated refresh once more.
    RetryOnce,
    /// It is replaced and works once: a lost answer leaves doubt until one try settles it.
    SingleUse,
}

/// An [`Authenticator`] whose tokens live in the [`TokenStore`](crate::TokenStore).
#[derive(Debug, Clone)]
pub struct OAuth2 {
    inner: Arc<(TokenKey, OAuth2Config)>,
}

impl OAuth2 {
    /// Tokens under `key`, by these rules.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when a field is empty or the URL is not secure.
    pub fn new(key: TokenKey, config: OAuth2Config) -> Result<Self> {
        Ok(Self { inner: Arc::new((key, config)) })
    }
}

impl OAuth2Config {
    /// A refresh-token flow with a bearer token and no rotation.
    #[must_use]
    pub fn new(
        system: &'static str,
        token_url: Url,
        client_id: impl Into<String>,
        client_secret: Secret,
        grant: Grant,
    ) -> Self {
        Self {
            system,
            token_url,
            client_id: client_id.into(),
            client_secret,
            client_auth: ClientAuth::Body,
            grant,
            scheme: "Bearer",
            refresh_after: None,
            lead: Duration::from_secs(300),
            not_before: Duration::ZERO,
            rotation: Rotation::None,
            parse_error: None,
        }
    }
}

#[async_trait]
impl Authenticator for OAuth2 {
    async fn authorize(&self, _: &Context) -> Result<Authorization> {
        unimplemented!("{:?}", self.inner)
    }

    async fn rejected(&self, _: &Context, _: &Authorization) -> Result<()> {
        unimplemented!()
    }
}
