//! What one app may do: a minute, a day, a contract, one call at a time, and few errors.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use ml_connector_core::{
    Context, ErrorKind, HttpTransport, Result, Retry, Source, Timestamp,
    audit::MemoryLog,
    http::{Limits, TransportError},
    model::{EntityRef, PollMode, Resolution, Signal},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_exact::{ExactOnline, Region};
use ml_connector_sim::{
    ExactOnlineSim, Fault,
    exact::{ExactOnlineConfig, Kind, NewDocument, Right},
};

use crate::support::{CUSTOMER, Lab, NOW, amount, builder, pass};

/// Says in every answer what is left, as if others had used the rest.
#[derive(Debug)]
struct Others {
    vendor: Arc<dyn HttpTransport>,
    headers: Mutex<Vec<(HeaderName, String)>>,
}

impl Others {
    fn leave(&self, headers: &[(&'static str, String)]) {
        let named = |(name, value): &(&'static str, String)| (HeaderName::from_static(name), value.clone());
        *self.headers.lock().unwrap() = headers.iter().map(named).collect();
    }

    /// What is left of the day until midnight UTC.
    fn leave_of_day(&self, calls: u32, until: Timestamp) {
        self.leave(&[
            ("x-ratelimit-limit", "5000".to_owned()),
            ("x-ratelimit-remaining", calls.to_string()),
            ("x-ratelimit-reset", until.as_millis().to_string()),
        ]);
    }
}

#[async_trait]
impl HttpTransport for Others {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let mut answer = self.vendor.send(request, limits).await?;
        for (name, value) in self.headers.lock().unwrap().iter() {
            answer.headers_mut().insert(name, HeaderValue::try_from(value.as_str()).unwrap());
        }
        Ok(answer)
    }
}

/// A company of which others use up the limits.
fn beside_others(lab: &Lab) -> (Arc<Others>, Context) {
    let others = Arc::new(Others { vendor: Arc::clone(&lab.transport), headers: Mutex::default() });
    let limiter = Arc::new(MemoryRateLimiter::new());
    let tokens = Arc::new(MemoryTokenStore::new());
    let ctx = Context::new(Arc::clone(&others) as _, tokens, limiter, Arc::clone(&lab.clock) as _)
        .with_log(Arc::new(MemoryLog::new()));
    (others, ctx)
}

/// Reads a record as a webhook asks for it.
async fn urgent(ctx: &Context, source: &ExactOnline, kind: &str, id: &str) -> Result<Resolution> {
    let signal = Signal::entity(EntityRef::new(kind, id));
    source.resolve(ctx, &[signal], None).await
}

async fn poll(ctx: &Context, source: &ExactOnline, feed: &str, mode: PollMode) -> Result<()> {
    let request = ml_connector_core::PollRequest::new(feed, mode);
    source.poll(ctx, request).await.map(drop)
}

// Proves: limits_of_exact.
#[tokio::test(start_paused = true)]
async fn of_the_day_a_thousand_calls_are_for_polls_and_two_hundred_for_webhooks() {
    let lab = Lab::new();
    let (others, ctx) = beside_others(&lab);
    let source = lab.source();
    let invoice = lab.invoice("100");
    let midnight = Timestamp::parse("2026-03-13T00:00:00Z").unwrap();
    let (live, sweep) = (PollMode::Live, PollMode::Sweep);
    // (left, whether a sweep, a poll and a webhook's read are made)
    for (left, made) in [
        (4_000, [true, true, true]),
        (1_004, [true, true, true]),
        (995, [false, true, true]),
        (204, [false, true, true]),
        (195, [false, false, true]),
        (5, [false, false, true]),
    ] {
        others.leave_of_day(left, midnight);
        urgent(&ctx, &source, "invoice", &invoice).await.unwrap();
        let swept = poll(&ctx, &source, "all_sales_invoices", sweep).await;
        let polled = poll(&ctx, &source, "sales_invoices", live).await;
        let read = urgent(&ctx, &source, "invoice", &invoice).await;
        assert_eq!([swept.is_ok(), polled.is_ok(), read.is_ok()], made, "with {left} left");
        for waits in [swept, polled, read.map(drop)].into_iter().filter_map(Result::err) {
            assert_eq!(waits.kind(), ErrorKind::RateLimited, "{waits:?}");
            let Retry::At(at) = waits.retry() else { panic!("{waits:?}") };
            assert!(at >= midnight && at <= midnight + Duration::from_secs(120), "{at}");
        }
        pass(Duration::from_secs(61)).await;
    }
    // The next day all of it is there again.
    pass(midnight.saturating_since(ctx.now()) + Duration::from_secs(120)).await;
    others.leave(&[]);
    poll(&ctx, &source, "all_sales_invoices", sweep).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_window_is_waited_for_by_the_server_s_clock() {
    let lab = Lab::new();
    let (others, ctx) = beside_others(&lab);
    let source = lab.source();
    let invoice = lab.invoice("100");
    // Others have used the minute up. The server's clock is five minutes ahead of ours.
    let ahead = |seconds: u64| ctx.now() + Duration::from_secs(300 + seconds);
    let date = "Thu, 12 Mar 2026 09:20:19 GMT";
    others.leave(&[
        ("date", date.to_owned()),
        ("x-ratelimit-minutely-limit", "60".to_owned()),
        ("x-ratelimit-minutely-remaining", "0".to_owned()),
        ("x-ratelimit-minutely-reset", ahead(20).as_millis().to_string()),
    ]);
    urgent(&ctx, &source, "invoice", &invoice).await.unwrap();
    others.leave(&[]);
    let before = ctx.now();
    urgent(&ctx, &source, "invoice", &invoice).await.unwrap();
    let waited = ctx.now().saturating_since(before);
    assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(25), "{waited:?}");
    // The day is used up: nobody asks before it ends.
    let midnight = Timestamp::parse("2026-03-13T00:00:00Z").unwrap();
    others.leave_of_day(0, midnight);
    urgent(&ctx, &source, "invoice", &invoice).await.unwrap();
    let asked = lab.sim.received().len();
    let error = urgent(&ctx, &source, "invoice", &invoice).await.unwrap_err();
    let Retry::At(at) = error.retry() else { panic!("{error:?}") };
    assert!(error.kind() == ErrorKind::RateLimited && at >= midnight, "{error:?}");
    assert_eq!(lab.sim.received().len(), asked);
}

// Proves: limits_of_exact.
#[tokio::test(start_paused = true)]
async fn a_minute_has_fifty_calls_and_none_is_refused() {
    let mut config = ExactOnlineConfig::default();
    config.conditions.latency = Duration::from_millis(20);
    let lab = Lab::with(NOW, config);
    let source = lab.source();
    let invoices: Vec<String> = (0..240).map(|_| lab.invoice("10")).collect();
    for invoice in &invoices {
        // What has no room within half a minute is asked to come again.
        while let Err(error) = urgent(&lab.ctx, &source, "invoice", invoice).await {
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            let Retry::At(at) = error.retry() else { panic!("{error:?}") };
            pass(at.saturating_since(lab.ctx.now())).await;
        }
    }
    assert_eq!((lab.sim.limit_violations(), lab.sim.tallies().parallel_calls), (0, 0));
    let calls: Vec<_> = lab.sim.received().into_iter().filter(|call| call.path.contains("v1")).collect();
    for (n, call) in calls.iter().enumerate().skip(50) {
        assert!(call.at.saturating_since(calls[n - 50].at) >= Duration::from_secs(60), "call {n}");
    }
}

// Proves: limits_of_exact.
#[tokio::test(start_paused = true)]
async fn a_contract_s_calls_are_counted_over_all_companies_of_the_login() {
    let lab = Lab::new();
    lab.sim.set_limits(1_000, 100_000);
    let connect = |division| {
        let builder = builder(&lab.sim).division(division).login("sanne").pace(1_000, 100_000);
        builder.calls_per_contract(100).build().unwrap()
    };
    let sources = [connect(3_141_593), connect(3_141_594)];
    let invoices = [3_141_593, 3_141_594].map(|division| {
        lab.sim.within(division).create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount("10")))
    });
    let mut made = 0;
    let refused = loop {
        let which = made % 2;
        match urgent(&lab.ctx, &sources[which], "invoice", &invoices[which]).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 200);
        if made == 92 {
            // Polls leave the last ones to webhooks.
            let polled = poll(&lab.ctx, &sources[0], "sales_invoices", PollMode::Live).await.unwrap_err();
            assert_eq!(polled.kind(), ErrorKind::RateLimited);
        }
    };
    // Each company was looked up once.
    assert_eq!((made + 2, refused.kind()), (100, ErrorKind::RateLimited));
}

