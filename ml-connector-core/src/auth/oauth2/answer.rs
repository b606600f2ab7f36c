//! What a token endpoint's answer means. Vendors stray far from RFC 6749 here; the sheets say how.

use std::time::Duration;

use http::StatusCode;
use oauth2::{
    TokenResponse,
    basic::{BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error, ErrorKind, Retry, Secret, Timestamp,
    http::Answer,
    token::{Cause, Granted, TokenOutcome},
};

/// What is left at least of a token that has just been issued, whatever its `created_at` says.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest vendor code that is kept.
const CODE_CHARS: usize = 64;

/// Judges by the vendor's own rules first, where it has some, and by RFC 6749 otherwise.
pub(super) fn judge(
    answer: &Answer,
    millis_above: Option<Duration>,
    parse_error: Option<fn(&Answer) -> Option<Error>>,
) -> TokenOutcome {
    let wire = Wire::read(&answer.body);
    if answer.status.is_success()
        && let Some(granted) = wire.as_ref().and_then(|wire| wire.granted(millis_above, answer.received_at))
    {
        return TokenOutcome::Granted(granted);
    }
    let refresh = wire.as_ref().and_then(|wire| wire.text(&wire.refresh_token)).map(Secret::from);
    if let Some(error) = parse_error.and_then(|parse_error| parse_error(answer)) {
        let (cause, until) = cause_of(&error);
        let code = error.context("code").map_or_else(|| error.kind().to_string(), shown);
        return TokenOutcome::Failed { cause, code, until, refresh };
    }
    let code = wire.as_ref().and_then(Wire::code);
    let Some(cause) = cause_by_rfc(answer.status, code.as_ref()) else { return TokenOutcome::Unreadable };
    let code = match &code {
        Some(code) => shown(code.as_ref()),
        None => answer.status.as_u16().to_string(),
    };
    TokenOutcome::Failed { cause, code, until: answer.retry_after(), refresh }
}

/// The fields of a token answer, each as whatever it came.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    access_token: Value,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
    /// FreshBooks: since when `expires_in` counts, in Unix seconds.
    #[serde(default)]
    created_at: Value,
    #[serde(default)]
    refresh_token: Value,
    #[serde(default)]
    error: Value,
    /// Okta's name for it, which Databricks may send.
    #[serde(default, rename = "errorCode")]
    error_code: Value,
    #[serde(default)]
    ok: Value,
}

impl Wire {
    fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).ok()
    }

    fn text<'a>(&self, value: &'a Value) -> Option<&'a str> {
        value.as_str().filter(|text| !text.is_empty())
    }

    /// The answer as RFC 6749 wants it, read by the `oauth2` crate.
    fn granted(&self, millis_above: Option<Duration>, now: Timestamp) -> Option<Granted> {
        if self.ok == Value::Bool(false) {
            return None;
        }
        let standard = json!({
            "access_token": self.text(&self.access_token)?,
            "token_type": self.text(&self.token_type).unwrap_or("bearer"),
            "expires_in": self.seconds(millis_above),
            "refresh_token": self.text(&self.refresh_token),
        });
        let response = BasicTokenResponse::deserialize(standard).ok()?;
        Some(Granted {
            access: Some(Secret::from(response.access_token().secret().as_str())),
            expires_in: response.expires_in().map(|life| self.left(life, now)),
            refresh: response.refresh_token().map(|token| Secret::from(token.secret().as_str())),
        })
    }

    /// A number, or digits in a string. Zero and nonsense are no end: the API's 401 tells when it has come.
    fn seconds(&self, millis_above: Option<Duration>) -> Option<u64> {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_u64(),
            Value::String(digits) => digits.trim().parse().ok(),
            _ => None,
        }
        .filter(|seconds| *seconds > 0)?;
        let is_millis = millis_above.is_some_and(|limit| seconds > limit.as_secs());
        Some(if is_millis { seconds / 1000 } else { seconds })
    }

    /// What is left of a life that began at `created_at`: FreshBooks repeats the original one at a refresh. Never
    /// more than all of it, nor so little that a clock that is wrong would renew without end.
    fn left(&self, life: Duration, now: Timestamp) -> Duration {
        let Some(created) = self.created_at.as_i64().map(Timestamp::from_secs) else { return life };
        (created + life).saturating_since(now).clamp(SHORTEST.min(life), life)
    }

    fn code(&self) -> Option<BasicErrorResponseType> {
        let code = self.text(&self.error).or_else(|| self.text(&self.error_code))?;
        let response = BasicErrorResponse::deserialize(json!({ "error": code })).ok()?;
        Some(response.error().clone())
    }
}

/// `None`: a success without a token and without an error.
fn cause_by_rfc(status: StatusCode, code: Option<&BasicErrorResponseType>) -> Option<Cause> {
    use BasicErrorResponseType as Code;
    Some(match (status.as_u16(), code) {
        (429, _) => Cause::Throttled,
        (408 | 500..=599, _) => Cause::Unavailable,
        (_, Some(Code::InvalidGrant)) => Cause::Refused,
        (_, Some(Code::Extension(code)))
            if matches!(code.as_str(), "temporarily_unavailable" | "server_error") =>
        {
            Cause::Unavailable
        }
        (_, Some(Code::Extension(code))) if code == "slow_down" => Cause::Throttled,
        (_, Some(_)) | (300..=399, None) => Cause::Misconfigured,
        (200..=299, None) => return None,
        // A proxy's page, or an outage: nothing was said about our credentials.
        _ => Cause::Unavailable,
    })
}

fn cause_of(error: &Error) -> (Cause, Option<Timestamp>) {
    let until = match error.retry() {
        Retry::At(at) => Some(at),
        Retry::Never | Retry::Backoff => None,
    };
    let cause = match error.kind() {
        ErrorKind::Unauthenticated => Cause::Refused,
        ErrorKind::RateLimited => Cause::Throttled,
        ErrorKind::Unavailable | ErrorKind::Unexpected | ErrorKind::InvalidResponse => Cause::Unavailable,
        _ => Cause::Misconfigured,
    };
    (cause, until)
}

/// A code is shown only if it looks like one.
pub(in crate::auth) fn shown(code: &str) -> String {
    let is_code = code.len() <= CODE_CHARS
        && code.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '));
    String::from(if is_code { code } else { "unreadable_code" })
}
