//! Trouble: everything that needs somebody has its place, and a way to its end.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use ml_connector_core::{
    AuditLog, Connection, Connector, Effect, Error, ErrorKind, Retry,
    audit::{Entry, EntryKind, EntryState, NewEntry, Outcome, Query, Settlement, Transaction},
    model::Partition,
};
use tower_service::Service;

use crate::{
    vendor::Ledger,
    world::{World, crowd, get, hook},
};

/// Webhooks with a wrong secret.
async fn refused(connector: &Connector, endpoint: &str) {
    for _ in 0..3 {
        let forged = Request::post(format!("/{endpoint}")).body(Full::<Bytes>::default()).unwrap();
        assert_eq!(connector.service().call(forged).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_overview_counts_is_on_the_page_of_trouble_for_every_connection() {
    let (console, connector, _log) = crowd(60).await;
    for i in 0..60 {
        refused(&connector, &format!("books-{i}")).await;
    }
    let page = async |path: &str| get(&console, "ada", &format!("/console{path}")).await;
    let overview = page("").await;
    overview.shows("60 things need you").shows("And 40 more. ").shows("More connections");
    let first = page("/trouble").await;
    first.shows("3 webhooks refused").shows("check the secret").shows("More connections");
    let named = |text: &str| text.matches("3 webhooks refused").count();
    // The names are in the order of their characters: the fiftieth is the last of the first page.
    let mut names: Vec<String> = (0..60).map(|i| format!("books-{i}")).collect();
    names.sort();
    let second = page(&format!("/trouble?after={}", names[49])).await;
    assert_eq!((named(&first.text), named(&second.text)), (50, 10));
    first.shows(&format!("after={}", names[49])).shows(&format!("<h2>{}</h2>", names[49]));
    second.shows(&format!("<h2>{}</h2>", names[50])).hides("More connections");
    // Of 120 connections fifty are on each page of the overview.
    let rows = |text: &str| text.matches("data-label=\"Next expiry\"").count();
    let third = page(&format!("?after={}", names[39])).await;
    assert_eq!((rows(&overview.text), rows(&third.text)), (50, 20));
    third.shows("First connections").hides("More connections");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_looks_at_the_newest_alone_says_so() {
    let (console, connector, log) = crowd(1).await;
    let (now, partition) = (connector.context().now(), Partition::all().next().unwrap());
    let waits = |i| NewEntry {
        lane: Some(i),
        ..NewEntry::new(partition, EntryKind::Delivery, "board-0".into(), now)
    };
    let append = (0..1000).map(waits).collect();
    log.commit(vec![Transaction { append, ..Transaction::default() }], now).await.unwrap();
    get(&console, "ada", "/console/trouble").await.hides("Of the newest");
    let all = Query::of_kind(EntryKind::Delivery).with_limit(1000);
    let parked = |entry: &Entry| Settlement::new(entry.seq, Outcome::Parked { error: "no scope".into() });
    let settle = connector.search(&all).await.unwrap().iter().map(parked).collect();
    log.commit(vec![Transaction { settle, ..Transaction::default() }], now).await.unwrap();
    get(&console, "ada", "/console/trouble").await.shows("1,000 deliveries").shows("Of the newest 1000");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_arrived_is_counted_before_it_is_sent_again() {
    let world = World::new().await;
    let unknown = Error::new(ErrorKind::Unavailable, "no answer came").with_effect(Effect::Unknown);
    let never = Error::new(ErrorKind::NotFound, "channel_not_found").with_retry(Retry::Never);
    world.corners.faults.lock().unwrap().extend([unknown, never]);
    let dead = world.change("books", "1", "5.00").await;
    assert_eq!(dead.state, EntryState::Dead);
    let confirm = format!("/console/act?do=replay&connection=slack&state=dead&like={}", dead.seq);
    let page = world.get("carl", &confirm).await;
    page.shows("<dt>may arrive twice</dt><dd>1</dd>").shows("Look at the destination first");
    world
        .get("carl", &format!("/console/event/{}", dead.seq))
        .await
        .shows("It is unknown whether it arrived");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_missed_too_much_is_shown_until_somebody_believes_it() {
    let world = World::new().await;
    let every = Duration::from_secs(3600);
    world.corners.existing.store(100, Ordering::SeqCst);
    tokio::time::sleep(every + every / 4).await;
    world.corners.existing.store(60, Ordering::SeqCst);
    tokio::time::sleep(every + every / 4).await;
    let page = world.get("carl", "/console/trouble").await;
    page.shows("A look for deleted records of <b>invoices</b> missed 40 of 100").shows("They were deleted");
    world.get("rita", "/console/trouble").await.hides("A look for deleted records");
    let confirm = "/console/act?do=confirm_sweep&connection=books&feed=invoices";
    let page = world.get("carl", confirm).await;
    page.shows("Believe the sweep").shows("Nothing has happened yet");
    let form = [
        ("do", "confirm_sweep"),
        ("connection", "books"),
        ("feed", "invoices"),
        ("token", &*page.field("token")),
    ];
    assert_eq!(world.post("carl", "/console/act", &form).await.status, StatusCode::SEE_OTHER);
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.get("carl", "/console/trouble").await.hides("A look for deleted records");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_nobody_took_is_taken_in_once_its_account_is_connected() {
    let world = World::new().await;
    let lost = hook("books", "account:branch 7 70.00");
    assert_eq!(world.connector.service().call(lost).await.unwrap().status(), StatusCode::OK);
    let page = world.get("ada", "/console/trouble").await;
    page.shows("1 note").shows("unrouted").shows("Connect it, then send them again");
    let note = Query::of_kind(EntryKind::Note).with_state(EntryState::Dead);
    let note = world.connector.search(&note).await.unwrap()[0].seq.to_string();
    let form = [("do", "replay"), ("connection", "books"), ("state", "dead"), ("like", &*note)];
    let query: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let confirm = format!("/console/act?{}", query.join("&"));
    world.get("ada", &confirm).await.shows("Nothing of this can be done any more");
    let branch = Ledger::new("branch", "Europe/Amsterdam", &world.corners).at_endpoint("books");
    world.connector.connect(Connection::new().source(branch)).unwrap();
    let page = world.get("ada", &confirm).await;
    page.shows("1 entry would be sent again");
    let token = page.field("token");
    let mut form = form.to_vec();
    form.push(("token", &token));
    assert_eq!(world.post("ada", "/console/act", &form).await.status, StatusCode::SEE_OTHER);
    let taken = Query::of_kind(EntryKind::Event).with_connection("branch".into());
    world.until(&taken, |entry| entry.index.number.as_deref() == Some("INV-7")).await;
    world.get("ada", "/console/trouble").await.hides("unrouted");
}
