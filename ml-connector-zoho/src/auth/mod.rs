//! Access tokens of Zoho Accounts.

mod consent;

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    Error, ErrorKind, Result, Retry, Scope, Secret,
    auth::{Grant, OAuth2, OAuth2Config, Rotation},
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

/// The connection's own tokens, made from its refresh token.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] when the app's id or secret is missing.
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
    oauth.parse_error = Some(token_error);
    oauth
}

/// The token endpoint of an accounts host.
pub(crate) fn token_url(accounts: &Url) -> Url {
    below(accounts, &["oauth", "v2", "token"])
}

/// Judges an answer of the token endpoint: Zoho says "no" with HTTP 200. The description is in the account's
/// language, so only `error` and `status` count; behind a 5xx nothing does, because that is an outage.
fn token_error(answer: &Answer) -> Option<Error> {
    let read = decode::body(&answer.body, |body| {
        Ok(["access_token", "error", "status"].map(|name| body.some_text(name)))
    });
    let [access_token, error, status] = read.map(|read| read.value).unwrap_or_default();
    if access_token.is_some() {
        return None;
    }
    if answer.status.is_server_error() {
        return Some(without_a_token(answer));
    }
    let word = error.as_deref().map(|error| error.to_ascii_lowercase().replace(' ', "_"));
    let throttled = answer.status == StatusCode::TOO_MANY_REQUESTS
        || status.as_deref() == Some("failure")
        || word.as_deref() == Some("access_denied");
    if throttled {
        let at = answer.retry_after().unwrap_or(answer.received_at + THROTTLED);
        let error = Error::new(ErrorKind::RateLimited, "the token endpoint issues no more tokens for now");
        return Some(error.with_retry(Retry::At(at)).with_scope(Scope::Connection));
    }
    let error = match word.as_deref() {
        None => return Some(without_a_token(answer)),
        Some("invalid_code") => {
            Error::new(ErrorKind::Unauthenticated, "the refresh token is not valid, or of another data center: check data_center or connect Zoho Books again")
                .with_context("vendor_code", "invalid_code")
        }
        Some("invalid_client") => Error::new(
            ErrorKind::ConfigInvalid,
            "the data center does not know the client id: check it, the data center and the app's multi-DC setting",
        )
        .with_context("vendor_code", "invalid_client"),
        Some("invalid_client_secret") => {
            Error::new(ErrorKind::ConfigInvalid, "the client secret is wrong, or of another data center")
                .with_context("vendor_code", "invalid_client_secret")
        }
        Some(_) => Error::new(ErrorKind::Unauthenticated, "the token endpoint refused the refresh token"),
    };
    Some(error.with_scope(Scope::Connection))
}

fn without_a_token(answer: &Answer) -> Error {
    Error::new(ErrorKind::Unavailable, "the token endpoint answered without a token")
        .with_context("status", answer.status.as_u16())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ml_connector_core::Timestamp;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn judged(status: u16, body: &str) -> Option<Error> {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        token_error(&Answer::new(response, NOW))
    }

    #[test]
    fn a_refusal_behind_a_200_is_no_token() {
        for (status, body, kind, wait) in [
            (
                200,
                include_str!("../../tests/fixtures/token-error-invalid-code.http200.json"),
                ErrorKind::Unauthenticated,
                None,
            ),
            (
                200,
                include_str!("../../tests/fixtures/token-error-invalid-client.http200.json"),
                ErrorKind::ConfigInvalid,
                None,
            ),
            (200, r#"{"error":"invalid_client_secret"}"#, ErrorKind::ConfigInvalid, None),
            (200, r#"{"error":"invalid_something_new"}"#, ErrorKind::Unauthenticated, None),
            (
                400,
                include_str!("../../tests/fixtures/token-error-access-denied.http400.json"),
                ErrorKind::RateLimited,
                Some(900),
            ),
            (200, r#"{"error":"Access Denied"}"#, ErrorKind::RateLimited, Some(900)),
            (
                400,
                r#"{"error_description":"请求过多","error":"拒绝","status":"failure"}"#,
                ErrorKind::RateLimited,
                Some(900),
            ),
            (429, "", ErrorKind::RateLimited, Some(900)),
        ] {
            let error = judged(status, body).unwrap();
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(error.scope(), &Scope::Connection, "{body}");
            let expected = wait.map_or(Retry::Never, |secs| Retry::At(NOW + Duration::from_secs(secs)));
            assert_eq!(error.retry(), expected, "{body}");
        }
    }

    #[test]
    fn an_outage_is_no_refusal_and_a_token_no_error() {
        for (status, body) in [
            (502, "<html>"),
            (200, "{}"),
            (500, r#"{"message":"x"}"#),
            (200, r#"{"access"#),
            (500, r#"{"error":"server_error"}"#),
            (503, r#"{"error":"invalid_code"}"#),
            (500, r#"{"error":"general_error","status":"failure"}"#),
        ] {
            let error = judged(status, body).unwrap();
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{body}");
        }
        assert!(judged(200, include_str!("../../tests/fixtures/token-ok-refresh.json")).is_none());
    }
}
