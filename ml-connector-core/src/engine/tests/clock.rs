//! A clock that was ahead and is set right while the connector runs.

use std::sync::atomic::{AtomicU64, Ordering};

use vendor::webhook;

use super::*;
use crate::{
    Clock, SourceMode,
    model::{PollMode, Status},
};

#[derive(Debug)]
struct Ahead {
    right: Arc<TokioClock>,
    by_s: AtomicU64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.right.now() + secs(self.by_s.load(Ordering::SeqCst))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_a_day_ahead_stops_nothing_once_it_is_set_right() {
    let world = World::new();
    let clock = Arc::new(Ahead { right: Arc::clone(&world.clock), by_s: AtomicU64::new(86_400) });
    let source = LedgerSource::new("books", &world.ledger).polled(SourceMode::Both);
    let connector = Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .rate_limiter(Arc::clone(&world.limiter))
        .clock(Arc::clone(&clock))
        .transport(NoNetwork)
        .public_url("https://erp.example/hooks")
        .source(source)
        .sink(BoardSink::new(&world.board, world.repeat, world.on_unknown))
        .route(Route::new("all").to("board", Destination::from("a")))
        .build()
        .unwrap();
    let tell = async |id: &str, status| {
        world.ledger.put(id, status, "2026-06-01");
        let answer = connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        assert_eq!(answer.status(), 200);
    };
    let (stop, running) = start(&connector);
    tell("1", Status::Open).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    // These wait for their time, by a clock that is wrong.
    tell("2", Status::Open).await;
    clock.by_s.store(0, Ordering::SeqCst);
    let pages = world.ledger.pages(PollMode::Live);
    tell("3", Status::Open).await;
    tell("1", Status::Paid).await;
    tokio::time::sleep(secs(180)).await;
    let mut told = world.board.corner("a");
    told.sort();
    assert_eq!(told, ["invoice.paid 1", "invoice.sent 1", "invoice.sent 2", "invoice.sent 3"]);
    tokio::time::sleep(secs(3600)).await;
    let read = world.ledger.pages(PollMode::Live) - pages;
    assert!((3..=6).contains(&read), "{read} pages in an hour");
    assert!(connector.health().await.unwrap().is_good());
    stop.send(()).unwrap();
    running.await.unwrap();
}