/// Two users of one customer, each with an app of a region.
#[tokio::test(start_paused = true)]
async fn logins_of_one_contract_share_its_calls() {
    for (contracts, shared) in [([Some("noordpool"); 2], true), ([Some("noordpool"), None], false)] {
        let lab = Lab::new();
        let mut config = ExactOnlineConfig::default();
        "start.exactonline.be".clone_into(&mut config.host);
        config.seed = 7;
        let belgian = ExactOnlineSim::with_config(Arc::clone(&lab.clock) as _, config);
        lab.answer_for(&belgian);
        let mut made = [0, 0];
        for (n, (sim, region)) in [(&lab.sim, Region::Nl), (&belgian, Region::Be)].into_iter().enumerate() {
            sim.set_limits(1_000, 100_000);
            let mut builder = builder(sim).region(region).login(format!("user {n}")).pace(1_000, 100_000);
            if let Some(contract) = contracts[n] {
                builder = builder.contract(contract);
            }
            let source = builder.calls_per_contract(100).build().unwrap();
            let invoice = sim.create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount("10")));
            let most = if n == 0 { 60 } else { 200 };
            while made[n] < most && urgent(&lab.ctx, &source, "invoice", &invoice).await.is_ok() {
                made[n] += 1;
            }
        }
        // Each company was looked up once.
        assert_eq!(made, if shared { [60, 38] } else { [60, 99] }, "{contracts:?}");
    }
}

