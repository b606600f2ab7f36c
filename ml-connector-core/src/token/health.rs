//! How a connection's token is doing, without the token.

use std::time::Duration;

use serde::Serialize;

use super::{Blob, Cause, TokenKey};
use crate::{Context, Timestamp};

/// So many scopes are shown.
const SCOPES_SHOWN: usize = 200;

/// How a connection's token is doing. Holds no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenHealth {
    /// How often it has been renewed.
    pub generation: u64,
    /// When the newest one arrived.
    pub issued_at: Option<Timestamp>,
    /// When it ends; `None` = the vendor names no end, or there is none at present.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token itself ends, where the vendor says so: somebody has to connect again before.
    pub refresh_expires_at: Option<Timestamp>,
    /// The scopes that were granted, as the vendor said last; empty: it has not said.
    pub scopes: Vec<String>,
    /// Why it could not be renewed last: `refused` (somebody has to connect again), `answer_lost`, `misconfigured`,
    /// `throttled` or `unavailable`.
    pub failing: Option<&'static str>,
    /// The vendor's word for it, such as `invalid_client`, or the status; what an error has as its context `code`.
    pub code: Option<String>,
    /// What somebody has to know or do about it, if the system crate can tell. With the code `unreachable`, why nothing
    /// could be sent. It holds no text of the vendor's.
    pub message: Option<String>,
    /// It is not renewed before this instant.
    pub not_before: Option<Timestamp>,
    /// When the engine renews it at the latest, even if no call needs it, because it ends when it is not used. `None` =
    /// it does not end for lack of use.
    pub kept_alive_at: Option<Timestamp>,
    /// When it ends for lack of use, if nobody renews it.
    pub dies_at: Option<Timestamp>,
}

impl TokenHealth {
    /// Adds when it ends for lack of use, for a refresh token that lives so long without being used.
    pub(crate) fn dying_after(mut self, idle_life: Option<Duration>) -> Self {
        let used = self.issued_at.zip(idle_life);
        self.kept_alive_at = used.map(|(used, life)| used + life / 2);
        self.dies_at = used.map(|(used, life)| used + life);
        self
    }
}

/// Reads how a token is doing; `None` without one, or when the store does not answer.
pub(crate) async fn health(ctx: &Context, key: &TokenKey) -> Option<TokenHealth> {
    let stored = ctx.tokens().load(key).await.ok().flatten()?;
    let blob = Blob::decode(&stored.bytes).ok()?;
    let cause = |cause| match cause {
        Cause::Refused => "refused",
        Cause::AnswerLost => "answer_lost",
        Cause::Misconfigured => "misconfigured",
        Cause::Throttled => "throttled",
        Cause::Unavailable => "unavailable",
    };
    Some(TokenHealth {
        generation: blob.generation,
        issued_at: blob.issued_at,
        expires_at: blob.expires_at.filter(|_| blob.access.is_some()),
        refresh_expires_at: blob.refresh_expires_at,
        scopes: blob.scopes.iter().take(SCOPES_SHOWN).cloned().collect(),
        failing: blob.failure.as_ref().map(|failure| cause(failure.cause)),
        code: blob.failure.as_ref().map(|failure| failure.code.clone()),
        message: blob.failure.as_ref().and_then(|failure| failure.message.clone()),
        not_before: blob.failure.as_ref().and_then(|failure| failure.until),
        kept_alive_at: None,
        dies_at: None,
    })
}
