//! What happens when the vendors, the log or the process fail.

use vendor::{Fault, webhook};

use super::{super::RetryPolicy, *};
use crate::{
    Effect, Error, ErrorKind, Retry, Scope,
    audit::EntryState,
    model::{Lookup, Status},
    rate::QuotaKey,
};

fn before(kind: ErrorKind, effect: Effect, scope: Scope, retry: Retry) -> Fault {
    Fault::Before(kind, effect, scope, retry)
}

/// Puts invoices into the ledger and tells the connector about each.
async fn tell(world: &World, connector: &Connector, ids: &[&str]) {
    for id in ids {
        world.ledger.put(id, Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        // Their events are committed in this order.
        world.run(connector, Duration::from_millis(150)).await;
    }
}

const ALL: [&str; 3] = ["invoice.sent 1", "invoice.sent 2", "invoice.sent 3"];

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_looked_up_and_the_message_is_not_repeated() {
    for (fault, written_by_fault) in [
        (Fault::After, true),
        (before(ErrorKind::Unavailable, Effect::Unknown, Scope::Entry, Retry::Backoff), false),
        (before(ErrorKind::InvalidResponse, Effect::Unknown, Scope::Entry, Retry::Never), false),
        (Fault::Hang, false),
        (Fault::Panic, false),
    ] {
        let world = World::new();
        let connector = world.connector();
        world.board.fault(fault.clone());
        tell(&world, &connector, &["1", "2", "3"]).await;
        world.run(&connector, secs(300)).await;
        assert_eq!(world.board.corner("a"), ALL, "{fault:?}");
        assert_eq!(connector.stats().delivered, 3, "{fault:?}");
        assert!(connector.stats().looked_up >= 1, "{fault:?} {written_by_fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_known_not_to_have_happened_is_repeated_without_looking() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..3 {
        world.board.fault(before(ErrorKind::Unavailable, Effect::None, Scope::Entry, Retry::Backoff));
    }
    tell(&world, &connector, &["1", "2", "3"]).await;
    world.run(&connector, secs(120)).await;
    assert_eq!(world.board.corner("a"), ALL);
    assert_eq!((connector.stats().retried, connector.stats().looked_up), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_its_key_for_as_long_as_it_says_and_counts_no_attempt() {
    let world = World::new();
    let connector = world.connector();
    let until = world.clock_now() + secs(40);
    let key = QuotaKey::from("board/a");
    world.board.fault(before(ErrorKind::RateLimited, Effect::None, Scope::Quota(key), Retry::At(until)));
    tell(&world, &connector, &["1", "2"]).await;
    world.run(&connector, secs(60)).await;
    let written = world.board.written.lock().unwrap().clone();
    assert_eq!(written.len(), 2);
    assert!(written.iter().all(|(_, _, at)| *at >= until), "{written:?} before {until}");
    assert!(written[0].2.saturating_since(until) < secs(2));
    let first = world.entries(EntryKind::Delivery).await.remove(0);
    assert!(format!("{:?}", first.outcomes).contains("attempt: 0"), "{:?}", first.outcomes);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_needs_somebody_is_parked_and_resumes_in_order() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..3 {
        world.board.fault(before(ErrorKind::NotFound, Effect::None, Scope::Lane, Retry::Never));
    }
    tell(&world, &connector, &["1", "2", "3"]).await;
    world.run(&connector, secs(30)).await;
    let states: Vec<_> = world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [EntryState::Parked, EntryState::Pending, EntryState::Pending]);
    assert_eq!(world.board.corner("a").len(), 0);
    // Two more probes fail, at 1 and 2 minutes after the one before; the next succeeds.
    world.run(&connector, secs(900)).await;
    assert_eq!(world.board.corner("a"), ALL);
}

#[tokio::test(start_paused = true)]
async fn a_parked_lane_survives_a_restart_where_nothing_can_be_looked_up() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..3 {
        world.board.fault(before(ErrorKind::NotFound, Effect::None, Scope::Lane, Retry::Never));
        world.board.lookups.lock().unwrap().push_back(Ok(Lookup::CannotTell));
    }
    tell(&world, &connector, &["1", "2", "3"]).await;
    for _ in 0..2 {
        world.run(&world.connector(), secs(30)).await;
    }
    let states: Vec<_> = world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [EntryState::Parked, EntryState::Pending, EntryState::Pending]);
    world.run(&world.connector(), secs(900)).await;
    assert_eq!(world.board.corner("a"), ALL);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_has_to_wait_for_its_limit_fails_nothing() {
    let world = World::new();
    let connector = world.connector();
    world.board.fault(Fault::After);
    for hours in 1..=3 {
        let limited = Error::new(ErrorKind::RateLimited, "the day is used up")
            .with_scope(Scope::Quota("board/reads".into()))
            .with_retry(Retry::At(world.clock_now() + secs(hours * 3600)));
        world.board.lookups.lock().unwrap().push_back(Err(limited));
    }
    tell(&world, &connector, &["1", "2", "3"]).await;
    world.run(&connector, secs(4 * 3600)).await;
    assert_eq!((world.board.corner("a"), connector.stats().dead), (ALL.map(ToOwned::to_owned).to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_now_and_then_brings_no_two_attempts_too_close_to_each_other() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    for id in 0..20 {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
    for delay in (0..200).map(|nth| nth * 37 % 11 * 90) {
        world.log.delay_commits(Duration::from_millis(delay));
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    let times: Vec<Timestamp> = world.board.written.lock().unwrap().iter().map(|(.., at)| *at).collect();
    let closest = times.windows(2).map(|two| two[1].saturating_since(two[0])).min().unwrap();
    assert_eq!(times.len(), 20);
    assert!(closest >= Duration::from_millis(900), "{closest:?} apart, where one a second is allowed");
}

#[tokio::test(start_paused = true)]
async fn what_always_panics_is_dead_after_a_while_and_the_rest_goes_on() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    for _ in 0..40 {
        world.board.fault(Fault::Panic);
    }
    for id in ["1", "2"] {
        world.ledger.put(id, Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        tokio::time::sleep(secs(1)).await;
    }
    tokio::time::sleep(secs(16 * 60)).await;
    world.board.faults.lock().unwrap().clear();
    tokio::time::sleep(secs(16 * 60)).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!((world.board.corner("a"), connector.stats().dead), (vec!["invoice.sent 2".to_owned()], 1));
    let first = world.outcomes(EntryKind::Delivery).await.remove(0);
    assert!(first.contains("possibly delivered") && first.contains("panicked"), "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_repaired_connection_goes_on_at_once_when_the_host_says_so() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..2 {
        world.board.fault(before(ErrorKind::Unauthenticated, Effect::None, Scope::Connection, Retry::Never));
    }
    let (stop, running) = start(&connector);
    for id in ["1", "2", "3"] {
        world.ledger.put(id, Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        tokio::time::sleep(secs(1)).await;
    }
    tokio::time::sleep(secs(120)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (0, 0));
    connector.resume(&"board".into()).await.unwrap();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.board.corner("a"), ALL);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_keeps_failing_is_dead_after_a_while_and_the_lane_goes_on() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    for _ in 0..40 {
        world.board.fault(before(ErrorKind::Unavailable, Effect::None, Scope::Entry, Retry::Backoff));
    }
    world.ledger.put("1", Status::Open, "2026-04-01");
    connector.receive(webhook("account:books 1", "good")).await;
    tokio::time::sleep(secs(1)).await;
    world.ledger.put("2", Status::Open, "2026-04-01");
    connector.receive(webhook("account:books 2", "good")).await;
    tokio::time::sleep(secs(16 * 60)).await;
    world.board.faults.lock().unwrap().clear();
    tokio::time::sleep(secs(10 * 60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 2"]);
    let states: Vec<_> = world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [EntryState::Dead, EntryState::Done]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_s_own_retry_policy_bounds_tries_and_time() {
    let by_kind = |policy| Retries { kinds: [(ErrorKind::Unavailable, policy)].into(), ..Retries::default() };
    let quick = RetryPolicy { first: Duration::from_millis(10), ..RetryPolicy::default() };
    for (policy, attempts) in [
        (RetryPolicy { tries: Some(3), ..quick }, 3..4),
        (RetryPolicy { total: Some(secs(1)), ..quick }, 5..10),
        (RetryPolicy { tries: Some(1), ..quick }, 1..2),
    ] {
        let world = World { retries: by_kind(policy), ..World::new() };
        *world.board.quota.lock().unwrap() = Some(crate::rate::Quota::Concurrent { limit: 1 });
        let connector = world.connector();
        for _ in 0..50 {
            world.board.fault(before(ErrorKind::Unavailable, Effect::None, Scope::Entry, Retry::Backoff));
        }
        tell(&world, &connector, &["1"]).await;
        world.run(&connector, secs(600)).await;
        let entry = world.entries(EntryKind::Delivery).await.remove(0);
        assert_eq!(entry.state, EntryState::Dead);
        let begun = |recorded: &&crate::audit::Recorded| {
            matches!(recorded.outcome, crate::audit::Outcome::Begun { .. })
        };
        let made = entry.outcomes.iter().filter(begun).count();
        assert!(attempts.contains(&made), "{made} attempts with {policy:?}");
    }

    let world = World { retries: by_kind(RetryPolicy { tries: Some(2), ..quick }), ..World::new() };
    let connector = world.connector();
    (0..5).for_each(|_| world.ledger.fail(Error::new(ErrorKind::Unavailable, "down")));
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(60)).await;
    assert_eq!((connector.stats().dead, world.ledger.reads.lock().unwrap().len()), (1, 2));

    let nonsense = by_kind(RetryPolicy { tries: Some(0), ..quick });
    let settings = Settings { retries: nonsense, ..Settings::default() };
    let refused =
        Connector::builder().audit_log(Arc::clone(&world.log)).transport(NoNetwork).settings(settings);
    assert_eq!(refused.build().unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_tell_is_decided_by_the_host_and_said_in_the_log() {
    for (on_unknown, told, written, text) in [
        (OnUnknown::Park, Lookup::CannotTell, 0, "possibly missing"),
        (OnUnknown::Repeat, Lookup::CannotTell, 1, "possibly duplicated"),
        (OnUnknown::Park, Lookup::MayRepeat, 1, "possibly duplicated"),
    ] {
        let world = World { on_unknown, ..World::new() };
        let connector = world.connector();
        world.board.fault(before(ErrorKind::Unavailable, Effect::Unknown, Scope::Entry, Retry::Backoff));
        world
            .board
            .lookups
            .lock()
            .unwrap()
            .extend([Ok(Lookup::AskAgain { at: world.clock_now() + secs(30) }), Ok(told)]);
        tell(&world, &connector, &["1"]).await;
        world.run(&connector, secs(60)).await;
        assert_eq!(world.board.corner("a").len(), written);
        let outcomes = format!("{:?}", world.entries(EntryKind::Delivery).await[0].outcomes);
        assert!(outcomes.contains(text), "{outcomes}");
    }
}

/// Some vendors let a history be read once a minute: what is asked too early has failed at nothing.
#[tokio::test(start_paused = true)]
async fn a_look_up_that_has_to_wait_for_its_turn_is_no_attempt_and_is_not_given_up() {
    let world = World::new();
    let connector = world.connector();
    world.board.fault(before(ErrorKind::Unavailable, Effect::Unknown, Scope::Entry, Retry::Backoff));
    let too_early = |minute| {
        let at = world.clock_now() + secs(60 * minute);
        Err(Error::new(ErrorKind::RateLimited, "once a minute").with_retry(Retry::At(at)))
    };
    world.board.lookups.lock().unwrap().extend((1..60_u64).map(too_early));
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(3700)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    let outcomes = world.entries(EntryKind::Delivery).await.remove(0).outcomes;
    let counted = outcomes.iter().filter_map(|recorded| match recorded.outcome {
        crate::audit::Outcome::Retry { attempt, .. } => Some(attempt),
        _ => None,
    });
    assert_eq!(counted.max(), Some(1), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_may_repeat_is_not_looked_up_and_records_no_beginnings() {
    let world = World { repeat: Repeat::Safe, ..World::new() };
    let connector = world.connector();
    world.board.fault(Fault::After);
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 1"]);
    assert_eq!(connector.stats().looked_up, 0);
    let outcomes = format!("{:?}", world.entries(EntryKind::Delivery).await[0].outcomes);
    assert!(!outcomes.contains("Begun"), "{outcomes}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_the_middle_of_an_attempt_loses_nothing_and_repeats_nothing() {
    for hang in [true, false] {
        let world = World::new();
        let first = world.connector();
        if hang {
            world.board.fault(Fault::Hang);
        }
        let started = world.clock_now();
        tell(&world, &first, &["1"]).await;
        assert!(world.clock_now().saturating_since(started) < secs(12), "the grace period ends");
        let second = world.connector();
        world.run(&second, secs(30)).await;
        assert_eq!(world.board.corner("a"), ["invoice.sent 1"], "{hang}");
        assert_eq!(first.stats().looked_up + second.stats().looked_up, u64::from(hang));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_the_middle_of_everything_returns_within_the_grace_period() {
    for after in [0, 1, 90, 110, 150, 400, 1_000, 2_500, 7_000] {
        let world = World::new();
        let connector = world.connector();
        for fault in [Fault::Hang, Fault::After, Fault::Panic, Fault::Hang] {
            world.board.fault(fault);
        }
        for id in 0..30 {
            world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
            connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        }
        world.log.fail_next_commits(usize::try_from(after % 7).unwrap());
        let told = world.clock_now();
        let stopped_at = std::sync::Mutex::new(told);
        connector
            .run(async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                *stopped_at.lock().unwrap() = world.clock_now();
            })
            .await;
        let took = world.clock_now().saturating_since(*stopped_at.lock().unwrap());
        assert!(took <= secs(5), "{after} ms after it began: {took:?}");
        // The partitions are free at once, and nothing is lost.
        let next = world.connector();
        world.board.faults.lock().unwrap().clear();
        world.run(&next, secs(900)).await;
        assert_eq!(world.board.corner("a").len(), 30, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_now_and_then_loses_nothing_and_repeats_nothing() {
    for failing in 1..12 {
        let world = World::new();
        let connector = world.connector();
        let (stop, running) = start(&connector);
        world.ledger.put("1", Status::Open, "2026-04-01");
        assert_eq!(connector.receive(webhook("account:books 1", "good")).await.status(), 200);
        world.log.fail_next_commits(failing);
        tokio::time::sleep(secs(120)).await;
        assert_eq!(world.board.corner("a"), ["invoice.sent 1"], "{failing} commits failed");
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

/// Somebody may grant the right meanwhile.
#[tokio::test(start_paused = true)]
async fn a_read_that_is_not_permitted_waits_for_the_right_for_a_month() {
    let world = World::new();
    let connector = world.connector();
    let refuse = |times: usize| {
        let refusal = || Error::new(ErrorKind::PermissionDenied, "not for you");
        (0..times).for_each(|_| world.ledger.fail(refusal()));
    };
    let day = secs(24 * 3600);
    refuse(10);
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(3600)).await;
    tokio::time::advance(3 * day).await;
    world.run(&connector, secs(3600)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (0, 0), "still waited for");
    world.run(&connector, secs(8 * 3600)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (1, 0), "granted after some days");
    refuse(50);
    tell(&world, &connector, &["2"]).await;
    world.run(&connector, secs(3600)).await;
    tokio::time::advance(29 * day).await;
    world.run(&connector, secs(2 * 3600)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (1, 0));
    tokio::time::advance(day).await;
    world.run(&connector, secs(2 * 3600)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_repeated_and_dead_only_when_it_is_hopeless() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.fail(Error::new(ErrorKind::Unavailable, "down"));
    world
        .ledger
        .fail(Error::new(ErrorKind::RateLimited, "slow").with_retry(Retry::At(world.clock_now() + secs(50))));
    world.ledger.fail(Error::new(ErrorKind::Unauthenticated, "who?").with_scope(Scope::Connection));
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(300)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (1, 0));

    for _ in 0..3 {
        world.ledger.fail(Error::new(ErrorKind::InvalidRequest, "not for you"));
    }
    tell(&world, &connector, &["2"]).await;
    world.run(&connector, secs(300)).await;
    assert_eq!((world.board.corner("a").len(), connector.stats().dead), (1, 1));
    let dead =
        world.entries(EntryKind::Signal).await.into_iter().find(|entry| entry.state == EntryState::Dead);
    assert!(format!("{dead:?}").contains("not for you"));
}

#[tokio::test(start_paused = true)]
async fn two_hosts_on_one_log_do_everything_once() {
    let world = World::new();
    let (one, two) = (world.connector(), world.connector());
    let (stop_one, running_one) = start(&one);
    let (stop_two, running_two) = start(&two);
    for id in 10..40 {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        let host = if id % 2 == 0 { &one } else { &two };
        host.receive(webhook(&format!("account:books {id}"), "good")).await;
        if id == 25 {
            tokio::time::sleep(secs(5)).await;
        }
    }
    tokio::time::sleep(secs(30)).await;
    stop_one.send(()).unwrap();
    running_one.await.unwrap();
    tokio::time::sleep(secs(120)).await;
    let mut told = world.board.corner("a");
    assert_eq!(told.len(), 30, "{told:?}");
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 30);
    stop_two.send(()).unwrap();
    running_two.await.unwrap();
}

impl World {
    pub(super) fn clock_now(&self) -> Timestamp {
        crate::Clock::now(&*self.clock)
    }
}
