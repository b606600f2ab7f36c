use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;

use super::*;
use crate::{
    Clock, HttpTransport, RateLimiter, Secret, TokioClock,
    audit::Lease,
    context::WriteLease,
    http::error_for_status,
    model::Partition,
    rate::{Admission, Feedback, MemoryRateLimiter, Quota, QuotaKey, TakeOver, Usage},
    token::MemoryTokenStore,
};

/// What the transport does with one attempt.
enum Step {
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    Fail(Phase),
    Misconfigured,
    Hang,
}
use Step::{Answer as Says, Fail, Hang, Misconfigured};

const OK: Step = Says(200, &[], r#"{"ok":true}"#);

/// Plays its steps in order, and keeps when each request came, with which token, and how long it was given.
#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<(Timestamp, String, Duration)>>,
    clock: Option<TokioClock>,
}

#[async_trait]
impl HttpTransport for Script {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let token = request.headers()["authorization"].to_str().unwrap().to_owned();
        self.seen.lock().unwrap().push((self.clock.unwrap().now(), token, limits.total));
        let step =
            self.steps.lock().unwrap().pop_front().expect("an attempt that the script does not foresee");
        match step {
            Says(status, headers, body) => {
                let mut response = http::Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(*name, *value);
                }
                Ok(response.body(Bytes::from_static(body.as_bytes())).unwrap())
            }
            Fail(phase) => Err(TransportError::new(phase, "scripted")),
            Misconfigured => Err(TransportError::new(Phase::NotWritten, "scripted")
                .with_source(Error::new(ErrorKind::ConfigInvalid, "no certificates"))),
            Hang => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// Hands out `Bearer 0`, and the next number after each refusal.
#[derive(Debug, Default)]
struct Numbered {
    generation: AtomicU64,
    takes: Duration,
}

#[async_trait]
impl Authenticator for Numbered {
    async fn authorize(&self, _: &Context) -> Result<Authorization> {
        tokio::time::sleep(self.takes).await;
        let generation = self.generation.load(SeqCst);
        Authorization::new("Bearer", &Secret::from(generation.to_string()), generation)
    }

    async fn rejected(&self, _: &Context, refused: &Authorization) -> Result<()> {
        let _ =
            self.generation.compare_exchange(refused.generation(), refused.generation() + 1, SeqCst, SeqCst);
        Ok(())
    }
}

struct Bench {
    client: Client,
    ctx: Context,
    script: Arc<Script>,
    limiter: Arc<MemoryRateLimiter>,
}

const START: Timestamp = Timestamp::from_secs(1_792_000_000);

fn bench(steps: impl IntoIterator<Item = Step>) -> Bench {
    bench_with(steps, Numbered::default())
}

fn bench_with(steps: impl IntoIterator<Item = Step>, auth: impl Authenticator) -> Bench {
    let clock = TokioClock::starting_at(START);
    let steps = Mutex::new(steps.into_iter().collect());
    let script = Arc::new(Script { steps, clock: Some(clock), ..Script::default() });
    let limiter = Arc::new(MemoryRateLimiter::new());
    let tokens = Arc::new(MemoryTokenStore::new());
    let ctx = Context::new(Arc::clone(&script) as _, tokens, Arc::clone(&limiter) as _, Arc::new(clock));
    let base = Url::parse("https://api.example.com/v3").unwrap();
    let client = Client::new("example", base, Arc::new(auth), check).unwrap();
    Bench { client, ctx, script, limiter }
}

/// A vendor that also says no behind a 200.
fn check(answer: &Answer) -> Result<()> {
    match answer.status.is_success() {
        true if &*answer.body == br#"{"ok":true}"# => Ok(()),
        true if &*answer.body == br#"{"ok":false}"# => {
            Err(Error::new(ErrorKind::InvalidRequest, "the vendor said no"))
        }
        true if &*answer.body == br#"{"ok":"half"}"# => {
            Err(Error::new(ErrorKind::Unauthenticated, "the token died on the way")
                .with_effect(Effect::Unknown))
        }
        true => answer.json::<serde_json::Value>().map(drop),
        false => Err(error_for_status(answer.status)),
    }
}

