//! What encryption adds to a webhook of 1 KiB: the time of one commit to a log in memory, with and without it, each with
//! everything that a signal has. Ends with one line of `key=value`, the last of them `met`: whether the goal is.
#![allow(clippy::disallowed_methods)] // a benchmark reads the system's clock
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use ml_connector_core::{
    AuditLog, Timestamp,
    audit::{EntryKind, Index, MemoryLog, NewEntry, Transaction},
    encryption::{EncryptLog, Key, KeyRing},
    model::{DedupeKey, EntityRef, Partition},
};
use ml_connector_tests::load_average;

const WEBHOOKS: usize = 20_000;
const ROUNDS: usize = 9;
const BODY: usize = 1024;
/// In microseconds for a webhook of 1 KiB.
const ADDED_US_GOAL: f64 = 5.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // The best of some rounds: what other programs take is not ours.
    let (mut clear, mut encrypted) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        clear = clear.min(runtime.block_on(took(&MemoryLog::new())));
        encrypted = encrypted.min(runtime.block_on(async {
            let ring = KeyRing::new(Key::generate("bench").unwrap());
            took(&MemoryLog::new().encrypted(ring).await.unwrap()).await
        }));
    }
    let added = encrypted - clear;
    println!(
        "bench=secrets webhooks={WEBHOOKS} body_bytes={BODY} clear_us={clear:.2} encrypted_us={encrypted:.2} \
         added_us={added:.2} added_us_goal={ADDED_US_GOAL} profile={} load={} met={}",
        if cfg!(debug_assertions) { "debug" } else { "release" },
        load_average(),
        added <= ADDED_US_GOAL,
    );
}

/// Microseconds for one webhook. Each is made right before it is committed, as a request is read right before: its bytes are
/// where the processor has them.
async fn took(log: &dyn AuditLog) -> f64 {
    let mut committing = Duration::ZERO;
    for nth in 0..WEBHOOKS {
        let webhook = vec![webhook(nth)];
        let begun = Instant::now();
        log.commit(webhook, Timestamp::default()).await.unwrap();
        committing += begun.elapsed();
    }
    committing.as_secs_f64() * 1e6 / WEBHOOKS as f64
}

fn webhook(n: usize) -> Transaction {
    let entity = EntityRef::new("invoice", format!("48150000000010{n:04}"));
    let signal = NewEntry {
        lane: Some(n as u64),
        dedupe: Some(DedupeKey::from(format!("zoho_books/{n}"))),
        index: Index { entity: Some(entity), ..Index::default() },
        body: Some(Bytes::from(vec![b'x'; BODY])),
        ..NewEntry::new(Partition::new(0), EntryKind::Signal, "books".into(), Timestamp::default())
    };
    Transaction { append: vec![signal], ..Transaction::default() }
}
