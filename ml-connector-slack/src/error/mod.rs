//! From Slack's answers to errors: what to do, what may have happened, what has to wait.

mod codes;

use std::{collections::BTreeSet, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope, decode, error_context,
    http::{Answer, error_for_status},
};
use serde::Deserialize;

use self::codes::{Again, Meaning, Reach};
use crate::models::{lax, or_default, text, texts};

/// How long to wait after a 429 that does not say.
const PAUSE_WITHOUT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long to wait for something that takes the workspace's admins hours, such as a migration.
const LONG_PAUSE: Duration = Duration::from_secs(3600);
/// Codes are short; whatever is longer is none.
const CODE_MAX: usize = 64;
/// Lists of scopes are the longest facts worth keeping.
const FACT_MAX: usize = 512;

/// Classifies an answer of any method: an error for everything but a JSON object with `"ok": true`. Slack says 200 for
/// failures too.
///
/// The effect is the one of a write; a read has none, whatever comes back.
///
/// # Errors
/// The context holds `code` (Slack's word, verbatim), `status`, `request_id` (what Slack's support asks for), and
/// where Slack says so `needed` and `provided` scopes and the `pointer` of what is wrong. Never the body.
pub(crate) fn check(answer: &Answer) -> Result<()> {
    let envelope = Envelope::read(answer);
    let error = match (answer.status, &envelope) {
        (StatusCode::OK, Some(envelope @ Envelope { ok: Some(true), .. })) => {
            warn(envelope);
            return Ok(());
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => rate_limited(answer),
        // A code says more than the status, except that a failing server's word about itself is no promise.
        (status, Some(Envelope { ok: Some(false), error: Some(code), .. })) if !status.is_server_error() => {
            match code.as_str() {
                "ratelimited" | "rate_limited" => rate_limited(answer),
                code => for_code(code, answer),
            }
        }
        (StatusCode::OK, _) => {
            Error::new(ErrorKind::InvalidResponse, "expected a JSON object with a boolean `ok`")
                .with_effect(Effect::Unknown)
                .with_retry(Retry::Backoff)
        }
        (status, _) => for_status(status),
    };
    Err(with_facts(error, answer, envelope.as_ref()))
}

/// Whether an error carries this code of Slack's.
pub(crate) fn is_code(error: &Error, code: &str) -> bool {
    error.context(error_context::CODE) == Some(code)
}

/// What every method answers. A surprise in the rest must not hide the code.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "lax")]
    ok: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "text")]
    needed: Option<String>,
    #[serde(default, deserialize_with = "text")]
    provided: Option<String>,
    #[serde(default, deserialize_with = "text")]
    warning: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    response_metadata: ResponseMetadata,
}

#[derive(Default, Deserialize)]
struct ResponseMetadata {
    #[serde(default, deserialize_with = "texts")]
    messages: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    warnings: Vec<String>,
}

impl Envelope {
    fn read(answer: &Answer) -> Option<Self> {
        serde_json::from_str(&decode::clean(&answer.body)).ok()
    }
}

/// Warnings never fail a call. Only the codes are logged.
fn warn(envelope: &Envelope) {
    let single = envelope.warning.as_deref().unwrap_or_default().split(',');
    let codes: BTreeSet<_> =
        single.chain(envelope.response_metadata.warnings.iter().map(String::as_str)).map(str::trim).collect();
    for code in codes.into_iter().filter(|code| looks_like_code(code)) {
        tracing::warn!(system = "slack", code, "Slack accepted the call with a warning");
    }
}

fn looks_like_code(text: &str) -> bool {
    (1..=CODE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn with_facts(error: Error, answer: &Answer, envelope: Option<&Envelope>) -> Error {
    let facts = [
        (error_context::CODE, envelope.and_then(|envelope| envelope.error.as_deref())),
        ("needed", envelope.and_then(|envelope| envelope.needed.as_deref())),
        ("provided", envelope.and_then(|envelope| envelope.provided.as_deref())),
        (
            "pointer",
            envelope.and_then(|envelope| {
                envelope.response_metadata.messages.iter().find_map(|text| pointer(text))
            }),
        ),
        ("request_id", answer.header("x-slack-req-id")),
    ];
    let told = facts.into_iter().filter_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)));
    let error = told.fold(error, |error, (key, text)| {
        let bounded: String = text.chars().take(FACT_MAX).flat_map(char::escape_debug).collect();
        error.with_context(key, bounded)
    });
    if error.context("status").is_some() {
        error
    } else {
        error.with_context("status", answer.status.as_u16())
    }
}

/// Finds `[json-pointer:/blocks/1/text]` in a message; the rest of the message may quote what was sent.
fn pointer(message: &str) -> Option<&str> {
    message.split_once("[json-pointer:")?.1.split_once(']').map(|(pointer, _)| pointer)
}

fn rate_limited(answer: &Answer) -> Error {
    let at = answer.retry_after().unwrap_or(answer.received_at + PAUSE_WITHOUT_RETRY_AFTER);
    Error::new(ErrorKind::RateLimited, "Slack asks to come back later").with_retry(Retry::At(at))
}

fn for_status(status: StatusCode) -> Error {
    let setup =
        |message: &'static str| Error::new(ErrorKind::ConfigInvalid, message).with_scope(Scope::Connection);
    match status.as_u16() {
        300..=399 => setup("expected an answer of Slack's API, got a redirect: check the base URL"),
        401 | 403 | 404 => setup("something before Slack's API refused the call: check base URL and proxy"),
        _ => error_for_status(status),
    }
}

fn for_code(code: &str, answer: &Answer) -> Error {
    let Meaning { kind, effect, reach, retry, message } = codes::classify(code);
    let scope = match reach {
        Reach::Message => Scope::Entry,
        Reach::Channel => Scope::Lane,
        Reach::Connection => Scope::Connection,
    };
    let retry = match retry {
        Again::Never => Retry::Never,
        Again::Soon => Retry::Backoff,
        Again::Later => Retry::At(answer.retry_after().unwrap_or(answer.received_at + LONG_PAUSE)),
    };
    Error::new(kind, message).with_effect(effect).with_scope(scope).with_retry(retry)
}

#[cfg(test)]
mod tests;
