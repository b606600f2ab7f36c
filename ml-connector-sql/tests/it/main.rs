//! The stores keep the contracts, and agree with the log in memory.
#![cfg(any(feature = "postgres", feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod chain;
mod encryption;
mod model;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use bytes::Bytes;
use ml_connector_core::{
    AuditLog, Timestamp,
    audit::{Appended, Committed, EntryKind, NewEntry, Query, Transaction},
    model::{ConnectionId, Partition, Seq},
};

const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Stands for what must not appear in an error.
const PAYLOAD: &str = "planted-payload";

fn signal(body: Bytes) -> NewEntry {
    let connection = ConnectionId::from("books");
    NewEntry {
        lane: Some(1),
        body: Some(body),
        ..NewEntry::new(Partition::new(0), EntryKind::Signal, connection, NOON)
    }
}

fn append(bytes: usize) -> Transaction {
    let body = PAYLOAD.bytes().cycle().take(bytes).collect();
    Transaction { append: vec![signal(body)], ..Transaction::default() }
}

async fn try_append(log: &impl AuditLog, bytes: usize) -> ml_connector_core::Result<Seq> {
    match &log.commit(vec![append(bytes)], NOON).await?[..] {
        [Committed::Applied(appended)] => match appended[..] {
            [Appended::New(seq)] => Ok(seq),
            _ => panic!("expected one new entry, got {appended:?}"),
        },
        other => panic!("expected one applied transaction, got {other:?}"),
    }
}

async fn seqs(log: &impl AuditLog) -> Vec<Seq> {
    let everything = Query::default().with_limit(usize::MAX);
    log.query(&everything).await.unwrap().into_iter().map(|entry| entry.seq).collect()
}
