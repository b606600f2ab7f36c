//! The bot's token: one that never changes, or one that lives in the token store.

mod consent;

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, Result, Secret,
    auth::{Authenticator, ClientAuth, Grant, OAuth2, OAuth2Config, Rotation, StaticToken},
    config::{below, required},
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
    oauth.parse_error = Some(token_error);
    Ok(oauth)
}

/// Judges an answer of `oauth.v2.access` that holds no token. `None`: a success that cannot be read, or a code that
/// is not known.
fn token_error(answer: &Answer) -> Option<Error> {
    let known = |error: &Error| !matches!(error.kind(), ErrorKind::Unexpected | ErrorKind::InvalidResponse);
    check(answer).err().filter(known)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use ml_connector_core::{Retry, Timestamp};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn judged(status: u16, body: &str) -> Option<Error> {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        token_error(&Answer::new(response, NOW))
    }

    #[test]
    fn a_refusal_behind_a_200_says_who_has_to_act() {
        for (code, kind) in [
            ("invalid_code", ErrorKind::Unauthenticated),
            ("invalid_refresh_token", ErrorKind::Unauthenticated),
            ("account_inactive", ErrorKind::Unauthenticated),
            ("token_revoked", ErrorKind::Unauthenticated),
            ("bad_client_secret", ErrorKind::ConfigInvalid),
            ("invalid_client_id", ErrorKind::ConfigInvalid),
            ("bad_redirect_uri", ErrorKind::ConfigInvalid),
            ("oauth_authorization_url_mismatch", ErrorKind::ConfigInvalid),
            ("no_scopes", ErrorKind::ConfigInvalid),
            ("ratelimited", ErrorKind::RateLimited),
            ("internal_error", ErrorKind::Unavailable),
            ("fatal_error", ErrorKind::Unavailable),
        ] {
            let error = judged(200, &format!(r#"{{"ok":false,"error":"{code}"}}"#)).unwrap();
            assert_eq!((error.kind(), error.context("code")), (kind, Some(code)));
        }
    }

    #[test]
    fn what_is_not_known_is_left_to_the_rules_of_oauth() {
        for body in [
            r#"{"ok":false,"error":"invented_tomorrow"}"#,
            r#"{"ok":true,"authed_user":{"access_token":"planted"}}"#,
            r#"{"ok":false}"#,
            "<html>",
        ] {
            assert!(judged(200, body).is_none(), "{body}");
        }
        let throttled = judged(429, r#"{"ok":false,"error":"ratelimited"}"#).unwrap();
        assert_eq!(throttled.retry(), Retry::At(NOW + Duration::from_secs(30)));
    }
}
