//! Webhooks that are sent again and again: they cost few rows and few reads, and nothing that is new is lost.

use vendor::webhook;

use super::*;
use crate::{
    audit::EntryState,
    engine::Act,
    model::{EntityRef, Status},
};

/// Zoho, for one, signs no time: what it has sent once can be sent again for ever.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_replayed_costs_few_rows_and_few_reads_and_no_edit_is_lost() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.ledger.put("1", Status::Open, "2026-06-01");
    let send = async || {
        let answer = connector.receive(webhook("account:books 1", "good")).await;
        assert_eq!(answer.status(), 200);
    };
    for _ in 0..3000 {
        send().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let of_webhooks = |entry: &Entry| entry.index.name.as_deref() == Some("invoice.changed");
    let mut rows = world.entries(EntryKind::Signal).await;
    rows.retain(of_webhooks);
    let reads = world.ledger.reads();
    assert!((2..=11).contains(&reads), "{reads} reads in a minute");
    assert!(rows.len() <= 2 * (reads + 1), "{} rows for {reads} reads", rows.len());
    let repeats: u64 = rows.iter().filter_map(|row| row.repeats).map(|repeats| repeats.count).sum();
    assert_eq!(repeats + rows.len() as u64, 3000, "each has left a trace");
    // Two edits that send the same bytes, the second while the first is being read.
    tokio::time::sleep(secs(120)).await;
    for status in [Status::Paid, Status::Void] {
        world.ledger.put("1", status, "2026-06-01");
        send().await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("a").last().unwrap(), "invoice.voided 1");
    // One that an operator took off the work list answers for none that comes later.
    let received = async || {
        let signals = world.entries(EntryKind::Signal).await;
        signals.into_iter().filter(of_webhooks).count()
    };
    let before = received().await;
    send().await;
    let waiting = Query::of_kind(EntryKind::Signal).with_state(EntryState::Pending);
    let waiting = waiting.with_entity(EntityRef::new("invoice", "1")).with_name("invoice.changed");
    let cancel = Act::Cancel { selection: waiting, why: "a test".into() };
    assert_eq!(connector.act("jane", cancel).await.unwrap().changed, 1);
    world.ledger.put("1", Status::Open, "2026-06-02");
    send().await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(received().await, before + 2);
    assert_eq!(world.board.corner("a").len(), 4, "{:?}", world.board.corner("a"));
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Somebody sends an old webhook twice a minute, all day long.
#[tokio::test(start_paused = true)]
async fn a_day_of_replays_costs_about_a_hundred_reads_and_what_is_new_is_told_all_the_same() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    // Seven days over its due date at midnight: a date is not put off.
    world.ledger.put("1", Status::Open, "2026-02-22");
    let replay = async |hours: u64| {
        for _ in 0..hours * 120 {
            assert_eq!(connector.receive(webhook("account:books 1", "good")).await.status(), 200);
            tokio::time::sleep(secs(30)).await;
        }
    };
    replay(24).await;
    let reads = world.ledger.reads();
    assert!((100..=130).contains(&reads), "{reads} reads in a day");
    let written = world.board.written.lock().unwrap().clone();
    let overdue = written.iter().find(|(_, text, _)| text == "invoice.overdue 1").unwrap();
    let midnight = Timestamp::parse("2026-03-02T00:00:00Z").unwrap();
    assert!(overdue.2.saturating_since(midnight) < secs(5), "{overdue:?}");

    // What says something else is read at once.
    world.ledger.put("1", Status::Paid, "2026-02-22");
    connector.receive(webhook("account:books  1", "good")).await;
    tokio::time::sleep(secs(5)).await;
    assert_eq!(world.board.corner("a").last().unwrap(), "invoice.paid 1");
    // An edit that sends the same bytes waits as long as the replays do, and no longer.
    replay(2).await;
    world.ledger.put("1", Status::Void, "2026-02-22");
    connector.receive(webhook("account:books 1", "good")).await;
    tokio::time::sleep(secs(15 * 60 + 5)).await;
    assert_eq!(world.board.corner("a").last().unwrap(), "invoice.voided 1");
    let waiting =
        Query::of_kind(EntryKind::Signal).with_state(EntryState::Pending).with_name("invoice.changed");
    assert_eq!(connector.count(&waiting, 10).await.unwrap(), 0, "and nothing is dropped or left");
    stop.send(()).unwrap();
    running.await.unwrap();
}
