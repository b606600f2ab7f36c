//! What disappears without a word: noticed by a look at what exists, and believed as far as it goes.

use super::{
    feeds::{DAY, QUARTER},
    *,
};
use crate::{ErrorKind, SourceMode, model::Status};

#[tokio::test(start_paused = true)]
async fn what_disappears_without_a_word_is_noticed_within_a_day_and_confirmed() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Both).rows_only());
    world.run(&connector, secs(60)).await;
    world.change("98", Status::Open);
    world.run(&connector, QUARTER).await;
    world.ledger.remove("12");
    world.ledger.remove("98");
    let reads = world.ledger.reads();
    world.run(&connector, DAY).await;
    let mut told = world.told().await;
    told.sort();
    assert_eq!(told, ["invoice.deleted 12", "invoice.deleted 98", "invoice.sent 98"]);
    world.run(&connector, DAY * 3).await;
    assert_eq!(world.told().await.len(), 3);
    assert_eq!(world.ledger.reads() - reads, 2, "what is gone is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn what_a_look_missed_by_mistake_is_looked_for_by_the_next_one() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Both));
    world.run(&connector, secs(60)).await;
    *world.ledger.unlisted.lock().unwrap() = Some("12".to_owned());
    world.run(&connector, DAY).await;
    assert_eq!((world.ledger.reads(), world.told().await.len()), (1, 0), "it exists");
    world.ledger.remove("12");
    world.run(&connector, DAY).await;
    assert_eq!(world.told().await, ["invoice.deleted 12"]);
    world.run(&connector, DAY).await;
    assert_eq!(world.ledger.reads(), 2, "what is gone is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn what_exists_and_is_never_listed_is_not_asked_for_at_every_look() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Both));
    world.run(&connector, secs(60)).await;
    for _ in 0..5 {
        *world.ledger.unlisted.lock().unwrap() = Some("12".to_owned());
        world.run(&connector, DAY).await;
    }
    assert_eq!((world.ledger.reads(), world.told().await.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_misses_too_much_is_not_believed_and_somebody_is_told() {
    let world = World::new();
    let then = world.now() - DAY * 30;
    (100..200).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = world.polled(|source| source.polled(SourceMode::Both));
    connector
        .set_routes(vec![
            Route::new("all").to("board", Destination::from("a")),
            Route::new("admin").on("signal.dead").to("board", Destination::from("admin")),
        ])
        .unwrap();
    world.run(&connector, secs(60)).await;
    let nothing = connector.confirm_sweep(&"books".into(), "invoices").await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Conflict);
    let all = world.ledger.invoices.lock().unwrap().clone();
    (100..121).for_each(|id| world.ledger.remove(&id.to_string()));
    world.run(&connector, DAY).await;
    assert_eq!((world.told().await.len(), world.board.corner("admin").len()), (0, 1));
    let restored = all.into_iter().filter(|(id, _)| id != "150");
    *world.ledger.invoices.lock().unwrap() = restored.collect();
    world.run(&connector, DAY).await;
    assert_eq!(world.told().await, ["invoice.deleted 150"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_sweep_is_shown_until_somebody_confirms_it_and_then_believed_that_far() {
    for more in [0, 40] {
        let world = World::new();
        let then = world.now() - DAY * 30;
        (100..300).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
        let connector = world.polled(|source| source.polled(SourceMode::Both));
        world.run(&connector, secs(60)).await;
        (100..130).for_each(|id| world.ledger.remove(&id.to_string()));
        world.run(&connector, DAY).await;
        let stopped = async || {
            let health = connector.health().await.unwrap();
            health.connections[&"books".into()].stopped_sweeps.clone()
        };
        let shown = stopped().await;
        assert_eq!((&*shown[0].feed, shown[0].missing, shown[0].known), ("invoices", 30, 200));
        // What disappears after somebody has looked is not confirmed.
        (130..130 + more).for_each(|id| world.ledger.remove(&id.to_string()));
        let seq = connector.confirm_sweep(&"books".into(), "invoices").await.unwrap();
        assert_eq!(connector.confirm_sweep(&"books".into(), "invoices").await.unwrap(), seq, "once");
        // Also when the process ends on the way.
        world.run(&connector, Duration::from_millis(1)).await;
        world.run(&world.polled(|source| source.polled(SourceMode::Both)), secs(120)).await;
        let told = world.told().await;
        if more == 0 {
            assert_eq!((told.len(), stopped().await.len()), (30, 0));
            assert!(told.iter().all(|what| what.starts_with("invoice.deleted")), "{told:?}");
        } else {
            assert_eq!((told.len(), stopped().await[0].missing), (0, 70));
            connector.confirm_sweep(&"books".into(), "invoices").await.unwrap();
            world.run(&connector, secs(120)).await;
            assert_eq!((world.told().await.len(), stopped().await.len()), (70, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_shows_nothing_deletes_nothing() {
    let world = World::new();
    let then = world.now() - DAY * 30;
    (10..12).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Open, then, then));
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    world.run(&connector, DAY * 2).await;
    (10..12).for_each(|id| world.ledger.remove(&id.to_string()));
    world.run(&connector, DAY).await;
    assert_eq!(world.told().await, [""; 0]);
    assert_eq!(connector.health().await.unwrap().connections[&"books".into()].stopped_sweeps.len(), 1);
}
