//! Tokens: of the workspace, of Microsoft Entra, or a personal access token.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Result,
    auth::{Authenticator, ClientAuth, Grant, OAuth2, OAuth2Config, StaticToken, TokenError, TokenResponse},
    config::{below, require, required, secure_url},
    http::Answer,
    token::TokenKey,
};
use url::Url;

use crate::{SYSTEM, config::Config, error::check};

/// The workspace refuses tokens in their last half minute, so that a call in the last minutes already asks for another.
const LEAD: Duration = Duration::from_secs(300);
/// Nobody has said how often a token may be asked for; a workspace's other clients ask once an hour.
const MAX_PER_10_MINUTES: u32 = 10;
/// Microsoft's token service.
const ENTRA: &str = "https://login.microsoftonline.com";
/// What Entra knows all Databricks workspaces by, in every cloud.
const ENTRA_SCOPE: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default";

/// What proves to Databricks who is calling.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when neither a client nor a token is configured, or both are.
pub(crate) fn authenticator(config: &Config, host: &Url) -> Result<Arc<dyn Authenticator>> {
    let has_client = !config.client_id.is_empty() || !config.client_secret.is_empty();
    if !config.token.is_empty() {
        require(!has_client, "token", "either a client or a personal access token, and not both")?;
        return Ok(Arc::new(StaticToken::new("Bearer", &config.token)?));
    }
    required("client_id", &config.client_id)?;
    required("client_secret", config.client_secret.expose())?;
    let (scope, default_url, client_auth) = match &config.tenant {
        Some(tenant) => {
            required("tenant", tenant)?;
            (
                ENTRA_SCOPE,
                below(&secure_url("tenant", ENTRA)?, &[tenant, "oauth2", "v2.0", "token"]),
                ClientAuth::Body,
            )
        }
        None => (config.scope.as_str(), below(host, &["oidc", "v1", "token"]), ClientAuth::Basic),
    };
    let token_url = match &config.token_url {
        Some(text) => secure_url("token_url", text)?,
        None => default_url,
    };
    let grant = Grant::ClientCredentials { scopes: vec![scope.to_owned()] };
    let mut oauth =
        OAuth2Config::new(SYSTEM, token_url, config.client_id.as_str(), config.client_secret.clone(), grant);
    oauth.client_auth = client_auth;
    oauth.lead = LEAD;
    oauth.max_per_10_minutes = MAX_PER_10_MINUTES;
    oauth.normalize = normalize;
    Ok(Arc::new(OAuth2::new(TokenKey::new(&config.connection), oauth)?))
}

/// Reads an answer of a token endpoint: OAuth's words are explained, and those of the API behind it are read, too.
fn normalize(answer: &Answer) -> TokenResponse {
    let response = TokenResponse::rfc6749(answer);
    if let Err(error) = check(answer)
        && error.context("address").is_some()
    {
        return response.error(TokenError::misconfigured("ip_access_list", error.message().to_owned()));
    }
    let (code, message) = match response.error_code() {
        Some(code @ ("invalid_client" | "unauthorized_client")) => (
            code,
            "the token endpoint does not take the client: check client_id and client_secret, and whether the service \
             principal and its secret are still there. A secret that Microsoft Entra issued needs tenant, one that Databricks \
             issued needs none",
        ),
        Some(code @ "invalid_scope") => (code, "the token endpoint does not know the scope: check scope"),
        _ => return response,
    };
    let error = TokenError::misconfigured(code, message);
    response.error(error)
}
