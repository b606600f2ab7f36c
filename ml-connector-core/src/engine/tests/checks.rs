//! What a check finds, and what it says to do.

use vendor::{Fault, webhook};

use super::{
    super::{Check, WaitReason},
    *,
};
use crate::{
    CheckResult, CheckStep, Clock, Effect, Error, ErrorKind, ManualClock, Retry, Scope,
    model::{ConnectionId, Status},
};

fn step<'a>(steps: &'a [CheckStep], name: &str) -> &'a CheckStep {
    steps.iter().find(|step| step.step == name).unwrap_or_else(|| panic!("no step {name} in {steps:?}"))
}

fn result(steps: &[CheckStep], name: &str) -> CheckResult {
    step(steps, name).result
}

#[tokio::test(start_paused = true)]
async fn a_check_goes_through_connections_routes_and_stores() {
    let world = World::new();
    let connector = world.connector();
    let Check { connections, routes, log, tokens, host, .. } = connector.check().await;
    assert_eq!(result(&connections[&"books".into()], "account"), CheckResult::Passed);
    assert_eq!(result(&connections[&"books".into()], "webhooks"), CheckResult::Passed);
    assert_eq!(result(&connections[&"board".into()], "reach"), CheckResult::Passed);
    assert_eq!(result(&routes["all"], "target"), CheckResult::Passed);
    assert_eq!(
        (result(&log, "write"), result(&log, "durability")),
        (CheckResult::Passed, CheckResult::Warning)
    );
    assert_eq!(result(&tokens, "write"), CheckResult::Skipped, "nobody needs tokens here");
    assert_eq!(result(&host, "clock"), CheckResult::Passed);
    let check = connector.check().await;
    assert!(check.is_good() && check.to_string().contains("connection board: passed reach"), "{check}");
    assert!(serde_json::to_string(&check).unwrap().contains(r#""step":"reach","result":"passed""#));
}

#[tokio::test(start_paused = true)]
async fn a_check_says_what_does_not_work_and_what_to_do() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.fail(Error::new(ErrorKind::PermissionDenied, "the token lacks a right"));
    world.board.is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    world.log.fail_next_commits(1);
    let check = connector.check().await;
    let account = step(&check.connections[&"books".into()], "account");
    assert_eq!(account.result, CheckResult::Failed);
    assert!(account.remedy.as_ref().unwrap().contains("right") && account.found.is_some(), "{account:?}");
    assert_eq!(result(&check.connections[&"board".into()], "reach"), CheckResult::Failed);
    assert_eq!(result(&check.log, "write"), CheckResult::Failed);
    assert!(!check.is_good());
    for _ in 0..3 {
        connector.receive(webhook("account:books 1", "forged")).await;
    }
    let webhooks = connector.check().await.connections[&"books".into()].clone();
    assert!(step(&webhooks, "webhooks").remedy.as_ref().unwrap().contains("secret"), "{webhooks:?}");
}

/// A connection that waits for a person says how that person connects it: by the link or the command of the host.
#[tokio::test(start_paused = true)]
async fn a_parked_connection_says_with_a_link_what_to_do() {
    let world = World::new();
    let connector = Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .reconnect_with("https://erp.example/connect/{connection}")
        .source(LedgerSource::new("books", &world.ledger))
        .sink(BoardSink::new(&world.board, world.repeat, world.on_unknown))
        .route(Route::new("all").to("board", Destination::from("a")))
        .build()
        .unwrap();
    let (stop, running) = start(&connector);
    let dead =
        Error::new(ErrorKind::Unauthenticated, "the refresh token is dead").with_scope(Scope::Connection);
    world.ledger.fail(dead);
    world.board.fault(Fault::Before(
        ErrorKind::Unauthenticated,
        Effect::None,
        Scope::Connection,
        Retry::Never,
    ));
    world.ledger.put("1", Status::Open, "2026-04-01");
    connector.receive(webhook("account:books 1", "good")).await;
    tokio::time::sleep(secs(10)).await;
    let health = connector.health().await.unwrap();
    let of = |id: &str| &health.connections[&ConnectionId::from(id)];
    let parked = of("books").parked.clone().unwrap();
    assert!(
        parked.reason.ends_with("connect the account again: https://erp.example/connect/books"),
        "{parked:?}"
    );
    assert_eq!(of("books").signals.lanes[0].reason, WaitReason::Outage);
    let check = connector.check().await;
    let works = step(&check.connections[&"books".into()], "works");
    assert!(works.found.as_ref().unwrap().contains("/connect/books"), "{works:?}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// A machine's clock: nobody vouches for it.
#[derive(Debug)]
struct Machine(Arc<ManualClock>);

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// A second in the next year stops nothing, and is named.
// Proves: ahead.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_once_stops_nothing() {
    let world = World::new();
    let hand = Arc::new(ManualClock::at(world.clock.now()));
    let connector = Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .clock(Machine(Arc::clone(&hand)))
        .transport(NoNetwork)
        .source(LedgerSource::new("books", &world.ledger))
        .sink(BoardSink::new(&world.board, world.repeat, world.on_unknown))
        .route(Route::new("all").to("board", Destination::from("a")))
        .build()
        .unwrap();
    let (stop, running) = start(&connector);
    let pass = async |time: u64| {
        for _ in 0..time * 10 {
            hand.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let tell = async |id: u32| {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    };
    pass(2).await;
    tell(1).await;
    pass(3).await;
    hand.advance(secs(365 * 86_400));
    tell(2).await;
    pass(2).await;
    let health = connector.health().await.unwrap();
    let ahead = health.clock.unwrap().ahead_ms / 86_400_000;
    assert!(ahead >= 364 && !health.is_good(), "{ahead} days");
    assert_eq!(result(&connector.check().await.host, "clock"), CheckResult::Failed);
    hand.set(hand.now() - secs(365 * 86_400));
    tell(3).await;
    pass(5).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 2", "invoice.sent 3"]);
    assert_eq!(connector.health().await.unwrap().clock, None);
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// What is shown through the `metrics` facade.
#[cfg(feature = "metrics")]
mod gauges {
    use std::{collections::BTreeMap, sync::Mutex};

    use futures_util::FutureExt;
    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;
    use crate::rate::Quota;

    #[derive(Debug, Default)]
    struct Shown(Mutex<BTreeMap<String, Arc<One>>>);

    #[derive(Debug, Default)]
    struct One(Mutex<f64>);

    impl metrics::GaugeFn for One {
        fn increment(&self, by: f64) {
            *self.0.lock().unwrap() += by;
        }

        fn decrement(&self, by: f64) {
            *self.0.lock().unwrap() -= by;
        }

        fn set(&self, to: f64) {
            *self.0.lock().unwrap() = to;
        }
    }

    impl Recorder for Shown {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            let labels: Vec<String> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            Gauge::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gauges_show_what_waits_and_since_when() {
        let world = World::new();
        *world.board.quota.lock().unwrap() = Some(Quota::Rolling { limit: 5, window: secs(60) });
        let connector = world.connector();
        world.ledger.put("1", Status::Open, "2026-04-01");
        connector.receive(webhook("account:books 1", "good")).await;
        tokio::time::sleep(secs(300)).await;
        let shown = Shown::default();
        let show = || crate::engine::gauges::show(&connector.shared).now_or_never().unwrap().unwrap();
        metrics::with_local_recorder(&shown, show);
        let of = |name: &str| *shown.0.lock().unwrap()[name].0.lock().unwrap();
        assert!((of("ml_connector_waiting{connection=books,kind=signal}") - 1.0).abs() < 0.1);
        assert!((of("ml_connector_lag_seconds{connection=books,kind=signal}") - 300.0).abs() < 61.0);
        world.run(&connector, secs(10)).await;
        metrics::with_local_recorder(&shown, show);
        assert!(
            of("ml_connector_waiting{connection=books,kind=signal}") < 0.1,
            "and that nothing waits any more"
        );
        assert!(of("ml_connector_lag_seconds{connection=books,kind=signal}") < 0.1);
        assert!((of("ml_connector_limit_left{key=board/a,seconds=60}") - 4.0).abs() < 0.1);

        // A pause, and nothing after it.
        let until = world.clock_now() + secs(30);
        let pause = crate::rate::Feedback::PausedUntil(until);
        connector.context().limiter().report(&"board/a".into(), pause, world.clock_now()).await.unwrap();
        metrics::with_local_recorder(&shown, show);
        assert!(of("ml_connector_limit_left{key=board/a,seconds=60}") < 0.1);
        world.ledger.put("2", Status::Open, "2026-04-01");
        connector.receive(webhook("account:books 2", "good")).await;
        tokio::time::sleep(secs(120)).await;
        connector.remove(&"books".into());
        metrics::with_local_recorder(&shown, show);
        assert!((of("ml_connector_limit_left{key=board/a,seconds=60}") - 5.0).abs() < 0.1, "all of it");
        assert!(of("ml_connector_waiting{connection=books,kind=signal}") < 0.1, "it is not there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn gauges_show_of_each_route_what_waits_and_that_nothing_waits_any_more() {
        let world = World::new();
        let routes = ["early", "late"].map(|name| Route::new(name).to("board", Destination::from(name)));
        let connector = world.connector_with(routes.into());
        for _ in 0..2 {
            world.board.fault(Fault::Before(
                ErrorKind::Unauthenticated,
                Effect::None,
                Scope::Connection,
                Retry::Never,
            ));
        }
        world.ledger.put("1", Status::Open, "2026-04-01");
        connector.receive(webhook("account:books 1", "good")).await;
        world.run(&connector, secs(30)).await;
        tokio::time::sleep(secs(60)).await;
        let shown = Shown::default();
        let show = || crate::engine::gauges::show(&connector.shared).now_or_never().unwrap().unwrap();
        let of = |name: &str, route: &str| {
            let name = format!("ml_connector_route_{name}{{connection=board,route={route}}}");
            *shown.0.lock().unwrap()[&name].0.lock().unwrap()
        };
        metrics::with_local_recorder(&shown, show);
        for route in ["early", "late"] {
            assert!((of("waiting", route) - 1.0).abs() < 0.1 && of("lag_seconds", route) > 60.0);
        }
        connector.remove(&"board".into());
        metrics::with_local_recorder(&shown, show);
        for route in ["early", "late"] {
            assert!(
                of("waiting", route) < 0.1 && of("lag_seconds", route) < 0.1 && of("parked", route) < 0.1
            );
        }
    }
}
