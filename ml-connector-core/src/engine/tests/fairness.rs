//! One organization whose system hangs does not delay the others.

use std::sync::atomic::Ordering;

use vendor::webhook;

use super::*;
use crate::{Clock, model::Status, rate::Quota};

/// How many records of each of the others change.
const CHANGES: u32 = 20;
const OTHERS: [&str; 5] = ["two", "three", "four", "five", "click"];

/// The longest time from a webhook to its message, and the longest but one in a hundred.
struct Took {
    longest: Duration,
    p99: Duration,
}

/// Lets the others work while the first organization has a backlog of reads that hang, or does not.
async fn take(hangs: bool) -> Took {
    let world = World::new();
    *world.board.quota.lock().unwrap() = Some(Quota::Concurrent { limit: 1000 });
    let slow = Arc::new(Ledger::default());
    slow.hangs.store(hangs, Ordering::SeqCst);
    let connector = world.connector();
    connector.remove(&"books".into());
    connector.add_source(LedgerSource::new("slow", &slow)).unwrap();
    for id in OTHERS {
        connector.add_source(LedgerSource::new(id, &world.ledger)).unwrap();
    }
    let (stop, running) = start(&connector);
    for id in 0..300 {
        slow.put(&id.to_string(), Status::Open, "2026-04-01");
        assert_eq!(connector.receive(webhook(&format!("account:slow {id}"), "good")).await.status(), 200);
    }
    tokio::time::sleep(secs(2)).await;
    let mut told = Vec::new();
    for round in 0..CHANGES {
        for (i, of) in OTHERS.iter().enumerate() {
            let id = format!("{of}-{round}");
            world.ledger.put(&id, Status::Open, "2026-04-01");
            connector.receive(webhook(&format!("account:{of} {id}"), "good")).await;
            told.push((format!("invoice.sent {id}"), world.clock.now()));
            tokio::time::sleep(Duration::from_millis(20 + 7 * i as u64)).await;
        }
    }
    tokio::time::sleep(secs(40)).await;
    let written = world.board.written.lock().unwrap().clone();
    let took = |(text, at): &(String, Timestamp)| {
        let (.., done) = written.iter().find(|(_, what, _)| what == text).unwrap_or_else(|| panic!("{text}"));
        done.saturating_since(*at)
    };
    let mut times: Vec<Duration> = told.iter().map(took).collect();
    times.sort_unstable();
    stop.send(()).unwrap();
    running.await.unwrap();
    Took { longest: times[times.len() - 1], p99: times[times.len() * 99 / 100 - 1] }
}

// Proves: fair.
#[tokio::test(start_paused = true)]
async fn one_organization_that_hangs_neither_delays_the_others_nor_a_click() {
    let idle = take(false).await;
    let busy = take(true).await;
    assert!(busy.p99 <= idle.p99 * 2, "{:?} instead of {:?}", busy.p99, idle.p99);
    assert!(busy.longest <= secs(1), "a click is answered within a second, and took {:?}", busy.longest);
}

/// As when a region of a vendor's does not answer.
#[tokio::test(start_paused = true)]
async fn many_organizations_that_hang_together_delay_neither_another_system_nor_a_click() {
    let world = World::new();
    *world.board.quota.lock().unwrap() = Some(Quota::Concurrent { limit: 1000 });
    let slow = Arc::new(Ledger::default());
    slow.hangs.store(true, Ordering::SeqCst);
    let connector = world.connector();
    connector.remove(&"books".into());
    for n in 0..80 {
        connector.add_source(LedgerSource::new(&format!("slow-{n}"), &slow)).unwrap();
    }
    connector.add_source(LedgerSource::new("clicks", &world.ledger).of_system("chat").prompt()).unwrap();
    connector.add_source(LedgerSource::new("other", &world.ledger).of_system("other")).unwrap();
    let (stop, running) = start(&connector);
    for n in 0..80 {
        for id in 0..3 {
            connector.receive(webhook(&format!("account:slow-{n} {n}-{id}"), "good")).await;
        }
    }
    tokio::time::sleep(secs(2)).await;
    for round in 0..20 {
        for of in ["clicks", "other"] {
            let id = format!("{of}-{round}");
            world.ledger.put(&id, Status::Open, "2026-04-01");
            connector.receive(webhook(&format!("account:{of} {id}"), "good")).await;
            tokio::time::sleep(secs(1)).await;
            assert_eq!(world.board.corner("a").last(), Some(&format!("invoice.sent {id}")));
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
}