// Proves: limits_of_exact.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_is_left_alone_before_the_sixth_error_of_an_hour() {
    let lab = Lab::new();
    let source = lab.source();
    lab.sim.refuse(Kind::GeneralJournalEntries, Some(Right::ForbiddenByModule));
    let journal = lab.sim.create(Kind::GeneralJournalEntries, &NewDocument::new(CUSTOMER, amount("10")));
    let invoice = lab.invoice("10");
    let begun = lab.ctx.now();
    for _ in 0..50 {
        let _ = urgent(&lab.ctx, &source, "journal_entry", &journal).await;
        lab.read(&source, "invoice", &invoice).await;
        pass(Duration::from_secs(60)).await;
    }
    assert!(lab.ctx.now().saturating_since(begun) < Duration::from_secs(3600));
    let refused = lab.calls("generaljournalentry/GeneralJournalEntries");
    assert!((1..6).contains(&refused), "{refused} errors");
    assert_eq!(lab.calls("UserHasRights"), 1, "asked once a day");
    assert_eq!((lab.sim.tallies().blocked_calls, lab.sim.tallies().errors), (0, refused as u64));
    // The right is there again.
    lab.sim.refuse(Kind::GeneralJournalEntries, None);
    pass(Duration::from_secs(3600)).await;
    urgent(&lab.ctx, &source, "journal_entry", &journal).await.unwrap();
}

/// Case g7: neither counts as an error; after the third the question is smaller.
#[tokio::test(start_paused = true)]
async fn timeouts_are_waited_for_twice_and_count_as_no_errors() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice("10");
    for round in 0..8 {
        lab.sim.plant(ml_connector_sim::ExactOnlineSim::timed_out("SalesInvoices"));
        lab.sim.plant(ml_connector_sim::ExactOnlineSim::network_timed_out("SalesInvoices"));
        let before = lab.ctx.now();
        urgent(&lab.ctx, &source, "invoice", &invoice).await.unwrap();
        let waited = lab.ctx.now().saturating_since(before);
        assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(30), "{round}: {waited:?}");
    }
    assert_eq!(lab.sim.faults_waiting(), 0);
    // Somebody is down for minutes: three times, then the engine's patience.
    lab.sim.plant(Fault::html(http::StatusCode::SERVICE_UNAVAILABLE).on("SalesInvoices").times(3));
    let error = urgent(&lab.ctx, &source, "invoice", &invoice).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("load balancer"), "{error}");
    urgent(&lab.ctx, &source, "invoice", &invoice).await.unwrap();
}
