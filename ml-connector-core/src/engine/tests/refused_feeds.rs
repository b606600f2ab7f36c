//! Feeds that a plan or a scope does not allow.

use super::{
    feeds::{DAY, QUARTER},
    *,
};
use crate::{
    Error, ErrorKind, SourceMode,
    model::{PollMode, Status},
};

/// Told once, asked for once a day, and without a flood when it comes after all.
#[tokio::test(start_paused = true)]
async fn a_feed_that_a_scope_does_not_allow_is_set_aside_and_begins_when_it_is_allowed() {
    let world = World::new();
    world.old_invoices();
    let refusal = || {
        Error::new(ErrorKind::PermissionDenied, "the scope is missing").with_context("scope", "invoices.READ")
    };
    (0..7).for_each(|_| world.ledger.fail_page(refusal()));
    let connector = world.polled(|source| source.polled(SourceMode::Both));
    connector
        .set_routes(vec![
            Route::new("all").to("board", Destination::from("a")),
            Route::new("admin")
                .on("feed.*")
                .on("signal.*")
                .on("connection.*")
                .to("board", Destination::from("admin")),
        ])
        .unwrap();
    world.run(&connector, DAY).await;
    assert_eq!(world.board.corner("admin"), ["feed.parked invoices"]);
    assert_eq!(world.ledger.pages.lock().unwrap().len(), 6, "asked now and then");
    let health = connector.health().await.unwrap();
    let unavailable = &health.connections[&"books".into()].unavailable_feeds[0];
    assert!(unavailable.reason.contains("scope=invoices.READ"), "{unavailable:?}");
    assert!(!health.is_good());

    // What changed meanwhile is in nobody's way when it becomes available.
    world.change("12", Status::Paid);
    world.run(&connector, DAY * 3).await;
    assert_eq!(world.board.corner("admin"), ["feed.parked invoices", "feed.resumed invoices"]);
    assert_eq!(world.told().await, [""; 0]);
    world.change("13", Status::Paid);
    world.run(&connector, QUARTER * 2).await;
    assert_eq!(world.told().await, ["invoice.paid 13"]);
    assert!(connector.health().await.unwrap().connections[&"books".into()].unavailable_feeds.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_feed_whose_scope_is_granted_on_the_first_day_loses_nothing() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    (0..4).for_each(|_| world.ledger.fail_page(Error::new(ErrorKind::PermissionDenied, "no scope")));
    world.run(&connector, secs(60)).await;
    world.change("12", Status::Paid);
    world.run(&connector, DAY).await;
    assert_eq!(world.told().await, ["invoice.updated 12"]);
}

/// What one feed may not tell says nothing of the others.
#[tokio::test(start_paused = true)]
async fn a_feed_that_is_not_refused_is_read_beside_one_that_is() {
    let world = World::new();
    world.old_invoices();
    world.ledger.refused_feed.lock().unwrap().0 = Some("credits");
    let connector = world.polled(|source| source.polled(SourceMode::Poll).also_polled("credits"));
    world.run(&connector, secs(60)).await;
    let read = world.ledger.pages(PollMode::Live);
    for id in ["12", "13", "14"] {
        world.change(id, Status::Paid);
        world.run(&connector, QUARTER + secs(60)).await;
    }
    assert_eq!(world.told().await, ["invoice.paid 12", "invoice.paid 13", "invoice.paid 14"]);
    assert!(world.ledger.pages(PollMode::Live) >= read + 3, "it is read every quarter of an hour");
    assert_eq!(world.ledger.refused_feed.lock().unwrap().1, 1, "the other is asked for once a day");
    let health = connector.health().await.unwrap();
    let unavailable = &health.connections[&"books".into()].unavailable_feeds;
    assert_eq!(unavailable.iter().map(|feed| &*feed.feed).collect::<Vec<_>>(), ["credits"]);
}

/// It was watched before, so what happened meanwhile is told.
#[tokio::test(start_paused = true)]
async fn a_feed_that_was_read_before_tells_what_happened_while_it_was_refused() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    world.run(&connector, secs(60)).await;
    world.ledger.fail_page(Error::new(ErrorKind::Unsupported, "not in this plan"));
    world.run(&connector, QUARTER * 2).await;
    world.change("12", Status::Paid);
    world.run(&connector, DAY * 2).await;
    assert_eq!(world.told().await, ["invoice.paid 12"]);
}
