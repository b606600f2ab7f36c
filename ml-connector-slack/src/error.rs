//! From Slack's answers to errors: what to do, what may have happened, what has to wait.

use std::{collections::BTreeSet, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope,
    http::{Answer, error_for_status},
};
use serde::Deserialize;

/// How long to wait after a 429 that does not say.
const PAUSE_WITHOUT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long to wait for something that takes the workspace's admins hours, such as a migration.
const LONG_PAUSE: Duration = Duration::from_secs(3600);
/// Codes are short; whatever is longer is none.
const CODE_MAX: usize = 64;
/// Lists of scopes are the longest facts worth keeping.
const FACT_MAX: usize = 512;

/// Judges an answer of any method: an error for everything but a JSON object with `"ok": true`. Slack says 200 for
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
    error.context("code") == Some(code)
}

/// What every method answers.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    ok: Option<bool>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    needed: Option<String>,
    #[serde(default)]
    provided: Option<String>,
    #[serde(default)]
    warning: Option<String>,
    /// Its lists are looked at one by one, because a surprise in them must not hide the code.
    #[serde(default)]
    response_metadata: Option<serde_json::Value>,
}

impl Envelope {
    fn read(answer: &Answer) -> Option<Self> {
        serde_json::from_slice(&answer.body).ok()
    }

    fn texts(&self, list: &str) -> impl Iterator<Item = &str> {
        let list = self.response_metadata.as_ref().and_then(|metadata| metadata.get(list)?.as_array());
        list.into_iter().flatten().filter_map(serde_json::Value::as_str)
    }
}

/// Warnings never fail a call. Only the codes are logged.
fn warn(envelope: &Envelope) {
    let single = envelope.warning.as_deref().unwrap_or_default().split(',');
    let codes: BTreeSet<_> = single.chain(envelope.texts("warnings")).map(str::trim).collect();
    for code in codes.into_iter().filter(|code| looks_like_code(code)) {
        tracing::warn!(system = "slack", code, "Slack accepted the call with a warning");
    }
}

