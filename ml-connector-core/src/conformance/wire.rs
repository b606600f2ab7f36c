//! The way between a connection and its vendor, on which everything goes wrong that can.

use std::{
    fmt::Debug,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use serde_json::{Value, json};

use crate::{
    CheckResult, CheckStep, Clock, Context, Error, HttpTransport, RateLimiter, Result, Retry, Timestamp,
    audit::Lease,
    context::WriteLease,
    http::{Limits, Phase, TransportError},
    model::Partition,
    rate::{Admission, Cost, Feedback, MemoryRateLimiter, QuotaKey, TakeOver, Usage},
    sleep_until,
    token::MemoryTokenStore,
};

/// How long the engine gives one call.
const CALL: Duration = Duration::from_secs(60);
/// How much longer than its deadline a call may take, because it ends with the transport's own limit.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long a request and an answer are under way: time passes, and futures can be dropped meanwhile.
const LATENCY: Duration = Duration::from_millis(10);
/// How long the vendor is left alone before the next connection: its limits have forgotten the last one.
const REST: Duration = Duration::from_secs(60 * 60);
/// How long a connection may take to recover once nothing is wrong any more.
const RECOVERY: Duration = Duration::from_secs(20 * 60);

/// What a vendor answers when it does not do what it was asked for, in its own words.
#[derive(Debug)]
pub struct Refusals {
    /// The access token is not accepted.
    pub token: Response<Bytes>,
    /// Whether the connection can get another token by itself.
    pub renews_tokens: bool,
    /// The caller is too fast, in every form the vendor has for it, and how long it has to wait.
    pub too_often: Vec<(Duration, Response<Bytes>)>,
    /// No, for certain: nothing was done. Vendors that say so behind a 200 have one of these here.
    pub refused: Vec<Response<Bytes>>,
}

/// What becomes of the requests that count.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// This answer comes instead of the vendor's.
    Answer(Response<Bytes>),
    /// The vendor acts, and the body of its answer ends after so many bytes, as if that were all.
    Cut(usize),
    /// The vendor acts, and its answer breaks off.
    Torn,
    /// The vendor acts, and its answer never arrives.
    LostAnswer,
    /// The request never arrives, and nobody can know that.
    LostRequest,
    /// No connection can be made.
    NoConnection,
    /// No answer comes until the caller gives up.
    Hang,
    /// Of the rows with this id, nothing can be read but the id.
    Poison(String),
    /// Of the rows with this id, nothing can be read at all.
    Nameless(String),
    /// Wherever the vendor's answer names this, it names another.
    Rename(String),
    /// Lists do not show the rows with this id.
    Omit(String),
}

/// A request that counted.
#[derive(Debug, Clone)]
pub(super) struct CountedRequest {
    pub(super) at: Timestamp,
    pub(super) authorization: Option<HeaderValue>,
}

/// A connection's surroundings: a vendor behind a wire, and tokens and limits of its own.
pub(super) struct Lab {
    wire: Arc<Wire>,
    limits: Arc<Turnstile>,
    ctx: Context,
}

impl Lab {
    /// Rests, and sets up a lab. `counts` tells which requests faults happen to.
    pub(super) async fn new(
        vendor: &Arc<dyn HttpTransport>,
        clock: &Arc<dyn Clock>,
        counts: fn(&Request<Bytes>) -> bool,
    ) -> Self {
        tokio::time::sleep(REST).await;
        let wire = Arc::new(Wire {
            vendor: Arc::clone(vendor),
            clock: Arc::clone(clock),
            counts,
            state: Mutex::default(),
        });
        let limits = Arc::new(Turnstile::default());
        let ctx = Context::new(
            Arc::clone(&wire) as _,
            Arc::new(MemoryTokenStore::new()),
            Arc::clone(&limits) as _,
            Arc::clone(clock),
        );
        Self { wire, limits, ctx }
    }

    /// What the engine lends for one call that begins now.
    pub(super) fn ctx(&self) -> Context {
        self.ctx.within(CALL)
    }

