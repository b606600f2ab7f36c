//! What is asked of a running connector: why lanes wait, and what has happened when.

use vendor::{Fault, webhook};

use super::{
    super::{History, LaneHealth, Tally, WaitReason},
    *,
};
use crate::{
    Clock, Effect, ErrorKind, Retry, Scope,
    audit::EntryState,
    model::{ConnectionId, Status},
    rate::{Quota, QuotaKey},
    route::{Schedule, Target},
};

async fn tell(world: &World, connector: &Connector, id: u32) {
    world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
    connector.receive(webhook(&format!("account:books {id}"), "good")).await;
}

/// The lanes of deliveries that health shows, by where they go.
async fn lanes(connector: &Connector) -> std::collections::BTreeMap<String, LaneHealth> {
    let health = connector.health().await.unwrap();
    let board = health.connections[&"board".into()].deliveries.lanes.clone();
    board.into_iter().map(|lane| (lane.destination.as_deref().unwrap_or("?").to_owned(), lane)).collect()
}

fn to(corners: &[&str]) -> Vec<Route> {
    corners.iter().map(|corner| Route::new(*corner).to("board", Destination::from(*corner))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lane_says_that_it_waits_for_room_in_a_quota() {
    let world = World::new();
    *world.board.quota.lock().unwrap() = Some(Quota::Rolling { limit: 1, window: secs(600) });
    let connector = world.connector_with(to(&["a"]));
    let (stop, running) = start(&connector);
    tell(&world, &connector, 1).await;
    tokio::time::sleep(secs(5)).await;
    assert!(lanes(&connector).await.is_empty(), "nothing waits");
    tell(&world, &connector, 2).await;
    tokio::time::sleep(secs(5)).await;
    let lane = lanes(&connector).await.remove("a").unwrap();
    assert_eq!(lane.reason, WaitReason::Quota { key: QuotaKey::from("board/a") });
    let waiting = &world.entries(EntryKind::Delivery).await[1];
    assert_eq!((lane.head, lane.since, lane.attempt), (Some(waiting.seq), Some(waiting.at), 0), "{lane:?}");
    let next = lane.next.unwrap().saturating_since(world.clock.now());
    assert!(next > secs(580) && next <= secs(600), "{next:?}");
    assert_eq!(lane.lane.len(), 16);
    let text = serde_json::to_string(&lane).unwrap();
    assert!(text.contains(r#""waits_for":"quota","key":"board/a""#), "{text}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_says_that_it_is_blocked_parked_or_behind_an_outage() {
    let world = World::new();
    let connector = world.connector_with(to(&["a"]));
    let (stop, running) = start(&connector);
    let refusals = [
        (ErrorKind::Unavailable, Scope::Entry, Retry::Backoff, WaitReason::Blocked),
        (ErrorKind::NotFound, Scope::Lane, Retry::Never, WaitReason::Parked),
        (ErrorKind::Unauthenticated, Scope::Connection, Retry::Never, WaitReason::Outage),
    ];
    for (id, (kind, scope, retry, reason)) in refusals.into_iter().enumerate() {
        for _ in 0..if reason == WaitReason::Blocked { 6 } else { 1 } {
            world.board.fault(Fault::Before(kind, Effect::None, scope.clone(), retry));
        }
        tell(&world, &connector, u32::try_from(id).unwrap()).await;
        tokio::time::sleep(secs(13)).await;
        let lane = lanes(&connector).await.remove("a").unwrap_or_else(|| panic!("{reason:?}"));
        assert_eq!(lane.reason, reason, "{lane:?}");
        assert!(lane.next.is_some_and(|next| next > world.clock.now()), "{lane:?}");
        assert_eq!(lane.attempt > 0, reason == WaitReason::Blocked, "{lane:?}");
        world.board.faults.lock().unwrap().clear();
        connector.resume(&"board".into()).await.unwrap();
        tokio::time::sleep(secs(300)).await;
        assert!(lanes(&connector).await.is_empty(), "after {reason:?}");
    }
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_says_that_it_waits_for_the_time_of_its_schedule() {
    let world = World::new();
    let hourly = Target::new("board", Destination::from("a")).scheduled(Schedule::every_minutes(60));
    let connector = world.connector_with(vec![Route::new("hourly").to_target(hourly)]);
    let (stop, running) = start(&connector);
    tell(&world, &connector, 1).await;
    tokio::time::sleep(secs(5)).await;
    let lane = lanes(&connector).await.remove("a").unwrap();
    assert_eq!(lane.reason, WaitReason::Window, "{lane:?}");
    assert!(lane.next.is_some_and(|next| next > world.clock.now() + secs(3000)), "{lane:?}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// A slip of the other side's must not stop a connection for days.
#[tokio::test(start_paused = true)]
async fn a_pause_of_days_is_believed_for_an_hour_and_when_it_is_repeated_for_a_day() {
    let world = World::new();
    let connector = world.connector_with(to(&["a"]));
    let (stop, running) = start(&connector);
    let far = world.clock.now() + secs(100 * 86_400);
    for scope in [Scope::Connection, Scope::Connection] {
        world.board.fault(Fault::Before(ErrorKind::RateLimited, Effect::None, scope, Retry::At(far)));
    }
    tell(&world, &connector, 1).await;
    tokio::time::sleep(secs(10)).await;
    let paused = async || {
        let health = connector.health().await.unwrap();
        let until = health.connections[&"board".into()].deliveries.paused_until.unwrap();
        until.saturating_since(world.clock.now()).as_secs()
    };
    let first = paused().await;
    assert!((3500..=3600).contains(&first), "{first}");
    tokio::time::sleep(secs(3600)).await;
    let second = paused().await;
    assert!((86_000..=86_400).contains(&second), "{second}");
    assert_eq!(world.board.attempts.lock().unwrap().len(), 2);
    tokio::time::sleep(secs(86_400)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

fn sum(history: &[super::super::HistoryBucket]) -> Tally {
    history.iter().fold(Tally::default(), |mut sum, bucket| {
        sum.merge(&bucket.tally);
        sum
    })
}

#[tokio::test(start_paused = true)]
async fn history_counts_what_happened_by_minute_and_by_hour_and_is_kept() {
    let world = World::new();
    let books: ConnectionId = "books".into();
    let first = world.connector_with(to(&["a"]));
    let (stop, running) = start(&first);
    for id in 0..3 {
        tell(&world, &first, id).await;
        tokio::time::sleep(secs(70)).await;
    }
    assert_eq!(first.receive(webhook("account:books 9", "forged")).await.status(), 401);
    world.board.fault(Fault::Before(ErrorKind::InvalidRequest, Effect::None, Scope::Entry, Retry::Never));
    tell(&world, &first, 4).await;
    tokio::time::sleep(secs(5)).await;
    stop.send(()).unwrap();
    running.await.unwrap();

    // Another process on the same log knows the same.
    let second = world.connector_with(to(&["a"]));
    let of = async |id: &ConnectionId| second.history(id).await.unwrap();
    let History { minutes, hours, .. } = of(&books).await;
    assert_eq!(
        minutes.iter().map(|bucket| bucket.tally.received).collect::<Vec<_>>(),
        [1, 1, 1, 1],
        "{minutes:?}"
    );
    assert!(
        minutes.is_sorted_by_key(|bucket| bucket.at) && minutes.iter().all(|one| one.at.as_secs() % 60 == 0)
    );
    let all = sum(&minutes);
    assert_eq!((all.received, all.refused, all.events, all.delivered, all.dead), (4, 1, 4, 0, 0), "{all:?}");
    assert_eq!((hours.len(), sum(&hours)), (1, all), "{hours:?}");
    let board = sum(&of(&"board".into()).await.minutes);
    assert_eq!((board.delivered, board.dead, board.latency.iter().sum::<u64>()), (3, 1, 3), "{board:?}");
    assert!(board.latency_at(1.0).is_some_and(|latency| latency <= secs(3)), "{board:?}");

    tokio::time::sleep(secs(2 * 3600)).await;
    assert_eq!((of(&books).await.minutes.len(), sum(&of(&books).await.hours).received), (0, 4));
    tokio::time::sleep(secs(30 * 86_400)).await;
    assert_eq!(of(&books).await, History::default(), "and nothing is left after 30 days");
}

/// What two hosts count becomes one history, and a page that is used again holds nothing of the page before.
#[tokio::test(start_paused = true)]
async fn history_is_merged_over_hosts_and_its_pages_are_used_again() {
    let world = World::new();
    let (one, two) = (world.connector(), world.connector());
    for turn in 0..40 {
        for host in [&one, &two] {
            tell(&world, host, turn).await;
        }
        tokio::time::sleep(secs(61)).await;
        if turn == 20 {
            tokio::time::sleep(secs(31 * 86_400)).await;
        }
    }
    for host in [&one, &two] {
        let history = host.history(&"books".into()).await.unwrap();
        let [minutes, hours] = [&history.minutes, &history.hours].map(|part| sum(part).received);
        // The other host's last minute is not written yet.
        assert!((36..=38).contains(&minutes) && minutes == hours, "{history:?}");
    }
}

/// An hour of trouble with the log loses no count of what happened, and stops nothing.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_counted_on() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tell(&world, &connector, 1).await;
    tokio::time::sleep(secs(30)).await;
    world.log.fail_next_commits(3);
    tokio::time::sleep(secs(300)).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    let other = world.connector();
    assert_eq!(sum(&other.history(&"books".into()).await.unwrap().minutes).received, 1);
    assert_eq!(world.entries(EntryKind::Delivery).await[0].state, EntryState::Done);
}