impl Bench {
    fn request(&self) -> Request<Bytes> {
        Request::post(self.client.url(&["things", "1"]).as_str()).body(Bytes::new()).unwrap()
    }

    fn read(&self) -> Call {
        Call::read("example.get_thing", self.request())
    }

    fn write(&self) -> Call {
        Call::write("example.post_thing", self.request())
    }

    async fn send(&self, call: Call) -> Result<Answer> {
        self.client.send(&self.ctx, call).await
    }

    /// When each attempt was made, in milliseconds since the start, and with which token.
    fn attempts(&self) -> Vec<(i64, String)> {
        assert!(self.script.steps.lock().unwrap().is_empty(), "the script was not played to its end");
        let seen = self.script.seen.lock().unwrap();
        seen.iter().map(|(at, token, _)| (at.as_millis() - START.as_millis(), token.clone())).collect()
    }

    fn times(&self) -> Vec<i64> {
        self.attempts().into_iter().map(|(at, _)| at).collect()
    }

    async fn limiter_says(&self, cost: Cost) -> Admission {
        self.limiter.admit(&[cost], self.ctx.now()).await.unwrap()
    }
}

fn quota(name: &str, quota: Quota) -> Cost {
    Cost::one(name.into(), [quota].into())
}

fn per_minute(name: &str, limit: u32) -> Cost {
    quota(name, Quota::Rolling { limit, window: Duration::from_secs(60) })
}

