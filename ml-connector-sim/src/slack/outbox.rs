//! What Slack sends to the app: what waits, when it is tried again, and what came of each attempt.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use ml_connector_core::{
    Secret, Timestamp,
    webhook::{Encoding, HmacSha256},
};
use url::Url;

use crate::toolkit::{
    outbox::{self, Outbox, Reception, RetryTable},
    seed::Seed,
};

/// Events API page: pauses before the retries of a delivery that failed.
const RETRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(300)];
/// Events API page, "Delayed Events": so many further retries, an hour apart.
const HOURLY_RETRIES: usize = 24;
/// How long the app may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(3600);
/// Events API page: apps with fewer attempts an hour are never cut off.
const CUT_OFF_FROM: usize = 1000;

/// What a delivery is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryKind {
    /// An event: tried again when it fails.
    Event,
    /// A click on a button of a message. Tried once, like everything that follows.
    BlockActions,
    /// A modal that was submitted.
    ViewSubmission,
    /// A modal that was closed.
    ViewClosed,
    /// A slash command.
    Command,
}

/// A request to the app. Each attempt is signed anew; its body stays the same.
pub type Delivery = outbox::Delivery<AppCall>;

/// What came of one attempt to reach the app.
pub type Attempt = outbox::Attempt<AppCall>;

/// What a request to the app is about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AppCall {
    /// What kind it is.
    pub kind: DeliveryKind,
    /// The event's type, the action's or the callback's id, or the command.
    pub name: String,
    /// The `event_id`; for everything else the `trigger_id`.
    pub id: String,
    pub(super) reply_to: ReplyTo,
}

impl AppCall {
    pub(super) fn event(name: &str, id: &str) -> Self {
        Self {
            kind: DeliveryKind::Event,
            name: name.to_owned(),
            id: id.to_owned(),
            reply_to: ReplyTo::Nobody,
        }
    }
}

/// Whose answer it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReplyTo {
    Nobody,
    Click { user: String, channel: String, ts: String },
    Submission { view: String },
    Command { user: String, channel: String },
}

/// What waits for the app, and what was.
#[derive(Debug)]
pub(super) struct AppOutbox {
    pub(super) url: Option<Url>,
    pub(super) secret: Secret,
    pub(super) outbox: Outbox<AppCall>,
    /// Whether Slack has stopped sending events because nearly all of them failed.
    pub(super) cut_off: bool,
    /// When a person last did something that the app is asked about.
    pub(super) acted: Option<Timestamp>,
    /// What was taken, until it is settled: attempt by attempt.
    under_way: Vec<(Timestamp, ReplyTo)>,
    /// Whether events of the last hour were received, and how many were not.
    recent: VecDeque<(Timestamp, bool)>,
    failed: usize,
    seed: Seed,
}

impl AppOutbox {
    pub(super) fn new(seed: &mut Seed, url: Option<Url>) -> Self {
        let drawn = seed.hex();
        let own = u64::from_str_radix(&drawn[32..48], 16).unwrap_or_default();
        Self {
            url,
            secret: Secret::from(&drawn[..32]),
            outbox: Outbox::new(RetryTable::of(&RETRIES), own),
            cut_off: false,
            acted: None,
            under_way: Vec::new(),
            recent: VecDeque::new(),
            failed: 0,
            seed: Seed::new(own),
        }
    }

    /// From now on requests are signed with another secret.
    pub(super) fn renew_secret(&mut self) {
        self.secret = Secret::from(&self.seed.hex()[..32]);
    }

    /// The app setting "Delayed Events".
    pub(super) fn set_delayed_events(&mut self, on: bool) {
        let retries = RetryTable::of(&RETRIES);
        self.outbox.retries = if on { retries.then(HOUR, HOURLY_RETRIES) } else { retries };
    }

    /// An id for an event.
    pub(super) fn event_id(&mut self) -> String {
        event_id(&mut self.seed)
    }

    /// Whether an answer is still to come that is wanted here.
    pub(super) fn waits(&self, now: Timestamp, of: impl Fn(&ReplyTo) -> bool) -> bool {
        let mut under_way = self.under_way.iter().filter(|(sent_at, _)| now < *sent_at + PATIENCE);
        under_way.any(|(_, reply_to)| of(reply_to)) || self.outbox.waits(|call| of(&call.reply_to))
    }

