//! The bot's token: one that never changes, or one that lives in the token store.

mod consent;

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, Result, Retry, Secret,
    auth::{
        Authenticator, ClientAuth, Grant, OAuth2, OAuth2Config, Rotation, StaticToken, TokenError,
        TokenResponse,
    },
    config::{below, required},
    error_context,
    http::Answer,
    token::TokenKey,
};
use url::Url;

use crate::{Config, error::check};

/// A token that rotates lives 12 hours. Slack's own SDK for Python renews it when less than this is left.
const LEAD: Duration = Duration::from_secs(2 * 3600);

/// What proves to Slack who is calling.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] when neither a token nor an app is configured, or both are.
pub(crate) fn authenticator(config: &Config, base: &Url) -> Result<Arc<dyn Authenticator>> {
    let Config { token, client_id, client_secret, refresh_token, .. } = config;
    if client_id.is_empty() && client_secret.is_empty() && refresh_token.is_none() {
        return Ok(Arc::new(StaticToken::new("Bearer", token)?));
    }
    if !token.is_empty() {
        let message = "expected either a token, or a client whose tokens are in the token store";
        return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", "token"));
    }
    let grant = Grant::RefreshToken { initial: refresh_token.clone() };
    let oauth = oauth_config(base, client_id, client_secret.clone(), grant)?;
    Ok(Arc::new(OAuth2::new(TokenKey::new(&config.connection), oauth)?))
}

/// How Slack hands out tokens: without an end, unless the app rotates them. Which it is, the answer tells.
pub(crate) fn oauth_config(
    base: &Url,
    client_id: &str,
    client_secret: Secret,
    grant: Grant,
) -> Result<OAuth2Config> {
    required("client_id", client_id)?;
    required("client_secret", client_secret.expose())?;
    let token_url = below(base, &["api", "oauth.v2.access"]);
    let mut oauth = OAuth2Config::new("slack", token_url, client_id, client_secret, grant);
    oauth.client_auth = ClientAuth::Basic;
    oauth.lead = LEAD;
    // The one before is good for "a short grace period".
    oauth.rotation = Rotation::RetryOnce;
    oauth.unending = true;
    oauth.normalize = normalize;
    Ok(oauth)
}

/// Reads an answer of `oauth.v2.access`: it says "no" with HTTP 200, in the words of the API's methods. A word that is
/// not documented is an outage; a success that cannot be read has no error.
fn normalize(answer: &Answer) -> TokenResponse {
    let mut response = TokenResponse::rfc6749(answer);
    let Err(error) = check(answer) else { return response };
    response.access_token = None;
    let Some(code) = error.context(error_context::CODE) else { return response };
    let message = error.message().to_owned();
    let refusal = match error.kind() {
        ErrorKind::Unauthenticated => TokenError::refused(code, message),
        ErrorKind::RateLimited => match error.retry() {
            Retry::At(at) => TokenError::throttled(code).retry_at(at),
            _ => TokenError::throttled(code),
        },
        ErrorKind::Unavailable | ErrorKind::Unexpected | ErrorKind::InvalidResponse => {
            TokenError::unavailable(code)
        }
        _ => TokenError::misconfigured(code, message),
    };
    response.error(refusal)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use ml_connector_core::{Timestamp, auth::TokenErrorKind};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn read(status: u16, body: &str) -> TokenResponse {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        normalize(&Answer::new(response, NOW))
    }

    #[test]
    fn a_refusal_behind_a_200_says_who_has_to_act() {
        use TokenErrorKind::{Misconfigured, Refused, Throttled, Unavailable};
        for (code, kind) in [
            ("invalid_code", Refused),
            ("invalid_refresh_token", Refused),
            ("account_inactive", Refused),
            ("token_revoked", Refused),
            ("bad_client_secret", Misconfigured),
            ("invalid_client_id", Misconfigured),
            ("bad_redirect_uri", Misconfigured),
            ("oauth_authorization_url_mismatch", Misconfigured),
            ("no_scopes", Misconfigured),
            ("ratelimited", Throttled),
            ("internal_error", Unavailable),
            ("fatal_error", Unavailable),
            ("invented_tomorrow", Unavailable),
        ] {
            let response = read(200, &format!(r#"{{"ok":false,"error":"{code}","access_token":"planted"}}"#));
            assert!(response.access_token.is_none(), "{code}");
            let error = response.error.unwrap();
            assert_eq!((error.kind, &*error.code), (kind, code));
            assert_eq!(error.is_final(), !error.message.is_empty(), "{code}");
        }
    }

    #[test]
    fn a_success_that_cannot_be_read_has_no_error() {
        for body in [
            r#"{"ok":true,"authed_user":{"access_token":"planted"}}"#,
            r#"{"ok":false}"#,
            r#"{"ok":false,"access_token":"planted"}"#,
            "<html>",
        ] {
            let response = read(200, body);
            assert!(response.access_token.is_none() && response.error.is_none(), "{body}");
        }
        let throttled = read(429, r#"{"ok":false,"error":"ratelimited"}"#).error.unwrap();
        assert_eq!(throttled.retry_at, Some(NOW + Duration::from_secs(30)));
    }
}
