//! What Slack sends: proven, then told apart.

pub(crate) mod events;
pub(crate) mod interactivity;
pub(crate) mod signal;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, Timestamp, decode,
    model::Intake,
    webhook::{Encoding, Form, HmacSha256, fresh_unix_seconds, single_header},
};

use self::signal::{json, misunderstood};

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
        // By the body, which is signed, and not by the content type, which is not: a replay with another one means the
        // same, and nobody's words in an event are taken for a form.
        let form = (!is_json(request.body())).then(|| Form::lenient(request.body()));
        if Form::is_body_of(request) && form.as_ref().is_some_and(is_probe) {
            return Ok(Intake::accepted(Vec::new()));
        }
        self.verify(request, now)?;
        let app = self.app.as_deref();
        let Some(form) = form else {
            return events::read(app, decode::clean(request.body()).as_bytes(), now);
        };
        match (form.get("payload"), form.get("command")) {
            (Some(payload), _) => interactivity::read(app, decode::clean(payload.as_bytes()).as_bytes(), now),
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
}

/// Whether a body is an event. Forms begin with a name.
fn is_json(body: &[u8]) -> bool {
    decode::clean(body).trim_start().starts_with(['{', '[', '"'])
}

/// Slack looks now and then whether a URL answers, unsigned. Whatever else comes with it needs its signature.
fn is_probe(form: &Form<'_>) -> bool {
    let has = |name| form.pairs().any(|(key, _)| key == name);
    form.pairs().any(|pair| pair == ("ssl_check", "1")) && !has("payload") && !has("command")
}
