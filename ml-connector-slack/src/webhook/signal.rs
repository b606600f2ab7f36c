//! What requests lead to: signals, prompts and replies.

use bytes::Bytes;
use http::{Response, header};
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    model::{AccountKey, DedupeKey, EntityRef, Intake, Prompt, Signal},
};
use serde::Serialize;

/// Refuses what another app is told.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`]: the secret is right, so the configured app is not.
pub(crate) fn check_app(configured: Option<&str>, told: Option<&str>) -> Result<()> {
    match (configured, told) {
        (Some(expected), Some(app)) if expected != app => Err(misunderstood(
            "the request is for another app than the configured one, whose signing secret it has",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn misunderstood(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with_operation("slack.receive")
}

/// A 200 with JSON.
pub(crate) fn json(signals: Vec<Signal>, body: impl Into<Bytes>) -> Intake {
    let mut intake = Intake::accepted(signals);
    intake.reply = reply("application/json", body.into());
    intake
}

/// A 200 with plain text.
pub(crate) fn text(body: String) -> Intake {
    let mut intake = Intake::accepted(Vec::new());
    intake.reply = reply("text/plain", body.into());
    intake
}

fn reply(content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}

/// A signal with its payload, stored once for each number that Slack gave it.
pub(crate) fn signal(
    account: Option<AccountKey>,
    entity: EntityRef,
    hint: &str,
    dedupe: Option<String>,
    payload: &impl Serialize,
) -> Result<Signal> {
    Ok(Signal {
        account,
        hint: Some(hint.chars().take(64).collect::<String>().into()),
        dedupe: dedupe.map(|number| DedupeKey::from(format!("slack/{number}"))),
        payload: Some(to_json(payload)?),
        ..Signal::entity(entity)
    })
}

/// Work for right after the answer.
pub(crate) fn prompt(payload: &impl Serialize, deadline: Timestamp) -> Result<Prompt> {
    Ok(Prompt { payload: to_json(payload)?, deadline })
}

fn to_json(payload: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(payload).map(Bytes::from).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a signal cannot be written as JSON").with_source(source)
    })
}

/// How a workspace, or an organization that has the app as a whole, is named.
pub(crate) fn account(id: &str) -> AccountKey {
    let kind = if id.starts_with('E') { "enterprise" } else { "team" };
    AccountKey::from(format!("{kind}:{id}"))
}
