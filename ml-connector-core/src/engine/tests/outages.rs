//! Outages: what fails because nobody is there waits, and only what fails by itself is given up.

use std::sync::atomic::Ordering;

use vendor::{Fault, webhook};

use super::*;
use crate::{
    Effect, Error, ErrorKind, Retry, Scope,
    audit::{EntryState, Outcome},
    model::{Lookup, Status},
    rate::Quota,
};

fn unanswered(retry: Retry) -> Fault {
    Fault::Before(ErrorKind::Unavailable, Effect::Unknown, Scope::Entry, retry)
}

/// Puts invoices into the ledger, and tells the connector about each.
async fn tell(world: &World, connector: &Connector, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

fn told(ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    ids.into_iter().map(|id| format!("invoice.sent {id}")).collect()
}

// Proves: outages.
#[tokio::test(start_paused = true)]
async fn two_hours_without_an_answer_kill_nothing_and_are_told_once() {
    for corners in [1, 3] {
        let world = World::new();
        *world.board.quota.lock().unwrap() = Some(Quota::Concurrent { limit: 9 });
        let mut routes = Vec::new();
        for corner in ["a", "b", "c"].into_iter().take(corners) {
            routes.push(Route::new(corner).on("invoice.*").to("board", Destination::from(corner)));
        }
        routes.push(Route::new("alarm").on("connection.*").to("board", Destination::from("alarm")));
        let connector = world.connector_with(routes);
        let (stop, running) = start(&connector);
        world.board.is_down.store(true, Ordering::SeqCst);
        tell(&world, &connector, 1..=10).await;
        tokio::time::sleep(secs(2 * 3600)).await;
        let tries = world.board.attempts.lock().unwrap().len();
        assert!(tries < 60, "{tries} attempts in two hours");
        assert_eq!(connector.stats().dead, 0);
        let health = connector.health().await.unwrap();
        assert!(health.connections[&"board".into()].parked.is_some() && !health.is_good());
        world.board.is_down.store(false, Ordering::SeqCst);
        tokio::time::sleep(secs(400)).await;
        for corner in ["a", "b", "c"].into_iter().take(corners) {
            assert_eq!(world.board.corner(corner), told(1..=10), "{corner}");
        }
        assert_eq!(world.board.corner("alarm"), ["connection.parked board", "connection.resumed board"]);
        assert_eq!(connector.stats().dead, 0);
        assert!(connector.health().await.unwrap().is_good());
        for entry in world.entries(EntryKind::Delivery).await {
            let counted = |outcome: &Outcome| matches!(outcome, Outcome::Retry { attempt: 2.., .. });
            assert!(!entry.outcomes.iter().any(|recorded| counted(&recorded.outcome)), "{entry:?}");
        }
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

/// The ping is good all the time.
#[tokio::test(start_paused = true)]
async fn two_messages_that_fail_by_themselves_stop_no_third_and_are_given_up() {
    let world = World::new();
    let to = |corner: &str, on: &str| Route::new(corner).on(on).to("board", Destination::from(corner));
    let routes = vec![to("a", "invoice.sent"), to("b", "invoice.sent"), to("c", "invoice.paid")];
    let connector = world.connector_with(routes);
    let (stop, running) = start(&connector);
    world.board.broken.lock().unwrap().extend(["a".to_owned(), "b".to_owned()]);
    tell(&world, &connector, 1..=1).await;
    tokio::time::sleep(secs(10)).await;
    world.ledger.put("2", Status::Paid, "2026-04-01");
    connector.receive(webhook("account:books 2", "good")).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("c"), ["invoice.paid 2"], "what can be delivered is");
    assert_eq!(connector.stats().dead, 0);
    tokio::time::sleep(secs(60 * 60)).await;
    let deliveries = world.entries(EntryKind::Delivery).await;
    let (done, dead): (Vec<_>, Vec<_>) =
        deliveries.iter().partition(|delivery| delivery.state == EntryState::Done);
    assert_eq!(done.len(), 1);
    assert!(dead.iter().all(|delivery| delivery.state == EntryState::Dead), "others went through meanwhile");
    let dead = u64::try_from(dead.len()).unwrap();
    assert!(connector.health().await.unwrap().connections[&"board".into()].parked.is_none());
    // Now nobody is there: all of it waits.
    world.board.is_down.store(true, Ordering::SeqCst);
    tell(&world, &connector, 3..=4).await;
    tokio::time::sleep(secs(2 * 3600)).await;
    assert_eq!(connector.stats().dead, dead);
    world.board.is_down.store(false, Ordering::SeqCst);
    world.board.broken.lock().unwrap().clear();
    tokio::time::sleep(secs(400)).await;
    assert_eq!((world.board.corner("a"), connector.stats().dead), (told(3..=4), dead));
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Writes fail everywhere, and the ping is good.
#[tokio::test(start_paused = true)]
async fn writes_that_fail_in_every_lane_wait_although_the_ping_is_good() {
    let world = World::new();
    let to = |corner: &str| Route::new(corner).on("invoice.*").to("board", Destination::from(corner));
    let connector = world.connector_with(vec![to("a"), to("b")]);
    let (stop, running) = start(&connector);
    tell(&world, &connector, 1..=1).await;
    tokio::time::sleep(secs(10)).await;
    world.board.broken.lock().unwrap().extend(["a".to_owned(), "b".to_owned()]);
    tell(&world, &connector, 2..=5).await;
    tokio::time::sleep(secs(2 * 3600)).await;
    assert_eq!(connector.stats().dead, 0);
    assert!(connector.health().await.unwrap().connections[&"board".into()].parked.is_some());
    world.board.broken.lock().unwrap().clear();
    tokio::time::sleep(secs(400)).await;
    assert_eq!([world.board.corner("a"), world.board.corner("b")], [told(1..=5), told(1..=5)]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_not_told_and_soon_over() {
    let world = World::new();
    let connector = world.connector_with(vec![
        Route::new("all").on("invoice.*").to("board", Destination::from("a")),
        Route::new("alarm").on("connection.*").to("board", Destination::from("alarm")),
    ]);
    let (stop, running) = start(&connector);
    world.board.is_down.store(true, Ordering::SeqCst);
    tell(&world, &connector, 1..=3).await;
    tokio::time::sleep(secs(20)).await;
    world.board.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(secs(40)).await;
    assert_eq!(world.board.corner("a"), told(1..=3));
    assert_eq!(world.board.corner("alarm"), [""; 0]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_that_the_other_side_names_is_kept_and_kills_nothing() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    let until = world.clock_now() + secs(1200);
    world.board.fault(unanswered(Retry::At(until)));
    tell(&world, &connector, 1..=10).await;
    tokio::time::sleep(secs(1260)).await;
    assert_eq!((world.board.corner("a"), connector.stats().dead), (told(1..=10), 0));
    let attempts = world.board.attempts.lock().unwrap().clone();
    assert!(attempts[1..].iter().all(|at| *at >= until), "{attempts:?} before {until}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_time_to_fail() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tell(&world, &connector, 1..=4).await;
    tokio::time::sleep(secs(5)).await;
    assert_eq!(world.board.corner("a"), told(1..=4));
    for _ in 0..200 {
        world.board.fault(unanswered(Retry::Backoff));
    }
    tell(&world, &connector, 11..=13).await;
    tokio::time::sleep(secs(3 * 16 * 60)).await;
    for entry in world.entries(EntryKind::Delivery).await.iter().skip(4) {
        let tried = entry.outcomes.first().map(|first| first.at).unwrap();
        let given_up = entry.outcomes.last().map(|last| last.at).unwrap();
        assert_eq!(entry.state, EntryState::Dead);
        let took = given_up.saturating_since(tried);
        assert!(took > secs(8 * 60), "given up after {took:?}");
    }
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_for_too_long_is_decided_as_the_host_said() {
    for on_unknown in [OnUnknown::Repeat, OnUnknown::Park] {
        let world = World { on_unknown, ..World::new() };
        let connector = world.connector();
        let (stop, running) = start(&connector);
        world.board.fault(unanswered(Retry::Backoff));
        for _ in 0..100 {
            let broken = Error::new(ErrorKind::Unavailable, "history is broken");
            world.board.lookups.lock().unwrap().push_back(Err(broken));
        }
        tell(&world, &connector, 1..=1).await;
        tokio::time::sleep(secs(600)).await;
        assert_eq!((world.board.corner("a").len(), connector.stats().dead), (0, 0), "not too early");
        tokio::time::sleep(secs(600)).await;
        let (written, dead) = match on_unknown {
            OnUnknown::Repeat => (told(1..=1), 0),
            OnUnknown::Park => (Vec::new(), 1),
        };
        assert_eq!((world.board.corner("a"), connector.stats().dead), (written, dead), "{on_unknown:?}");
        let outcomes = format!("{:?}", world.entries(EntryKind::Delivery).await[0].outcomes);
        assert!(outcomes.contains("possibly d"), "{outcomes}");
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_without_an_answer_are_an_outage_too() {
    let world = World { on_unknown: OnUnknown::Repeat, ..World::new() };
    let connector = world.connector();
    let (stop, running) = start(&connector);
    world.board.fault(Fault::After);
    world.board.lookups.lock().unwrap().push_back(Ok(Lookup::AskAgain { at: world.clock_now() + secs(30) }));
    tell(&world, &connector, 1..=2).await;
    world.board.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(secs(3600)).await;
    world.board.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(secs(600)).await;
    assert_eq!((world.board.corner("a"), connector.stats().dead), (told(1..=2), 0));
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_organization_that_hangs_delays_no_other() {
    let times = async |hangs: bool| {
        let world = World::new();
        *world.board.quota.lock().unwrap() = Some(Quota::Concurrent { limit: 99 });
        let connector = world.connector();
        let other = Arc::new(vendor::Ledger::default());
        connector.add_source(vendor::LedgerSource::new("other", &other)).unwrap();
        let (stop, running) = start(&connector);
        tokio::time::sleep(secs(1)).await;
        world.ledger.hangs.store(hangs, Ordering::SeqCst);
        if hangs {
            let body: String = (0..300).map(|id| format!(" h{id}")).collect();
            connector.receive(webhook(&format!("account:books{body}"), "good")).await;
            tokio::time::sleep(secs(1)).await;
        }
        let mut took = Vec::new();
        for id in 0..50 {
            other.put(&id.to_string(), Status::Open, "2026-04-01");
            let (before, sent_at) = (world.board.written.lock().unwrap().len(), world.clock_now());
            connector.receive(webhook(&format!("account:other {id}"), "good")).await;
            while world.board.written.lock().unwrap().len() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            took.push(world.clock_now().saturating_since(sent_at));
        }
        stop.send(()).unwrap();
        running.await.unwrap();
        took.sort();
        took[49]
    };
    let (idle, beside) = (times(false).await, times(true).await);
    assert!(beside <= idle * 2 && beside < secs(1), "{beside:?} beside one that hangs, {idle:?} without");
}

// Proves: no_writes.
#[tokio::test(start_paused = true)]
async fn a_log_that_takes_no_writes_stops_reads_and_is_told_without_any_sink() {
    use futures_util::StreamExt;

    use crate::engine::TroubleKind;

    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    for id in 0..5 {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
    world.log.fail_next_commits(1_000_000);
    tokio::time::sleep(secs(3600)).await;
    let reads = world.ledger.reads();
    assert!(reads <= 10, "{reads} reads in an hour for 5 signals");
    assert!(!connector.health().await.unwrap().is_good());
    assert_eq!(troubles.next().await.unwrap().kind, TroubleKind::LogDown);
    world.log.fail_next_commits(0);
    tokio::time::sleep(secs(120)).await;
    assert_eq!(world.board.corner("a").len(), 5);
    assert_eq!(troubles.next().await.unwrap().kind, TroubleKind::LogResumed);
    assert!(connector.health().await.unwrap().is_good());
    stop.send(()).unwrap();
    running.await.unwrap();
}

// Proves: outages.
#[tokio::test(start_paused = true)]
async fn trouble_reaches_the_host_although_the_only_sink_is_broken() {
    use futures_util::StreamExt;

    use crate::engine::TroubleKind;

    let world = World::new();
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    world.board.is_down.store(true, Ordering::SeqCst);
    tell(&world, &connector, 1..=2).await;
    tokio::time::sleep(secs(600)).await;
    let down = troubles.next().await.unwrap();
    assert_eq!((down.kind, down.connection), (TroubleKind::ConnectionDown, Some("board".into())));
    world.board.is_down.store(false, Ordering::SeqCst);
    world.board.fault(Fault::Before(ErrorKind::InvalidRequest, Effect::None, Scope::Entry, Retry::Never));
    tokio::time::sleep(secs(600)).await;
    assert_eq!(troubles.next().await.unwrap().kind, TroubleKind::DeliveryDead);
    assert_eq!(troubles.next().await.unwrap().kind, TroubleKind::ConnectionResumed);
    stop.send(()).unwrap();
    running.await.unwrap();
}
