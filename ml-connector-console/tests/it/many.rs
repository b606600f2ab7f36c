//! However much is in the log, a page reads it a bounded number of times, and is of a bounded size.

use std::sync::Arc;

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Money,
    audit::{EntryKind, Index, NewEntry, Outcome, Parent, Query, Settlement, Transaction},
    model::{EntityRef, Partition, Seq},
};

use crate::world::World;

/// How many events there are; each has a delivery, and every fourth of those was given up.
const EVENTS: usize = 10_000;
const MOST_READS: usize = 20;
const MOST_BYTES: usize = 400_000;

/// Fills the log by transactions of so many events.
async fn fill(world: &World) {
    let now = world.connector.context().now();
    let partition = Partition::all().next().unwrap();
    for page in 0..EVENTS / 100 {
        let mut append = Vec::new();
        for i in 0..100 {
            let id = format!("{}", page * 100 + i);
            let index = Index {
                entity: Some(EntityRef::new("invoice", &*id)),
                number: Some(format!("INV-{id}").into()),
                name: Some("invoice.paid".into()),
                amount: Some(Money::parse("12.50", "EUR").unwrap()),
                ..Index::default()
            };
            let event = NewEntry {
                index: index.clone(),
                ..NewEntry::new(partition, EntryKind::Event, "books".into(), now)
            };
            let to = Index {
                name: Some("invoices".into()),
                destination: Some("channel:accounting".into()),
                ..index
            };
            let dead = (i % 4 == 0).then(|| Arc::from(format!("not_found: channel_not_found {}", i % 3)));
            append.push(event);
            let parent = Parent::Nth(append.len() - 1);
            append.push(NewEntry {
                index: to,
                parent,
                dead,
                ..NewEntry::new(partition, EntryKind::Delivery, "slack".into(), now)
            });
        }
        let transaction = Transaction { append, ..Transaction::default() };
        world.log.commit(vec![transaction], now).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_entries_cost_no_page_more_than_twenty_reads() {
    let world = World::new().await;
    fill(&world).await;
    let dead = Query::of_kind(EntryKind::Delivery).with_state(ml_connector_core::audit::EntryState::Dead);
    assert_eq!(world.connector.count(&dead, EVENTS).await.unwrap(), EVENTS / 4);
    let first = world.connector.search(&dead.newest_first().with_limit(1)).await.unwrap()[0].seq;
    let act = format!("/act?do=replay&connection=slack&state=dead&like={first}");
    let event = format!("/event/{first}");
    for page in [
        "",
        "/events",
        "/events?kind=all",
        "/events?kind=delivery&state=dead",
        "/events?q=INV-77",
        "/events?q=nothing",
        "/trouble",
        "/routes",
        "/backfills",
        &*act,
        &*event,
        "/record/any/invoice/77",
    ] {
        world.log.take();
        let answer = world.get("carl", &format!("/console{page}")).await;
        let reads = world.log.take();
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        assert!(reads <= MOST_READS, "{page}: {reads} reads");
        assert!(answer.text.len() <= MOST_BYTES, "{page}: {} bytes", answer.text.len());
    }
}

/// What has the cause of another group is not touched, however many there are.
#[tokio::test(start_paused = true)]
async fn one_act_is_about_one_cause_and_five_hundred_entries_at_most() {
    let world = World::new().await;
    fill(&world).await;
    let trouble = world.get("carl", "/console/trouble").await;
    trouble.shows("channel_not_found 0").shows("channel_not_found 1").shows("channel_not_found 2");
    let newest = Query::of_kind(EntryKind::Delivery).with_error("channel_not_found 1").with_limit(1);
    let like = world.connector.search(&newest).await.unwrap()[0].seq;
    let page =
        world.get("carl", &format!("/console/act?do=discard&connection=slack&state=dead&like={like}")).await;
    page.shows("500+").shows("There are more: 500 are done at once");
    let (state, like) = ("dead", like.to_string());
    let form = [
        ("do", "discard"),
        ("connection", "slack"),
        ("state", state),
        ("like", &*like),
        ("why", "a test"),
        ("token", &*page.field("token")),
    ];
    assert_eq!(world.post("carl", "/console/act", &form).await.status, StatusCode::SEE_OTHER);
    let gone = Query::of_kind(EntryKind::Delivery)
        .with_state(ml_connector_core::audit::EntryState::Discarded)
        .with_limit(1000);
    let gone = world.connector.search(&gone).await.unwrap();
    assert_eq!(gone.len(), 500);
    assert!(gone.iter().all(|entry| entry.has_error("channel_not_found 1")));
    // Somebody else settles what was only confirmed: then it is another selection.
    let page =
        world.get("carl", &format!("/console/act?do=discard&connection=slack&state=dead&like={like}")).await;
    let token = page.field("token");
    let first = Query::of_kind(EntryKind::Delivery)
        .with_state(ml_connector_core::audit::EntryState::Dead)
        .with_error("channel_not_found 1");
    let first: Seq = world.connector.search(&first.with_limit(1)).await.unwrap()[0].seq;
    let outcome = Outcome::Discarded { by: "somebody".into(), why: "else".into() };
    let settle = vec![Settlement::new(first, outcome)];
    world
        .log
        .commit(vec![Transaction { settle, ..Transaction::default() }], world.connector.context().now())
        .await
        .unwrap();
    let form = [
        ("do", "discard"),
        ("connection", "slack"),
        ("state", state),
        ("like", &*like),
        ("why", "a test"),
        ("token", &*token),
    ];
    assert_eq!(world.post("carl", "/console/act", &form).await.status, StatusCode::CONFLICT);
}