    /// The same, for a host that was paused meanwhile: another has taken over, and writes what it does not find.
    pub(super) fn ctx_after_the_lease(&self) -> Context {
        let held = Arc::new(WriteLease::default());
        let lease = Lease { partition: Partition::new(0), fence: 1 };
        held.renew(WriteLease::instant(), self.ctx.clock().wall(), CALL, []);
        self.ctx().under(&held, lease)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.ctx.now()
    }

    /// Plants a fault for the next so many requests that count.
    pub(super) fn plant(&self, fault: Fault, times: usize) {
        self.wire.state().faults = vec![fault; times];
    }

    /// Plants a fault for all requests that count from now on.
    pub(super) fn always(&self, fault: Fault) {
        self.plant(fault, 1000);
    }

    /// Whoever asks for this record by its id is told so, and lists go on showing it.
    pub(super) fn hide(&self, id: &str, answer: &Response<Bytes>) {
        self.wire.state().hidden = Some((id.to_owned(), answer.clone()));
    }

    /// No cost has room any more, before this instant.
    pub(super) fn close_limits(&self, until: Timestamp) {
        self.limits.closed.lock().unwrap_or_else(PoisonError::into_inner).replace(until);
    }

    /// What the vendor answered to requests that counted.
    pub(super) fn answers(&self) -> Vec<Response<Bytes>> {
        self.wire.state().answers.clone()
    }

    /// Gives these answers to the next requests that count, and the last one to all that follow.
    pub(super) fn answer_in_order(&self, answers: Vec<Response<Bytes>>) {
        let last = answers.last().cloned().map(Fault::Answer);
        let mut faults: Vec<Fault> = vec![last.expect("the vendor answered"); 100];
        faults.extend(answers.into_iter().rev().map(Fault::Answer));
        self.wire.state().faults = faults;
    }

    /// Nothing is wrong any more.
    pub(super) fn heal(&self) {
        self.wire.state().faults.clear();
    }

    /// The requests that counted, in order.
    pub(super) fn seen(&self) -> Vec<CountedRequest> {
        self.wire.state().seen.clone()
    }

    /// The longest body that the vendor sent to a request that counted, without white space at its end.
    pub(super) fn body_bytes(&self) -> usize {
        self.wire.state().body_bytes
    }

    /// Waits after a failure of something that began at `began`, as long as the engine would.
    pub(super) async fn wait_out(&self, error: &Error, began: Timestamp) {
        let lasting = error.retry() == Retry::Never || self.now() > began + RECOVERY;
        assert!(!lasting, "nothing is wrong any more, and it does not recover: {error:?}");
        let later = match error.retry() {
            Retry::At(at) => at,
            _ => self.now() + Duration::from_secs(1),
        };
        sleep_until(self.ctx.clock(), later).await;
    }
}

/// Lengths at which a body of so many bytes is cut: none of them leaves it whole.
pub(super) fn cuts(body_bytes: usize) -> Vec<usize> {
    assert!(body_bytes > 1, "no request that counts was answered: does the adapter tell which ones do?");
    let mut cuts = vec![0, 1, body_bytes / 4, body_bytes / 2, body_bytes / 4 * 3, body_bytes - 1];
    cuts.dedup();
    cuts
}

/// A load balancer's page.
pub(super) fn html(status: u16) -> Response<Bytes> {
    let mut page = Response::new(Bytes::from_static(b"<!DOCTYPE html><html><body>Try again</body></html>"));
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    *page.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    page
}

/// Runs a future for so many polls at most, and drops it then.
pub(super) async fn polled_at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Checks that neither form of an error shows a secret, and returns it.
pub(super) fn tidy(error: Error, secrets: &[String]) -> Error {
    shows_no_secret(&error, secrets);
    let mut texts = vec![error.to_string()];
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        texts.push(deeper.to_string());
        source = deeper.source();
    }
    for text in texts {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "an error shows a secret: {text}");
    }
    error
}

