//! How Ledgerly hands out tokens: standard OAuth 2.0, to the app itself.

use ml_connector_core::{
    Result, Secret,
    auth::{Grant, OAuth2, OAuth2Config},
    config::below,
    model::ConnectionId,
    token::TokenKey,
};
use url::Url;

use super::SYSTEM;

/// The tokens of one connection.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the token URL is not secure.
pub fn oauth(connection: &ConnectionId, base: &Url, id: String, secret: Secret) -> Result<OAuth2> {
    let grant = Grant::ClientCredentials { scopes: vec!["invoices".to_owned()] };
    let config = OAuth2Config::new(SYSTEM, below(base, &["oauth", "token"]), id, secret, grant);
    OAuth2::new(TokenKey::new(connection), config)
}
