//! Connections that are attached and detached while the connector runs.

use super::*;
use crate::{Connection, ErrorKind, Result};

/// A connection of two halves, as the parts of one system are.
fn both(world: &World, source: &str) -> Connection {
    let sink = BoardSink::new(&world.board, world.repeat, world.on_unknown);
    Connection::new().source(LedgerSource::new(source, &world.ledger)).sink(sink)
}

fn kinds(results: [Result<()>; 4]) -> [Option<ErrorKind>; 4] {
    results.map(|result| result.err().map(|error| error.kind()))
}

#[tokio::test(start_paused = true)]
async fn both_halves_come_together_or_not_at_all_and_go_together() {
    let world = World::new();
    let connector = world.connector_with(Vec::new());
    let taken = connector.connect(both(&world, "board")).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::ConfigInvalid);
    let hears = |connector: &Connector| connector.webhook_url(&"board".into()).is_some();
    assert!(!hears(&connector), "the source is not left behind when its sink is refused");

    assert!(connector.remove(&"board".into()));
    assert!(connector.remove(&"books".into()), "its account is free again");
    connector.connect(both(&world, "board")).unwrap();
    assert!(hears(&connector));
    connector.set_routes(vec![Route::new("all").to("board", Destination::from("a"))]).unwrap();

    assert!(connector.remove(&"board".into()));
    assert!(!hears(&connector));
    let to_board = vec![Route::new("all").to("board", Destination::from("a"))];
    assert!(connector.set_routes(to_board).is_err(), "the sink is gone as well");
    assert!(!connector.remove(&"board".into()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_makes_no_sense_is_refused() {
    let world = World::new();
    let connector = world.connector_with(Vec::new());
    let source = || LedgerSource::new("second", &world.ledger);
    let route = Route::new("all").to("board", Destination::from("a"));
    assert!(connector.remove(&"board".into()));
    let refused = kinds([
        connector.connect(Connection::new()),
        connector.connect(both(&world, "other")),
        connector.connect(Connection::new().source(source()).routes([route.clone()])),
        connector.connect(both(&world, "board").routes([route.from("nobody")])),
    ]);
    assert_eq!(refused, [Some(ErrorKind::ConfigInvalid); 4]);
    let built = Connector::builder().audit_log(Arc::clone(&world.log)).transport(NoNetwork);
    let built = built.connect(Connection::new()).build();
    assert_eq!(built.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_route_names_only_what_somebody_tells_of() {
    let world = World::new();
    let connector = world.connector_with(Vec::new());
    let to_board = || Route::new("r").to("board", Destination::from("a"));
    for (route, field, word) in [
        (to_board().on("invoce.paid"), "on[0]", "invoice"),
        (to_board().on("invoice.paid").on("delivry.dead"), "on[1]", "delivery"),
        (to_board().status("payd".into()), "status[0]", "paid"),
        (to_board().not_status("payd".into()), "not_status[0]", "paid"),
    ] {
        let error = connector.set_routes(vec![route]).unwrap_err();
        assert_eq!((error.kind(), error.context("field")), (ErrorKind::ConfigInvalid, Some(field)));
        assert!(error.context("known").unwrap().contains(word), "{error}");
    }
    let error = connector.set_routes(vec![Route::new("r").to("board", "chanel:C1".into())]).unwrap_err();
    assert_eq!((error.kind(), error.context("field")), (ErrorKind::ConfigInvalid, Some("to[0]")));
    for fine in ["*", "*.paid", "delivery.dead", "approval.created"] {
        connector.set_routes(vec![to_board().on(fine)]).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_comes_with_its_routes_or_not_at_all() {
    let world = World::new();
    let connector = world.connector_with(Vec::new());
    let books = |to: &str| {
        let route = Route::new("tenant").from("tenant").to(to, Destination::from("a"));
        Connection::new().source(LedgerSource::new("tenant", &world.ledger)).routes([route])
    };
    let taken = || Connection::new().source(LedgerSource::new("books", &world.ledger));
    assert!(connector.connect_all([books("board"), taken()]).is_err());
    assert!(connector.connect_all([books("nowhere")]).is_err());
    assert!(connector.webhook_url(&"tenant".into()).is_none(), "nothing of it was left behind");
    connector.connect_all([books("board")]).unwrap();

    world.ledger.put("1", crate::model::Status::Open, "2026-04-01");
    let reply = connector.receive(vendor::webhook("account:tenant 1", "good")).await;
    assert_eq!(reply.status(), http::StatusCode::OK);
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    assert!(connector.remove(&"tenant".into()));
    connector.set_routes(vec![]).unwrap();
}

/// One host renews a token for all connections that share it, so one host has to own them all: whichever half uses it.
#[test]
fn connections_that_share_a_token_need_one_affinity() {
    let world = World::new();
    let tokens = || {
        let token_url = "https://accounts.example.com/token".parse().unwrap();
        let grant = crate::auth::Grant::RefreshToken { initial: None };
        let config =
            crate::auth::OAuth2Config::new("ledger", token_url, "app", crate::Secret::from("secret"), grant);
        crate::auth::OAuth2::new(crate::token::TokenKey::shared("app/anna"), config).unwrap()
    };
    let source = |id: &str, person: &str| {
        Connection::new().source(LedgerSource::new(id, &world.ledger).idle(tokens()).of_person(person))
    };
    let sink = |id: &str, person: &str| {
        let sink = BoardSink::new(&world.board, world.repeat, world.on_unknown);
        Connection::new().sink(sink.named(id).idle(tokens()).of_person(person))
    };
    let half =
        |is_sink: bool, id: &str, person: &str| if is_sink { sink(id, person) } else { source(id, person) };
    for case in 0..4 {
        let first = |id: &str, person: &str| half(case / 2 == 1, id, person);
        let next = |id: &str, person: &str| half(case % 2 == 1, id, person);
        let connector = world.connector();
        connector.connect(first("first", "anna")).unwrap();
        connector.connect(next("second", "anna")).unwrap();
        let refused = connector.connect(next("third", "third")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConfigInvalid, "case {case}");
        assert_eq!(refused.context("connection"), Some("third"), "case {case}");
        assert!(matches!(refused.context("other"), Some("first" | "second")), "case {case}: {refused}");
        let attached = connector.connections();
        assert!(
            attached.iter().all(|one| one.id != "third".into()),
            "nothing of it is attached: case {case}"
        );
    }

    // Two halves of one connection share its token, and have one owner as well.
    let connector = world.connector();
    let sink = BoardSink::new(&world.board, world.repeat, world.on_unknown).named("both").idle(tokens());
    let both = |person: &str| {
        let source = LedgerSource::new("both", &world.ledger).idle(tokens()).of_person(person);
        Connection::new().source(source)
    };
    let refused = connector.connect(both("anna").sink(sink)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    assert!(connector.connections().iter().all(|one| one.id != "both".into()));
    connector.connect(both("both")).unwrap();
}
