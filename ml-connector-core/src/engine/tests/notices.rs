//! What became of the connector's own work: told, counted, replayed, pruned.

use vendor::{Fault, webhook};

use super::{
    super::{
        Replay, ReplayMode,
        notices::{self, ConnectionNews},
        trouble::Down,
    },
    *,
};
use crate::{
    Clock, Effect, Error, ErrorKind, Retry, Scope,
    audit::EntryState,
    model::{Origin, Status},
};

fn refusal(scope: Scope) -> Fault {
    Fault::Before(ErrorKind::InvalidRequest, Effect::None, scope, Retry::Never)
}

fn routes() -> Vec<Route> {
    vec![
        Route::new("all").to("board", Destination::from("a")),
        Route::new("admin")
            .on("delivery.*")
            .on("signal.*")
            .on("connection.*")
            .to("board", Destination::from("admin")),
    ]
}

async fn tell(world: &World, connector: &Connector, ids: &[&str]) {
    for id in ids {
        world.ledger.put(id, Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        world.run(connector, Duration::from_millis(150)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_delivery_is_told_to_the_admins_once_in_ten_minutes_and_lane() {
    let world = World::new();
    let connector = world.connector_with(routes());
    for id in ["1", "2", "3"] {
        world.board.fault(refusal(Scope::Entry));
        tell(&world, &connector, &[id]).await;
        world.run(&connector, secs(60)).await;
    }
    assert_eq!(world.board.corner("admin").len(), 1, "{:?}", world.board.corner("admin"));
    assert!(world.board.corner("admin")[0].starts_with("delivery.dead"));
    let event = world
        .entries(EntryKind::Event)
        .await
        .into_iter()
        .find(|e| e.index.name.as_deref() == Some("delivery.dead"));
    let event = crate::model::Event::from_cloudevent(&event.unwrap().body.unwrap()).unwrap();
    assert_eq!(event.about.unwrap().to_string(), "invoice/1");
    assert_eq!(event.reason.as_deref(), Some("invalid_request: refused"));
    world.run(&connector, secs(600)).await;
    world.board.fault(refusal(Scope::Entry));
    tell(&world, &connector, &["4"]).await;
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("admin").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_alert_about_a_failed_alert_is_not_sent_and_a_route_for_everything_takes_no_alerts() {
    let world = World::new();
    let connector = world.connector_with(routes());
    world.board.fault(refusal(Scope::Entry));
    world.board.fault(refusal(Scope::Entry));
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(3600)).await;
    assert_eq!((connector.stats().dead, world.board.written.lock().unwrap().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stops_working_is_told_once_and_so_is_its_return() {
    let world = World::new();
    let connector = world.connector_with(routes());
    for _ in 0..3 {
        world
            .ledger
            .fail(Error::new(ErrorKind::Unauthenticated, "the token is dead").with_scope(Scope::Connection));
    }
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(5)).await;
    let health = connector.health().await.unwrap();
    assert!(!health.is_good() && !health.running);
    let parked = health.connections[&"books".into()].parked.clone().unwrap();
    let remedy = "connect the account again, or renew its credentials";
    assert_eq!(&*parked.reason, format!("unauthenticated: the token is dead: {remedy}"));
    // Another process takes over, and finds the connection in the same state.
    let second = world.connector_with(routes());
    world.run(&second, secs(1800)).await;
    assert_eq!(world.board.corner("admin"), ["connection.parked books", "connection.resumed books"]);
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    assert!(
        second.health().await.unwrap().connections.values().all(|connection| connection.parked.is_none())
    );
}

/// A connection that reads and delivers may do one of them and not the other.
#[tokio::test(start_paused = true)]
async fn a_connection_has_resumed_when_neither_reads_nor_deliveries_are_stopped() {
    let world = World::new();
    let connector = world.connector_with(routes());
    let standing = |kind, reason: Option<&str>| {
        let down = reason.map(|reason| Down { reason: reason.into(), passes: false });
        let turn = down.map_or(ConnectionNews::Works(kind), |down| ConnectionNews::Down(kind, down));
        let connector = connector.clone();
        async move {
            tokio::time::sleep(secs(1)).await;
            notices::connection_turned(&connector.shared, &"books".into(), &turn).await.unwrap();
            let health = connector.health().await.unwrap();
            health.connections[&"books".into()].parked.clone().map(|parked| parked.reason.to_string())
        }
    };
    assert_eq!(standing(EntryKind::Delivery, Some("revoked")).await.as_deref(), Some("revoked"));
    assert_eq!(
        standing(EntryKind::Signal, None).await.as_deref(),
        Some("revoked"),
        "it could be read all along"
    );
    assert_eq!(standing(EntryKind::Signal, Some("also")).await.as_deref(), Some("revoked"));
    assert_eq!(standing(EntryKind::Delivery, None).await.as_deref(), Some("also"));
    assert_eq!(standing(EntryKind::Signal, None).await, None);
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("admin"), ["connection.parked books", "connection.resumed books"]);
}

/// The first answer of a token endpoint may be lost and the second one final.
#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_any_longer_is_told_with_what_to_do() {
    let world = World::new();
    let connector = world.connector_with(routes());
    let passes = |text: &'static str| {
        let at = world.clock.now() + secs(30);
        Error::new(ErrorKind::Unavailable, text).with_scope(Scope::Connection).with_retry(Retry::At(at))
    };
    // Two reads are under way when it begins.
    world.ledger.fail(passes("no usable answer"));
    world.ledger.fail(passes("no usable answer"));
    for _ in 0..5 {
        world
            .ledger
            .fail(Error::new(ErrorKind::Unauthenticated, "the token is dead").with_scope(Scope::Connection));
    }
    world.ledger.fail(passes("no usable answer again"));
    tell(&world, &connector, &["1"]).await;
    let parked =
        async || connector.health().await.unwrap().connections[&"books".into()].parked.clone().unwrap();
    world.run(&connector, secs(5)).await;
    let first = parked().await;
    assert_eq!(&*first.reason, "unavailable: no usable answer");
    world.run(&connector, secs(300)).await;
    let then = parked().await;
    assert!(then.reason.contains("connect the account again"), "{then:?}");
    assert_eq!(then.since, first.since);
    assert_eq!(world.board.corner("admin"), ["connection.parked books", "connection.parked books"]);
    world.run(&connector, secs(6 * 3600)).await;
    assert_eq!(world.board.corner("admin")[2..], ["connection.resumed books"]);
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
}

/// Health is true at once, however often a connection turns; messages about it become rare.
#[tokio::test(start_paused = true)]
async fn a_connection_that_turns_all_the_time_is_told_about_later_each_time() {
    let world = World::new();
    let connector = world.connector_with(routes());
    let refused = || Error::new(ErrorKind::Unauthenticated, "refused").with_scope(Scope::Connection);
    world.ledger.fail(refused());
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(1800)).await;
    let turned = ["connection.parked books", "connection.resumed books"];
    assert_eq!(world.board.corner("admin"), turned);
    let quarter = secs(900);
    let down = ConnectionNews::Down(EntryKind::Signal, Down { reason: "refused".into(), passes: false });
    let is_parked = async || connector.health().await.unwrap().connections[&"books".into()].parked.is_some();
    let turn = async |turn: &ConnectionNews| {
        notices::connection_turned(&connector.shared, &"books".into(), turn).await.unwrap()
    };
    for _ in 0..26 {
        let later = turn(&down).await;
        assert_eq!(later, Some(world.clock.now() + quarter));
        assert!(is_parked().await);
        tokio::time::sleep(quarter - secs(1)).await;
        assert_eq!(turn(&ConnectionNews::Works(EntryKind::Signal)).await, None);
        assert!(!is_parked().await);
        tokio::time::sleep(quarter).await;
    }
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("admin"), turned, "what was over by then is not told");
    // One that lasts is told when its time has come.
    for _ in 0..60 {
        world.ledger.fail(refused());
    }
    tell(&world, &connector, &["2"]).await;
    world.run(&connector, secs(600)).await;
    assert!(is_parked().await);
    assert_eq!(world.board.corner("admin"), turned);
    world.run(&connector, secs(600)).await;
    assert_eq!(world.board.corner("admin")[2..], ["connection.parked books"]);
}

#[tokio::test(start_paused = true)]
async fn health_counts_what_waits_and_what_is_parked() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    for _ in 0..2 {
        world.board.fault(refusal(Scope::Lane));
    }
    for id in ["1", "2", "3"] {
        world.ledger.put(id, Status::Open, "2026-04-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        tokio::time::sleep(secs(1)).await;
    }
    let health = connector.health().await.unwrap();
    let board = &health.connections[&"board".into()];
    assert!(health.running && !health.is_good());
    assert_eq!((board.deliveries.waiting, board.deliveries.parked_lanes, board.dead), (3, 1, 0));
    assert!(serde_json::to_string(&health).unwrap().contains("\"parked_lanes\":1"));
    tokio::time::sleep(secs(600)).await;
    let health = connector.health().await.unwrap();
    assert!(health.is_good(), "{health:?}");
    stop.send(()).unwrap();
    running.await.unwrap();
    assert!(!connector.health().await.unwrap().running);
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_again_what_is_dead_and_only_once_per_nonce() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..2 {
        world.board.fault(refusal(Scope::Entry));
    }
    tell(&world, &connector, &["1", "2", "3"]).await;
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 3"]);

    let dead = || Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    let dry = connector.replay(&Replay::new("n1", dead()).dry_run()).await.unwrap();
    assert_eq!((dry.selected, dry.appended), (2, 0));
    let first = connector.replay(&Replay::new("n1", dead())).await.unwrap();
    let second = connector.replay(&Replay::new("n1", dead())).await.unwrap();
    assert_eq!((first.appended, second.appended, second.repeated), (2, 0, 2));
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 3", "invoice.sent 1", "invoice.sent 2"]);
    let act = world.entries(EntryKind::Act).await.remove(0);
    assert_eq!((act.index.name.as_deref(), act.receipt()), (Some("replay"), Some("2 of 2 entries")));
    assert!(act.body.is_some_and(|body| String::from_utf8_lossy(&body).contains(r#""by":"host""#)));
    let original = world.entries(EntryKind::Delivery).await.remove(0);
    let story = connector.explain(original.seq).await.unwrap().to_string();
    assert!(story.contains("dead: ") && story.matches("done: board/").count() == 1, "{story}");
    assert_eq!(
        connector.replay(&Replay::new("", dead())).await.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

#[tokio::test(start_paused = true)]
async fn dead_signals_are_resolved_again_and_events_can_go_elsewhere() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..3 {
        world.ledger.fail(Error::new(ErrorKind::InvalidRequest, "no"));
    }
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(60)).await;
    let dead = Query::of_kind(EntryKind::Signal).with_state(EntryState::Dead);
    assert_eq!(connector.replay(&Replay::new("n", dead)).await.unwrap().appended, 1);
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);

    let again = Route::new("again").with_origin(Origin::Replay).to("board", Destination::from("b"));
    connector.set_routes(vec![again]).unwrap();
    let replay = Replay::new("m", Query::of_kind(EntryKind::Event)).reroute();
    assert_eq!(replay.mode, ReplayMode::Reroute);
    assert_eq!(connector.replay(&replay).await.unwrap().appended, 1);
    assert_eq!(connector.replay(&replay).await.unwrap().repeated, 1);
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("b"), ["invoice.sent 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_long_ago_is_pruned_and_what_is_known_stays() {
    let world = World { retention: Some(secs(12 * 3600)), ..World::new() };
    let connector = world.connector();
    tell(&world, &connector, &["1"]).await;
    world.run(&connector, secs(10)).await;
    world.run(&connector, secs(11 * 3600)).await;
    assert_eq!(world.entries(EntryKind::Event).await.len(), 1);
    world.run(&connector, secs(3 * 3600)).await;
    assert_eq!(world.entries(EntryKind::Event).await.len(), 0);
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(10)).await;
    assert_eq!(connector.stats().unchanged, 1, "the snapshot is still there");
}
