//! Webhooks that come again and again: a vendor that signs no time cannot tell one from its copy.

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::{super::WaitReason, *};
use crate::{Clock, audit::EntryState, model::Status};

async fn post(connector: &Connector, id: &str) {
    let webhook = vendor::webhook(&format!("account:books {id}"), "good");
    assert_eq!(connector.receive(webhook).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_sent_for_ever_does_not_spend_the_vendor_s_calls_and_hides_no_change() {
    let world = World::new();
    let connector = world.connector();
    for id in ["1", "2"] {
        world.ledger.put(id, Status::Draft, "2026-06-01");
    }
    let (stop, running) = start(&connector);
    for _ in 0..3000 {
        post(&connector, "1").await;
        tokio::time::sleep(secs(1)).await;
    }
    let reads = world.ledger.reads();
    assert!((6..=60).contains(&reads), "{reads} reads in 50 minutes");
    let health = connector.health().await.unwrap();
    let lane = &health.connections[&"books".into()].signals.lanes[0];
    assert_eq!(lane.reason, WaitReason::Pause, "{lane:?}");
    assert!(lane.next.is_some_and(|next| next <= world.clock.now() + secs(3600)), "{lane:?}");

    // Other records are read as fast as ever, and the next read of this one tells what has changed.
    world.ledger.put("1", Status::Open, "2026-06-01");
    post(&connector, "1").await;
    post(&connector, "2").await;
    tokio::time::sleep(secs(2)).await;
    assert_eq!(world.board.corner("a"), ["invoice.created 1", "invoice.created 2"]);
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(world.board.corner("a"), ["invoice.created 1", "invoice.created 2", "invoice.sent 1"]);
    let mut signals = world.entries(EntryKind::Signal).await;
    signals.retain(|signal| signal.index.name.as_deref() == Some("invoice.changed"));
    assert_eq!(signals.len(), 3002, "each of them is in the log");
    assert!(signals.iter().all(|signal| signal.state.is_settled()));
    drop(stop);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_answered_by_one_read_and_the_same_bytes_during_a_read_by_another() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Draft, "2026-06-01");
    world.ledger.hangs.store(true, Ordering::SeqCst);
    let (stop, running) = start(&connector);
    post(&connector, "1").await;
    post(&connector, "1").await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(world.ledger.reads(), 1);
    // An edit that sends identical bytes while the read is under way: the read may not show it.
    post(&connector, "1").await;
    let states = async || {
        let signals = world.entries(EntryKind::Signal).await;
        let of_records = signals.iter().filter(|signal| signal.index.entity.is_some());
        of_records.map(|signal| signal.state == EntryState::Pending).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [true; 3]);
    world.ledger.hangs.store(false, Ordering::SeqCst);
    tokio::time::sleep(secs(600)).await;
    assert!(world.ledger.reads() >= 2);
    assert_eq!(states().await, [false; 3]);
    drop(stop);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_edited_now_and_then_is_read_at_once_each_time() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    for round in 1..=5 {
        world.ledger.put("1", Status::Draft, &format!("2026-06-{round:02}"));
        post(&connector, "1").await;
        tokio::time::sleep(secs(1)).await;
        assert_eq!(world.ledger.reads(), round);
        tokio::time::sleep(secs(10)).await;
    }
    drop(stop);
    running.await.unwrap();
}
