//! However much is in the log, a page reads it a bounded number of times, and is of a bounded size.

use std::sync::Arc;

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Money,
    audit::{Entry, EntryKind, EntryState, Index, NewEntry, Outcome, Parent, Query, Settlement, Transaction},
    model::{EntityRef, Page, Partition, Seq},
};

use crate::{
    vendor::invoice,
    world::{World, crowd, get},
};

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

/// A read of the vendor that finds fifty changes: the story of each, and of the read.
#[tokio::test(start_paused = true)]
async fn the_story_of_a_read_with_fifty_changes_costs_no_more_than_twenty_reads() {
    let world = World::new().await;
    let read_at = world.connector.context().now();
    let invoices = |total: &str| {
        let one = |i: usize| invoice(&format!("p{i}"), &format!("P-{i}"), total, read_at);
        Page::new("next".into()).observations((0..50).map(one).collect())
    };
    for total in ["10.00", "20.00"] {
        world.corners.news.lock().unwrap().push_back(invoices(total));
    }
    let deliveries = Query::of_kind(EntryKind::Delivery).with_entity(EntityRef::new("invoice", "p49"));
    let deliveries = deliveries.newest_first();
    let second = world.until(&deliveries, |entry| {
        entry.state == EntryState::Done && entry.index.amount == Some(Money::parse("20.00", "EUR").unwrap())
    });
    let second = second.await;
    let event = world.connector.search(&Query::entries(vec![second.parent.unwrap()])).await.unwrap();
    let read = event[0].parent.unwrap();
    let family = world.connector.count(&Query::family_of(read), 1000).await.unwrap();
    assert!(family > 100, "one read found all of them: {family}");
    for seq in [second.seq, event[0].seq, read] {
        world.log.take();
        let page = world.get("ada", &format!("/console/event/{seq}")).await;
        let reads = world.log.take();
        assert!(reads <= MOST_READS, "#{seq}: {reads} reads");
        page.shows("Changed: <code>total</code>").shows("Taken by <b>invoices</b>");
    }
}

/// Forty companies, of each something that was given up and something that waits for repair.
#[tokio::test(start_paused = true)]
async fn forty_connections_cost_the_overview_no_more_than_twenty_reads() {
    let (console, connector, log) = crowd(40).await;
    let now = connector.context().now();
    let partition = Partition::all().next().unwrap();
    let mut append = Vec::new();
    for i in 0..40 {
        let of = |kind, whose: &str| NewEntry::new(partition, kind, format!("{whose}-{i}").into(), now);
        append.push(NewEntry { dead: Some("not_found: gone".into()), ..of(EntryKind::Signal, "books") });
        append.push(NewEntry { dead: Some("not_found: gone".into()), ..of(EntryKind::Delivery, "board") });
        append.push(NewEntry { lane: Some(1), ..of(EntryKind::Delivery, "board") });
    }
    log.commit(vec![Transaction { append, ..Transaction::default() }], now).await.unwrap();
    let waits = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Pending).with_limit(100);
    let waits = connector.search(&waits).await.unwrap();
    let parked =
        |entry: &Entry| Settlement::new(entry.seq, Outcome::Parked { error: "invite the app".into() });
    let settle: Vec<_> = waits.iter().map(parked).collect();
    assert_eq!(settle.len(), 40);
    log.commit(vec![Transaction { settle, ..Transaction::default() }], now).await.unwrap();
    for page in ["", "/trouble"] {
        log.take();
        let answer = get(&console, "ada", &format!("/console{page}")).await;
        let reads = log.take();
        assert_eq!(answer.status, StatusCode::OK);
        answer.shows("invite the app");
        assert!(reads <= MOST_READS, "{page}: {reads} reads");
    }
    get(&console, "ada", "/console").await.shows("120 things need you");
}

/// What one connection has given up hides nothing of another, however much it is and how long ago.
#[tokio::test(start_paused = true)]
async fn trouble_of_one_connection_is_counted_behind_thousands_of_another() {
    let world = World::new().await;
    world.dead("rival", 2).await;
    fill(&world).await;
    world.get("rita", "/console").await.shows("1 thing needs you").shows("2 entries given up");
    world.get("ada", "/console").await.shows("1,000 entries given up").shows("2 entries given up");
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
