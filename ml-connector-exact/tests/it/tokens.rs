//! One chain of tokens for a login: when it is renewed, and what happens when an answer is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Source,
    model::{EntityRef, Resolution, Signal},
    token::{MemoryTokenStore, Stored, Swap, TokenKey, TokenStore},
};
use ml_connector_exact::{ExactOnline, Region};
use ml_connector_sim::{
    ExactOnlineSim, Fault,
    exact::{ExactOnlineConfig, Kind, NewDocument},
};

use crate::support::{CUSTOMER, Lab, NOW, amount, builder, pass};

async fn read(ctx: &Context, source: &ExactOnline, invoice: &str) -> Result<()> {
    let signal = Signal::entity(EntityRef::new("invoice", invoice));
    match source.resolve(ctx, &[signal], None).await? {
        Resolution::Observed(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// A company with an invoice that was read once: a token is there, as old as can be said.
async fn begun(lab: &Lab) -> (ExactOnline, String) {
    let (source, invoice) = (lab.source(), lab.invoice("1210"));
    read(&lab.ctx, &source, &invoice).await.unwrap();
    assert_eq!(lab.sim.tokens_issued(), 1);
    (source, invoice)
}

/// How many tokens were asked for, and how many calls were refused for them.
fn asked(lab: &Lab) -> (usize, u64) {
    (lab.calls("/oauth2/token"), lab.sim.tallies().refused_tokens)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_from_570_seconds_on_and_not_a_second_before() {
    for (age, issued) in [(300, 1), (569, 1), (570, 2), (589, 2), (590, 2), (599, 2), (601, 2), (86_400, 2)] {
        let lab = Lab::punctual();
        let (source, invoice) = begun(&lab).await;
        pass(Duration::from_secs(age)).await;
        read(&lab.ctx, &source, &invoice).await.unwrap();
        // It is renewed beside the call while it can still be used.
        pass(Duration::from_millis(500)).await;
        assert_eq!(
            (lab.sim.tokens_issued(), asked(&lab)),
            (issued, (usize::try_from(issued).unwrap(), 0)),
            "at {age} s"
        );
        assert_eq!(lab.sim.tallies().errors, 0, "no call with a dead token, at {age} s");
    }
}

#[tokio::test(start_paused = true)]
async fn from_590_seconds_on_calls_wait_for_the_new_token() {
    let lab = Lab::new();
    let (source, invoice) = begun(&lab).await;
    lab.sim.plant(Fault::delay(Duration::from_secs(35)).on("oauth2/token").times(1));
    pass(Duration::from_secs(591)).await;
    let before = lab.ctx.now();
    read(&lab.ctx, &source, &invoice).await.unwrap();
    assert!(
        lab.ctx.now().saturating_since(before) >= Duration::from_secs(35),
        "nightly answers are waited for"
    );
    assert_eq!((asked(&lab), lab.sim.tallies().errors), ((2, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn hosts_and_connections_that_race_for_a_token_ask_once() {
    /// How long the token endpoint takes: all of them want a token meanwhile.
    const SLOW: Duration = Duration::from_secs(3);
    for (round, age) in [569, 570, 571, 595, 599, 601, 4_000].into_iter().enumerate() {
        let lab = Lab::punctual();
        let (one, invoice) = begun(&lab).await;
        let other = builder(&lab.sim).login("books").division(3_141_594).build().unwrap();
        let there = lab.sim.within(3_141_594);
        let theirs = there.create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount("99")));
        pass(Duration::from_secs(age)).await;
        let fault = Fault::delay(SLOW).on("oauth2/token");
        lab.sim.plant(if round % 2 == 0 { fault } else { fault.having_acted() });
        let elsewhere = lab.another_host();
        let restarted = builder(&lab.sim).division(3_141_594).build().unwrap();
        let begin = lab.ctx.now();
        let timed = async |ctx: &Context, source: &ExactOnline, invoice: &str| {
            read(ctx, source, invoice).await.unwrap();
            ctx.now().saturating_since(begin)
        };
        let (a, b, c) = tokio::join!(
            timed(&lab.ctx, &one, &invoice),
            timed(&lab.ctx, &other, &theirs),
            timed(&elsewhere, &restarted, &theirs),
        );
        // From 590 s on all of them wait for the same answer; before, the old token is used meanwhile.
        let waited = [a, b, c].map(|took| took >= SLOW);
        assert_eq!(waited, [age >= 590; 3], "at {age} s: {a:?} {b:?} {c:?}");
        pass(SLOW * 2).await;
        assert_eq!(asked(&lab), (if age < 570 { 1 } else { 2 }, 0), "at {age} s");
        assert_eq!((lab.sim.faults_waiting(), lab.sim.tallies().errors), (u32::from(age < 570), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn two_apps_of_one_login_keep_a_chain_each() {
    let lab = Lab::new();
    let mut config = ExactOnlineConfig::default();
    "start.exactonline.be".clone_into(&mut config.host);
    config.seed = 7;
    let belgian = ExactOnlineSim::with_config(Arc::clone(&lab.clock) as _, config);
    lab.answer_for(&belgian);
    let here = builder(&lab.sim).login("sanne").build().unwrap();
    let there = builder(&belgian).region(Region::Be).login("sanne").build().unwrap();
    let new = NewDocument::new(CUSTOMER, amount("99"));
    let (ours, theirs) = (lab.invoice("1210"), belgian.create(Kind::SalesInvoices, &new));
    for round in 1..=3 {
        read(&lab.ctx, &here, &ours).await.unwrap();
        read(&lab.ctx, &there, &theirs).await.unwrap();
        assert_eq!((lab.sim.tokens_issued(), belgian.tokens_issued()), (round, round));
        pass(Duration::from_secs(601)).await;
    }
    assert_eq!((lab.sim.tallies().refused_tokens, belgian.tallies().refused_tokens), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_restart_at_300_seconds_needs_no_token() {
    let lab = Lab::new();
    let (_, invoice) = begun(&lab).await;
    pass(Duration::from_secs(300)).await;
    read(&lab.another_host(), &lab.source(), &invoice).await.unwrap();
    assert_eq!(asked(&lab), (1, 0));
}

/// A store that fails to write so many times, once it is told to.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryTokenStore,
    /// Writes that still succeed, and how many fail then.
    succeed: AtomicU32,
    fail: AtomicU32,
}

#[async_trait]
impl TokenStore for Failing {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        self.store.load(key).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let take = |count: &AtomicU32| {
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        if !take(&self.succeed) && take(&self.fail) {
            return Err(Error::new(ErrorKind::Unavailable, "the store is away"));
        }
        self.store.swap(key, expected, value).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_after_the_token_was_rotated_costs_no_connection() {
    let store = Arc::new(Failing::default());
    let lab = Lab::storing(NOW, ExactOnlineConfig::default(), Arc::clone(&store) as _);
    let (source, invoice) = begun(&lab).await;
    pass(Duration::from_secs(601)).await;
    // The claim is written, what the endpoint answered is not.
    store.succeed.store(1, Ordering::Relaxed);
    store.fail.store(2, Ordering::Relaxed);
    for _ in 0..2 {
        let error = read(&lab.ctx, &source, &invoice).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        pass(Duration::from_secs(100)).await;
    }
    read(&lab.ctx, &source, &invoice).await.unwrap();
    assert_eq!(asked(&lab), (2, 0), "the answer was kept until it could be written");
}

/// Case g3: at night the gateway answers 500 although the token was rotated.
#[tokio::test(start_paused = true)]
async fn the_gateway_s_500_is_asked_once_more_and_then_explained() {
    for lasting in [true, false] {
        let mut config = ExactOnlineConfig::default();
        config.lasting_refresh_tokens = lasting;
        let lab = Lab::with(NOW, config);
        let (source, invoice) = begun(&lab).await;
        lab.sim.plant(ExactOnlineSim::gateway_fault(true).times(1));
        pass(Duration::from_secs(601)).await;
        let first = read(&lab.ctx, &source, &invoice).await.unwrap_err();
        assert_eq!(first.kind(), ErrorKind::Unavailable, "no final no: {first:?}");
        pass(Duration::from_secs(60)).await;
        let second = read(&lab.ctx, &source, &invoice).await;
        if lasting {
            second.unwrap();
        } else {
            let error = second.unwrap_err();
            assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
            let text = error.to_string();
            assert!(text.contains("500") && text.contains("never arrived"), "{text}");
            assert!(text.contains("2026-03-12T09:25") && text.contains("again"), "{text}");
        }
        for _ in 0..5 {
            pass(Duration::from_secs(100)).await;
            assert_eq!(read(&lab.ctx, &source, &invoice).await.is_ok(), lasting);
        }
        assert_eq!(lab.calls("/oauth2/token"), 3, "the first one, and two of that night");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_constant_work_keeps_the_quota_of_tokens() {
    let lab = Lab::new();
    let (source, invoice) = begun(&lab).await;
    for _ in 0..(2 * 86_400 / 60) {
        pass(Duration::from_secs(60)).await;
        read(&lab.ctx, &source, &invoice).await.unwrap();
    }
    let (asked, refused) = asked(&lab);
    assert!(asked <= 2 * 152 && refused == 0, "{asked} tokens in two days, {refused} refused");
    assert_eq!(lab.sim.tallies().errors, 0);
}