    /// Puts a request in line, and its copies.
    pub(super) fn enqueue(&mut self, call: &AppCall, body: &str, now: Timestamp) {
        let is_event = call.kind == DeliveryKind::Event;
        if !is_event {
            self.acted = Some(now);
        }
        let renumbers = is_event && self.outbox.tuning.renumber_duplicates;
        let seed = &mut self.seed;
        self.outbox.put(now, |copy| {
            let (mut call, mut body) = (call.clone(), body.to_owned());
            if copy > 0 && renumbers {
                let fresh = event_id(seed);
                body = body.replace(&call.id, &fresh);
                call.id = fresh;
            }
            (call, Request::new(Bytes::from(body)))
        });
    }

    /// Takes what is due, signed now.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<Delivery> {
        let mut due = self.outbox.take(now);
        due.iter_mut().for_each(|delivery| self.prepare(delivery, now));
        self.under_way.retain(|(sent_at, _)| now < *sent_at + PATIENCE);
        let answered = due.iter().filter(|delivery| delivery.about.kind != DeliveryKind::Event);
        self.under_way.extend(answered.map(|delivery| (now, delivery.about.reply_to.clone())));
        due
    }

    /// Writes down what came of an attempt, and plans the next one.
    pub(super) fn settle(
        &mut self,
        delivery: Delivery,
        verdict: Reception,
        answer: Option<&Response<Bytes>>,
        now: Timestamp,
    ) -> Attempt {
        let sent = self.under_way.iter().position(|(sent_at, reply_to)| {
            *sent_at == delivery.sent_at && *reply_to == delivery.about.reply_to
        });
        sent.into_iter().for_each(|at| drop(self.under_way.swap_remove(at)));
        if delivery.about.kind == DeliveryKind::Event {
            self.watch(verdict == Reception::Received, now);
        }
        let verdict = match verdict {
            // Only events are tried again, and only as long as Slack sends events at all.
            Reception::Again(reason) if self.cut_off || delivery.about.kind != DeliveryKind::Event => {
                Reception::GiveUp(reason)
            }
            verdict => verdict,
        };
        self.outbox.settle(delivery, verdict, answer, now)
    }

    /// Ends the subscription when more than 95 % of an hour's attempts have failed.
    fn watch(&mut self, received: bool, now: Timestamp) {
        self.recent.push_back((now, received));
        self.failed += usize::from(!received);
        while let Some((at, received)) = self.recent.front().copied()
            && at + HOUR <= now
        {
            self.recent.pop_front();
            self.failed -= usize::from(!received);
        }
        if self.recent.len() >= CUT_OFF_FROM && self.failed * 100 > self.recent.len() * 95 {
            self.cut_off = true;
            self.failed = 0;
            self.recent.clear();
            self.outbox.retain(|call| call.kind != DeliveryKind::Event);
        }
    }

    /// Addresses a request and signs it as of now.
    pub(super) fn prepare(&self, delivery: &mut Delivery, now: Timestamp) {
        delivery.sent_at = now;
        let content_type = match delivery.about.kind {
            DeliveryKind::Event => "application/json",
            _ => "application/x-www-form-urlencoded",
        };
        let request = &mut delivery.request;
        *request.method_mut() = Method::POST;
        if let Some(uri) = self.url.as_ref().and_then(|url| url.as_str().parse().ok()) {
            *request.uri_mut() = uri;
        }
        let tuning = &self.outbox.tuning;
        let timestamp = (now.as_secs() + tuning.clock_skew_secs).to_string();
        let signed = tuning.secret(&self.secret).map(|secret| signature(&secret, &timestamp, request.body()));
        let retry = delivery.failed.map(|reason| ((delivery.attempt - 1).to_string(), reason));
        let mut headers = vec![
            ("content-type", content_type),
            ("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
        ];
        if let Some(signed) = &signed {
            headers
                .extend([("x-slack-request-timestamp", timestamp.as_str()), ("x-slack-signature", signed)]);
        }
        if let Some((number, reason)) = &retry {
            headers.extend([("x-slack-retry-num", number.as_str()), ("x-slack-retry-reason", reason)]);
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(name, value);
            }
        }
    }
}

fn event_id(seed: &mut Seed) -> String {
    format!("Ev{}", seed.hex()[..10].to_ascii_uppercase())
}

/// The value of `X-Slack-Signature`: HMAC-SHA256 in lower-case hexadecimal over version, time and body as they are.
#[must_use]
pub fn signature(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    match HmacSha256::new([secret]) {
        Ok(keyed) => {
            let parts: [&[u8]; 4] = [b"v0:", timestamp.as_bytes(), b":", body];
            format!("v0={}", keyed.sign(&parts, Encoding::Hex))
        }
        Err(_) => String::new(),
    }
}
