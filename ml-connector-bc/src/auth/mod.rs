//! Access tokens of Microsoft Entra: client credentials, by secret or by a signed assertion.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Result, Secret,
    auth::{ClientAssertion, ClientAuth, Grant, OAuth2, OAuth2Config, TokenError, TokenResponse},
    config::{below, required},
    decode,
    http::Answer,
    token::TokenKey,
};
use url::Url;

use crate::{Config, SYSTEM};

/// A token that has less than this left is renewed.
const LEAD: Duration = Duration::from_secs(300);
/// Entra names a time when it throttles; this is for when it does not.
const THROTTLED: Duration = Duration::from_secs(60);

/// The application's tokens.
///
/// # Errors
/// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the application's id or secret is missing.
pub(crate) fn oauth(
    key: TokenKey,
    config: &Config,
    (client_id, secret): (&str, &Secret),
    assertion: Option<Arc<dyn ClientAssertion>>,
    login: &Url,
) -> Result<OAuth2> {
    required("client_id", client_id)?;
    if assertion.is_none() {
        required("client_secret", secret.expose())?;
    }
    let token_url = below(login, &[&config.tenant, "oauth2", "v2.0", "token"]);
    let grant = Grant::ClientCredentials { scopes: vec![config.scope.clone()] };
    let mut oauth = OAuth2Config::new(SYSTEM, token_url, client_id, secret.clone(), grant);
    if let Some(assertion) = assertion {
        oauth.client_auth = ClientAuth::Assertion(assertion);
    }
    oauth.lead = LEAD;
    oauth.throttle_pause = THROTTLED;
    oauth.normalize = normalize;
    OAuth2::new(key, oauth)
}

/// Reads an answer of the token endpoint. `error` says what follows; the AADSTS number only makes the hint.
fn normalize(answer: &Answer) -> TokenResponse {
    let response = TokenResponse::rfc6749(answer);
    if response.access_token.is_some() && answer.status.is_success() {
        return response;
    }
    let number = aadsts(answer);
    let word = response.error_code().unwrap_or_default().to_owned();
    let code = if number.is_empty() { word.clone() } else { format!("AADSTS{number}") };
    let error = match word.as_str() {
        "temporarily_unavailable" | "server_error" => TokenError::unavailable(code),
        // Entra's busy numbers come with any word.
        _ if BUSY.contains(&number.as_str()) => TokenError::unavailable(code),
        "invalid_client"
        | "unauthorized_client"
        | "invalid_request"
        | "invalid_scope"
        | "invalid_resource"
        | "unsupported_grant_type"
        | "invalid_grant"
        | "interaction_required" => TokenError::misconfigured(code, hint(&number, &word)),
        _ => return response,
    };
    response.error(error)
}

const BUSY: [&str; 6] = ["90006", "90012", "90024", "90033", "90055", "90090"];

/// The first of `error_codes`, else the number that the description begins with.
fn aadsts(answer: &Answer) -> String {
    let read = decode::body(&answer.body, |body| {
        let codes = body.raw("error_codes").map(|raw| raw.get().to_owned()).unwrap_or_default();
        Ok((codes, body.text("error_description")))
    });
    let Ok((codes, description)) = read.map(|read| read.value) else { return String::new() };
    let digits = |text: &str| -> String {
        text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).take(9).collect()
    };
    let listed = digits(&codes);
    if listed.is_empty() && description.starts_with("AADSTS") { digits(&description) } else { listed }
}

/// What the operator has to do.
fn hint(number: &str, word: &str) -> &'static str {
    match number {
        "7000215" => "the client secret is wrong: copy the secret's Value, not its Secret ID",
        "7000222" => "the client secret has expired: create another in the app registration",
        "700016" => "the app is not in this directory: check tenant and client_id",
        "7000112" => "the app is disabled in this directory",
        "90002" => "the directory does not exist: check tenant",
        "7000218" => "neither a secret nor an assertion was sent: set client_secret or a certificate",
        "500011" => "Business Central is not set up in this directory",
        "70011" | "28002" | "700022" => "the scope is wrong: it names one resource and ends in /.default",
        "700027" | "50012" | "50013" | "500133" => {
            "the assertion is not accepted: check the certificate of the app registration and this machine's clock"
        }
        "90094" => "an administrator has to consent to the app's permissions",
        "530032" | "53003" => "a policy of the directory blocks the app: ask its administrator",
        "90038" | "900382" | "900432" => "the directory is in another cloud: check login_url",
        _ => match word {
            "invalid_client" => "the client secret or the assertion is wrong or has expired",
            "unauthorized_client" => {
                "the app is unknown in this directory, or may not ask for tokens in this way"
            }
            "interaction_required" => "a policy demands a person: exclude the app from it",
            _ => "the token request is not accepted: check tenant, client_id and scope",
        },
    }
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
    fn every_error_is_the_operator_s_next_step() {
        use TokenErrorKind::{Misconfigured, Unavailable};
        for (status, body, kind, code, part) in [
            (
                401,
                include_str!("../../tests/fixtures/token_error_invalid_client.json"),
                Misconfigured,
                "AADSTS7000215",
                "Value",
            ),
            (
                401,
                include_str!("../../tests/fixtures/token_error_expired_secret.json"),
                Misconfigured,
                "AADSTS7000222",
                "expired",
            ),
            (
                400,
                include_str!("../../tests/fixtures/token_error_unauthorized_client.json"),
                Misconfigured,
                "AADSTS700016",
                "tenant",
            ),
            (
                503,
                include_str!("../../tests/fixtures/token_error_temporarily_unavailable.json"),
                Unavailable,
                "AADSTS90033",
                "",
            ),
            (
                400,
                r#"{"error":"invalid_request","error_description":"AADSTS90002: x"}"#,
                Misconfigured,
                "AADSTS90002",
                "tenant",
            ),
            (400, r#"{"error":"invalid_client"}"#, Misconfigured, "invalid_client", "secret"),
            (400, r#"{"error":"invalid_grant","error_codes":[90024]}"#, Unavailable, "AADSTS90024", ""),
        ] {
            let error = read(status, body).error.unwrap();
            assert_eq!((error.kind, &*error.code), (kind, code), "{body}");
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn a_token_is_read_with_its_life_as_a_number_or_a_text() {
        for body in [
            include_str!("../../tests/fixtures/token_ok.json"),
            r#"{"token_type":"Bearer","expires_in":"3599","access_token":"a"}"#,
        ] {
            let response = read(200, body);
            assert_eq!(response.expires_in, Some(Duration::from_secs(3599)), "{body}");
            assert!(response.access_token.is_some() && response.error.is_none());
        }
        assert!(read(502, "<html>").error.is_none());
    }
}
