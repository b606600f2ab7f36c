//! What cannot be written down: one value that the log does not take, and a log that takes nothing.

use futures_util::FutureExt;
use vendor::{Ledger, LedgerSource, webhook};

use super::*;
use crate::{ErrorKind, audit::EntryState, engine::TroubleKind, model::Status};

async fn tell(world: &World, ledger: &Ledger, connector: &Connector, account: &str, id: &str) {
    ledger.put(id, Status::Open, "2026-06-01");
    let answer = connector.receive(webhook(&format!("account:{account} {id}"), "good")).await;
    assert_eq!(answer.status(), 200, "{account} {id} at {}", world.clock_now());
}

/// It may be a lock on one row, or a bug: whose work it is waits for longer and longer, and nobody else does.
#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_down_costs_few_reads_and_delays_nobody_else() {
    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let other = Arc::new(Ledger::default());
    connector.add_source(LedgerSource::new("other", &other)).unwrap();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.log.fail_commits_with(Some(("INV-13\"", ErrorKind::Unavailable)));
    tell(&world, &world.ledger, &connector, "books", "13").await;
    tokio::time::sleep(secs(2)).await;
    for id in 100..220 {
        tell(&world, &other, &connector, "other", &id.to_string()).await;
        let told = format!("invoice.sent {id}");
        let began = world.clock_now();
        while world.board.corner("a").last() != Some(&told) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let took = world.clock_now().saturating_since(began);
            assert!(took < secs(5), "{id} is not told after {took:?}");
        }
        tokio::time::sleep(secs(30)).await;
    }
    let reads = world.ledger.reads();
    assert!((30..=130).contains(&reads), "{reads} reads in an hour");
    assert!(connector.health().await.unwrap().log.is_none());
    assert!(
        futures_util::StreamExt::next(&mut troubles).now_or_never().is_none(),
        "there is no trouble to tell"
    );
    world.log.fail_commits_with(None);
    tokio::time::sleep(secs(70)).await;
    assert_eq!(world.board.corner("a").last().unwrap(), "invoice.sent 13");
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// The log says that it works, and does not take this: somebody has to know which.
#[tokio::test(start_paused = true)]
async fn a_value_that_the_log_does_not_take_is_a_signal_that_is_given_up() {
    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.log.fail_commits_with(Some(("INV-13\"", ErrorKind::Unexpected)));
    tell(&world, &world.ledger, &connector, "books", "13").await;
    tell(&world, &world.ledger, &connector, "books", "14").await;
    tokio::time::sleep(secs(600)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 14"]);
    assert_eq!(world.ledger.reads(), 4, "three tries, and the other");
    let health = connector.health().await.unwrap();
    assert!(health.log.is_none() && health.connections[&"books".into()].dead == 1, "{health:?}");
    let told = futures_util::StreamExt::next(&mut troubles).await.unwrap();
    assert_eq!(told.kind, TroubleKind::SignalDead);
    world.log.fail_commits_with(None);
    let dead = Query::of_kind(EntryKind::Signal).with_state(EntryState::Dead);
    connector.replay(&super::super::Replay::new("repaired", dead)).await.unwrap();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.board.corner("a").last().unwrap(), "invoice.sent 13");
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Nothing waits, because nothing could be stored.
#[tokio::test(start_paused = true)]
async fn a_log_that_works_again_is_noticed_by_a_host_that_has_nothing_to_do() {
    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(60)).await;
    world.log.fail_next_commits(usize::MAX);
    let refused = connector.receive(webhook("account:books 1", "good")).await;
    assert_eq!(refused.status(), 503);
    tokio::time::sleep(secs(600)).await;
    assert!(connector.health().await.unwrap().log.is_some());
    world.log.fail_next_commits(0);
    tokio::time::sleep(secs(61)).await;
    assert!(connector.health().await.unwrap().log.is_none());
    let told = futures_util::StreamExt::take(&mut troubles, 2);
    let told: Vec<_> =
        futures_util::StreamExt::collect(futures_util::StreamExt::map(told, |one| one.kind)).await;
    assert_eq!(told, [TroubleKind::LogDown, TroubleKind::LogResumed]);
    stop.send(()).unwrap();
    running.await.unwrap();
}
