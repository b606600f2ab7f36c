//! What Slack sends to the app: what waits, when it is tried again, and what came of each attempt.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use ml_connector_core::{
    Secret, Timestamp,
    webhook::{Encoding, HmacSha256},
};
use url::Url;

use crate::toolkit::seed::Seed;

/// Events API page: pauses before the retries of a delivery that failed.
const RETRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(300)];
/// Events API page, "Delayed Events": so many further retries, an hour apart.
const HOURLY_RETRIES: u32 = 24;
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

/// How deliveries go wrong. The default: they do not.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryTuning {
    /// So many further copies of each delivery.
    pub duplicates: u32,
    /// Copies of events have an `event_id` of their own, as has been seen.
    pub renumber_duplicates: bool,
    /// So many of the next deliveries are lost.
    pub lose: u32,
    /// Deliveries that are due together go out in another order.
    pub shuffle: bool,
    /// Everything comes so much later. A `trigger_id` does not live longer for that.
    pub delay: Duration,
    /// Signs with another secret.
    pub wrong_secret: bool,
    /// Leaves signature and time out.
    pub unsigned: bool,
    /// Signs as if it were so many seconds later, or earlier.
    pub clock_skew_secs: i64,
    /// The app setting "Delayed Events": after the third retry one each hour for a day.
    pub delayed_events: bool,
}

/// One request to the app, signed when it is taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// What it is about.
    pub kind: DeliveryKind,
    /// The event's type, the action's or the callback's id, or the command.
    pub name: String,
    /// The `event_id`; for everything else the `trigger_id`.
    pub id: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it is due.
    pub due: Timestamp,
    /// The request. Its body is the same in every attempt.
    pub request: Request<Bytes>,
    pub(super) reply_to: ReplyTo,
    pub(super) retry_reason: Option<&'static str>,
    pub(super) sent_at: Timestamp,
}

/// Whose answer it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReplyTo {
    Nobody,
    Click { user: String, channel: String, ts: String },
    Submission { view: String },
    Command { user: String, channel: String },
}

/// What came of one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// What it was about.
    pub kind: DeliveryKind,
    /// As in [`Delivery::name`].
    pub name: String,
    /// As in [`Delivery::id`].
    pub id: String,
    /// Which attempt it was, from 1.
    pub number: u32,
    /// When it was sent.
    pub at: Timestamp,
    /// How long the app took, on the simulator's clock.
    pub latency: Duration,
    /// The status it was answered with; `None` when no answer came within three seconds.
    pub status: Option<StatusCode>,
    /// The answer's body.
    pub body: String,
    /// Why it counts as failed, in the words of `X-Slack-Retry-Reason`.
    pub failure: Option<&'static str>,
}

/// What waits, and what was.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) url: Option<Url>,
    pub(super) secret: Secret,
    pub(super) tuning: DeliveryTuning,
    pub(super) attempts: Vec<Attempt>,
    /// Whether Slack has stopped sending events because nearly all of them failed.
    pub(super) cut_off: bool,
    /// When a person last did something that the app is asked about.
    pub(super) acted: Option<Timestamp>,
    waiting: Vec<Delivery>,
    /// What was taken, until it is settled: attempt by attempt.
    under_way: Vec<(Timestamp, ReplyTo)>,
    /// Whether events of the last hour were received, and how many were not.
    recent: VecDeque<(Timestamp, bool)>,
    failed: usize,
    seed: Seed,
}

impl Outbox {
    pub(super) fn new(seed: &mut Seed, url: Option<Url>) -> Self {
        let drawn = seed.hex();
        Self {
            url,
            secret: Secret::from(&drawn[..32]),
            tuning: DeliveryTuning::default(),
            attempts: Vec::new(),
            cut_off: false,
            acted: None,
            waiting: Vec::new(),
            under_way: Vec::new(),
            recent: VecDeque::new(),
            failed: 0,
            seed: Seed::new(u64::from_str_radix(&drawn[32..48], 16).unwrap_or_default()),
        }
    }

    /// From now on requests are signed with another secret.
    pub(super) fn renew_secret(&mut self) {
        self.secret = Secret::from(&self.seed.hex()[..32]);
    }

    /// An id for an event.
    pub(super) fn event_id(&mut self) -> String {
        format!("Ev{}", self.seed.hex()[..10].to_ascii_uppercase())
    }

    /// Forgets what waits: nobody is there any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether an answer is still to come that is wanted here.
    pub(super) fn waits(&self, now: Timestamp, of: impl Fn(&ReplyTo) -> bool) -> bool {
        let mut under_way = self.under_way.iter().filter(|(sent_at, _)| now < *sent_at + PATIENCE);
        under_way.any(|(_, reply_to)| of(reply_to))
            || self.waiting.iter().any(|delivery| of(&delivery.reply_to))
    }