/// Checks that `Debug` shows no secret.
pub(super) fn shows_no_secret(thing: &dyn Debug, secrets: &[String]) {
    let text = format!("{thing:?} {thing:#?}");
    let shown = secrets.iter().find(|secret| text.contains(*secret));
    assert!(shown.is_none(), "`Debug` shows the secret {shown:?}: {text}");
}

/// Checks that no step of a check of what is healthy has failed, and that none shows a secret.
pub(super) fn is_well(steps: &[CheckStep], secrets: &[String]) {
    shows_no_secret(&steps, secrets);
    let failed = steps.iter().find(|step| step.result == CheckResult::Failed);
    assert!(failed.is_none(), "the vendor is healthy, and a check says: {failed:?}");
}

/// Checks that some step has failed, each with what somebody has to do about it, and that none shows a secret.
pub(super) fn fails_with_a_remedy(steps: &[CheckStep], secrets: &[String]) {
    shows_no_secret(&steps, secrets);
    let mut failed = steps.iter().filter(|step| step.result == CheckResult::Failed).peekable();
    assert!(failed.peek().is_some(), "the token is refused, and a check says: {steps:?}");
    for step in failed {
        let says = step.found.is_some() && step.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty());
        assert!(says, "a step fails and does not say why, or what helps: {step:?}");
    }
}

/// A body in whose lists nothing of the rows with this id can be read but the id.
fn poisoned(body: &Bytes, id: &str) -> Bytes {
    with_rows(body, id, |rows| {
        for row in rows.iter_mut().filter(|row| is_row(row, id)) {
            let members = row.as_object_mut().into_iter().flat_map(|row| row.values_mut());
            for member in members.filter(|member| !is_id(member, id)) {
                *member = json!([{"\u{0}": [null]}, "20226-04-01"]);
            }
        }
    })
}

/// The same, and not even the id can be read.
fn nameless(body: &Bytes, id: &str) -> Bytes {
    with_rows(body, id, |rows| {
        for row in rows.iter_mut().filter(|row| is_row(row, id)) {
            let members = row.as_object_mut().into_iter().flat_map(|row| row.values_mut());
            members.for_each(|member| *member = json!([{"\u{0}": [null]}, "20226-04-01"]));
        }
    })
}

/// A body that names another wherever it names this.
fn renamed(body: &Bytes, named: &str) -> Bytes {
    let other: String = named
        .chars()
        .map(|c| match c {
            '0'..='8' | 'a'..='e' | 'A'..='E' => char::from_u32(u32::from(c) + 1).unwrap_or(c),
            c => c,
        })
        .collect();
    assert_ne!(named, other, "the adapter names an account");
    String::from_utf8_lossy(body).replace(named, &other).into()
}

/// A body whose lists do not show the rows with this id.
fn without_rows(body: &Bytes, id: &str) -> Bytes {
    with_rows(body, id, |rows| rows.retain(|row| !is_row(row, id) && !is_id(row, id)))
}

/// A body after something was done to each of its lists that has a row with this id.
fn with_rows(body: &Bytes, id: &str, change: impl Fn(&mut Vec<Value>) + Copy) -> Bytes {
    fn visit(value: &mut Value, id: &str, change: impl Fn(&mut Vec<Value>) + Copy) {
        match value {
            Value::Object(members) => members.values_mut().for_each(|member| visit(member, id, change)),
            Value::Array(rows) => {
                rows.iter_mut().filter(|row| !is_row(row, id)).for_each(|row| visit(row, id, change));
                change(rows);
            }
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_slice(body) else { return body.clone() };
    visit(&mut value, id, change);
    value.to_string().into()
}

fn is_row(value: &Value, id: &str) -> bool {
    value.as_object().is_some_and(|row| row.values().any(|member| is_id(member, id)))
}

fn is_id(value: &Value, id: &str) -> bool {
    value.as_str() == Some(id) || value.as_number().is_some_and(|number| number.to_string() == id)
}

/// Limits that can be closed for everything that costs something.
#[derive(Debug, Default)]
struct Turnstile {
    limiter: MemoryRateLimiter,
    closed: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl RateLimiter for Turnstile {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        match closed.filter(|until| *until > now && !costs.is_empty()) {
            Some(until) => Ok(Admission::NotBefore(until)),
            None => self.limiter.admit(costs, now).await,
        }
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        self.limiter.report(key, feedback, now).await
    }

    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        self.limiter.counts(at_least, now).await
    }

    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        self.limiter.take_over(from, now).await
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        self.limiter.usage(now).await
    }
}

