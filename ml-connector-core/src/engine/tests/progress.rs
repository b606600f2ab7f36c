//! How far things are: backfills, replays, and what waits.

use futures_util::{StreamExt, stream::BoxStream};
use vendor::{Fault, webhook};

use super::{
    super::{Health, Progress, Replay, WaitReason},
    *,
};
use crate::{
    Clock, Effect, ErrorKind, Result, Retry, Scope, SourceMode,
    audit::EntryState,
    model::{Seq, Status},
};

fn refused(scope: Scope) -> Fault {
    Fault::Before(ErrorKind::NotFound, Effect::None, scope, Retry::Never)
}

async fn last(mut progress: BoxStream<'static, Result<Progress>>) -> Vec<Progress> {
    let mut seen = Vec::new();
    while let Some(item) = progress.next().await {
        seen.push(item.unwrap());
    }
    seen
}

async fn tell(world: &World, connector: &Connector, ids: std::ops::Range<u32>) {
    for id in ids {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_tells_how_far_it_is_also_to_who_comes_back_on_another_host() {
    let world = World::new();
    let then = world.clock.now() - secs(86_400);
    (10..40).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = world.connector();
    connector.remove(&"books".into());
    connector
        .add_source(LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll).rows_only())
        .unwrap();
    world.run(&connector, secs(60)).await;
    let feed = connector.progress(&"books".into()).await.unwrap()[0].feed;
    let seq = connector.backfill(&"books".into(), feed, None).await.unwrap();

    let mut first = connector.watch_backfill(&"books".into(), feed, seq);
    assert_eq!(first.next().await.unwrap().unwrap(), Progress::default(), "nothing runs yet");
    world.run(&connector, secs(9)).await;
    let early = first.next().await.unwrap().unwrap();
    assert!(early.done > 0 && early.done < 30 && !early.ended, "{early:?}");
    drop(first);

    let second = world.connector();
    second.remove(&"books".into());
    second
        .add_source(LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll).rows_only())
        .unwrap();
    let (_stop, _running) = start(&second);
    let seen = last(second.watch_backfill(&"books".into(), feed, seq)).await;
    let end = seen.last().unwrap();
    assert_eq!((end.done, end.total, end.failed, end.ended), (30, Some(30), 0, true));
    assert!(seen[0].done >= early.done && seen.is_sorted_by_key(|progress| progress.done), "{seen:?}");
    assert!(
        end.per_minute > 0 && end.per_minute <= 60 * 3,
        "three rows a page, each read for itself: {end:?}"
    );
    let again = last(second.watch_backfill(&"books".into(), feed, seq)).await;
    assert_eq!(again.len(), 1, "who comes late hears the end");

    let mut nothing = second.watch_backfill(&"books".into(), "no such feed", seq);
    assert_eq!(nothing.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(nothing.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_backfill_tells_how_long_the_rest_takes_where_the_vendor_says_how_much_there_is() {
    for counts in [false, true] {
        let world = World::new();
        let then = world.clock.now() - secs(86_400);
        (10..40).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
        let connector = world.connector();
        connector.remove(&"books".into());
        let source = LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll).rows_only();
        connector.add_source(if counts { source.counting_rows() } else { source }).unwrap();
        world.run(&connector, secs(60)).await;
        let feed = connector.progress(&"books".into()).await.unwrap()[0].feed;
        let seq = connector.backfill(&"books".into(), feed, None).await.unwrap();
        let (_stop, _running) = start(&connector);
        let seen = last(connector.watch_backfill(&"books".into(), feed, seq)).await;
        let under_way: Vec<_> = seen.iter().filter(|it| it.done > 0 && !it.ended).collect();
        let moving: Vec<_> = under_way.iter().filter(|it| it.per_minute > 0).collect();
        assert!(!moving.is_empty(), "{seen:?}");
        let total = counts.then_some(30);
        assert!(under_way.iter().all(|it| it.total == total), "{seen:?}");
        for it in moving {
            let expected = counts.then(|| (30 - it.done) * 60_000 / it.per_minute);
            assert_eq!(it.time_left.map(|left| left.as_millis()), expected.map(u128::from), "{it:?}");
        }
        let end = seen.last().unwrap();
        assert_eq!((end.total, end.time_left), (Some(30), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_given_up_ends_its_stream_and_says_why() {
    let world = World::new();
    let then = world.clock.now() - secs(86_400);
    (10..40).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = world.connector();
    connector.remove(&"books".into());
    connector
        .add_source(LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll).rows_only())
        .unwrap();
    world.run(&connector, secs(60)).await;
    let feed = connector.progress(&"books".into()).await.unwrap()[0].feed;
    let seq = connector.backfill(&"books".into(), feed, None).await.unwrap();
    let (_stop, _running) = start(&connector);
    let mut watched = connector.watch_backfill(&"books".into(), feed, seq);
    while watched.next().await.unwrap().unwrap().done == 0 {}
    for _ in 0..3 {
        let broken = crate::Error::new(ErrorKind::InvalidResponse, "no such column").with_retry(Retry::Never);
        world.ledger.fail_page(broken);
    }
    let end = last(watched).await.pop().unwrap();
    assert!(end.ended && end.done > 0 && end.done < 30, "{end:?}");
    assert_eq!((end.total, end.failed), (None, 1), "how much there is will never be known");
    assert_eq!(end.given_up.as_deref(), Some("invalid_response: no such column"));
    let late = last(connector.watch_backfill(&"books".into(), feed, seq)).await;
    assert_eq!((late.len(), &late[0].given_up), (1, &end.given_up), "who comes late hears the same");
    tokio::time::sleep(secs(1)).await;
    let runs = connector.progress(&"books".into()).await.unwrap().remove(0).runs;
    assert!(runs.iter().all(|run| run.seq.is_none()), "nothing of it is under way: {runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_tells_how_far_it_is_and_goes_on_after_it_was_dropped() {
    let world = World::new();
    let connector = world.connector();
    (0..20).for_each(|_| world.board.fault(refused(Scope::Entry)));
    tell(&world, &connector, 100..120).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(connector.stats().dead, 20);

    let dead = || Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead).with_limit(1000);
    world.board.fault(refused(Scope::Entry));
    let mut dropped = connector.watch_replay(Replay::new("monday", dead()));
    let appended = dropped.next().await.unwrap().unwrap();
    assert_eq!((appended.done, appended.total), (0, Some(20)));
    drop(dropped);
    let mut only_these = dead();
    only_these.to = Some(world.clock.now());
    let (_stop, _running) = start(&connector);
    let seen = last(connector.watch_replay(Replay::new("monday", only_these))).await;
    let end = seen.last().unwrap();
    assert_eq!((end.done, end.total, end.failed, end.ended), (19, Some(20), 1, true), "{seen:?}");
    assert!(end.per_minute > 0 && end.per_minute <= 61, "once a second: {end:?}");
    assert_eq!(world.board.corner("a").len(), 19);

    let nameless = connector.watch_replay(Replay::new("", dead())).next().await.unwrap();
    assert_eq!(nameless.unwrap_err().kind(), ErrorKind::InvalidRequest);
    let only_counted = last(connector.watch_replay(Replay::new("counted", dead()).dry_run())).await;
    assert_eq!(only_counted.last().map(|end| (end.done, end.ended)), Some((0, true)));
}

async fn health(connector: &Connector) -> Health {
    connector.health().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn health_says_what_waits_where_since_when_and_why() {
    let world = World::new();
    let routes = vec![
        Route::new("all").to("board", Destination::from("a")),
        Route::new("too").to("board", Destination::from("b")),
    ];
    let connector = world.connector_with(routes);
    let (stop, running) = start(&connector);
    tell(&world, &connector, 100..101).await;
    tokio::time::sleep(secs(2)).await;
    world.board.fault(refused(Scope::Lane));
    tell(&world, &connector, 101..105).await;
    tokio::time::sleep(secs(31)).await;
    let seen = health(&connector).await;
    let board = &seen.connections[&"board".into()];
    assert!(seen.running && !seen.is_good());
    let waits = &board.deliveries;
    assert_eq!((waits.parked_lanes, waits.waiting, waits.lanes.len()), (1, 4, 1), "{waits:?}");
    assert!((29..=31).contains(&waits.lag_s), "{waits:?}");
    let lane = &waits.lanes[0];
    assert!(lane.parked && lane.oldest == waits.oldest && lane.waiting == 4, "{lane:?}");
    assert!(lane.next.is_some_and(|until| until > world.clock.now()), "{lane:?}");
    assert_eq!((lane.destination.as_deref(), &lane.reason), (Some("a"), &WaitReason::Parked), "{lane:?}");
    let parked = &board.parked_deliveries[0];
    assert!(parked.seq > Seq(0) && parked.parked.reason.contains("refused"), "{parked:?}");

    let down = Fault::Before(ErrorKind::Unauthenticated, Effect::None, Scope::Connection, Retry::Never);
    world.board.fault(down.clone());
    tell(&world, &connector, 105..106).await;
    tokio::time::sleep(secs(5)).await;
    let seen = health(&connector).await;
    let board = &seen.connections[&"board".into()];
    assert!(board.parked.is_some() && board.deliveries.paused_until > Some(world.clock.now()), "{board:?}");
    let text = serde_json::to_string(&seen).unwrap();
    assert!(text.contains("paused_until") && text.contains("log_answered_in_ms"), "{text}");
    stop.send(()).unwrap();
    running.await.unwrap();
    assert!(!health(&connector).await.running);
}

#[tokio::test(start_paused = true)]
async fn health_says_when_feeds_were_read_and_when_subscriptions_are_due() {
    let world = World::new();
    let connector = world.connector();
    connector.remove(&"books".into());
    connector.add_source(LedgerSource::new("books", &world.ledger).polled(SourceMode::Both)).unwrap();
    let before = health(&connector).await.connections.remove(&"books".into()).unwrap();
    assert!(before.feeds.values().all(Option::is_none) && !before.feeds.is_empty());
    assert_eq!((before.subscriptions_due, before.token), (None, None));
    world.run(&connector, secs(120)).await;
    let after = health(&connector).await.connections.remove(&"books".into()).unwrap();
    assert!(after.feeds.values().all(Option::is_some), "{after:?}");
    assert!(after.subscriptions_due > Some(world.clock.now()), "{after:?}");
    let subscription = &after.subscriptions[0];
    assert!(
        &*subscription.name == "invoice.changed" && subscription.ends > Some(world.clock.now()),
        "{after:?}"
    );
}
