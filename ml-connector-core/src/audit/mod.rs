//! The log: queue, memory and evidence in one.
//!
//! All work is an entry before it begins, and has an outcome when it ends. "Pending" is a row on the log's work list,
//! written with the entry and deleted by the transaction that settles it. There is no second queue.

mod amount;
mod backlog;
mod chain;
mod memory;
mod outcome;
mod query;
mod read;
mod rewrite;
pub(crate) mod sealed;
mod write;

use std::{fmt::Debug, sync::Arc, time::Duration};

pub use amount::{amount_key, amount_of_key};
use async_trait::async_trait;
pub use backlog::Backlog;
pub use chain::{Break, Broken, ChainHead, ChainKey, ChainedLog, KeyedChain, RowDigest, Verified, chain_tag};
pub use memory::MemoryLog;
pub use outcome::{EntryState, Outcome};
pub use query::Query;
pub use read::{Entry, Pending, PendingRequest, PendingScope, Recorded, Repeats};
pub use rewrite::{DocumentRewrite, EntryRewrite, Rename, RewriteLog, StoredDocument, StoredEntry};
pub use sealed::{SealedTransaction, encryption_marker};
pub use write::{
    Appended, Committed, DocKey, Document, DocumentWrite, EntryKind, Expected, Index, NewEntry, Parent,
    Settlement, Transaction,
};

use crate::{
    CheckStep, Result, Timestamp,
    model::{ConnectionId, Partition},
};

/// Durable storage of everything that was received, decided and done.
///
/// # Contract
/// - **Atomic.** Each [`Transaction`] is applied as a whole or not at all. Its preconditions (fence, documents)
///   are checked first; the transactions of one call are independent of each other and applied in order.
/// - **Durable.** When [`commit`](Self::commit) returns, a power failure loses nothing of it.
/// - **Ordered.** Within a partition, `Seq` order is commit order: a reader that moves its cursor forward in
///   [`pending`](Self::pending) skips nothing, also while others commit.
/// - **Immutable.** Entries and outcomes are only ever added, and removed by [`prune`](Self::prune).
/// - **Timeless.** The store has no clock: `now` and `until` come from the caller, and may go back.
/// - **Cancelable.** A dropped future leaves each of its transactions either applied or not; the caller finds
///   out by reading.
///
/// [`crate::conformance`] (feature `testing`) checks all of this for any implementation.
#[async_trait]
pub trait AuditLog: Debug + Send + Sync + 'static {
    /// Applies transactions. The only write.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when storage is full, locked or gone; then none of the
    /// transactions that are not reported may be relied on. [`InvalidRequest`](crate::ErrorKind::InvalidRequest)
    /// when [`Transaction::validate`] refuses one; then none is applied. A failed precondition is no error, but
    /// a [`Committed`] of its own.
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>>;

    /// Takes, renews or gives back partitions; returns all that the owner holds afterwards. A new holder gets a
    /// larger fence than any before; renewing keeps the fence. A lease that has ended is still held until another
    /// owner takes the partition. A lease that ends later than [`Lease::LONGEST`] from `now` counts as ended: a wrong
    /// clock wrote it. A store for a single host grants everything to one owner at a time.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) as for `commit`.
    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>>;

    /// The unsettled entries of leased partitions, in commit order: one answer for each of `wanted`, in order, each of
    /// `limit` entries at most. `None` = the lease is no longer held. All of it is one call to the storage, so that a host
    /// that holds many partitions does not make a call for each.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>>;

    /// Documents with their versions, one per key, in order.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>>;

    /// Entries that match every criterion given.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn query(&self, query: &Query) -> Result<Vec<Entry>>;

    /// How many entries match, counted up to `cap`. The query's limit, order and bodies do not matter.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn count(&self, query: &Query, cap: usize) -> Result<usize>;

    /// What is on the work list at `now`: one row for each connection and kind that has something there, in order. It
    /// takes no longer when more waits.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>>;

    /// Returns when something may have been appended to some of these partitions, and to which; at the latest after
    /// `at_most`, then without any. A hint: it may name partitions without news, but never misses a commit made by this
    /// process after the call. What another process commits is named as well, within seconds, or at the next call.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>>;

    /// Removes entries of families (an entry without parent, and all below it) that began before `before` and have no
    /// unsettled member: the oldest family first, of each the latest entry first, `limit` entries at most. Returns how
    /// many went; 0 = nothing is left to remove. A family may go in several calls. Its root goes last. Documents stay.
    ///
    /// An append waits for the removal of `limit` entries at most, however large a family is.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize>;

    /// Removes documents of a collection and a connection, those whose [`DocKey`] was made of both: `limit` at most.
    /// Returns how many went; 0 = none is left. Nothing is left of them, not even their versions, which begin anew.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize>;

    /// How long a call may take: the log ends it then, with [`Unavailable`](crate::ErrorKind::Unavailable). `None` = as
    /// long as storage takes. A connector is built only with a log whose deadline is at most half of its lease: a host
    /// that waits for longer may have lost the partition without knowing it.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Checks the store itself, above all whether its data survives a power failure. The engine tries a write apart
    /// from this.
    async fn check(&self) -> Vec<CheckStep> {
        Vec::new()
    }
}

/// The right to work on a partition. A larger fence always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// What is held.
    pub partition: Partition,
    /// Grows with every new holder.
    pub fence: u64,
}

impl Lease {
    /// A lease that ends later than this from now counts as ended. It is longer than any lease is given for, so clocks
    /// that differ by minutes do no harm. Clocks of hosts that share a log must not differ by more: each host would
    /// take the other's leases for ended.
    pub const LONGEST: Duration = Duration::from_secs(2 * 3600);
}

/// Who wants to hold what.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LeaseRequest {
    /// Renew what is held, and take free partitions up to a fair share of `want`.
    Hold {
        /// The host, unique among all that share the log.
        owner: Arc<str>,
        /// How many partitions it would take; 0 gives everything back.
        want: usize,
        /// When the lease ends unless it is renewed.
        until: Timestamp,
        /// The current instant.
        now: Timestamp,
    },
    /// Give everything back.
    Release {
        /// The host.
        owner: Arc<str>,
    },
}
