//! One outbox for what vendors send: what waits, when it is tried again, what came of each attempt.
//!
//! The outbox knows no signature. A vendor signs either when it puts a delivery in (the request is the same in every
//! attempt) or what [`Outbox::take`] returns (each attempt is signed anew), and asks [`DeliveryTuning::secret`] which
//! secret to sign with.

#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use ml_connector_core::{
    HttpTransport, Secret, Timestamp,
    http::{Limits, Phase, TransportError},
};

use super::dice::Dice;

/// How deliveries go wrong. The default: they do not.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryTuning {
    /// So many further copies of each delivery.
    pub duplicates: u32,
    /// Copies have ids of their own, where the vendor gives ids.
    pub renumber_duplicates: bool,
    /// So many of the next deliveries are lost.
    pub lose: u32,
    /// Deliveries that are due together go out in another order.
    pub shuffle: bool,
    /// Everything comes so much later.
    pub delay: Duration,
    /// Signs with another secret.
    pub wrong_secret: bool,
    /// Leaves the signature out.
    pub unsigned: bool,
    /// Signs as if it were so many seconds later, or earlier, where the vendor signs a time.
    pub clock_skew_secs: i64,
}

impl DeliveryTuning {
    /// What to sign with instead of `secret`; `None` when nothing is signed.
    pub(crate) fn secret(&self, secret: &Secret) -> Option<Secret> {
        match (self.unsigned, self.wrong_secret) {
            (true, _) => None,
            (false, true) => Some(Secret::from("anotherSecret2026")),
            (false, false) => Some(secret.clone()),
        }
    }
}

/// One request to the subscriber.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery<T> {
    /// What it is about, in the vendor's terms.
    pub about: T,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it is due.
    pub due: Timestamp,
    /// The request.
    pub request: Request<Bytes>,
    /// When it was taken.
    pub(crate) sent_at: Timestamp,
    /// Why the last attempt failed.
    pub(crate) failed: Option<&'static str>,
}

impl<T> Delivery<T> {
    /// A delivery that is sent now, outside of an outbox.
    pub(crate) fn now(about: T, request: Request<Bytes>, now: Timestamp) -> Self {
        Self { about, attempt: 1, due: now, request, sent_at: now, failed: None }
    }

    /// Writes down what came of it.
    pub(crate) fn attempted(
        &self,
        failure: Option<&'static str>,
        answer: Option<&Response<Bytes>>,
        now: Timestamp,
    ) -> Attempt<T>
    where
        T: Clone,
    {
        Attempt {
            about: self.about.clone(),
            number: self.attempt,
            at: self.sent_at,
            latency: now.saturating_since(self.sent_at),
            status: answer.map(Response::status),
            body: answer
                .map(|answer| String::from_utf8_lossy(answer.body()).into_owned())
                .unwrap_or_default(),
            failure,
            again: None,
        }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt<T> {
    /// What it was about.
    pub about: T,
    /// Which attempt it was, from 1.
    pub number: u32,
    /// When it was sent.
    pub at: Timestamp,
    /// How long the subscriber took, on the simulator's clock.
    pub latency: Duration,
    /// The status it was answered with; `None` when no answer came in time.
    pub status: Option<StatusCode>,
    /// The answer's body.
    pub body: String,
    /// Why it counts as failed.
    pub failure: Option<&'static str>,
    /// When it is tried again, if it is.
    pub again: Option<Timestamp>,
}

/// The pauses between attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetryTable(Vec<Duration>);

impl RetryTable {
    /// Nothing is tried again.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn of(pauses: &[Duration]) -> Self {
        Self(pauses.to_vec())
    }

    /// And then so many times more after the same pause.
    pub(crate) fn then(mut self, pause: Duration, times: usize) -> Self {
        self.0.extend(std::iter::repeat_n(pause, times));
        self
    }

    /// So many pauses, each twice as long as the one before.
    pub(crate) fn doubling(first: Duration, times: u32) -> Self {
        Self((0..times).map(|n| first * 2_u32.saturating_pow(n)).collect())
    }

    /// How long after the `attempt`th one comes the next, if one does.
    pub(crate) fn after(&self, attempt: u32) -> Option<Duration> {
        self.0.get(usize::try_from(attempt).ok()?.checked_sub(1)?).copied()
    }
}

/// What an answer means to the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reception {
    Received,
    /// Failed: tried again as long as the table says so.
    Again(&'static str),
    /// Failed for good.
    GiveUp(&'static str),
}

impl Reception {
    /// Any 2xx is received, everything else is tried again.
    pub(crate) fn of(answer: Result<&Response<Bytes>, &TransportError>) -> Self {
        match answer {
            Ok(answer) if answer.status().is_success() => Self::Received,
            Ok(_) => Self::Again("http_error"),
            Err(error) => Self::Again(match error.phase() {
                Phase::NotWritten => "connection_failed",
                Phase::Written => "http_timeout",
                Phase::StatusRead(_) => "unknown_error",
            }),
        }
    }

    pub(crate) fn failure(self) -> Option<&'static str> {
        match self {
            Self::Received => None,
            Self::Again(reason) | Self::GiveUp(reason) => Some(reason),
        }
    }
}

/// What waits, and what was attempted.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    pub(crate) tuning: DeliveryTuning,
    pub(crate) retries: RetryTable,
    /// Every attempt so far, oldest first.
    pub(crate) attempts: Vec<Attempt<T>>,
    waiting: Vec<Delivery<T>>,
    dice: Dice,
}

