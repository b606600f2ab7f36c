//! The past a page at a time, and what other routes would have done with it.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use vendor::webhook;

use super::{super::Connector, *};
use crate::{
    Clock, Error, ErrorKind, Money, SourceMode,
    engine::{DryRun, Replay},
    model::{Event, Origin, PollMode, Status},
    route::{RouteMatch, RouteSet},
};

/// Ten invoices from a month ago, three of them large, three on a page, and a connector that knows them.
async fn known(world: &World, routes: &[Route]) -> Connector {
    let then = world.clock.now() - secs(30 * 86_400);
    (10..20).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    for id in ["11", "12", "19"] {
        world.ledger.invoices.lock().unwrap().get_mut(id).unwrap().total = Money::parse("900", "USD").ok();
    }
    let connector = polled(world, routes);
    world.run(&connector, secs(60)).await;
    connector
}

fn polled(world: &World, routes: &[Route]) -> Connector {
    let connector = world.connector_with(routes.to_vec());
    connector.remove(&"books".into());
    connector.add_source(LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll)).unwrap();
    connector
}

async fn events(world: &World) -> Vec<Event> {
    let entries = world.entries(EntryKind::Event).await;
    entries.iter().map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap()).collect()
}

fn warehouse() -> Route {
    Route::new("warehouse").on("invoice.*").with_pages().to("board", Destination::from("w"))
}

/// The ids on each page, once it is checked that the pages are one event and one delivery each.
async fn pages(world: &World) -> Vec<Vec<String>> {
    let pages: Vec<_> = events(world).await.into_iter().filter(Event::is_page).collect();
    for (i, page) in pages.iter().enumerate() {
        assert_eq!(
            (page.origin, page.n, page.event_type().as_str()),
            (Origin::Backfill, i as u64 + 1, "page.created")
        );
        assert!(
            page.page
                .iter()
                .all(|one| one.record().is_some() && one.origin == Origin::Backfill && one.n == 1)
        );
    }
    assert_eq!(world.board.corner("w").len(), pages.len());
    let ids = |page: &Event| page.page.iter().map(|one| one.entity.id.to_string()).collect();
    pages.iter().map(ids).collect()
}

fn by_three() -> Vec<Vec<String>> {
    let ids: Vec<String> = (10..20).map(|id| id.to_string()).collect();
    ids.chunks(3).map(<[String]>::to_vec).collect()
}