fn looks_like_code(text: &str) -> bool {
    (1..=CODE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn with_facts(error: Error, answer: &Answer, envelope: Option<&Envelope>) -> Error {
    let facts = [
        ("code", envelope.and_then(|envelope| envelope.error.as_deref())),
        ("needed", envelope.and_then(|envelope| envelope.needed.as_deref())),
        ("provided", envelope.and_then(|envelope| envelope.provided.as_deref())),
        ("pointer", envelope.and_then(|envelope| envelope.texts("messages").find_map(pointer))),
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

/// How much of the traffic a code concerns.
enum Reach {
    Message,
    Channel,
    Connection,
}

struct Verdict {
    kind: ErrorKind,
    effect: Effect,
    reach: Reach,
    retry: Again,
    message: &'static str,
}

enum Again {
    Never,
    Soon,
    Later,
}

/// Not executed; trying again helps.
fn again(retry: Again, reach: Reach, message: &'static str) -> Verdict {
    verdict(ErrorKind::Unavailable, reach, message, retry)
}

/// May have been executed.
fn ambiguous(message: &'static str) -> Verdict {
    Verdict { effect: Effect::Unknown, ..again(Again::Soon, Reach::Message, message) }
}

/// Somebody has to do something about the destination; everything for it waits.
fn target(kind: ErrorKind, message: &'static str) -> Verdict {
    verdict(kind, Reach::Channel, message, Again::Never)
}

/// This message will never be accepted.
fn refused(message: &'static str) -> Verdict {
    verdict(ErrorKind::InvalidRequest, Reach::Message, message, Again::Never)
}

/// Slack refused the call as malformed.
fn malformed() -> Verdict {
    refused("Slack did not understand the call; this is a defect of the SDK")
}

/// The token or the installation is dead.
fn credential(message: &'static str) -> Verdict {
    verdict(ErrorKind::Unauthenticated, Reach::Connection, message, Again::Never)
}

/// The app, the token's kind or the workspace's rules have to be changed by somebody.
fn setup(kind: ErrorKind, message: &'static str) -> Verdict {
    verdict(kind, Reach::Connection, message, Again::Never)
}

fn verdict(kind: ErrorKind, reach: Reach, message: &'static str, retry: Again) -> Verdict {
    Verdict { kind, effect: Effect::None, reach, retry, message }
}

fn for_code(code: &str, answer: &Answer) -> Error {
    let Verdict { kind, effect, reach, retry, message } = judge(code);
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

/// The codes of the methods this crate calls (Slack docs: each method's page, section "Errors").
fn judge(code: &str) -> Verdict {
    use ErrorKind::{ConfigInvalid, Conflict, NotFound, PermissionDenied};
    match code {
        "service_unavailable" | "internal_error" | "fatal_error" => {
            ambiguous("Slack failed, and part of the call may have been done")
        }
        "duplicate_channel_not_found" | "duplicate_message_not_found" => {
            ambiguous("Slack knows the message's id, but not the message")
        }
        "request_timeout" => again(Again::Soon, Reach::Message, "the request reached Slack incomplete"),
        "streaming_state_conflict" | "update_failed" => {
            again(Again::Soon, Reach::Message, "the message could not be changed just now")
        }
        "team_added_to_org" | "org_login_required" => {
            again(Again::Later, Reach::Connection, "the workspace is being moved by its admins")
        }
        "message_limit_exceeded" => {
            again(Again::Later, Reach::Connection, "the workspace has used up its plan's messages")
        }
        "external_channel_migrating" => again(Again::Later, Reach::Channel, "the channel is being moved"),

        "channel_not_found" => target(
            NotFound,
            "no such channel for this bot: check the id, and invite the bot if the channel is private",
        ),
        "not_in_channel" => target(
            PermissionDenied,
            "the bot is not in the channel: invite it, or add the scope chat:write.public for public channels",
        ),
        "is_archived" | "is_inactive" => {
            target(Conflict, "the channel is archived: unarchive it, or route to another one")
        }
        "messages_tab_disabled" => target(
            PermissionDenied,
            "the app takes no direct messages: switch its messages tab on in the app's settings",
        ),
        "ekm_access_denied" => target(PermissionDenied, "the workspace's admins have suspended sending"),
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked"
        | "channel_is_limited_access" => {
            target(PermissionDenied, "the channel's rules forbid this post: let an admin allow the app")
        }
        "user_not_found"
        | "users_not_found"
        | "user_not_visible"
        | "user_disabled"
        | "user_not_in_channel" => target(NotFound, "no such person for this bot: check the user id"),
        "method_not_supported_for_channel_type" | "too_many_members" => {
            target(PermissionDenied, "this kind of conversation does not allow the call")
        }

        "no_text" => refused("the message shows nothing"),
        "msg_too_long" => refused("the message's text is too long"),
        "msg_blocks_too_long" => refused("the message's blocks are too long together"),
        "invalid_blocks" | "invalid_blocks_format" | "invalid_attachments" | "block_mismatch" => {
            refused("Slack refused the message's blocks")
        }
        "invalid_metadata_format" | "invalid_metadata_schema" | "metadata_too_large" => {
            refused("Slack refused the message's metadata")
        }
        "too_many_attachments"
        | "too_many_contact_cards"
        | "attachment_payload_limit_exceeded"
        | "markdown_text_conflict"
        | "cannot_reply_to_message"
        | "missing_file_data"
        | "send_on_behalf_not_allowed"
        | "as_user_not_supported"
        | "no_dual_broadcast_content_update"
        | "cant_broadcast_message" => refused("Slack does not accept this message"),
        "message_not_found" | "thread_not_found" => {
            verdict(NotFound, Reach::Message, "the message no longer exists", Again::Never)
        }
        "cant_update_message" | "edit_window_closed" | "cant_delete_message" => {
            verdict(PermissionDenied, Reach::Message, "the message can no longer be changed", Again::Never)
        }

        "invalid_auth" => credential(
            "Slack refused the token: it is wrong, or this machine's address is not in the app's allow-list",
        ),
        "account_inactive" | "token_revoked" => {
            credential("the app was removed from the workspace: install it again")
        }
        "token_expired" => credential("the token has expired: rotation is on, so it has to be renewed"),
        "two_factor_setup_required" => credential("the token's user has to set up two-factor authentication"),

        "missing_scope" => {
            setup(PermissionDenied, "the token lacks a scope: add it and install the app again")
        }
        "no_permission"
        | "access_denied"
        | "team_access_not_granted"
        | "enterprise_is_restricted"
        | "app_access_restricted"
        | "accesslimited"
        | "forbidden_team" => setup(PermissionDenied, "the workspace does not allow the app to do this"),
        "not_allowed_token_type" | "is_bot" | "metadata_must_be_sent_from_app" => {
            setup(ConfigInvalid, "expected a bot token")
        }
        "not_authed" => setup(ConfigInvalid, "Slack saw no token: something on the way removed it"),
        "team_not_found" => setup(ConfigInvalid, "an organization-wide token needs channel ids, not names"),
        "method_deprecated"
        | "deprecated_endpoint"
        | "unknown_method"
        | "upgrade_required"
        | "insecure_request" => {
            setup(ConfigInvalid, "Slack does not offer this method: check the base URL, or update the SDK")
        }

        "invalid_arguments"
        | "missing_argument"
        | "missing_args"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_form_data"
        | "invalid_post_type"
        | "missing_post_type"
        | "invalid_json"
        | "json_not_object"
        | "invalid_limit"
        | "invalid_types"
        | "invalid_ts_latest"
        | "invalid_ts_oldest"
        | "invalid_metadata_filter_keys"
        | "users_list_not_supplied"
        | "not_enough_users"
        | "too_many_users"
        | "invalid_user_combination" => malformed(),
        "invalid_cursor" => refused("the list's cursor is too old: begin the list again"),

        code if code.starts_with("draft_")
            || code.starts_with("slack_connect_") && code.ends_with("_blocked") =>
        {
            refused("Slack does not accept this message")
        }
        // Never looped on: what is not known to be temporary is final until somebody has looked.
        _ => verdict(
            ErrorKind::Unexpected,
            Reach::Message,
            "Slack answered with an unknown code",
            Again::Never,
        ),
    }
}

#[cfg(test)]
mod tests;
