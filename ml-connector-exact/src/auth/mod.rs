//! Access tokens of Exact Online.

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

/// A token may be renewed when it is this old, and not before.
const RENEW_AT: Duration = Duration::from_secs(570);
/// From 590 seconds on calls wait for the new one, which the SDK does for the last ten of its 600.
const LEAD: Duration = Duration::from_secs(30);
/// At night answers took 35 seconds.
const TOKEN_REQUEST: Duration = Duration::from_secs(60);
/// Exact Online allows 200 in a day for an app and a user.
const PER_DAY: u32 = 190;
/// A refresh token that is not used dies.
const IDLE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// After the answer that it is too early, which can only mean a clock that was set.
const TOO_EARLY: Duration = Duration::from_secs(30);

/// The tokens of a login, made from one refresh token after another.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the app's id or secret is missing.
pub(crate) fn oauth(config: &Config, base: &Url) -> Result<OAuth2> {
    required("client_id", &config.client_id)?;
    required("client_secret", config.client_secret.expose())?;
    let grant = Grant::RefreshToken { initial: config.refresh_token.clone() };
    let oauth = oauth_config(base, &config.client_id, config.client_secret.clone(), grant);
    OAuth2::new(token_key(&config.client_id, &ConnectionId::from(config.login_name())), oauth)
}

/// Where the tokens of a login are kept: Exact Online keeps one chain for an app and a user, whichever company it is used for.
fn token_key(client_id: &str, login: &ConnectionId) -> TokenKey {
    TokenKey::shared(&format!("{SYSTEM}/{client_id}/{login}"))
}

/// How Exact Online hands out tokens.
fn oauth_config(base: &Url, client_id: &str, client_secret: Secret, grant: Grant) -> OAuth2Config {
    let token_url = below(base, &["api", "oauth2", "token"]);
    let mut oauth = OAuth2Config::new(SYSTEM, token_url, client_id, client_secret, grant);
    oauth.rotation = Rotation::SingleUse;
    oauth.not_before = RENEW_AT;
    oauth.refresh_after = Some(RENEW_AT);
    oauth.lead = LEAD;
    oauth.max_per_day = Some(PER_DAY);
    oauth.idle_life = Some(IDLE_LIFE);
    oauth.request_time = TOKEN_REQUEST;
    oauth.normalize = normalize;
    oauth
}

/// Reads an answer of the token endpoint. Its texts decide: the same status stands for different things.
fn normalize(answer: &Answer) -> TokenResponse {
    let response = TokenResponse::rfc6749(answer);
    let Some(code) = response.error_code().map(str::to_owned) else { return response };
    let text = decode::body(&answer.body, |body| Ok(body.text("error_description")));
    let text = text.map(|read| read.value).unwrap_or_default();
    let reason = answer.header("reason").unwrap_or_default();
    let error = match &*code {
        _ if text.contains("access_token not expired") || reason.starts_with("TooEarlyToRefreshTokens") => {
            TokenError::throttled("access_token_not_expired").retry_at(answer.received_at + TOO_EARLY)
        }
        _ if text.contains("Old refresh token used") => TokenError::refused(
            "old_refresh_token_used",
            "Exact Online has given out a newer refresh token, and it did not arrive here: an answer was lost (it fails most \
             between one and two at night), the same person connected the app again, or another program uses the same app \
             and user. Connect Exact Online again, give connections of one user the same login, and other programs another \
             app",
        ),
        "invalid_grant" => TokenError::refused(
            "invalid_grant",
            "the refresh token is older than 30 days, was revoked, or the code was used before: connect Exact Online again",
        ),
        "invalid_client" | "unauthorized_client" => TokenError::misconfigured(
            code,
            "check the app's id and secret, and that the app is of this region",
        ),
        "invalid_request" => TokenError::misconfigured(
            "invalid_request",
            "check that redirect_uri is the app's, and that the app is of this region",
        ),
        "access_denied" => {
            TokenError::misconfigured("access_denied", "Exact Online refuses this app or this user")
        }
        _ => return response,
    };
    response.error(error)
}

#[cfg(test)]
mod tests {
    use ml_connector_core::auth::TokenErrorKind::{Misconfigured, Refused, Throttled};

    use super::*;
    use crate::error::tests::{answer, recorded};

    #[test]
    fn a_token_ends_after_the_seconds_that_come_as_a_text() {
        let response = normalize(&answer(200, &[], include_str!("../../tests/fixtures/token_ok.json")));
        assert_eq!(response.expires_in, Some(Duration::from_secs(600)));
        assert!(
            response.access_token.is_some() && response.refresh_token.is_some() && response.error.is_none()
        );
    }

    #[test]
    fn every_refusal_says_what_an_operator_does_next() {
        for (name, kind, word) in [
            ("token_refused_old_refresh_token", Refused, "again"),
            ("token_refused_invalid_grant", Refused, "again"),
            ("token_refused_invalid_request", Misconfigured, "redirect_uri"),
            ("token_refused_too_early", Throttled, ""),
        ] {
            let answer = recorded(name);
            let error = normalize(&answer).error.unwrap();
            assert!(error.kind == kind && error.message.contains(word), "{name}: {error:?}");
            assert_eq!(error.retry_at.is_some(), kind == Throttled, "{name}");
        }
    }

    #[test]
    fn an_answer_that_nobody_knows_ends_nothing() {
        let case: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/cases/g3-token-500-then-old-token.json")).unwrap();
        let fault = case["POST /api/oauth2/token"][0]["body"].to_string();
        for (status, body) in [(500, &*fault), (503, "<html>"), (200, "<html>login.aspx"), (429, "")] {
            let response = normalize(&answer(status, &[], body));
            assert!(response.access_token.is_none() && response.error.is_none(), "{status}");
        }
    }

    #[test]
    fn a_token_is_renewed_between_570_and_590_seconds() {
        let base = "https://start.exactonline.nl".parse().unwrap();
        let config = oauth_config(&base, "app", Secret::from("s"), Grant::RefreshToken { initial: None });
        assert_eq!((config.not_before, config.refresh_after), (RENEW_AT, Some(RENEW_AT)));
        // A refresh token that nobody uses dies after 30 days: it is renewed at half of that.
        assert_eq!(config.idle_life, Some(Duration::from_secs(30 * 24 * 3600)));
        assert_eq!((config.max_per_day, config.token_url.path()), (Some(190), "/api/oauth2/token"));
    }
}