#[tokio::test(start_paused = true)]
async fn the_past_comes_a_page_at_a_time_to_who_takes_pages_and_one_by_one_to_others() {
    for with_others in [false, true] {
        let world = World::new();
        let one_by_one =
            Route::new("one by one").with_origin(Origin::Backfill).to("board", Destination::from("a"));
        let routes = if with_others { vec![warehouse(), one_by_one] } else { vec![warehouse()] };
        let connector = known(&world, &routes).await;
        let seq = connector.backfill(&"books".into(), "invoices", None).await.unwrap();
        world.run(&connector, secs(120)).await;
        assert_eq!(pages(&world).await, by_three());
        let single = events(&world).await.iter().filter(|event| !event.is_page()).count();
        assert_eq!((single, world.board.corner("a").len()), if with_others { (10, 10) } else { (0, 0) });
        let run = connector.progress(&"books".into()).await.unwrap().remove(0).runs.remove(0);
        assert_eq!((run.seq, run.pages, run.rows, run.ended.is_some()), (Some(seq), 4, 10, true));
        // What changes afterwards is an event of its own, numbered on.
        world.ledger.put_at("12", Status::Paid, world.clock.now() - secs(30 * 86_400), world.clock.now());
        world.run(&connector, secs(1800)).await;
        let last = events(&world).await.pop().unwrap();
        assert_eq!((last.origin, last.n, &*last.entity.id), (Origin::Live, 2, "12"));
        assert_eq!(world.board.corner("w").last().map(String::as_str), Some("invoice.paid 12"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_killed_at_any_page_tells_each_page_once() {
    for fails_at in 0..5 {
        for millis in [1, 700, 1500] {
            let world = World::new();
            let connector = known(&world, &[warehouse()]).await;
            connector.backfill(&"books".into(), "invoices", None).await.unwrap();
            let down = || Error::new(ErrorKind::Unavailable, "down");
            let failures = (0..fails_at).map(|_| None).chain([Some(down())]);
            world.ledger.page_failures.lock().unwrap().extend(failures);
            world.log.fail_next_commits(fails_at);
            for _ in 0..12 {
                world.run(&polled(&world, &[warehouse()]), Duration::from_millis(millis)).await;
            }
            world.run(&polled(&world, &[warehouse()]), secs(300)).await;
            assert_eq!(pages(&world).await, by_three(), "{fails_at} {millis}");
            assert!(world.ledger.pages(PollMode::Backfill { since: None }) >= 4);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_holds_what_its_route_asks_for_and_routes_that_ask_for_the_same_share_it() {
    let world = World::new();
    let large = Money::parse("500", "USD").unwrap();
    let route = |name: &str| Route::new(name).with_pages().to("board", Destination::from("w"));
    let routes =
        [route("large").at_least(large), route("also large").at_least(large), route("bills").on("bill.*")];
    let connector = known(&world, &routes).await;
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(120)).await;
    let pages: Vec<_> = events(&world).await.into_iter().filter(Event::is_page).collect();
    let ids: Vec<Vec<&str>> =
        pages.iter().map(|page| page.page.iter().map(|one| &*one.entity.id).collect()).collect();
    assert_eq!(ids, [vec!["11", "12"], vec!["19"]], "{ids:?}");
    assert_eq!(world.board.corner("w").len(), 4, "two routes, two pages");
}

#[tokio::test(start_paused = true)]
async fn a_page_can_be_sent_again_by_the_present_routes() {
    let world = World::new();
    let connector = known(&world, &[warehouse()]).await;
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(120)).await;
    let again = warehouse().with_origin(Origin::Replay);
    connector.set_routes(vec![again]).unwrap();
    let replay = Replay::new("n", Query::of_kind(EntryKind::Event)).reroute();
    assert_eq!(connector.replay(&replay).await.unwrap().selected, 4);
    world.run(&connector, secs(60)).await;
    assert_eq!(connector.replay(&replay).await.unwrap().appended, 0);
    assert_eq!(world.board.corner("w").len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_only_a_page_told_of_is_missed_when_it_disappears() {
    let world = World::new();
    let connector = known(&world, &[warehouse()]).await;
    let then = world.clock.now() - secs(20 * 86_400);
    world.ledger.put_at("99", Status::Open, then, then);
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(120)).await;
    world.ledger.remove("99");
    world.run(&connector, secs(86_400)).await;
    let last = events(&world).await.pop().unwrap();
    assert_eq!((last.event_type().as_str(), &*last.entity.id), ("invoice.deleted", "99"));
}

fn by_rows(world: &World, routes: &[Route]) -> Connector {
    let connector = world.connector_with(routes.to_vec());
    connector.remove(&"books".into());
    let source = LedgerSource::new("books", &world.ledger).polled(SourceMode::Poll).rows_first();
    connector.add_source(source).unwrap();
    connector
}

/// What each event says of its records: whether it is a page, its origin, the id, the number of the change, and whether it
/// has the detail that lists lack.
async fn told(world: &World) -> Vec<(bool, Origin, String, u64, bool)> {
    let one = |is_page: bool, event: &Event| {
        let has_detail = event.record().unwrap().reference.is_some();
        (is_page, event.origin, event.entity.id.to_string(), event.n, has_detail)
    };
    let events = events(world).await;
    events
        .iter()
        .flat_map(|event| match event.is_page() {
            true => event.page.iter().map(|row| one(true, row)).collect::<Vec<_>>(),
            false => vec![one(false, event)],
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn rows_without_details_are_told_at_the_speed_of_lists_and_the_details_follow() {
    let world = World::new();
    let then = world.clock.now() - secs(30 * 86_400);
    (100..220).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = by_rows(&world, &[warehouse()]);
    world.run(&connector, secs(60)).await;
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(20)).await;
    let rows = |told: &[(bool, Origin, String, u64, bool)]| told.iter().filter(|row| row.0).count();
    let early = told(&world).await;
    assert_eq!(rows(&early), 120, "all rows, while the details come at their pace");
    assert!(
        early.iter().filter(|row| row.0).all(|row| (row.1, row.3, row.4) == (Origin::Backfill, 1, false))
    );
    assert!(early.len() < 145 && world.ledger.reads() < 30, "{} {}", early.len(), world.ledger.reads());
    world.run(&connector, secs(300)).await;
    let all = told(&world).await;
    assert_eq!((rows(&all), all.len(), world.ledger.reads()), (120, 240, 120));
    assert!(all.iter().filter(|row| !row.0).all(|row| (row.1, row.3, row.4) == (Origin::Backfill, 2, true)));
    // A change is told as one, and what was filled in is none.
    world.ledger.put_at("101", Status::Paid, then, world.clock.now());
    world.run(&connector, secs(1800)).await;
    assert_eq!(told(&world).await[240..], [(false, Origin::Live, "101".to_owned(), 3, true)]);
    // A second request tells everything again.
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(300)).await;
    let all = told(&world).await;
    assert_eq!((rows(&all), all.len()), (240, 481));
    assert!(all[241..].iter().all(|row| row.1 == Origin::Backfill), "nothing of the past is news");
}

#[tokio::test(start_paused = true)]
async fn rows_are_for_routes_that_take_pages_and_others_wait_for_the_details() {
    let world = World::new();
    let then = world.clock.now() - secs(30 * 86_400);
    (10..20).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let alone = Route::new("alone").with_origin(Origin::Backfill).to("board", Destination::from("a"));
    let connector = by_rows(&world, std::slice::from_ref(&alone));
    world.run(&connector, secs(60)).await;
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(60)).await;
    assert!(told(&world).await.iter().all(|row| !row.0 && row.4));
    assert_eq!((told(&world).await.len(), world.board.corner("a").len()), (10, 10));
    connector.set_routes(vec![warehouse(), alone]).unwrap();
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(60)).await;
    // Four pages and ten details to the one, ten details to the other.
    assert_eq!((world.board.corner("w").len(), world.board.corner("a").len()), (14, 20));
}

#[tokio::test(start_paused = true)]
async fn what_changed_between_a_row_and_what_was_known_is_news_and_what_is_new_is_told_live() {
    let world = World::new();
    let then = world.clock.now() - secs(30 * 86_400);
    (10..14).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = by_rows(&world, &[warehouse()]);
    world.run(&connector, secs(60)).await;
    // Nobody has told of either when the backfill comes: the next read is minutes away.
    let now = world.clock.now();
    world.ledger.put_at("11", Status::Paid, then, now);
    world.ledger.put_at("30", Status::Open, now, now);
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(60)).await;
    let events = events(&world).await;
    let live: Vec<_> = events
        .iter()
        .filter(|event| event.origin == Origin::Live)
        .map(|event| (event.event_type().as_str().to_owned(), event.entity.id.to_string()))
        .collect();
    assert!(live.contains(&("invoice.paid".to_owned(), "11".to_owned())), "{live:?}");
    assert!(live.contains(&("invoice.sent".to_owned(), "30".to_owned())), "{live:?}");
    assert_eq!(live.len(), 2, "{live:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_read_twice_is_told_once() {
    let world = World::new();
    let then = world.clock.now() - secs(30 * 86_400);
    (10..20).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = by_rows(&world, &[warehouse()]);
    world.run(&connector, secs(60)).await;
    world.ledger.read_twice.store(true, std::sync::atomic::Ordering::SeqCst);
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(120)).await;
    assert!(world.ledger.pages(PollMode::Backfill { since: None }) >= 8);
    let rows: Vec<_> = told(&world).await.into_iter().filter(|row| row.0).map(|row| row.2).collect();
    assert_eq!(rows, (10..20).map(|id| id.to_string()).collect::<Vec<_>>());
}

async fn all(connector: &Connector, routes: &RouteSet, query: &Query) -> Vec<DryRun> {
    connector.dry_run(routes, query).unwrap().try_collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_what_other_routes_would_have_done_and_sends_nothing() {
    let world = World::new();
    let connector = world.connector();
    // More than are read at once.
    for id in 100..220 {
        world.ledger.put(
            &id.to_string(),
            if id % 2 == 0 { Status::Open } else { Status::Paid },
            "2026-06-01",
        );
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }
    world.run(&connector, secs(300)).await;
    let before = (world.board.corner("a").len(), world.entries(EntryKind::Delivery).await.len());
    let paid = Route::new("paid").on("*.paid").to("board", Destination::from("b"));
    let rest = Route::new("rest").to("board", Destination::from("a")).to("board", Destination::from("c"));
    let routes = RouteSet::new(vec![paid, rest]).first_match();
    let query = Query::of_kind(EntryKind::Event).with_limit(1000);
    let shown = all(&connector, &routes, &query).await;
    assert_eq!(shown.len(), 120);
    let json = serde_json::to_value(&shown[0]).unwrap();
    assert_eq!(json["event"]["specversion"], "1.0");
    assert_eq!(json["would_go"][0]["sink"], "board");
    let mut seen = BTreeSet::new();
    for one in &shown {
        assert!(seen.insert(one.seq) && one.differs());
        let would: Vec<_> = one.would_go.iter().map(|way| (&*way.route, way.destination.as_str())).collect();
        let paid = one.event.as_ref().unwrap().event_type().as_str() == "invoice.paid";
        assert_eq!(would, if paid { vec![("paid", "b")] } else { vec![("rest", "a"), ("rest", "c")] });
        assert_eq!(one.verdicts[1].1, if paid { RouteMatch::EarlierRoute } else { RouteMatch::Matched });
        let went: Vec<_> = one.went.iter().map(|way| (&*way.route, way.destination.as_str())).collect();
        assert_eq!(went, [("all", "a")]);
    }
    // The newest first are found otherwise, and are the same.
    let mut newest_first = all(&connector, &routes, &query.clone().newest_first()).await;
    newest_first.reverse();
    assert_eq!(newest_first, shown);
    let same = RouteSet::new(vec![Route::new("renamed").to("board", Destination::from("a"))]);
    assert!(all(&connector, &same, &query).await.iter().all(|one| !one.differs()));
    assert_eq!(all(&connector, &same, &query.clone().with_limit(70)).await.len(), 70);
    let entity = shown[0].event.as_ref().unwrap().entity.clone();
    assert_eq!(all(&connector, &same, &query.with_entity(entity)).await.len(), 1);
    world.run(&connector, secs(60)).await;
    let after = (world.board.corner("a").len(), world.entries(EntryKind::Delivery).await.len());
    assert_eq!((before, world.board.corner("b").len()), (after, 0));

    let wrong = RouteSet::new(vec![Route::new("x").to("nobody", Destination::from("a"))]);
    let error = connector.dry_run(&wrong, &Query::default()).err().unwrap();
    assert_eq!((error.kind(), error.context("route")), (ErrorKind::ConfigInvalid, Some("x")));
}

/// What cannot be read, such as after a downgrade, holds up nothing: the rest is compared, and nobody guesses what it hides.
#[tokio::test(start_paused = true)]
async fn a_dry_run_leaves_out_what_cannot_be_read_and_counts_it() {
    use crate::{
        AuditLog,
        audit::{Entry, Index, NewEntry, Parent, Transaction},
    };

    let world = World::new();
    let connector = world.connector();
    for id in ["1", "2", "3"] {
        world.ledger.put(id, Status::Open, "2026-06-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        world.run(&connector, secs(30)).await;
    }
    let known = world.entries(EntryKind::Event).await;
    let delivery = world.entries(EntryKind::Delivery).await.remove(0);
    let broken = |like: &Entry, parent: Parent| NewEntry {
        parent,
        index: Index { destination: None, ..like.index.clone() },
        body: Some("{}".into()),
        ..NewEntry::new(like.partition, like.kind, like.connection.clone(), world.clock_now())
    };
    // One delivery of the second event that does not say where it went, and an event without sense.
    let mut append = vec![broken(&delivery, Parent::Entry(known[1].seq)), broken(&known[0], Parent::None)];
    append[0].index.entity.clone_from(&known[1].index.entity);
    world
        .log
        .commit(vec![Transaction { append, ..Transaction::default() }], world.clock_now())
        .await
        .unwrap();

    let routes = RouteSet::new(vec![Route::new("other").to("board", Destination::from("b"))]);
    let query = Query::of_kind(EntryKind::Event).with_limit(1000);
    let shown = all(&connector, &routes, &query).await;
    let told: Vec<_> = shown
        .iter()
        .map(|run| (run.event.is_some(), run.unreadable, run.went.len(), run.is_known(), run.differs()))
        .collect();
    let compared = (true, 0, 1, true, true);
    assert_eq!(told, [compared, (true, 1, 1, false, false), compared, (false, 0, 0, false, false)]);
    assert!(shown[3].would_go.is_empty() && shown[3].verdicts.is_empty());
    let json = serde_json::to_value(&shown[3]).unwrap();
    assert!(json["event"].is_null(), "{json}");
    let mut newest_first = all(&connector, &routes, &query.newest_first()).await;
    newest_first.reverse();
    assert_eq!(newest_first, shown);
}