impl<T: Clone> Outbox<T> {
    pub(crate) fn new(retries: RetryTable, seed: u64) -> Self {
        Self {
            tuning: DeliveryTuning::default(),
            retries,
            attempts: Vec::new(),
            waiting: Vec::new(),
            dice: Dice::new(seed),
        }
    }

    /// Puts a delivery in line with its copies, unless it is to be lost. `copy` makes the original for 0, and for every
    /// further number a copy, which may have an id of its own.
    pub(crate) fn put(&mut self, now: Timestamp, mut copy: impl FnMut(u32) -> (T, Request<Bytes>)) {
        if self.tuning.lose > 0 {
            self.tuning.lose -= 1;
            return;
        }
        for n in 0..=self.tuning.duplicates {
            let (about, request) = copy(n);
            self.put_again(about, request, now + self.tuning.delay);
        }
    }

    /// Puts one delivery in line as it is, whatever the tuning.
    pub(crate) fn put_again(&mut self, about: T, request: Request<Bytes>, due: Timestamp) {
        self.waiting.push(Delivery::now(about, request, due));
    }

    /// Takes what is due, in the order in which it was put.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Delivery<T>> {
        let (mut due, later): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|delivery| delivery.due <= now);
        self.waiting = later;
        if self.tuning.shuffle {
            due.sort_by_cached_key(|_| self.dice.below(u64::MAX));
        }
        due.iter_mut().for_each(|delivery| delivery.sent_at = now);
        due
    }

    /// Writes down what came of an attempt, and puts the next one in line if there is one.
    pub(crate) fn settle(
        &mut self,
        mut delivery: Delivery<T>,
        verdict: Reception,
        answer: Option<&Response<Bytes>>,
        now: Timestamp,
    ) -> Attempt<T> {
        let mut attempt = delivery.attempted(verdict.failure(), answer, now);
        if let Reception::Again(reason) = verdict
            && let Some(pause) = self.retries.after(delivery.attempt)
        {
            delivery.attempt += 1;
            delivery.due = now + pause;
            delivery.failed = Some(reason);
            attempt.again = Some(delivery.due);
            self.waiting.push(delivery);
        }
        self.attempts.push(attempt.clone());
        attempt
    }

    /// When the next delivery is due, if one waits.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|delivery| delivery.due).min()
    }

    /// Whether something waits that is about this.
    pub(crate) fn waits(&self, of: impl Fn(&T) -> bool) -> bool {
        self.waiting.iter().any(|delivery| of(&delivery.about))
    }

    /// Forgets what waits, except this.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.waiting.retain(|delivery| keep(&delivery.about));
    }
}

/// Sends deliveries, all at once, and gives each answer to `settle`. `redirects` moves are followed.
pub(crate) async fn send_all<T>(
    due: Vec<Delivery<T>>,
    transport: &dyn HttpTransport,
    (patience, redirects): (Duration, usize),
    settle: impl Fn(Delivery<T>, Result<Response<Bytes>, TransportError>) -> Attempt<T>,
) -> Vec<Attempt<T>> {
    let settle = &settle;
    let sent = due.into_iter().map(|delivery| async move {
        let answer = send(&delivery.request, transport, patience, redirects).await;
        settle(delivery, answer)
    });
    futures_util::future::join_all(sent).await
}

/// Sends one request, and again to where it is redirected.
pub(crate) fn send<'a>(
    request: &Request<Bytes>,
    transport: &'a dyn HttpTransport,
    patience: Duration,
    redirects: usize,
) -> impl Future<Output = Result<Response<Bytes>, TransportError>> + use<'a> {
    let mut request = request.clone();
    async move {
        let mut left = redirects;
        loop {
            let answer = transport.send(request.clone(), Limits::within(patience)).await?;
            match redirect(&answer) {
                Some(to) if left > 0 => *request.uri_mut() = to,
                _ => return Ok(answer),
            }
            left -= 1;
        }
    }
}

/// Where an answer sends its caller.
pub(crate) fn redirect(answer: &Response<Bytes>) -> Option<Uri> {
    let moved = matches!(answer.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
    let to = answer.headers().get(header::LOCATION).filter(|_| moved)?;
    to.to_str().ok()?.parse().ok()
}