#[derive(Debug)]
struct Wire {
    vendor: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    counts: fn(&Request<Bytes>) -> bool,
    state: Mutex<WireState>,
}

#[derive(Debug, Default)]
struct WireState {
    faults: Vec<Fault>,
    hidden: Option<(String, Response<Bytes>)>,
    seen: Vec<CountedRequest>,
    answers: Vec<Response<Bytes>>,
    body_bytes: usize,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vendor's own answer.
    async fn vendor(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        tokio::time::sleep(LATENCY).await;
        let answer = self.vendor.send(request, limits).await;
        tokio::time::sleep(LATENCY).await;
        answer
    }
}

#[async_trait]
impl HttpTransport for Wire {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        if !(self.counts)(&request) {
            return self.vendor(request, limits).await;
        }
        let fault = {
            let mut state = self.state();
            let authorization = request.headers().get(header::AUTHORIZATION).cloned();
            state.seen.push(CountedRequest { at: self.clock.now(), authorization });
            let asked = request.uri().path().rsplit('/').next().unwrap_or_default();
            let hidden = state.hidden.as_ref().filter(|(id, _)| id == asked);
            hidden.map(|(_, answer)| Fault::Answer(answer.clone())).or_else(|| state.faults.pop())
        };
        let failed = |phase, message| Err(TransportError::new(phase, message));
        match fault {
            None => {
                let answer = self.vendor(request, limits).await?;
                let mut state = self.state();
                state.body_bytes = state.body_bytes.max(answer.body().trim_ascii_end().len());
                state.answers.push(answer.clone());
                Ok(answer)
            }
            Some(Fault::Answer(answer)) => {
                tokio::time::sleep(LATENCY).await;
                Ok(answer)
            }
            Some(Fault::Cut(bytes)) => {
                let answer = self.vendor(request, limits).await?;
                // Bodies differ by the time of day in them: the end is missing all the same.
                Ok(answer.map(|body| body.slice(..bytes.min(body.len().saturating_sub(1)))))
            }
            Some(Fault::Poison(id)) => {
                let answer = self.vendor(request, limits).await?;
                Ok(answer.map(|body| poisoned(&body, &id)))
            }
            Some(Fault::Nameless(id)) => {
                let answer = self.vendor(request, limits).await?;
                Ok(answer.map(|body| nameless(&body, &id)))
            }
            Some(Fault::Rename(named)) => {
                let answer = self.vendor(request, limits).await?;
                Ok(answer.map(|body| renamed(&body, &named)))
            }
            Some(Fault::Omit(id)) => {
                let answer = self.vendor(request, limits).await?;
                Ok(answer.map(|body| without_rows(&body, &id)))
            }
            Some(Fault::Torn) => {
                let status = self.vendor(request, limits).await?.status();
                failed(Phase::StatusRead(status), "the body broke off")
            }
            Some(Fault::LostAnswer) => {
                self.vendor(request, limits).await?;
                failed(Phase::Written, "the connection was reset before an answer came")
            }
            Some(Fault::LostRequest) => {
                tokio::time::sleep(LATENCY).await;
                failed(Phase::Written, "the connection was reset before an answer came")
            }
            Some(Fault::NoConnection) => failed(Phase::NotWritten, "the connection was refused"),
            Some(Fault::Hang) => {
                tokio::time::sleep(limits.total).await;
                failed(Phase::Written, "no answer came in time")
            }
        }
    }
}
