//! Tokens: of the workspace, of Microsoft Entra, or a personal access token.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, Result,
    auth::{Authenticator, ClientAuth, Grant, OAuth2, OAuth2Config, TokenError, TokenResponse},
    http::{Answer, require_secure},
    token::TokenKey,
};
use url::Url;

use crate::{SYSTEM, builder::invalid, config::Config, error::check};

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
/// [`ErrorKind::ConfigInvalid`] when neither a client nor a token is configured, or both are.
pub(crate) fn authenticator(config: &Config, host: &Url) -> Result<Arc<dyn Authenticator>> {
    let has_client = !config.client_id.is_empty() || !config.client_secret.is_empty();
    match (has_client, config.token.is_empty()) {
        (true, false) => {
            return Err(invalid("token", "expected either a client or a personal access token, got both"));
        }
        (false, true) => return Err(invalid("client_id", "expected a client, or a personal access token")),
        (false, false) => {
            return Ok(Arc::new(ml_connector_core::auth::StaticToken::new("Bearer", &config.token)?));
        }
        (true, true) => {}
    }
    if config.client_id.is_empty() || config.client_secret.is_empty() {
        let setting = if config.client_id.is_empty() { "client_id" } else { "client_secret" };
        return Err(invalid(setting, "expected a value"));
    }
    let (scope, default_url, client_auth) = match &config.tenant {
        Some(tenant) if tenant.is_empty() => return Err(invalid("tenant", "expected a value")),
        Some(tenant) => {
            (ENTRA_SCOPE, below(&entra()?, &[tenant, "oauth2", "v2.0", "token"]), ClientAuth::Body)
        }
        None => (config.scope.as_str(), below(host, &["oidc", "v1", "token"]), ClientAuth::Basic),
    };
    let token_url = match &config.token_url {
        Some(text) => Url::parse(text).map_err(|_| invalid("token_url", "expected a URL"))?,
        None => default_url,
    };
    require_secure(&token_url).map_err(|error| error.with_context("setting", "token_url"))?;
    let grant = Grant::ClientCredentials { scopes: vec![scope.to_owned()] };
    let mut oauth =
        OAuth2Config::new(SYSTEM, token_url, config.client_id.as_str(), config.client_secret.clone(), grant);
    oauth.client_auth = client_auth;
    oauth.lead = LEAD;
    oauth.max_per_10_minutes = MAX_PER_10_MINUTES;
    oauth.normalize = normalize;
    Ok(Arc::new(OAuth2::new(TokenKey::new(&config.connection), oauth)?))
}

fn entra() -> Result<Url> {
    Url::parse(ENTRA)
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a constant is no URL").with_source(source))
}

fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
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
