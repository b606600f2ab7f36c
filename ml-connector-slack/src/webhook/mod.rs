//! What Slack sends: proven, then told apart.

pub(crate) mod events;
pub(crate) mod interactivity;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, Timestamp,
    model::{AccountKey, DedupeKey, EntityRef, Intake, Prompt, Signal},
    webhook::{Encoding, HmacSha256, fresh_unix_seconds, single_header},
};
use serde::{Deserialize, Deserializer, Serialize};
use url::form_urlencoded;

/// How far the time of signing may be from ours, in the past and in the future. (Slack docs: "Verifying requests from
/// Slack")
pub(crate) const TOLERANCE: Duration = Duration::from_secs(300);

/// What a slash command is answered: there are none.
const NO_COMMANDS: &str = r#"{"response_type":"ephemeral","text":"This command is not configured."}"#;

/// Proves and reads requests of one Slack app.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    verifier: HmacSha256,
    app: Option<String>,
}

impl Receiver {
    /// For an app with these signing secrets: while one is replaced, the old and the new one hold.
    pub(crate) fn new(secrets: &[Secret], app: Option<String>) -> Result<Self> {
        Ok(Self { verifier: HmacSha256::new(secrets)?, app })
    }

    /// What a request means.
    pub(crate) fn receive(&self, request: &Request<Bytes>, now: Timestamp) -> Result<Intake> {
        let is_form = is_form(request);
        if is_form && is_probe(request.body()) {
            return Ok(Intake::accepted(Vec::new()));
        }
        self.verify(request, now)?;
        if !is_form {
            return events::read(self, request.body(), now);
        }
        let field = |name: &str| {
            let mut fields = form_urlencoded::parse(request.body()).filter(|(key, _)| key == name);
            fields.next().map(|(_, value)| value.into_owned())
        };
        match (field("payload"), field("command")) {
            (Some(payload), _) => interactivity::read(self, payload.as_bytes(), now),
            (None, Some(_)) => Ok(json(Vec::new(), NO_COMMANDS)),
            (None, None) => Err(misunderstood("expected a form with a payload or a command")),
        }
    }

    /// The bytes as received, and the time as it was written: anything else has another signature.
    fn verify(&self, request: &Request<Bytes>, now: Timestamp) -> Result<()> {
        let stamp = single_header(request.headers(), "x-slack-request-timestamp")?;
        let signature = single_header(request.headers(), "x-slack-signature")?;
        fresh_unix_seconds(stamp, now, TOLERANCE)?;
        let Some(digest) = signature.strip_prefix("v0=") else {
            return Err(Error::new(ErrorKind::SignatureInvalid, "the signature has another version"));
        };
        let parts = [b"v0:", stamp.as_bytes(), b":", request.body()];
        self.verifier.verify(&parts, digest, &[Encoding::Hex])
    }

    /// Refuses what another app is told.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: the secret is right, so the configured app is not.
    pub(crate) fn check_app(&self, app: Option<&str>) -> Result<()> {
        match (&self.app, app) {
            (Some(expected), Some(app)) if expected != app => Err(misunderstood(
                "the request is for another app than the configured one, whose signing secret it has",
            )),
            _ => Ok(()),
        }
    }
}

fn is_form(request: &Request<Bytes>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Slack looks now and then whether a URL answers, unsigned. Whatever else comes with it needs its signature.
fn is_probe(body: &[u8]) -> bool {
    let (mut probe, mut more) = (false, false);
    for (key, value) in form_urlencoded::parse(body) {
        probe |= key == "ssl_check" && value == "1";
        more |= key == "payload" || key == "command";
    }
    probe && !more
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

/// Reads a yes or no that may be missing, null or written as text.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    let said = serde_json::Value::deserialize(from)?;
    Ok(said == true || said == "true")
}

/// How a workspace, or an organization that has the app as a whole, is named.
pub(crate) fn account(id: &str) -> AccountKey {
    let kind = if id.starts_with('E') { "enterprise" } else { "team" };
    AccountKey::from(format!("{kind}:{id}"))
}
