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
