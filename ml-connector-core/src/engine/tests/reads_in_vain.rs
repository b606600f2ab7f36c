//! A source that cannot be reached waits as a whole, and what cannot be read by itself is given up.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use vendor::webhook;

use super::*;
use crate::{
    Error, ErrorKind, Retry, SourceMode,
    engine::TroubleKind,
    model::{PollMode, Status},
};

const HOUR: u64 = 3600;

fn with_alarm() -> Vec<Route> {
    vec![
        Route::new("all").on("invoice.*").to("board", Destination::from("a")),
        Route::new("alarm").on("connection.*").to("board", Destination::from("alarm")),
    ]
}

async fn tell(world: &World, connector: &Connector, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        world.ledger.put(&id.to_string(), Status::Open, "2026-06-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
}

fn told(ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    ids.into_iter().map(|id| format!("invoice.sent {id}")).collect()
}

#[tokio::test(start_paused = true)]
async fn more_than_a_day_without_an_answer_kills_no_signal_and_is_told_once() {
    for waiting in [1, 2, 30] {
        let world = World::new();
        let connector = world.connector_with(with_alarm());
        let mut troubles = connector.troubles();
        let (stop, running) = start(&connector);
        world.ledger.is_down.store(true, Ordering::SeqCst);
        tell(&world, &connector, 1..=waiting).await;
        tokio::time::sleep(secs(300)).await;
        let health = connector.health().await.unwrap();
        let books = &health.connections[&"books".into()];
        assert!(!health.is_good() && books.signals.paused_until.is_some(), "{books:#?}");
        assert!(books.parked.as_ref().is_some_and(|parked| parked.reason.contains("503")), "{books:#?}");
        tokio::time::sleep(secs(30 * HOUR)).await;
        let reads = world.ledger.reads();
        assert!((30 * 6..30 * 14).contains(&reads), "{reads} reads in 30 hours for {waiting} signals");
        assert_eq!(connector.stats().dead, 0);
        world.ledger.is_down.store(false, Ordering::SeqCst);
        tokio::time::sleep(secs(400)).await;
        let mut written = world.board.corner("a");
        written.sort_by_key(|text| text.rsplit(' ').next().and_then(|id| id.parse::<u32>().ok()));
        assert_eq!(written, told(1..=waiting));
        assert_eq!(world.board.corner("alarm"), ["connection.parked books", "connection.resumed books"]);
        assert!(connector.health().await.unwrap().is_good());
        let kinds = [troubles.next().await.unwrap().kind, troubles.next().await.unwrap().kind];
        assert_eq!(kinds, [TroubleKind::ConnectionDown, TroubleKind::ConnectionResumed]);
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_whose_pages_do_not_come_is_an_outage_too() {
    let world = World::new();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(60)).await;
    world.ledger.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(secs(2 * HOUR)).await;
    let health = connector.health().await.unwrap();
    assert!(!health.is_good() && health.connections[&"books".into()].parked.is_some(), "{health:#?}");
    let pages = world.ledger.pages(PollMode::Live);
    assert!(pages < 50, "{pages} pages in two hours");
    world.ledger.put_at("1", Status::Open, world.clock_now(), world.clock_now());
    world.ledger.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(secs(400)).await;
    assert_eq!(world.board.corner("a"), told(1..=1));
    assert!(connector.health().await.unwrap().is_good());
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_stop_no_other_and_are_given_up() {
    let world = World::new();
    let connector = world.connector_with(with_alarm());
    let (stop, running) = start(&connector);
    world.ledger.broken.lock().unwrap().extend(["1".to_owned(), "2".to_owned()]);
    tell(&world, &connector, 1..=3).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("a"), told(3..=3));
    for hour in 0..30 {
        tell(&world, &connector, [100 + hour]).await;
        tokio::time::sleep(secs(HOUR)).await;
        assert_eq!(world.board.corner("a").len(), 2 + hour as usize);
    }
    assert_eq!(connector.stats().dead, 2);
    assert_eq!(world.board.corner("alarm"), [""; 0]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_other_side_names_is_kept_for_all_of_it() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    let until = world.clock_now() + secs(1200);
    world.ledger.fail(Error::new(ErrorKind::Unavailable, "busy").with_retry(Retry::At(until)));
    tell(&world, &connector, 1..=1).await;
    tokio::time::sleep(secs(10)).await;
    tell(&world, &connector, 2..=20).await;
    tokio::time::sleep(secs(1100)).await;
    assert_eq!(world.ledger.reads(), 1);
    tokio::time::sleep(secs(200)).await;
    assert_eq!(world.board.corner("a").len(), 20);
    stop.send(()).unwrap();
    running.await.unwrap();
}
