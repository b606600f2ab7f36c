//! What a normalized answer of a token endpoint means for the chain of tokens.

use std::time::Duration;

use super::response::{TokenErrorKind, TokenResponse};
use crate::{
    Timestamp,
    http::Answer,
    token::{Cause, Granted, TokenOutcome},
};

/// What is left at least of a token that has just been issued, whatever end the vendor names.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest vendor code that is kept.
const CODE_CHARS: usize = 64;

/// Classifies an answer by its status first: a failing server says nothing about our credentials, whatever its body says.
pub(super) fn classify(answer: &Answer, response: TokenResponse) -> TokenOutcome {
    let TokenResponse {
        access_token,
        refresh_token,
        expires_in,
        expires_at,
        refresh_expires_in,
        scopes,
        error,
    } = response;
    if answer.status.is_success()
        && error.is_none()
        && let Some(access) = access_token
    {
        let expires_in = life(expires_in, expires_at, answer.received_at);
        let (access, refresh) = (Some(access), refresh_token);
        return TokenOutcome::Granted(Granted { access, expires_in, refresh, refresh_expires_in, scopes });
    }
    let cause = match (answer.status.as_u16(), &error) {
        (429, _) => Cause::Throttled,
        (408 | 500..=599, _) => Cause::Unavailable,
        (_, Some(error)) => match error.kind {
            TokenErrorKind::Refused => Cause::Refused,
            TokenErrorKind::Misconfigured => Cause::Misconfigured,
            TokenErrorKind::Throttled => Cause::Throttled,
            TokenErrorKind::Unavailable => Cause::Unavailable,
        },
        (200..=299, None) => return TokenOutcome::Unreadable,
        // A proxy's page, a redirect, or an outage.
        _ => Cause::Unavailable,
    };
    let (code, until, message) = match error {
        Some(error) => (shown(&error.code), error.retry_at, error.message),
        None => (answer.status.as_u16().to_string(), None, "".into()),
    };
    let is_final = matches!(cause, Cause::Refused | Cause::Misconfigured);
    TokenOutcome::Failed {
        cause,
        code,
        message: Some(message.into_owned()).filter(|message| is_final && !message.is_empty()),
        until: until.or_else(|| answer.retry_after()),
        refresh: refresh_token,
    }
}

/// What is left of a token's life, by the earlier of the two ends that a vendor may name.
fn life(expires_in: Option<Duration>, expires_at: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let Some(end) = expires_at else { return expires_in };
    let left = end.saturating_since(now).max(SHORTEST);
    Some(expires_in.map_or(left, |life| life.min(left)))
}

/// A code is shown only if it looks like one.
pub(in crate::auth) fn shown(code: &str) -> String {
    let is_code = code.len() <= CODE_CHARS
        && code.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '));
    String::from(if is_code { code } else { "unreadable_code" })
}
