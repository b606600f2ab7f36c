//! Faults that a test plants.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

/// Something that goes wrong with one call or several, before or after the simulator has acted on it.
///
/// Without a filter it hits the next call. Filters narrow it down; [`after`](Self::after) lets calls pass first,
/// [`times`](Self::times) repeats it.
///
/// ```
/// use ml_connector_sim::Fault;
///
/// // The second post into this channel is stored, but its answer never arrives.
/// let lost_answer = Fault::reset().having_acted().on("chat.postMessage").target("C07ACCTNG1").after(1);
/// # let _ = lost_answer;
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    path: Option<String>,
    method: Option<Method>,
    target: Option<String>,
    passes: u32,
    times: u32,
    pub(super) delay: Duration,
    pub(super) acted: bool,
    pub(super) failure: Failure,
}

#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Only slow.
    Slow,
    Answer(Box<Response<Bytes>>),
    /// The vendor's own answer to too many calls.
    Throttled {
        retry_after_secs: Option<u32>,
    },
    /// The right answer with another body.
    Garbage,
    /// The right answer with another content type.
    WrongContentType,
    Refused,
    Reset,
    Timeout,
    Truncated,
}

impl Fault {
    /// An answer with this status and an empty body.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = status;
        Self::new(Failure::Answer(Box::new(answer)))
    }

    /// An HTML page with this status, as a load balancer sends.
    #[must_use]
    pub fn html(status: StatusCode) -> Self {
        Self::status(status).with_body(
            "text/html; charset=utf-8",
            "<!DOCTYPE html><html><head><title>Server error</title></head><body>Try again</body></html>",
        )
    }

    /// The vendor's own answer to too many calls, with `Retry-After` if it sends one.
    #[must_use]
    pub fn too_many_requests(retry_after_secs: u32) -> Self {
        Self::new(Failure::Throttled { retry_after_secs: Some(retry_after_secs) })
    }

    /// As [`too_many_requests`](Self::too_many_requests), without `Retry-After`.
    #[must_use]
    pub fn throttled() -> Self {
        Self::new(Failure::Throttled { retry_after_secs: None })
    }

    /// The right status and headers with a body that nobody can read. The simulator has acted.
    #[must_use]
    pub fn garbage() -> Self {
        Self::new(Failure::Garbage).having_acted()
    }

    /// The right answer, called `text/html`. The simulator has acted.
    #[must_use]
    pub fn wrong_content_type() -> Self {
        Self::new(Failure::WrongContentType).having_acted()
    }

    /// No connection can be made. Over a socket the connection is dropped instead.
    #[must_use]
    pub fn refused() -> Self {
        Self::new(Failure::Refused)
    }

    /// The connection breaks before anything is answered.
    #[must_use]
    pub fn reset() -> Self {
        Self::new(Failure::Reset)
    }

    /// No answer ever comes: the caller runs into its own limit.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(Failure::Timeout)
    }

    /// The answer breaks off in the middle of its body. The simulator has acted.
    #[must_use]
    pub fn truncated() -> Self {
        Self::new(Failure::Truncated).having_acted()
    }

    /// The right answer, but late: the simulator waits before it acts, or before it answers if it
    /// [has acted](Self::having_acted).
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        let mut slow = Self::new(Failure::Slow);
        slow.delay = by;
        slow
    }

    fn new(failure: Failure) -> Self {
        Self {
            path: None,
            method: None,
            target: None,
            passes: 0,
            times: 1,
            delay: Duration::ZERO,
            acted: false,
            failure,
        }
    }

    /// Gives an answer a body.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        if let Failure::Answer(answer) = &mut self.failure {
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            *answer.body_mut() = body.into();
        }
        self
    }

    /// The simulator acts on the request first: the change is made, only the answer suffers.
    #[must_use]
    pub fn having_acted(mut self) -> Self {
        self.acted = true;
        self
    }

    /// Hits only calls whose path contains this text, such as `chat.postMessage` or `/invoices`.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Hits only calls with this HTTP method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Hits only calls about this: for Slack the `channel` argument, for accounting systems the organization or
    /// company.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// Lets this many matching calls pass first.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.passes = calls;
        self
    }

    /// Hits this many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn matches(&self, call: &Struck<'_>) -> bool {
        self.path.as_deref().is_none_or(|path| call.path.contains(path))
            && self.method.as_ref().is_none_or(|method| method == call.method)
            && self.target.as_deref().is_none_or(|target| Some(target) == call.target)
    }
}

/// What a fault can be recognized by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Struck<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) target: Option<&'a str>,
}

/// The faults that wait for their call, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(crate) fn plant(&self, fault: Fault) {
        if fault.times > 0 {
            locked(&self.0).push_back(fault);
        }
    }

    /// No call is hit any more.
    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// How many calls are still going to be hit.
    pub(crate) fn waiting(&self) -> u32 {
        locked(&self.0).iter().map(|fault| fault.times).sum()
    }

    /// The fault that hits this call, if one does. Every fault that matches counts the call.
    pub(super) fn strike(&self, call: Struck<'_>) -> Option<Fault> {
        let mut faults = locked(&self.0);
        let mut hit = None;
        for (i, fault) in faults.iter_mut().enumerate() {
            if !fault.matches(&call) {
                continue;
            }
            if fault.passes > 0 {
                fault.passes -= 1;
            } else if hit.is_none() {
                fault.times -= 1;
                hit = Some(i);
            }
        }
        let struck = faults[hit?].clone();
        faults.retain(|fault| fault.times > 0);
        Some(struck)
    }
}

/// Locks a mutex also after a panic elsewhere: a failed assertion in a test must not hide the next one.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(faults: &Faults, path: &str, target: Option<&str>) -> bool {
        faults.strike(Struck { method: &Method::POST, path, target }).is_some()
    }

    #[test]
    fn a_fault_waits_for_its_call_and_ends_after_its_times() {
        let faults = Faults::default();
        faults.plant(Fault::reset().on("postMessage").target("C1").after(1).times(2));
        assert!(!hits(&faults, "/api/auth.test", None));
        assert!(!hits(&faults, "/api/chat.postMessage", Some("C2")));
        let on_channel: Vec<_> = (0..4).map(|_| hits(&faults, "/api/chat.postMessage", Some("C1"))).collect();
        assert_eq!(on_channel, [false, true, true, false]);
        assert_eq!(faults.waiting(), 0);
    }

    #[test]
    fn one_call_meets_one_fault() {
        let faults = Faults::default();
        faults.plant(Fault::reset());
        faults.plant(Fault::timeout());
        assert!(hits(&faults, "/a", None));
        assert_eq!(faults.waiting(), 1);
    }
}
