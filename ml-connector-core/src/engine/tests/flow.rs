//! From the request to the board when nothing goes wrong but the input.

use http::StatusCode;

use super::{super::Connector, *};
use crate::{
    Connection, ErrorKind,
    audit::EntryState,
    model::{EntityRef, Seq, Status},
};

async fn post(connector: &Connector, body: &str, proof: &str) -> StatusCode {
    connector.receive(vendor::webhook(body, proof)).await.status()
}

#[tokio::test(start_paused = true)]
async fn a_webhook_becomes_one_message_however_often_it_comes() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-04-01");
    assert_eq!(post(&connector, "account:books 1", "good").await, StatusCode::OK);
    assert_eq!(world.entries(EntryKind::Signal).await.len(), 1, "the signal is durable before the answer");
    world.run(&connector, secs(10)).await;
    assert_eq!(post(&connector, "account:books 1 1", "good").await, StatusCode::OK);
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    let stats = connector.stats();
    assert_eq!((stats.received, stats.unchanged, stats.events, stats.delivered), (3, 1, 1, 1));
    let states: Vec<_> = world.entries(EntryKind::Signal).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states[0], EntryState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_webhooks_about_one_record_is_one_read() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-04-01");
    for _ in 0..50 {
        post(&connector, "account:books 1", "good").await;
    }
    world.run(&connector, secs(10)).await;
    assert_eq!((world.ledger.reads(), world.board.corner("a").len()), (1, 1));
    let outcomes = world.outcomes(EntryKind::Signal).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.contains("coalesced")).count(), 49);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_proven_leaves_no_trace_and_what_is_not_understood_leaves_one() {
    let world = World::new();
    let connector = world.connector();
    assert_eq!(post(&connector, "account:books 1", "bad").await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.entries(EntryKind::Signal).await.len() + world.entries(EntryKind::Note).await.len(), 0);
    assert_eq!(post(&connector, "", "good").await, StatusCode::BAD_REQUEST);
    let notes = world.entries(EntryKind::Note).await;
    assert_eq!(notes[0].index.name.as_deref(), Some("rejected"));
    let unknown = http::Request::post("/other/hook?x=1").body(bytes::Bytes::new()).unwrap();
    assert_eq!(connector.receive(unknown).await.status(), StatusCode::NOT_FOUND);
    let large = "account:books ".to_owned() + &"1 ".repeat(2 << 20);
    assert_eq!(post(&connector, &large, "good").await, StatusCode::PAYLOAD_TOO_LARGE);
    let stats = connector.stats();
    assert_eq!((stats.forged, stats.rejected, stats.received), (1, 3, 0));
    assert_eq!(world.entries(EntryKind::Note).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_for_an_unknown_account_is_kept_as_unrouted() {
    let world = World::new();
    let connector = world.connector();
    assert_eq!(post(&connector, "account:other 1", "good").await, StatusCode::OK);
    let notes = world.entries(EntryKind::Note).await;
    assert_eq!(notes[0].index.name.as_deref(), Some("unrouted"));
    let story = connector.explain(notes[0].seq).await.unwrap().to_string();
    assert!(story.contains("POST /hook?x=1 with 15 bytes") && story.contains("account:other"), "{story}");
    assert_eq!((connector.stats().unrouted, connector.stats().received), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_account_is_told_once_counted_in_health_and_taken_in_when_it_is_connected() {
    let world = World::new();
    let routes = vec![
        Route::new("all").to("board", Destination::from("a")),
        Route::new("admin").on("webhook.unrouted").to("board", Destination::from("admin")),
    ];
    let connector = world.connector_with(routes);
    for id in ["1", "2"] {
        world.ledger.put(id, Status::Open, "2026-04-01");
        assert_eq!(post(&connector, &format!("account:other {id}"), "good").await, StatusCode::OK);
    }
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("admin").len(), 1, "once in ten minutes");
    assert_eq!(world.board.corner("a").len(), 0);
    let health = connector.health().await.unwrap();
    assert_eq!(health.connections[&"books".into()].unrouted, 2);
    assert!(!health.is_good());

    let unrouted = Query { name: Some("unrouted".into()), ..Query::of_kind(EntryKind::Note) };
    let replay = crate::engine::Replay::new("connected", unrouted);
    assert_eq!(connector.replay(&replay).await.unwrap().selected, 0, "still nobody's");
    connector.add_source(LedgerSource::new("other", &world.ledger)).unwrap();
    assert_eq!(connector.replay(&replay).await.unwrap().appended, 2);
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 2"]);
    let events = world.entries(EntryKind::Event).await;
    assert_eq!(events.iter().filter(|entry| entry.connection == "other".into()).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_that_share_an_endpoint_are_told_apart_by_their_account() {
    let world = World::new();
    let connector = world.connector();
    let elsewhere = Arc::new(Ledger::default());
    connector.add_source(LedgerSource::new("second", &elsewhere)).unwrap();
    elsewhere.put("9", Status::Draft, "2026-04-01");
    assert_eq!(post(&connector, "account:second 9", "good").await, StatusCode::OK);
    world.run(&connector, secs(5)).await;
    assert_eq!((world.ledger.reads(), elsewhere.reads()), (0, 1));
    assert_eq!(world.board.corner("a"), ["invoice.created 9"]);
    let taken = connector.add_source(LedgerSource::new("second", &elsewhere)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(
        connector.webhook_url(&"second".into()).unwrap().as_str(),
        "https://erp.example/hooks/ledger",
        "where the vendor has to send its webhooks"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_store_asks_the_vendor_to_come_again() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-04-01");
    post(&connector, "account:books 1", "good").await;
    world.log.fail_next_commits(1);
    let reply = connector.receive(vendor::webhook("account:books 1", "good")).await;
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers().contains_key("retry-after"));
    assert_eq!((connector.stats().received, connector.stats().refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_invoice_becomes_overdue_by_itself_at_the_organisation_s_midnight_and_is_told_once() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-03-04");
    world.ledger.put("2", Status::Open, "2026-03-04");
    post(&connector, "account:books 1 2", "good").await;
    world.run(&connector, secs(3600)).await;
    world.ledger.put("2", Status::Paid, "2026-03-04");
    post(&connector, "account:books 2", "good").await;
    world.run(&connector, secs(20 * 24 * 3600)).await;
    let written = world.board.written.lock().unwrap().clone();
    let overdue: Vec<_> = written.iter().filter(|(_, text, _)| text.starts_with("invoice.overdue")).collect();
    assert_eq!(overdue.len(), 1, "{written:?}");
    assert_eq!(overdue[0].1, "invoice.overdue 1");
    let late = overdue[0].2.saturating_since(Timestamp::parse("2026-03-11T00:00:00Z").unwrap());
    assert!(late < secs(5), "{late:?} after midnight");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_just_before_midnight_does_not_answer_for_the_day_that_begins() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-03-04");
    post(&connector, "account:books 1", "good").await;
    world.run(&connector, secs(3600)).await;
    let midnight = Timestamp::parse("2026-03-11T00:00:00Z").unwrap();
    let left = midnight.saturating_since(crate::Clock::now(&*world.clock));
    tokio::time::sleep(left - secs(600)).await;
    let (_stop, _running) = start(&connector);
    // Read before midnight, but so late that it answers all that falls due until shortly after.
    tokio::time::sleep(secs(600) - Duration::from_millis(150)).await;
    post(&connector, "account:books 1", "good").await;
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.overdue 1"]);
}

#[tokio::test(start_paused = true)]
async fn midnight_is_the_organisation_s_also_on_days_on_which_clocks_change() {
    for (zone, due, midnight) in [
        ("America/New_York", "2026-02-28", "2026-03-07T05:00:00Z"),
        // Clocks go forward in the night after.
        ("America/New_York", "2026-03-01", "2026-03-08T05:00:00Z"),
        ("America/New_York", "2026-03-02", "2026-03-09T04:00:00Z"),
        // Clocks go forward at midnight: the day begins at one.
        ("Asia/Beirut", "2026-03-22", "2026-03-28T22:00:00Z"),
        ("America/Havana", "2026-03-01", "2026-03-08T05:00:00Z"),
        ("Asia/Kolkata", "2026-03-01", "2026-03-07T18:30:00Z"),
    ] {
        let world = World::new();
        let connector = || {
            let connector = world.connector();
            connector.remove(&"books".into());
            connector.add_source(LedgerSource::new("books", &world.ledger).in_zone(zone)).unwrap();
            connector
        };
        world.ledger.put("1", Status::Open, due);
        let first = connector();
        post(&first, "account:books 1", "good").await;
        world.run(&first, secs(3600)).await;
        // Another process, and another webhook about it.
        let midnight = Timestamp::parse(midnight).unwrap();
        let second = connector();
        post(&second, "account:books 1", "good").await;
        world.run(&second, secs(60)).await;
        let left = midnight.saturating_since(crate::Clock::now(&*world.clock));
        tokio::time::sleep(left - secs(1800)).await;
        world.run(&connector(), secs(3 * 3600)).await;
        let written = world.board.written.lock().unwrap().clone();
        let overdue: Vec<_> = written.iter().filter(|(_, text, _)| text == "invoice.overdue 1").collect();
        assert_eq!(overdue.len(), 1, "{zone} {due}: {written:?}");
        assert!(
            overdue[0].2 >= midnight && overdue[0].2.saturating_since(midnight) < secs(5),
            "{zone} {due}: {overdue:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_that_comes_while_the_vendor_is_down_is_told_when_it_is_back() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-03-04");
    post(&connector, "account:books 1", "good").await;
    world.run(&connector, secs(3600)).await;
    for _ in 0..6 {
        world.ledger.fail(crate::Error::new(ErrorKind::Unavailable, "down"));
    }
    world.run(&connector, secs(11 * 24 * 3600)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.overdue 1"]);
    assert_eq!(connector.stats().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn every_route_that_matches_delivers_once_and_one_that_cannot_be_planned_is_dead() {
    let world = World::new();
    let to = |corner: &str, name: &str| Route::new(name).to("board", Destination::from(corner));
    let connector = world.connector_with(vec![
        to("a", "all"),
        to("b", "paid").on("invoice.paid"),
        to("c", "sent or paid").on("*.sent").on("*.paid").to("board", Destination::from("d")),
        to("nowhere", "lost"),
    ]);
    world.ledger.put("1", Status::Paid, "2026-04-01");
    post(&connector, "account:books 1", "good").await;
    world.run(&connector, secs(10)).await;
    for corner in ["a", "b", "c", "d"] {
        assert_eq!(world.board.corner(corner), ["invoice.paid 1"], "{corner}");
    }
    let deliveries = world.entries(EntryKind::Delivery).await;
    let dead: Vec<_> = deliveries.iter().filter(|entry| entry.state == EntryState::Dead).collect();
    assert_eq!((deliveries.len(), dead.len()), (5, 1));
    let story = connector.explain(dead[0].seq).await.unwrap().to_string();
    for fact in [
        "signal invoice.changed invoice/1",
        "event invoice.paid",
        "\"lost\" matched",
        "the board has no such corner",
    ] {
        assert!(story.contains(fact), "{fact} in:\n{story}");
    }
    assert_eq!(connector.explain(Seq(999)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_gone_is_told_with_what_was_known() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-04-01");
    post(&connector, "account:books 1", "good").await;
    world.run(&connector, secs(5)).await;
    world.ledger.invoices.lock().unwrap().clear();
    post(&connector, "account:books 1", "good").await;
    world.run(&connector, secs(5)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.deleted 1"]);
    let event = world.entries(EntryKind::Event).await.pop().unwrap();
    assert_eq!(event.index.entity, Some(EntityRef::new("invoice", "1")));
    assert_eq!(event.index.number.as_deref(), Some("INV-1"));
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_one_corner_keep_their_order_and_their_pace() {
    let world = World::new();
    let connector = world.connector();
    for id in 10..30 {
        world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
        post(&connector, &format!("account:books {id}"), "good").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // More than is held of a lane at once, and a restart in between.
    world.run(&connector, secs(5)).await;
    world.run(&world.connector(), secs(60)).await;
    let written = world.board.written.lock().unwrap().clone();
    let events: Vec<_> = world
        .entries(EntryKind::Event)
        .await
        .iter()
        .map(|entry| entry.index.entity.as_ref().unwrap().id.to_string())
        .collect();
    let told: Vec<_> =
        written.iter().map(|(_, text, _)| text.split(' ').next_back().unwrap().to_owned()).collect();
    assert_eq!(told, events, "in the order in which the changes were committed");
    for pair in written.windows(2) {
        assert!(pair[1].2.saturating_since(pair[0].2) >= secs(1), "{pair:?}");
    }
}

#[test]
fn routes_that_a_connection_brings_stay_when_the_host_s_are_replaced_and_go_with_it() {
    let world = World::new();
    let mut registry = crate::engine::registry::Registry::default();
    let to_a = |name: &str| Route::new(name).to("board", Destination::from("a"));
    let sink = BoardSink::new(&world.board, world.repeat, world.on_unknown);
    let connection = Connection::new().sink(sink).routes([to_a("brought")]);
    registry.connect(vec![connection.clone()]).unwrap();
    for host in ["one", "two"] {
        registry.set_routes(vec![to_a(host)].into()).unwrap();
        let names: Vec<_> = registry.routes().routes.iter().map(|route| route.name.to_string()).collect();
        assert_eq!(names, [host, "brought"]);
    }
    let first = crate::route::RouteSet::new(vec![to_a("one")]).first_match();
    assert_eq!(registry.set_routes(first).unwrap_err().context("field"), Some("mode"));
    assert!(registry.set_routes(vec![to_a("brought")].into()).is_err(), "the name is taken");

    registry.remove(&"board".into());
    assert_eq!(registry.routes().routes.len(), 2, "what the routes ask for waits");
    registry.connect(vec![connection]).unwrap();
    assert_eq!(registry.routes().routes.len(), 2, "the same routes once");
    registry.remove(&"board".into());
    registry.set_routes(Vec::new().into()).unwrap();
    assert_eq!(registry.routes().routes.len(), 0, "nobody is left who needs them");
}
