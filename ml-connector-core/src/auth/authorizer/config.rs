//! How a vendor asks for consent.

use url::Url;

use super::Callback;
use crate::{
    Error, ErrorKind, Result,
    auth::{Grant, OAuth2Config},
    http::require_secure,
    model::ConnectionId,
    token::TokenKey,
};

/// How a vendor asks for consent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuthorizerConfig {
    /// How it hands out tokens. The connection's source or sink has to be configured with the same.
    pub oauth: OAuth2Config,
    /// Where the tokens of a consent are kept, by the app's id and the connection: [the connection's own
    /// place](TokenKey::new) unless it is set. Return the same [shared key](TokenKey::shared) for all connections of one app
    /// and person where the vendor keeps one chain for them.
    pub token_key: fn(&str, &ConnectionId) -> TokenKey,
    /// The page on which the person consents. https, or http to a loopback address.
    pub authorize_url: Url,
    /// Where the vendor sends the browser afterwards, exactly as the app is registered with it.
    pub redirect_uri: Url,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What stands between two scopes: a space, unless the vendor wants a comma.
    pub scope_separator: &'static str,
    /// Further parameters of the page's URL, such as Zoho's `access_type=offline`.
    pub parameters: Vec<(&'static str, String)>,
    /// Whether the vendor takes a PKCE challenge (S256).
    pub pkce: bool,
    /// Chooses the token endpoint by the callback, where the vendor has several: the app's secret is sent to it, so
    /// return nothing that is not on a list. `None`: the one in `oauth`, as it is by default.
    ///
    /// An error of it is the error of [`Authorizer::finish`](super::Authorizer::finish).
    pub token_url: fn(&Callback) -> Result<Option<Url>>,
    /// The fields of the token answer that are handed back, such as `api_domain`, or `team.id` inside another. None
    /// that holds a secret.
    pub fields: &'static [&'static str],
}

impl AuthorizerConfig {
    /// A consent with PKCE and scopes that spaces part.
    #[must_use]
    pub fn new(oauth: OAuth2Config, authorize_url: Url, redirect_uri: Url) -> Self {
        Self {
            oauth,
            token_key: |_, connection| TokenKey::new(connection),
            authorize_url,
            redirect_uri,
            scopes: Vec::new(),
            scope_separator: " ",
            parameters: Vec::new(),
            pkce: true,
            token_url: |_| Ok(None),
            fields: &[],
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        self.oauth.validate()?;
        require_secure(&self.authorize_url)?;
        require_secure(&self.redirect_uri)?;
        if !matches!(self.oauth.grant, Grant::RefreshToken { .. }) {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a consent leads to a refresh token, not another grant",
            ));
        }
        Ok(())
    }
}