    /// When the next delivery is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|delivery| delivery.due).min()
    }

    /// Puts a delivery in line, and its copies.
    pub(super) fn enqueue(
        &mut self,
        kind: DeliveryKind,
        (name, id): (&str, &str),
        reply_to: &ReplyTo,
        body: &str,
        now: Timestamp,
    ) {
        if kind != DeliveryKind::Event {
            self.acted = Some(now);
        }
        if self.tuning.lose > 0 {
            self.tuning.lose -= 1;
            return;
        }
        for copy in 0..=self.tuning.duplicates {
            let mut id = id.to_owned();
            let mut body = body.to_owned();
            if copy > 0 && kind == DeliveryKind::Event && self.tuning.renumber_duplicates {
                let fresh = self.event_id();
                body = body.replace(&id, &fresh);
                id = fresh;
            }
            self.waiting.push(Delivery {
                kind,
                name: name.to_owned(),
                id,
                attempt: 1,
                due: now + self.tuning.delay,
                request: Request::new(Bytes::from(body)),
                reply_to: reply_to.clone(),
                retry_reason: None,
                sent_at: now,
            });
        }
    }

    /// Takes what is due, signed now.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<Delivery> {
        let (due, later) =
            std::mem::take(&mut self.waiting).into_iter().partition(|delivery| delivery.due <= now);
        self.waiting = later;
        let mut due: Vec<Delivery> = due;
        if self.tuning.shuffle {
            due.sort_by_cached_key(|_| self.seed.hex());
        }
        due.iter_mut().for_each(|delivery| self.prepare(delivery, now));
        self.under_way.retain(|(sent_at, _)| now < *sent_at + PATIENCE);
        let answered = due.iter().filter(|delivery| delivery.kind != DeliveryKind::Event);
        self.under_way.extend(answered.map(|delivery| (now, delivery.reply_to.clone())));
        due
    }

    /// Writes down what came of an attempt, and plans the next one.
    pub(super) fn settle(
        &mut self,
        mut delivery: Delivery,
        attempt: Attempt,
        no_retry: bool,
        now: Timestamp,
    ) {
        let sent = self
            .under_way
            .iter()
            .position(|(sent_at, reply_to)| *sent_at == delivery.sent_at && *reply_to == delivery.reply_to);
        sent.into_iter().for_each(|at| drop(self.under_way.swap_remove(at)));
        if delivery.kind == DeliveryKind::Event {
            self.watch(attempt.failure.is_none(), now);
            if let Some(reason) = attempt.failure
                && !no_retry
                && !self.cut_off
                && let Some(pause) = self.pause_after(delivery.attempt)
            {
                delivery.attempt += 1;
                delivery.due = now + pause;
                delivery.retry_reason = Some(reason);
                self.waiting.push(delivery);
            }
        }
        self.attempts.push(attempt);
    }

    fn pause_after(&self, attempt: u32) -> Option<Duration> {
        let tried = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
        let hourly = self.tuning.delayed_events && attempt <= 3 + HOURLY_RETRIES;
        RETRIES.get(tried).copied().or(hourly.then_some(HOUR))
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
            self.waiting.retain(|delivery| delivery.kind != DeliveryKind::Event);
        }
    }

    /// Addresses a request and signs it as of now.
    pub(super) fn prepare(&self, delivery: &mut Delivery, now: Timestamp) {
        delivery.sent_at = now;
        let content_type = match delivery.kind {
            DeliveryKind::Event => "application/json",
            _ => "application/x-www-form-urlencoded",
        };
        let request = &mut delivery.request;
        *request.method_mut() = Method::POST;
        if let Some(uri) = self.url.as_ref().and_then(|url| url.as_str().parse().ok()) {
            *request.uri_mut() = uri;
        }
        let timestamp = (now.as_secs() + self.tuning.clock_skew_secs).to_string();
        let other = Secret::from("anotherSecret2026");
        let secret = if self.tuning.wrong_secret { &other } else { &self.secret };
        let signed = signature(secret, &timestamp, request.body());
        let retry = delivery.retry_reason.map(|reason| ((delivery.attempt - 1).to_string(), reason));
        let mut headers = vec![
            ("content-type", content_type),
            ("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
        ];
        if !self.tuning.unsigned {
            headers
                .extend([("x-slack-request-timestamp", timestamp.as_str()), ("x-slack-signature", &signed)]);
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
