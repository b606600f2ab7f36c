//! Transactions of the log: committed, and what it means when one is refused.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    lanes::{Batch, Finished},
    log_gate::WriteTurn,
    shared::Shared,
};
use crate::{
    Error, ErrorKind, Result,
    audit::{
        Appended, Committed, DocKey, DocumentWrite, Expected, Lease, Outcome, Query, Settlement, Transaction,
    },
    model::Seq,
};

/// Why work on a batch stops.
pub(crate) enum Stop {
    /// The partition belongs to another host.
    Fenced,
    /// The log cannot be read or written.
    Log(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

/// Commits a transaction.
pub(crate) async fn commit(shared: &Shared, transaction: Transaction) -> Result<Committed> {
    let bytes = transaction.payload_bytes();
    let is_work = !transaction.append.is_empty() || !transaction.settle.is_empty();
    let committed = shared.log.commit(vec![transaction], shared.clock.now()).await;
    let committed = committed.and_then(|mut committed| {
        let committed = committed.pop();
        committed.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the log did not say what became of a transaction")
        })
    });
    shared.log_gate.wrote(&committed, bytes, is_work, shared.clock.now());
    committed
}

/// Commits a transaction without a fence and without documents under a condition.
pub(crate) async fn append(shared: &Shared, transaction: Transaction) -> Result<Vec<Appended>> {
    match commit(shared, transaction).await? {
        Committed::Applied(appended) => Ok(appended),
        refused => Err(Error::new(ErrorKind::Unexpected, "the log refused an unconditional write")
            .with_context("answer", format!("{refused:?}"))),
    }
}

/// Commits a transaction that only its fence can refuse.
pub(crate) async fn apply(shared: &Shared, transaction: Transaction) -> Result<(), Stop> {
    match commit(shared, transaction).await? {
        Committed::Applied(_) => Ok(()),
        Committed::Fenced => Err(Stop::Fenced),
        Committed::Stale(key) => Err(Stop::Log(
            Error::new(ErrorKind::Unexpected, "a document was written under no condition")
                .with_context("key", key),
        )),
    }
}

/// Whether the log takes writes. One that took none is tried from time to time, with as much as it did not take: a full
/// disk has room for a few bytes.
pub(crate) async fn is_ready(shared: &Shared) -> bool {
    match shared.log_gate.take_turn(shared.clock.now()) {
        WriteTurn::Open => true,
        WriteTurn::Closed => false,
        WriteTurn::Try(bytes) => is_taken(shared, bytes).await,
    }
}

/// Tries the log where that is due, for a host on which nothing waits for it.
pub(crate) fn try_when_due(shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    if let WriteTurn::Try(bytes) = shared.log_gate.take_turn(shared.clock.now()) {
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            is_taken(&shared, bytes).await;
        });
    }
}

async fn is_taken(shared: &Shared, bytes: usize) -> bool {
    let tried = try_log(shared, bytes).await;
    shared.log_gate.tried(tried.is_ok(), shared.clock.now());
    if let Err(error) = &tried {
        tracing::error!(%error, "the log takes no writes: nothing is read and nothing is sent");
    }
    tried.is_ok()
}

async fn try_log(shared: &Shared, bytes: usize) -> Result<()> {
    let write = |value| {
        let key = DocKey::new("probe", &"all".into(), "log");
        let documents = vec![DocumentWrite { key, expected: Expected::Any, value: Some(value) }];
        vec![Transaction { documents, ..Transaction::default() }]
    };
    shared.log.commit(write(incompressible(bytes)), shared.clock.now()).await?;
    // Gives the room back. What is left of it is overwritten the next time.
    shared.log.commit(write(Bytes::new()), shared.clock.now()).await.map(drop)
}

/// Bytes that take as much room as they are many, however a log stores them.
fn incompressible(bytes: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes).collect()
}

/// Adds outcomes under the fence.
pub(crate) async fn settle(shared: &Shared, lease: Lease, settle: Vec<Settlement>) -> Result<(), Stop> {
    apply(shared, Transaction { fence: Some(lease), settle, ..Transaction::default() }).await
}

pub(crate) fn dead(seq: Seq, error: &Error) -> Settlement {
    Settlement::new(seq, Outcome::Dead { error: error.to_string().into() })
}

pub(crate) fn dropped(seq: Seq, reason: &'static str) -> Settlement {
    Settlement::new(seq, Outcome::Dropped { reason: reason.into() })
}

/// Drops what turns up for a connection that was forgotten.
pub(crate) async fn drop_forgotten(shared: &Shared, lease: Lease, batch: &Batch) -> Result<Finished, Stop> {
    let forgotten = batch.items.iter().map(|item| dropped(item.seq, "the connection is forgotten"));
    settle(shared, lease, forgotten.collect()).await.map(|()| Finished::settled())
}

/// Whether an entry has left the work list.
pub(crate) async fn is_settled(shared: &Shared, seq: Seq) -> Result<bool> {
    let query = Query { bodies: false, ..Query::entries(vec![seq]) };
    Ok(shared.log.query(&query).await?.first().is_none_or(|entry| entry.state.is_settled()))
}
