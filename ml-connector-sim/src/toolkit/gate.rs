//! The way of a request through a simulator, the same for every vendor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use ml_connector_core::{Clock, Result, Timestamp};
use serde_json::Value;

use super::{
    conditions::{Chance, Conditions},
    control,
    exchange::{self, Received, exchange},
    faults::{Fault, Faults, Struck, locked},
};

/// One vendor's API. Clones share their state.
pub(crate) trait Vendor: Clone + Send + Sync + 'static {
    /// What the vendor's requests pass through.
    fn gate(&self) -> &Gate;

    /// What a request is, before anything is done about it.
    fn visit(&self, request: &Request<Bytes>) -> Visit;

    /// Answers a request and does what it asks. Never waits: all of it happens under the vendor's lock, at one instant.
    fn answer(&self, call: &Call<'_>) -> Response<Bytes>;

    /// The vendor's answer to too many calls, for a planted fault.
    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes>;

    /// Answers a call below `/_sim/`, cut into segments, with the body as JSON or `null`. Faults and conditions are
    /// answered before. [`control::unknown`] is the error for everything that is no control.
    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value>;
}

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A call of the API.
    Call {
        /// What it is about: what [`Fault::target`] is compared with.
        target: Option<String>,
        /// Calls with the same value are counted as calls at once.
        lane: Option<String>,
        /// Whether its query may hold a secret and is not written down.
        hides_query: bool,
    },
    /// A person at a page: meets no fault, takes no time, is not written down.
    Person,
}

impl Visit {
    /// A call that nothing sets apart.
    pub(crate) fn call() -> Self {
        Self::Call { target: None, lane: None, hides_query: false }
    }
}

/// A request at the instant at which the vendor acts on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request<Bytes>,
    pub(crate) now: Timestamp,
    /// How many calls of its lane are worked on, this one included; 0 without a lane.
    pub(crate) at_once: u32,
}

/// What stands before a vendor's state: clock, faults, conditions, and the record of what came.
#[derive(Debug)]
pub(crate) struct Gate {
    clock: Arc<dyn Clock>,
    faults: Faults,
    chance: Mutex<Chance>,
    received: Mutex<Vec<Received>>,
    under_way: Mutex<HashMap<String, u32>>,
}

impl Gate {
    pub(crate) fn new(clock: Arc<dyn Clock>, conditions: Conditions) -> Self {
        Self {
            clock,
            faults: Faults::default(),
            chance: Mutex::new(Chance::new(conditions)),
            received: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn plant(&self, fault: Fault) {
        self.faults.plant(fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.faults.clear();
    }

    pub(crate) fn faults_waiting(&self) -> u32 {
        self.faults.waiting()
    }

    pub(crate) fn conditions(&self) -> Conditions {
        locked(&self.chance).conditions().clone()
    }

    pub(crate) fn set_conditions(&self, conditions: Conditions) {
        *locked(&self.chance) = Chance::new(conditions);
    }

    /// The requests so far, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        locked(&self.received).clone()
    }

    fn record(&self, request: &Request<Bytes>, hides_query: bool) -> usize {
        let query = request.uri().query().filter(|_| !hides_query);
        let mut received = locked(&self.received);
        received.push(Received {
            at: self.now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: query.unwrap_or_default().to_owned(),
            status: None,
        });
        received.len() - 1
    }

    async fn way(&self) {
        let way = locked(&self.chance).way();
        if !way.is_zero() {
            tokio::time::sleep(way).await;
        }
    }
}

/// Serves a vendor: controls below `/_sim/`, everything else as the vendor answers it.
pub(crate) fn router(vendor: impl Vendor) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let vendor = vendor.clone();
        async move { pass(&vendor, request).await }
    })
}

async fn pass(vendor: &impl Vendor, request: Request<Body>) -> Response<Body> {
    let request = match exchange::read(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let gate = vendor.gate();
    let path = request.uri().path();
    if path.starts_with("/_sim/") {
        let act = |method: &Method, segments: &[&str], body: &Value| vendor.control(method, segments, body);
        return control::answer(&request, (&gate.faults, &gate.chance), act).map(Body::from);
    }
    let Visit::Call { target, lane, hides_query } = vendor.visit(&request) else {
        let call = Call { request: &request, now: gate.now(), at_once: 0 };
        return vendor.answer(&call).map(Body::from);
    };
    let struck = Struck { method: request.method(), path, target: target.as_deref() };
    let fault = gate.faults.strike(struck);
    gate.way().await;
    let under_way = UnderWay::begin(gate, lane);
    let latency = gate.conditions().latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let at = gate.record(&request, hides_query);
    let act = || {
        let call = Call { request: &request, now: gate.now(), at_once: under_way.count() };
        let mut answer = vendor.answer(&call);
        if let Some(date) = http_date(gate.now()) {
            answer.headers_mut().entry(header::DATE).or_insert(date);
        }
        locked(&gate.received)[at].status = Some(answer.status());
        answer
    };
    let answer = match fault {
        Some(fault) => exchange(fault, act, |retry_after_secs| vendor.throttled(retry_after_secs)).await,
        None => {
            let answer = act().map(Body::from);
            if locked(&gate.chance).loses_answer() { exchange::lost() } else { answer }
        }
    };
    drop(under_way);
    gate.way().await;
    answer
}

/// The vendor's clock as every answer shows it.
fn http_date(now: Timestamp) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_second(now.as_secs()).ok()?;
    let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
    HeaderValue::try_from(text).ok()
}

/// Counts a call as under way until it is answered or given up.
struct UnderWay<'a> {
    gate: &'a Gate,
    lane: Option<String>,
}

impl<'a> UnderWay<'a> {
    fn begin(gate: &'a Gate, lane: Option<String>) -> Self {
        if let Some(lane) = &lane {
            *locked(&gate.under_way).entry(lane.clone()).or_default() += 1;
        }
        Self { gate, lane }
    }

    fn count(&self) -> u32 {
        let lane = self.lane.as_ref();
        lane.and_then(|lane| locked(&self.gate.under_way).get(lane).copied()).unwrap_or_default()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Some(lane) = &self.lane else { return };
        if let Some(calls) = locked(&self.gate.under_way).get_mut(lane) {
            *calls = calls.saturating_sub(1);
        }
    }
}
