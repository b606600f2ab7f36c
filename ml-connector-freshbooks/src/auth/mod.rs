//! Access tokens of FreshBooks.

mod consent;

pub(crate) use consent::API_URL;

use std::time::Duration;

use ml_connector_core::{
    Result, Secret, Timestamp,
    auth::{Grant, OAuth2, OAuth2Config, Rotation, TokenError, TokenResponse},
    config::{below, required, secure_url},
    decode,
    http::Answer,
    model::ConnectionId,
    token::TokenKey,
};
use url::Url;

use crate::{Config, SYSTEM};

/// How long a token request may take: a refresh token that was sent may be spent, so there is time to hear the answer.
const TOKEN_REQUEST: Duration = Duration::from_secs(30);

/// The tokens of a connection, made from one refresh token after another.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the app's id, its secret or the redirect URI is
/// missing.
pub(crate) fn oauth(config: &Config, api: &Url) -> Result<OAuth2> {
    required("client_id", &config.client_id)?;
    required("client_secret", config.client_secret.expose())?;
    required("redirect_uri", &config.redirect_uri)?;
    let redirect_uri = secure_url("redirect_uri", &config.redirect_uri)?;
    let grant = Grant::RefreshToken { initial: config.refresh_token.clone() };
    let mut oauth = oauth_config(api, &config.client_id, config.client_secret.clone(), grant);
    // FreshBooks wants it with every renewal, too.
    oauth.form = vec![("redirect_uri", redirect_uri.to_string())];
    OAuth2::new(token_key(&config.client_id, &ConnectionId::from(config.login_name())), oauth)
}

/// Where the tokens of a login are kept: FreshBooks keeps one chain for it and an app, whatever business it is used for.
fn token_key(client_id: &str, login: &ConnectionId) -> TokenKey {
    TokenKey::shared(&format!("{SYSTEM}/{client_id}/{login}"))
}

/// How FreshBooks hands out tokens.
fn oauth_config(api: &Url, client_id: &str, client_secret: Secret, grant: Grant) -> OAuth2Config {
    let token_url = below(api, &["auth", "oauth", "token"]);
    let mut oauth = OAuth2Config::new(SYSTEM, token_url, client_id, client_secret, grant);
    oauth.rotation = Rotation::SingleUse;
    oauth.request_time = TOKEN_REQUEST;
    oauth.normalize = normalize;
    oauth
}

/// Reads an answer of the token endpoint. A token ends `expires_in` after `created_at`: an answer may tell of one that was
/// issued earlier. A `created_at` that leaves less than half of that life is the one of the first consent, which
/// FreshBooks has been seen to repeat: then the life begins with the answer, so that no token is renewed in vain.
fn normalize(answer: &Answer) -> TokenResponse {
    let response = TokenResponse::rfc6749(answer);
    let created = decode::body(&answer.body, |body| Ok(body.some_text("created_at")));
    let created = created.ok().and_then(|read| read.value?.parse::<i64>().ok());
    let response = match (created, response.expires_in) {
        (Some(created), Some(life)) => {
            let end = Timestamp::from_secs(created) + life;
            if end > answer.received_at + life / 2 { response.expires_at(end) } else { response }
        }
        _ => response,
    };
    let error = match response.error_code() {
        Some("invalid_grant") => TokenError::refused(
            "invalid_grant",
            "the refresh token was used before, revoked or replaced by a newer consent of the same person and app: \
             connect FreshBooks again, and give connections of one login the same login setting",
        ),
        Some("invalid_client") => {
            TokenError::misconfigured("invalid_client", "check the app's id and secret")
        }
        Some("invalid_request") => {
            TokenError::misconfigured("invalid_request", "check that redirect_uri is the app's")
        }
        _ => return response,
    };
    response.error(error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use ml_connector_core::auth::TokenErrorKind;

    use super::*;

    fn read(status: u16, body: &str) -> TokenResponse {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        normalize(&Answer::new(response, Timestamp::from_secs(1_782_750_100)))
    }

    #[test]
    fn a_token_ends_by_the_time_of_its_issue() {
        let response = read(200, include_str!("../../tests/fixtures/token_ok.json"));
        assert_eq!(response.expires_at, Some(Timestamp::from_secs(1_782_750_000 + 43_200)));
        assert_eq!(response.expires_in, Some(Duration::from_secs(43_200)));
        assert!(
            response.access_token.is_some() && response.refresh_token.is_some() && response.error.is_none()
        );
        assert!(response.scopes.iter().any(|scope| scope == "user:bills:read"));
        let first =
            format!(r#"{{"access_token":"a","expires_in":43200,"created_at":{}}}"#, 1_782_750_100 - 30_000);
        assert_eq!(read(200, &first).expires_at, None, "of an earlier token: this one is new");
        let without = read(200, r#"{"access_token":"a","expires_in":"43199","refresh_token":"b"}"#);
        assert_eq!((without.expires_at, without.scopes.len()), (None, 0), "neither has to be there");
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        use TokenErrorKind::{Misconfigured, Refused};
        for (status, body, kind, word) in [
            (400, include_str!("../../tests/fixtures/token_error_invalid_grant.json"), Refused, "connect"),
            (
                401,
                include_str!("../../tests/fixtures/token_error_invalid_client.json"),
                Misconfigured,
                "secret",
            ),
            (400, r#"{"error":"invalid_request"}"#, Misconfigured, "redirect_uri"),
        ] {
            let error = read(status, body).error.unwrap();
            assert!(error.kind == kind && error.message.contains(word), "{body}");
        }
        let page = read(500, "<html>");
        assert!(page.access_token.is_none() && page.error.is_none(), "an outage ends nothing");
    }
}
