//! One host after another on one log, each with a limiter of its own.

use vendor::{Fault, webhook};

use super::*;
use crate::{
    AuditLog, Clock, Error, ErrorKind, Scope,
    audit::{Lease, LeaseRequest},
    model::Status,
    rate::{Quota, RateLimiter},
};

const LIMIT: usize = 3;
const WINDOW: Duration = Duration::from_secs(120);

/// Another process: it shares the log, the vendors and the time, and remembers nothing.
fn another(world: &World) -> World {
    World {
        ledger: Arc::clone(&world.ledger),
        board: Arc::clone(&world.board),
        log: Arc::clone(&world.log),
        clock: Arc::clone(&world.clock),
        lease: world.lease,
        grace: world.grace,
        ..World::new()
    }
}

fn world() -> World {
    let world = World { lease: secs(15), ..World::new() };
    let quota = Quota::Rolling { limit: u32::try_from(LIMIT).unwrap(), window: WINDOW };
    *world.board.quota.lock().unwrap() = Some(quota);
    world
}

async fn tell(world: &World, connector: &Connector, ids: std::ops::Range<u32>) {
    for id in ids {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
}

/// When the board was written on, and the most that one window held.
fn written(world: &World) -> (Vec<Timestamp>, usize) {
    let times: Vec<Timestamp> = world.board.written.lock().unwrap().iter().map(|(.., at)| *at).collect();
    let most = |from: &Timestamp| times.iter().filter(|at| **at >= *from && **at < *from + WINDOW).count();
    let most = times.iter().map(most).max().unwrap_or(0);
    (times, most)
}

// Proves: limits.
#[tokio::test(start_paused = true)]
async fn no_window_exceeds_its_limit_when_a_host_is_killed_and_another_takes_over() {
    let first = world();
    let connector = first.connector();
    let (_stop, running) = start(&connector);
    tell(&first, &connector, 100..120).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(written(&first).0.len(), LIMIT, "the window is full");
    running.abort();
    let killed = first.clock.now();
    let second = another(&first);
    let connector = second.connector();
    second.run(&connector, secs(1200)).await;
    let (times, most) = written(&second);
    assert_eq!((times.len(), most), (20, LIMIT));
    let next = times[LIMIT].saturating_since(killed);
    assert!(
        next >= WINDOW && next < WINDOW + secs(60),
        "{next:?}: the lease has to end, and then the window"
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_handed_over_waits_for_nothing_but_what_was_really_spent() {
    let first = world();
    let connector = first.connector();
    tell(&first, &connector, 100..102).await;
    first.run(&connector, secs(10)).await;
    assert_eq!(written(&first).0.len(), 2);
    let second = another(&first);
    let connector = second.connector();
    tell(&second, &connector, 200..210).await;
    let begun = second.clock.now();
    second.run(&connector, secs(30)).await;
    let (times, most) = written(&second);
    assert_eq!((times.len(), most), (LIMIT, LIMIT), "one more had room, at once: {times:?}");
    assert!(times[2].saturating_since(begun) < secs(5));
    second.run(&connector, secs(1200)).await;
    assert_eq!((written(&second).0.len(), written(&second).1), (12, LIMIT));
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_host_spent_of_a_day_is_known_to_the_next() {
    let first = world();
    let day = Quota::Rolling { limit: 15, window: secs(86_400) };
    *first.board.quota.lock().unwrap() = Some(day);
    let connector = first.connector();
    let (_stop, running) = start(&connector);
    tell(&first, &connector, 100..112).await;
    tokio::time::sleep(secs(90)).await;
    assert_eq!(written(&first).0.len(), 12);
    running.abort();
    let second = another(&first);
    let connector = second.connector();
    tell(&second, &connector, 200..210).await;
    second.run(&connector, secs(3600)).await;
    assert_eq!(written(&second).0.len(), 15);
    second.run(&connector, secs(86_400)).await;
    assert_eq!(written(&second).0.len(), 22);
}

/// Another host takes everything until then, and is not heard of any more.
async fn taken_until(world: &World, until: Timestamp) {
    let request = LeaseRequest::Hold { owner: "gone".into(), want: 64, until, now: until - world.lease };
    assert_eq!(world.log.lease(request).await.unwrap().len(), 64);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_granted_nothing_says_so() {
    let world = world();
    let connector = world.connector();
    taken_until(&world, world.clock.now() + secs(60)).await;
    tell(&world, &connector, 100..101).await;
    let (_stop, _running) = start(&connector);
    tokio::time::sleep(secs(55)).await;
    let health = connector.health().await.unwrap();
    assert_eq!((health.running, health.partitions, written(&world).0.len()), (true, 0, 0));
    tokio::time::sleep(secs(15)).await;
    assert_eq!((connector.health().await.unwrap().partitions, written(&world).0.len()), (64, 1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_died_with_a_clock_that_was_a_day_ahead_is_replaced_at_once() {
    let world = world();
    let connector = world.connector();
    taken_until(&world, world.clock.now() + secs(86_400)).await;
    tell(&world, &connector, 100..101).await;
    world.run(&connector, secs(5)).await;
    assert_eq!(written(&world).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_be_mistaken_for_a_wrong_clock_is_refused() {
    let settings = Settings { lease: Lease::LONGEST, ..Settings::default() };
    let built =
        Connector::builder().audit_log(MemoryLog::new()).transport(NoNetwork).settings(settings).build();
    assert_eq!(built.unwrap_err().kind(), crate::ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn the_first_host_on_a_log_pays_for_nobody() {
    let world = world();
    let connector = world.connector();
    tell(&world, &connector, 100..103).await;
    world.run(&connector, secs(5)).await;
    assert_eq!(written(&world).0.len(), LIMIT);
    let saved = world.limiter.counts(Duration::ZERO, world.clock.now()).await.unwrap();
    assert!(saved.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_host_reads_the_work_lists_of_all_its_partitions_in_one_call() {
    let world = world();
    let connector = world.connector();
    let (_stop, _running) = start(&connector);
    tokio::time::sleep(secs(100)).await;
    let before = world.log.reads();
    tokio::time::sleep(secs(300)).await;
    let idle = world.log.reads() - before;
    assert!(idle <= 30, "{idle} calls in five minutes without any news");
    for _ in 0..10 {
        // Another process appends something that is to be done.
        let signal = crate::audit::NewEntry {
            lane: Some(1),
            ..crate::audit::NewEntry::new(
                crate::model::Partition::new(9),
                EntryKind::Signal,
                "books".into(),
                world.clock.now(),
            )
        };
        let transaction = crate::audit::Transaction { append: vec![signal], ..Default::default() };
        world.log.commit(vec![transaction], world.clock.now()).await.unwrap();
        tokio::time::sleep(secs(1)).await;
    }
    let calls = world.log.reads() - before - idle;
    // Not one for each of 64 partitions.
    assert!((1..=300).contains(&calls), "{calls} calls for 10 commits of another process");
}

/// Parks the connection of the board on a host that holds everything, with one change that waits.
async fn parked(world: &World) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let connector = world.connector();
    for _ in 0..9 {
        world.board.fault(Fault::Before(
            crate::ErrorKind::Unauthenticated,
            crate::Effect::None,
            crate::Scope::Connection,
            crate::Retry::Never,
        ));
    }
    let running = start(&connector);
    tell(world, &connector, 100..101).await;
    tokio::time::sleep(secs(1200)).await;
    assert_eq!(written(world).0.len(), 0);
    world.board.faults.lock().unwrap().clear();
    running
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_resumed_on_another_host_is_tried_by_the_one_that_works_for_it() {
    let world = world();
    let (_stop, _running) = parked(&world).await;
    // It takes webhooks and works for nothing.
    let other = another(&world).connector();
    other.resume(&"board".into()).await.unwrap();
    tokio::time::sleep(secs(35)).await;
    assert_eq!(written(&world).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_resumed_is_tried_although_the_host_dies_at_that_moment() {
    let world = world();
    let (_stop, running) = parked(&world).await;
    another(&world).connector().resume(&"board".into()).await.unwrap();
    running.abort();
    let next = another(&world);
    let connector = next.connector();
    next.run(&connector, world.lease + WINDOW + secs(5)).await;
    assert_eq!(written(&world).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_resumed_once_for_each_time_it_is_said() {
    let world = world();
    let (_stop, _running) = parked(&world).await;
    let refused = || {
        world.board.fault(Fault::Before(
            crate::ErrorKind::Unauthenticated,
            crate::Effect::None,
            crate::Scope::Connection,
            crate::Retry::Never,
        ));
    };
    let left = || world.board.faults.lock().unwrap().len();
    (0..9).for_each(|_| refused());
    let other = another(&world).connector();
    for said in 1..=3 {
        other.resume(&"board".into()).await.unwrap();
        tokio::time::sleep(secs(40)).await;
        assert_eq!(left(), 9 - said, "one try for each time");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_host_still_sends_while_it_shuts_down_is_not_sent_by_another() {
    let first = World { grace: secs(60), ..world() };
    let connector = first.connector();
    first.board.fault(Fault::Late(secs(40)));
    let (stop, running) = start(&connector);
    tell(&first, &connector, 100..101).await;
    tokio::time::sleep(secs(1)).await;
    stop.send(()).unwrap();
    let second = another(&first);
    let (_stop, _running) = start(&second.connector());
    running.await.unwrap();
    tokio::time::sleep(secs(120)).await;
    assert_eq!(first.board.corner("a"), ["invoice.sent 100"]);
}

fn revoked() -> Error {
    Error::new(ErrorKind::Unauthenticated, "revoked").with_scope(Scope::Connection)
}

fn with_alarm(world: &World) -> Connector {
    world.connector_with(vec![
        Route::new("all").on("invoice.*").to("board", Destination::from("a")),
        Route::new("alarm").on("connection.*").to("board", Destination::from("alarm")),
    ])
}

/// What the log says of a connection is known to a host that began before, and takes it over.
#[tokio::test(start_paused = true)]
async fn a_connection_that_works_again_on_another_host_is_told_and_health_is_good() {
    let first = World { lease: secs(15), ..World::new() };
    let dying = with_alarm(&first);
    let (_stop, running) = start(&dying);
    tokio::time::sleep(secs(1)).await;
    let second = another(&first);
    let standing_by = with_alarm(&second);
    let (stop, runs) = start(&standing_by);
    for _ in 0..3 {
        first.ledger.fail(revoked());
    }
    tell(&first, &dying, 1..2).await;
    tokio::time::sleep(secs(20)).await;
    assert!(!dying.health().await.unwrap().is_good());
    running.abort();
    tokio::time::sleep(secs(600)).await;
    assert_eq!(first.board.corner("a"), ["invoice.sent 1"]);
    assert_eq!(first.board.corner("alarm"), ["connection.parked books", "connection.resumed books"]);
    let health = standing_by.health().await.unwrap();
    assert!(health.is_good(), "{health:#?}");
    for _ in 0..3 {
        first.ledger.fail(revoked());
    }
    tell(&second, &standing_by, 2..3).await;
    tokio::time::sleep(secs(20)).await;
    assert!(!standing_by.health().await.unwrap().is_good(), "the next outage is told as well");
    stop.send(()).unwrap();
    runs.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_attached_while_the_host_runs_is_not_parked_for_ever() {
    let world = World::new();
    let before = with_alarm(&world);
    world.ledger.fail(revoked());
    tell(&world, &before, 1..2).await;
    world.run(&before, secs(20)).await;
    let connector = with_alarm(&world);
    connector.remove(&"books".into());
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(5)).await;
    connector.add_source(LedgerSource::new("books", &world.ledger)).unwrap();
    tokio::time::sleep(secs(600)).await;
    assert_eq!(world.board.corner("alarm"), ["connection.parked books", "connection.resumed books"]);
    assert!(connector.health().await.unwrap().is_good());
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Events carry that instant as their epoch: with two of them, a warehouse would take one host's rows for an older log's.
#[tokio::test(start_paused = true)]
async fn hosts_that_learn_the_vendors_clock_at_the_same_moment_watch_since_the_same_instant() {
    let first = World::new();
    let hosts = [first.connector(), another(&first).connector()];
    let registries = hosts.each_ref().map(|host| host.shared.registry());
    let slots = registries.each_ref().map(|registry| registry.source(&"books".into()).unwrap());
    for (host, slot) in hosts.iter().zip(slots) {
        host.shared.watched_since(slot).await.unwrap();
    }
    first.log.delay_commits(secs(1));
    let now = first.clock.now();
    for (slot, ahead) in slots.into_iter().zip([700, 1_400]) {
        slot.vendor_clock.learn(now + Duration::from_millis(ahead), now, now);
    }
    let [one, other] = [hosts[0].shared.watched_since(slots[0]), hosts[1].shared.watched_since(slots[1])];
    let (one, other) = tokio::join!(one, other);
    assert_eq!(one.unwrap(), other.unwrap());
}
