//! A token endpoint's answer in plain terms, whatever form the vendor gave it.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::{Secret, Timestamp, http::Answer};

/// A token endpoint's answer in plain terms (RFC 6749, sections 5.1 and 5.2).
///
/// A system makes one of each answer of its vendor, in [`OAuth2Config::normalize`](super::OAuth2Config::normalize). It
/// begins with [`rfc6749`](Self::rfc6749) and changes what its vendor does otherwise:
///
/// ```
/// use ml_connector_core::{Timestamp, auth::{TokenError, TokenResponse}, http::Answer};
///
/// /// This vendor says `bad_code` where the RFC says `invalid_grant`.
/// fn normalize(answer: &Answer) -> TokenResponse {
///     let response = TokenResponse::rfc6749(answer);
///     match response.error_code() {
///         Some("bad_code") => {
///             response.error(TokenError::refused("bad_code", "the refresh token was revoked: connect again"))
///         }
///         _ => response,
///     }
/// }
///
/// let body = r#"{"error":"bad_code"}"#;
/// let answer = Answer::new(http::Response::new(body.into()), Timestamp::from_secs(0));
/// assert!(normalize(&answer).error.unwrap().is_final());
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The access token. It counts only behind a successful status.
    pub access_token: Option<Secret>,
    /// The refresh token; `None`: the old one stays.
    pub refresh_token: Option<Secret>,
    /// How long the access token lives, from now on; `None`: the vendor names no end.
    pub expires_in: Option<Duration>,
    /// When it ends, where the vendor says so. With [`expires_in`](Self::expires_in) as well, the earlier of both holds,
    /// but never less than a minute: a wrong clock must not renew without end.
    pub expires_at: Option<Timestamp>,
    /// How long the refresh token lives, from now on, where the vendor says so; `None`: it names no end.
    pub refresh_expires_in: Option<Duration>,
    /// What was granted; empty: the vendor did not say.
    pub scopes: Vec<String>,
    /// Why there is no access token, where the vendor said so.
    pub error: Option<TokenError>,
}

/// Why a token endpoint granted nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenError {
    /// What follows from it.
    pub kind: TokenErrorKind,
    /// The vendor's word, such as `invalid_grant`. It is shown only if it looks like a word.
    pub code: String,
    /// What a person has to know or to do, in words of the system crate. The vendor's own description is not used: it
    /// is in any language and may name anything. Empty: there is nothing to add.
    pub message: Cow<'static, str>,
    /// Not to be asked before, where the vendor says so; a `Retry-After` header is read anyway.
    pub retry_at: Option<Timestamp>,
}

/// What follows from an error of a token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// Final: the refresh token, or the code, is dead. Somebody has to connect again.
    Refused,
    /// Final until somebody changes the configuration: the app's id, secret or request is wrong. It is tried once an
    /// hour at most, as the cure may lie on the vendor's side.
    Misconfigured,
    /// The vendor wants a pause.
    Throttled,
    /// The vendor is down, or said what nobody knows: it is asked again, after pauses that grow to 15 minutes.
    Unavailable,
}

impl TokenResponse {
    /// Reads an answer as RFC 6749 has it. Lenient where vendors stray without harm: an end as text, scopes with
    /// commas, a byte order mark, `null`.
    ///
    /// An `error` is final only for the words that the RFC defines as such; see [`TokenError::rfc6749`].
    #[must_use]
    pub fn rfc6749(answer: &Answer) -> Self {
        let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
        let wire = serde_json::from_slice::<TokenFields>(body).unwrap_or_default();
        let access_token = text(&wire.access_token).map(Secret::from);
        let granted = answer.status.is_success() && access_token.is_some();
        let scopes = text(&wire.scope).unwrap_or_default().split(|c: char| c == ',' || c.is_whitespace());
        Self {
            access_token,
            refresh_token: text(&wire.refresh_token).map(Secret::from),
            expires_in: seconds(&wire.expires_in).map(Duration::from_secs),
            expires_at: None,
            refresh_expires_in: seconds(&wire.refresh_token_expires_in)
                .or_else(|| seconds(&wire.refresh_expires_in))
                .map(Duration::from_secs),
            scopes: scopes.filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            error: text(&wire.error).filter(|_| !granted).map(TokenError::rfc6749),
        }
    }

    /// Sets why nothing was granted. Whatever access token came with it does not count.
    #[must_use]
    pub fn error(mut self, error: TokenError) -> Self {
        (self.access_token, self.error) = (None, Some(error));
        self
    }

    /// Sets how long the access token lives.
    #[must_use]
    pub fn expires_in(mut self, life: Duration) -> Self {
        self.expires_in = Some(life);
        self
    }

    /// Sets when the access token ends.
    #[must_use]
    pub fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// The vendor's word for what went wrong.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.code.as_str())
    }
}

impl TokenError {
    /// The meaning of a word in RFC 6749, section 5.2. A word that is not final there is an outage.
    #[must_use]
    pub fn rfc6749(code: &str) -> Self {
        match code {
            "invalid_grant" => Self::refused(
                code,
                "the refresh token or the code is not valid: it has expired, was revoked or used before, or is another \
                 app's",
            ),
            "invalid_client" => Self::misconfigured(code, "check the app's id and secret"),
            "unauthorized_client" => Self::misconfigured(code, "the app may not ask for tokens in this way"),
            "unsupported_grant_type" => {
                Self::misconfigured(code, "the token endpoint does not know this way to ask for tokens")
            }
            "invalid_scope" => Self::misconfigured(code, "a scope is not known, or is more than was granted"),
            "slow_down" => Self::throttled(code),
            _ => Self::unavailable(code),
        }
    }

    /// The refresh token, or the code, is dead.
    pub fn refused(code: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(TokenErrorKind::Refused, code.into(), message.into())
    }

    /// The app's id, secret or request is wrong.
    pub fn misconfigured(code: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(TokenErrorKind::Misconfigured, code.into(), message.into())
    }

    /// The vendor wants a pause: until [`retry_at`](Self::retry_at), or for
    /// [`OAuth2Config::throttle_pause`](super::OAuth2Config::throttle_pause).
    pub fn throttled(code: impl Into<String>) -> Self {
        Self::of(TokenErrorKind::Throttled, code.into(), Cow::Borrowed(""))
    }

    /// The vendor is down, or said what nobody knows.
    pub fn unavailable(code: impl Into<String>) -> Self {
        Self::of(TokenErrorKind::Unavailable, code.into(), Cow::Borrowed(""))
    }

    /// Sets when the endpoint may be asked again.
    #[must_use]
    pub fn retry_at(mut self, at: Timestamp) -> Self {
        self.retry_at = Some(at);
        self
    }

    /// Whether asking again cannot help before somebody has done something.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.kind, TokenErrorKind::Refused | TokenErrorKind::Misconfigured)
    }

    fn of(kind: TokenErrorKind, code: String, message: Cow<'static, str>) -> Self {
        Self { kind, code, message, retry_at: None }
    }
}

/// The fields of a token answer, each as whatever it came.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenFields {
    access_token: Value,
    refresh_token: Value,
    expires_in: Value,
    /// No standard has an end of refresh tokens; these are the two names that vendors use.
    refresh_token_expires_in: Value,
    refresh_expires_in: Value,
    scope: Value,
    error: Value,
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A number, or digits in a string. Zero and nonsense are no end: the API's 401 tells when it has come.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
    .filter(|seconds| *seconds > 0)
}
