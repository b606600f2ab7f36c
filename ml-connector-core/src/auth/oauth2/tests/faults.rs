//! What breaks, and what is left of the connection then.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{
    vendor::{Reply, VendorRules},
    *,
};
use crate::{
    Retry,
    token::{Stored, Swap},
};

/// Dead credentials: the connection is parked.
fn assert_parked(error: &Error, code: &str) {
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection), "{error}");
    assert_eq!((error.retry(), error.context("code")), (Retry::Never, Some(code)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_refresh_token_is_tried_once_and_a_new_one_resumes() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    for _ in 0..50 {
        // Also after restarts: it is remembered in the store.
        assert_parked(&host(config("dead")).authorize(&ctx).await.unwrap_err(), "invalid_grant");
        after(3600).await;
    }
    let host = host(config("dead"));
    assert_eq!(vendor.requests(), 1);
    let status = host.status(&ctx).await.unwrap().unwrap();
    assert!(status.reconnect_required && !status.in_doubt && status.retry_at.is_none());
    assert_eq!(status.failure.as_deref(), Some("invalid_grant"));

    host.connect(&ctx, Secret::from("r0")).await.unwrap();
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    let status = host.status(&ctx).await.unwrap().unwrap();
    assert!(!status.reconnect_required);
    assert_eq!((status.generation, status.failure), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_configured_anew_resumes_too() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    assert_parked(&host(config("dead")).authorize(&ctx).await.unwrap_err(), "invalid_grant");
    assert_eq!(token(&host(config("r0")), &ctx).await, "Bearer a1");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_somebody_has_to_connect() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("")));
    let error = host.authorize(&ctx).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
    assert!(host.status(&ctx).await.unwrap().is_none());
    host.connect(&ctx, Secret::from("r0")).await.unwrap();
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    assert_eq!(host.connect(&ctx, Secret::from("")).await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_asked_about_ever_more_rarely() {
    let vendor = Vendor::scripted(vec![Reply::Answer(502, "<html>"); 1000]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(exact("r0")));
    for _ in 0..3600 {
        let error = host.authorize(&ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.context("code")), (ErrorKind::Unavailable, Some("502")));
        after(1).await;
    }
    // 0, 30, 90, 210, 450, 930, 1830, 2730 s
    assert_eq!(vendor.requests(), 8);
    after(900).await;
    vendor.then([]);
    assert!(!host.status(&ctx).await.unwrap().unwrap().reconnect_required);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_answer_opens_the_circuit() {
    let vendor =
        Vendor::scripted([Reply::Answer(429, "<html>"), Reply::With(429, ("retry-after", "120"), "{}")]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    let error = host.authorize(&ctx).await.unwrap_err();
    let until = EPOCH + Duration::from_millis(200) + Duration::from_secs(900);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::At(until)));
    after(899).await;
    host.authorize(&ctx).await.unwrap_err();
    assert_eq!(vendor.requests(), 1);
    after(1).await;
    let error = host.authorize(&ctx).await.unwrap_err();
    assert_eq!(error.retry(), Retry::At(ctx.now() + Duration::from_secs(120)));
    after(120).await;
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_five_refreshes_in_ten_minutes_whatever_the_api_refuses() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    for n in 1..=590 {
        let refused = host.authorize(&ctx).await.unwrap();
        assert_eq!(host.rejected(&ctx, &refused).await.is_err(), n >= 5, "{n}");
        after(1).await;
    }
    assert_eq!(vendor.requests(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_tried_rarely_and_a_changed_one_at_once() {
    let vendor = Vendor::scripted(vec![Reply::Answer(401, r#"{"error":"invalid_client"}"#); 3]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    for _ in 0..100 {
        let error = host(config("r0")).authorize(&ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::ConfigInvalid, Retry::Never));
        assert_eq!(error.context("code"), Some("invalid_client"));
        after(1).await;
    }
    assert_eq!(vendor.requests(), 3);
    let corrected = OAuth2Config { client_secret: Secret::from("corrected"), ..config("r0") };
    assert_eq!(token(&host(corrected), &ctx).await, "Bearer a1");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_knows_is_an_outage_and_never_ends_a_connection() {
    let odd = || Reply::Answer(200, r#"{"error":"general_error"}"#);
    let vendor = Vendor::scripted(vec![odd(); 8]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let error = host.authorize(&ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.context("code")), (ErrorKind::Unavailable, Some("general_error")));
        let Retry::At(at) = error.retry() else { panic!("{error}") };
        pauses.push(at.saturating_since(ctx.now()).as_secs());
        let seen = crate::token::health(&ctx, &TokenKey::new(&"books".into())).await.unwrap();
        assert_eq!((seen.failing, seen.code.as_deref()), (Some("unavailable"), Some("general_error")));
        assert_eq!((seen.not_before, seen.message), (Some(at), None));
        tokio::time::sleep(at.saturating_since(ctx.now())).await;
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    assert_eq!(vendor.requests(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_the_system_says_of_a_refusal_reaches_the_error_and_the_health() {
    fn normalize(answer: &crate::http::Answer) -> crate::auth::TokenResponse {
        let refused = crate::auth::TokenError::refused("bad_code", "check the region, then connect again");
        crate::auth::TokenResponse::rfc6749(answer).error(refused)
    }
    let vendor = Vendor::scripted(vec![Reply::Answer(200, r#"{"error":"bad_code"}"#)]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let error = host(OAuth2Config { normalize, ..config("r0") }).authorize(&ctx).await.unwrap_err();
    assert_parked(&error, "bad_code");
    assert!(error.message().ends_with("connected anew: check the region, then connect again"), "{error}");
    let seen = crate::token::health(&ctx, &TokenKey::new(&"books".into())).await.unwrap();
    assert_eq!((seen.failing, seen.code.as_deref()), (Some("refused"), Some("bad_code")));
    assert_eq!(seen.message.as_deref(), Some("check the region, then connect again"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_followed_up_as_the_vendor_rotates() {
    for (rotation, accepts_previous, rotates, saved) in [
        (Rotation::None, false, false, true),
        (Rotation::RetryOnce, true, true, true),
        (Rotation::RetryOnce, false, true, false),
        (Rotation::SingleUse, false, true, false),
    ] {
        for reply in [Reply::Lost, Reply::Hangs] {
            let rules = VendorRules { accepts_previous, rotates, ..VendorRules::default() };
            let vendor = Vendor::new(rules);
            vendor.then([reply.clone()]);
            let store = Arc::new(MemoryTokenStore::new());
            let (ctx, host) = (context(&vendor, &store), host(OAuth2Config { rotation, ..config("r0") }));
            let mut outcome = host.authorize(&ctx).await;
            if rotation == Rotation::SingleUse {
                assert_eq!(outcome.unwrap_err().context("code"), Some("no_answer"));
                let status = host.status(&ctx).await.unwrap().unwrap();
                assert!(status.in_doubt && !status.reconnect_required);
                after(30).await;
                outcome = host.authorize(&ctx).await;
            }
            match outcome {
                Ok(authorization) => assert!(saved, "{rotation:?} {reply:?} {authorization:?}"),
                Err(error) => {
                    assert!(!saved, "{rotation:?} {reply:?} {error}");
                    assert_parked(&error, "invalid_grant");
                }
            }
            assert_eq!(vendor.uses("r0"), 2, "{rotation:?} {reply:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_refresh_token_is_used_a_third_time_in_doubt() {
    for rotation in [Rotation::RetryOnce, Rotation::SingleUse] {
        let vendor = Vendor::scripted([Reply::BreaksOff(200), Reply::Lost]);
        let store = Arc::new(MemoryTokenStore::new());
        let (ctx, host) = (context(&vendor, &store), host(OAuth2Config { rotation, ..config("r0") }));
        for _ in 0..10 {
            host.authorize(&ctx).await.unwrap_err();
            after(3600).await;
        }
        assert_parked(&host.authorize(&ctx).await.unwrap_err(), "no_answer");
        assert_eq!(vendor.uses("r0"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_sent_costs_nothing() {
    let vendor = Vendor::scripted([Reply::NotSent, Reply::NotSent, Reply::NotSent, Reply::BreaksOff(503)]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) =
        (context(&vendor, &store), host(OAuth2Config { rotation: Rotation::SingleUse, ..config("r0") }));
    for code in ["unreachable", "unreachable", "unreachable", "503"] {
        let error = host.authorize(&ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.context("code")), (ErrorKind::Unavailable, Some(code)));
        assert!(!host.status(&ctx).await.unwrap().unwrap().in_doubt);
        after(900).await;
    }
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
}

#[tokio::test(start_paused = true)]
async fn a_success_that_cannot_be_read_is_treated_as_lost() {
    let vendor = Vendor::scripted([Reply::Answer(200, "<html>welcome</html>")]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(exact("r0")));
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    assert_eq!(vendor.uses("r0"), 2);
}

/// A store in which the n-th swap and all later ones do what a crash or an outage does.
#[derive(Debug)]
struct FaultyStore {
    inner: Arc<MemoryTokenStore>,
    swaps: AtomicUsize,
    from: usize,
    until: usize,
    fault: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The process is gone before the write.
    CrashBefore,
    /// The process is gone after the write.
    CrashAfter,
    /// The write fails.
    Fails,
    /// The write succeeds, but says it failed.
    FailsAfter,
}

impl FaultyStore {
    fn new(inner: &Arc<MemoryTokenStore>, faulty: std::ops::Range<usize>, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            swaps: AtomicUsize::new(0),
            from: faulty.start,
            until: faulty.end,
            fault,
        })
    }
}

#[async_trait]
impl TokenStore for FaultyStore {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        self.inner.load(key).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let n = self.swaps.fetch_add(1, Ordering::SeqCst);
        if !(self.from..self.until).contains(&n) {
            return self.inner.swap(key, expected, value).await;
        }
        if matches!(self.fault, Fault::CrashAfter | Fault::FailsAfter) {
            self.inner.swap(key, expected, value).await?;
        }
        match self.fault {
            Fault::CrashBefore | Fault::CrashAfter => std::future::pending().await,
            Fault::Fails | Fault::FailsAfter => Err(Error::new(ErrorKind::Unavailable, "the store is down")),
        }
    }
}

/// Claimed, sent, received, settled.
const SWAPS: usize = 4;

#[tokio::test(start_paused = true)]
async fn another_host_takes_over_from_a_crash_at_every_step() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for step in 0..SWAPS {
            // Exact as observed: the previous refresh token works until the new one is used.
            let vendor = Vendor::new(VendorRules { accepts_previous: true, ..VendorRules::default() });
            let store = Arc::new(MemoryTokenStore::new());
            let crashing = FaultyStore::new(&store, step..usize::MAX, fault);
            let (dead, alive) = (host(exact("r0")), host(exact("r0")));
            let dead_ctx = context(&vendor, &crashing);
            let crashed = tokio::spawn(async move { dead.authorize(&dead_ctx).await });
            after(5).await;

            let ctx = context(&vendor, &store);
            let refreshed = alive.authorize(&ctx).await;
            assert!(refreshed.is_ok(), "{fault:?} {step}: {refreshed:?}");
            assert!(vendor.uses("r0") <= 2, "{fault:?} {step}");
            // Only what had been sent, but not stored, is lost.
            let lost = matches!((fault, step), (Fault::CrashBefore, 2));
            assert_eq!(vendor.uses("r0"), if lost { 2 } else { 1 }, "{fault:?} {step}");
            assert_eq!(vendor.most_in_flight(), 1);
            after(595).await;
            token(&alive, &ctx).await;
            crashed.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_asking_leaves_one_more_try() {
    let vendor = Vendor::new(VendorRules { accepts_previous: true, ..VendorRules::default() });
    vendor.then([Reply::Hangs, Reply::Hangs]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    for _ in 0..3 {
        let crashing = FaultyStore::new(&store, 2..usize::MAX, Fault::CrashBefore);
        let (host, dead_ctx) = (host(exact("r0")), context(&vendor, &crashing));
        let crashed = tokio::spawn(async move { host.authorize(&dead_ctx).await });
        after(100).await;
        crashed.abort();
    }
    assert_eq!(vendor.uses("r0"), 2);
    assert_parked(&host(exact("r0")).authorize(&ctx).await.unwrap_err(), "no_answer");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_loses_no_answer() {
    for fault in [Fault::Fails, Fault::FailsAfter] {
        for step in 0..SWAPS {
            for length in [1, 3, 20] {
                let vendor = Vendor::new(VendorRules::default());
                let store = Arc::new(MemoryTokenStore::new());
                let flaky = FaultyStore::new(&store, step..step + length, fault);
                let (ctx, host) = (context(&vendor, &flaky), host(exact("r0")));
                let case = format!("{fault:?} {step} {length}");
                let mut tries = 0;
                while let Err(error) = host.authorize(&ctx).await {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{case}: {error}");
                    tries += 1;
                    assert!(tries < 30, "{case}: {error}");
                    after(1).await;
                }
                assert_eq!((token(&host, &ctx).await, vendor.uses("r0")), ("Bearer a1".into(), 1), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_deleted_while_it_refreshes_stays_deleted() {
    let vendor = Vendor::scripted([Reply::Slow(Duration::from_secs(5))]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(exact("r0")));
    let refreshing = tokio::spawn({
        let (ctx, host) = (ctx.clone(), host.clone());
        async move { host.authorize(&ctx).await }
    });
    after(2).await;
    let version = store.load(&key()).await.unwrap().unwrap().version;
    store.swap(&key(), Some(version), None).await.unwrap();
    assert_eq!(refreshing.await.unwrap().unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(store.load(&key()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_claim_is_kept() {
    // The first host sleeps (a laptop's lid) with its request out; the second is refused meanwhile.
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let stalling = FaultyStore::new(&store, 2..usize::MAX, Fault::CrashBefore);
    let (slow, quick) = (host(exact("r0")), host(exact("r0")));
    let slow_ctx = context(&vendor, &stalling);
    let stalled = tokio::spawn(async move { slow.authorize(&slow_ctx).await });
    after(5).await;
    assert_parked(&quick.authorize(&ctx).await.unwrap_err(), "invalid_grant");
    stalled.abort();

    // What the first host holds in memory reaches the store after all.
    let body = r#"{"access_token":"a1","expires_in":"600","refresh_token":"r1"}"#;
    let answer =
        crate::http::Answer::new(http::Response::new(Bytes::from_static(body.as_bytes())), ctx.now());
    let received = crate::token::ReceivedAnswer::new(0, uuid::Uuid::now_v7(), &answer);
    quick.manager.tell(&ctx, &Input::Answered(received)).await.unwrap();
    assert_eq!(token(&quick, &ctx).await, "Bearer a1");
    after(595).await;
    assert_eq!(token(&quick, &ctx).await, "Bearer a2");
}