fn one_at_a_time() -> Cost {
    quota("lane", Quota::Concurrent { limit: 1 })
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_for_reads_and_writes() {
    for write in [false, true] {
        let bench = bench([Says(401, &[], ""), OK]);
        bench.send(if write { bench.write() } else { bench.read() }).await.unwrap();
        assert_eq!(bench.attempts(), [(0, "Bearer 0".to_owned()), (0, "Bearer 1".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_stops_the_connection() {
    let bench = bench([Says(401, &[], ""), Says(401, &[], "")]);
    let error = bench.send(bench.read()).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
    assert_eq!(error.operation(), "example.get_thing");
    assert_eq!(bench.times(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_proven_token_that_is_refused_is_not_renewed() {
    let bench = bench([Says(401, &[], ""), OK]);
    let error = bench.send(bench.write().with_proven_token()).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
    bench.send(bench.write()).await.unwrap();
    assert_eq!(bench.attempts(), [(0, "Bearer 0".to_owned()), (0, "Bearer 0".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_ends_the_call() {
    let fixed = crate::auth::StaticToken::new("Bearer", &Secret::from("xoxb")).unwrap();
    let bench = bench_with([Says(401, &[], "")], fixed);
    let error = bench.send(bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_leaves_doubt_about_a_write_repeats_nothing() {
    let bench = bench([Says(200, &[], r#"{"ok":"half"}"#)]);
    let error = bench.send(bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unauthenticated, Effect::Unknown));
    assert_eq!(bench.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_three_times_with_growing_pauses() {
    let bench =
        bench([Says(502, &[], ""), Fail(Phase::Written), Fail(Phase::StatusRead(http::StatusCode::OK))]);
    let error = bench.send(bench.read()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert_eq!(error.context("status"), Some("200"));
    assert_eq!(bench.times(), [0, 500, 1500]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_fate_is_unknown_is_not_repeated() {
    for step in [Says(502, &[], ""), Fail(Phase::Written), Fail(Phase::StatusRead(http::StatusCode::OK))] {
        let bench = bench([step]);
        let error = bench.send(bench.write()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert_eq!(error.retry(), Retry::Backoff);
        assert_eq!(bench.times(), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_left_is_repeated_once_and_at_once() {
    let bench = bench([Fail(Phase::NotWritten), OK]);
    bench.send(bench.write()).await.unwrap();
    assert_eq!(bench.times(), [0, 0]);

    let bench = self::bench([Fail(Phase::NotWritten), Fail(Phase::NotWritten)]);
    let error = bench.send(bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert_eq!(bench.times(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_write_may_be_resent_and_renewed_in_one_call() {
    let bench = bench([Says(401, &[], ""), Fail(Phase::NotWritten), OK]);
    bench.send(bench.write()).await.unwrap();
    assert_eq!(bench.times(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_cannot_start_is_not_asked_again() {
    let bench = bench([Misconfigured]);
    let error = bench.send(bench.read()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::ConfigInvalid, Retry::Never));
    assert_eq!(bench.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_when_it_is_longer_than_our_own_pause() {
    for (header, second) in [("7", 7000), ("0", 500), ("Wed, 14 Oct 2026 17:46:50 GMT", 10_000)] {
        let headers: &'static [_] = Box::leak(Box::new([("retry-after", header)]));
        let bench = bench([Says(429, headers, ""), OK]);
        bench.send(bench.read()).await.unwrap();
        assert_eq!(bench.times(), [0, second], "{header}");
    }
    let bench = bench([Says(429, &[], ""), Says(503, &[("retry-after", "3")], ""), OK]);
    bench.send(bench.read()).await.unwrap();
    assert_eq!(bench.times(), [0, 500, 3500]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_our_patience_is_handed_back_and_pauses_the_key() {
    let bench = bench([Says(429, &[("retry-after", "3600")], "")]);
    let costs = vec![per_minute("org", 9), per_minute("app", 9)];
    let error = bench.send(bench.read().with_costs(costs)).await.unwrap_err();
    let until = START + Duration::from_secs(3600);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::At(until)));
    assert_eq!(error.scope(), &Scope::Quota("org".into()));
    assert_eq!(bench.limiter_says(per_minute("org", 9)).await, Admission::NotBefore(until));
    assert!(matches!(bench.limiter_says(per_minute("app", 9)).await, Admission::Admitted(_)));
    assert_eq!(bench.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_came_too_often_is_handed_back_at_once() {
    let bench = bench([Says(429, &[("retry-after", "2")], "")]);
    let error = bench.send(bench.write().with_costs(vec![per_minute("org", 9)])).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::None));
    let paused = bench.limiter_says(per_minute("org", 9)).await;
    assert_eq!(paused, Admission::NotBefore(START + Duration::from_secs(2)));
    assert_eq!(bench.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn an_error_behind_a_200_and_a_truncated_body_are_errors() {
    let bench = bench([Says(200, &[], r#"{"ok":false}"#)]);
    let error = bench.send(bench.read()).await.unwrap_err();
    assert_eq!(error.to_string(), "example.get_thing: invalid_request: the vendor said no");
    assert_eq!(bench.times(), [0]);

    let bench = self::bench([Says(200, &[], r#"{"ok":tr"#)]);
    let error = bench.send(bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidResponse, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn credentials_go_to_the_connections_own_origin_only() {
    for foreign in [
        "https://api.example.com.evil.example/v3/things",
        "https://evil.example/v3",
        "http://api.example.com/v3/things",
        "https://api.example.com:8443/v3/things",
        "https://user:pass@api.example.com/v3/things",
        "/v3/things",
    ] {
        let bench = bench([]);
        let request = Request::get(foreign).body(Bytes::new()).unwrap();
        let error = bench.send(Call::read("example.get_thing", request)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{foreign}");
        assert!(bench.attempts().is_empty());
    }
    let bench = bench([OK]);
    let own = Request::get("https://api.example.com:443/v3/next?page=2").body(Bytes::new()).unwrap();
    bench.send(Call::read("example.get_thing", own)).await.unwrap();
}

#[test]
fn a_base_is_a_secure_origin_and_a_path() {
    let client = |base| {
        let auth = crate::auth::StaticToken::new("Bearer", &Secret::from("t")).unwrap();
        Client::new("example", Url::parse(base).unwrap(), Arc::new(auth), check)
    };
    assert!(client("http://127.0.0.1:8080/api").is_ok());
    for bad in [
        "http://api.example.com",
        "https://u@api.example.com",
        "https://a.example/?q",
        "https://a.example/#f",
    ] {
        assert_eq!(client(bad).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{bad}");
    }
    let url = client("https://api.example.com/v3/").unwrap().url(&["things", "../a b?c#d%2f"]);
    assert_eq!(url.as_str(), "https://api.example.com/v3/things/..%2Fa%20b%3Fc%23d%252f");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_admitted() {
    let bench = bench([Says(502, &[], ""), Says(502, &[], ""), OK]);
    bench
        .send(
            bench
                .read()
                .with_costs(vec![quota("org", Quota::Rolling { limit: 1, window: Duration::from_secs(9) })]),
        )
        .await
        .unwrap();
    assert_eq!(bench.times(), [0, 9000, 18_000]);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_room_but_not_beyond_its_patience() {
    let bench = bench([OK]);
    let minute = vec![per_minute("org", 1)];
    bench.limiter_says(minute[0].clone()).await;
    let error = bench.send(bench.read().with_costs(minute.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::None));
    assert_eq!(error.retry(), Retry::At(START + Duration::from_secs(60)));
    assert_eq!(error.scope(), &Scope::Quota("org".into()));
    assert_eq!(bench.ctx.now(), START, "it did not wait in vain");

    tokio::time::advance(Duration::from_secs(31)).await;
    bench.send(bench.read().with_costs(minute)).await.unwrap();
    assert_eq!(bench.times(), [60_000]);
}

#[tokio::test(start_paused = true)]
async fn a_context_s_deadline_covers_waiting_and_tries() {
    let bench = bench([Says(502, &[], "")]);
    let ctx = bench.ctx.within(Duration::from_millis(1400));
    let error = bench.client.send(&ctx, bench.read()).await.unwrap_err();
    assert_eq!(error.context("status"), Some("502"), "no try that would have only 900 ms");
    assert_eq!(bench.script.seen.lock().unwrap()[0].2, Duration::from_millis(1400));

    let bench = self::bench([]);
    let ctx = bench.ctx.within(Duration::from_millis(900));
    let error = bench.client.send(&ctx, bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_goes_out_at_once_also_when_a_token_took_a_while() {
    let costs = vec![quota("org", Quota::Rolling { limit: 1, window: Duration::from_secs(1) })];
    let slow = Numbered { takes: Duration::from_millis(700), ..Numbered::default() };
    let bench = bench_with([OK, OK], slow);
    let first = bench.send(bench.read().with_costs(costs.clone()));
    let second = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        bench.send(bench.read().with_costs(costs.clone())).await
    };
    let (first, second) = tokio::join!(first, second);
    first.and(second).unwrap();
    // Its second token takes longer than it can wait for.
    assert_eq!(bench.times(), [700, 1750]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_when_getting_a_token_took_the_time() {
    let slow = Numbered { takes: Duration::from_millis(2500), ..Numbered::default() };
    let bench = bench_with([], slow);
    let ctx = bench.ctx.within(Duration::from_secs(3));
    let error = bench.client.send(&ctx, bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(bench.attempts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_ignores_its_limit_is_left_and_the_call_ends_within_a_minute() {
    let bench = bench([Hang]);
    let error = bench.send(bench.write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    assert_eq!(bench.ctx.now(), START + Duration::from_secs(31));

    let bench = self::bench([Hang]);
    bench.send(bench.read()).await.unwrap_err();
    assert_eq!(bench.times(), [0], "after half a minute no other try begins");
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_is_given_back_after_success_and_failure() {
    for step in [OK, Says(400, &[], ""), Fail(Phase::Written)] {
        let bench = bench([step]);
        let _ = bench.send(bench.write().with_costs(vec![one_at_a_time()])).await;
        assert!(matches!(bench.limiter_says(one_at_a_time()).await, Admission::Admitted(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_mid_way_gives_its_place_back() {
    let bench = bench([Hang]);
    let call = bench.send(bench.write().with_costs(vec![one_at_a_time()]));
    assert!(tokio::time::timeout(Duration::from_secs(5), call).await.is_err());
    assert!(matches!(bench.limiter_says(one_at_a_time()).await, Admission::Admitted(_)));
}

/// A limiter whose store takes a while.
#[derive(Debug)]
struct Slow(Arc<MemoryRateLimiter>);

#[async_trait]
impl RateLimiter for Slow {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.admit(costs, now).await
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.report(key, feedback, now).await
    }

    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        self.0.counts(at_least, now).await
    }

    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        self.0.take_over(from, now).await
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        self.0.usage(now).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_has_to_wait_is_told_of_a_dropped_call_too() {
    let bench = bench([Hang]);
    let slow: Arc<dyn RateLimiter> = Arc::new(Slow(Arc::clone(&bench.limiter)));
    let clock = bench.script.clock.unwrap();
    let ctx = Context::new(
        Arc::clone(&bench.script) as _,
        Arc::new(MemoryTokenStore::new()),
        slow,
        Arc::new(clock),
    );
    let call = bench.client.send(&ctx, bench.write().with_costs(vec![one_at_a_time()]));
    assert!(tokio::time::timeout(Duration::from_secs(5), call).await.is_err());
    assert!(matches!(bench.limiter_says(one_at_a_time()).await, Admission::NotBefore(_)));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(bench.limiter_says(one_at_a_time()).await, Admission::Admitted(_)));
}

#[test]
fn debug_shows_neither_url_nor_header_nor_body() {
    let request = Request::post("https://api.example.com/?token=planted")
        .header("x-secret", "planted")
        .body(Bytes::from_static(b"planted"))
        .unwrap();
    let text = format!("{:?}", Call::write("example.post_thing", request));
    assert!(!text.contains("planted") && text.contains("example.post_thing"), "{text}");
}

/// A host that waited, or stood still, for longer than its lease: another may have taken over, and sends what it does not find.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_lease_whatever_the_call_has_waited_for() {
    const LEASE: Duration = Duration::from_secs(15);
    let lease = Lease { partition: Partition::all().next().unwrap(), fence: 1 };
    let room = || quota("lane", Quota::Rolling { limit: 1, window: Duration::from_secs(20) });
    let takes = Duration::from_secs(13);
    for (auth, waits) in [(Numbered::default(), true), (Numbered { takes, ..Numbered::default() }, false)] {
        let bench = bench_with([OK], auth);
        if waits {
            bench.limiter_says(room()).await;
        }
        let held = Arc::new(WriteLease::default());
        let ctx = bench.ctx.under(&held, lease);
        held.renew(WriteLease::instant(), ctx.now(), LEASE, [lease]);
        let call = || bench.write().with_costs(vec![room()]);
        let error = bench.client.send(&ctx, call()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error:?}");
        assert!(bench.script.seen.lock().unwrap().is_empty());

        // It is still this host's: then it goes out.
        held.renew(WriteLease::instant(), ctx.now(), LEASE, [lease]);
        let sent = async {
            bench.client.send(&ctx, bench.write()).await.unwrap();
        };
        let renewed = async {
            for _ in 0..3 {
                tokio::time::sleep(LEASE / 3).await;
                held.renew(WriteLease::instant(), ctx.now(), LEASE, [lease]);
            }
        };
        tokio::join!(sent, renewed);
        assert_eq!(bench.attempts().len(), 1);
    }
}

/// What a vendor names as the next page, or a browser as the server to ask, leads to the connection's own origin or nowhere:
/// not to the machine, its network or a cloud's metadata, in whichever notation.
#[tokio::test(start_paused = true)]
async fn a_link_that_leads_away_is_refused_before_anything_is_asked_or_sent() {
    let bench = bench([]);
    for link in [
        "http://127.0.0.1/",
        "http://localhost/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://10.0.0.1/v3",
        "http://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://evil.example/v3/things",
        "https://api.example.com.evil.example/v3",
        "https://api.example.com@evil.example/v3",
        "https://user@api.example.com/v3",
        "http://api.example.com/v3",
        "https://api.example.com:8443/v3",
        "//evil.example/v3",
        "/v3/things",
    ] {
        let Ok(request) = Request::get(link).body(Bytes::new()) else { continue };
        for call in
            [Call::read("example.next", request.clone()), Call::write("example.next", request.clone())]
        {
            let error = bench.send(call.with_costs(vec![per_minute("k", 1)])).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidRequest, Effect::None), "{link}");
        }
    }
    assert!(bench.attempts().is_empty());
    assert!(
        matches!(bench.limiter_says(per_minute("k", 1)).await, Admission::Admitted(_)),
        "nothing was spent"
    );
}
