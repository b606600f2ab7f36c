//! Access tokens of Zoho Accounts.

mod consent;

use std::time::Duration;

use ml_connector_core::{
    Result, Secret,
    auth::{Grant, OAuth2, OAuth2Config, Rotation, TokenError, TokenResponse},
    config::{below, required},
    decode,
    http::Answer,
    model::ConnectionId,
    token::TokenKey,
};
use url::Url;

use crate::{Config, SYSTEM};

/// Tokens live an hour; the product description renews them at this age.
const REFRESH_AFTER: Duration = Duration::from_secs(55 * 60);
/// Zoho Accounts answers within a second. A process that is killed while it waits keeps the next one from asking for
/// twice as long and five seconds; and as the refresh token stays, asking again costs nothing.
const TOKEN_REQUEST: Duration = Duration::from_secs(10);
/// After ten tokens in ten minutes Zoho issues none; three reports say that it takes 15–30 minutes of silence.
const THROTTLED: Duration = Duration::from_secs(15 * 60);
/// No token lives longer than an hour: what is longer than a day is in milliseconds, as in answers of old.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The connection's own tokens, made from its refresh token.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the app's id or secret is missing.
pub(crate) fn oauth(connection: &ConnectionId, config: &Config, accounts: &Url) -> Result<OAuth2> {
    required("client_id", &config.client_id)?;
    required("client_secret", config.client_secret.expose())?;
    let grant = Grant::RefreshToken { initial: config.refresh_token.clone() };
    let oauth = oauth_config(accounts, &config.client_id, config.client_secret.clone(), grant);
    OAuth2::new(TokenKey::new(connection), oauth)
}

/// How Zoho hands out tokens.
pub(crate) fn oauth_config(
    accounts: &Url,
    client_id: &str,
    client_secret: Secret,
    grant: Grant,
) -> OAuth2Config {
    let mut oauth = OAuth2Config::new(SYSTEM, token_url(accounts), client_id, client_secret, grant);
    oauth.scheme = "Zoho-oauthtoken";
    oauth.refresh_after = Some(REFRESH_AFTER);
    oauth.rotation = Rotation::None;
    oauth.request_time = TOKEN_REQUEST;
    oauth.throttle_pause = THROTTLED;
    oauth.normalize = normalize;
    oauth
}

/// The token endpoint of an accounts host.
pub(crate) fn token_url(accounts: &Url) -> Url {
    below(accounts, &["oauth", "v2", "token"])
}

/// Reads an answer of the token endpoint: Zoho says "no" with HTTP 200. The description is in the account's language,
/// so only `error` and `status` count.
fn normalize(answer: &Answer) -> TokenResponse {
    let response = TokenResponse::rfc6749(answer);
    if response.access_token.is_some() {
        return match response.expires_in {
            Some(life) if life > LONGEST_LIFE => response.expires_in(life / 1000),
            _ => response,
        };
    }
    let read = decode::body(&answer.body, |body| Ok(body.some_text("status")));
    let status = read.ok().and_then(|read| read.value);
    let word = response.error_code().map(|error| error.to_ascii_lowercase().replace(' ', "_"));
    let word = word.as_deref().unwrap_or_default();
    let error = match word {
        _ if status.as_deref() == Some("failure") || word == "access_denied" => {
            TokenError::throttled("access_denied")
        }
        "invalid_code" => TokenError::refused(
            word,
            "the refresh token or the code was revoked, has expired or was pushed out by newer ones, or is of another data \
             center: check data_center, then connect Zoho Books again",
        ),
        "invalid_client" => TokenError::misconfigured(
            word,
            "the data center does not know the client id: check the id, data_center and the app's multi-DC setting",
        ),
        "invalid_client_secret" => {
            TokenError::misconfigured(word, "the client secret is wrong, or is of another data center")
        }
        "invalid_redirect_uri" => TokenError::misconfigured(
            word,
            "the redirect URI is none of those that the app is registered with",
        ),
        _ => return response,
    };
    response.error(error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use ml_connector_core::{Timestamp, auth::TokenErrorKind};

    use super::*;

    fn read(status: u16, body: &str) -> TokenResponse {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        normalize(&Answer::new(response, Timestamp::from_secs(1_792_000_000)))
    }

    #[test]
    fn a_refusal_behind_a_200_is_no_token() {
        use TokenErrorKind::{Misconfigured, Refused, Throttled, Unavailable};
        for (status, body, kind, code) in [
            (
                200,
                include_str!("../../tests/fixtures/token-error-invalid-code.http200.json"),
                Refused,
                "invalid_code",
            ),
            (
                200,
                include_str!("../../tests/fixtures/token-error-invalid-client.http200.json"),
                Misconfigured,
                "invalid_client",
            ),
            (200, r#"{"error":"invalid_client_secret"}"#, Misconfigured, "invalid_client_secret"),
            (200, r#"{"error":"invalid_redirect_uri"}"#, Misconfigured, "invalid_redirect_uri"),
            (400, r#"{"error":"invalid_grant"}"#, Refused, "invalid_grant"),
            (200, r#"{"error":"invalid_something_new"}"#, Unavailable, "invalid_something_new"),
            (
                200,
                include_str!("../../tests/fixtures/token-error-general.http200.json"),
                Unavailable,
                "general_error",
            ),
            (
                400,
                include_str!("../../tests/fixtures/token-error-access-denied.http400.json"),
                Throttled,
                "access_denied",
            ),
            (200, r#"{"error":"Access Denied"}"#, Throttled, "access_denied"),
            (
                400,
                r#"{"error_description":"请求过多","error":"拒绝","status":"failure"}"#,
                Throttled,
                "access_denied",
            ),
        ] {
            let error = read(status, body).error.unwrap();
            assert_eq!((error.kind, &*error.code), (kind, code), "{body}");
        }
    }

    #[test]
    fn a_token_is_read_and_a_page_is_none() {
        for (body, life) in [
            (include_str!("../../tests/fixtures/token-ok-refresh.json"), 3600),
            (r#"{"access_token":"a","expires_in_sec":3600,"expires_in":3600000}"#, 3600),
        ] {
            let response = read(200, body);
            assert!(response.access_token.is_some() && response.error.is_none(), "{body}");
            assert_eq!(response.expires_in, Some(Duration::from_secs(life)), "{body}");
        }
        for body in ["<html>", "{}", r#"{"message":"x"}"#, r#"{"access"#] {
            let response = read(200, body);
            assert!(response.access_token.is_none() && response.error.is_none(), "{body}");
        }
    }
}
