//! The log: queue, memory and evidence in one.
//!
//! Everything the connector promises is an entry here before it is promised, and an outcome here once it is
//! kept. "Pending" is a row on the log's work list, written with the entry and deleted by the transaction that
//! settles it; there is no second queue that could disagree.

mod memory;

use std::{fmt, fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
pub use memory::MemoryLog;

use crate::{
    Error, ErrorKind, Result, Timestamp,
    model::{ConnectionId, DedupeKey, EntityRef, EventType, Partition, Seq},
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
    /// larger fence than any before; renewing keeps the fence. A lease that has ended is still held until
    /// another owner takes the partition. A store for a single host grants everything to one owner at a time.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) as for `commit`.
    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>>;

    /// The unsettled entries of a leased partition after `after`, in commit order, `limit` at most.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) when the lease is no longer held.
    async fn pending(
        &self,
        lease: Lease,
        scope: PendingScope,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Pending>>;

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

    /// Returns when something may have been appended to one of these partitions, at the latest after `at_most`.
    /// A hint: it may return for nothing, but never misses a commit made by this process after the call.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<()>;

    /// Removes families (an entry without parent, and all below it) that began before `before` and have no
    /// unsettled member, the oldest first, `limit` families at most. Returns how many entries went. Documents
    /// stay.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize>;
}

/// The right to work on a partition. A larger fence always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// What is held.
    pub partition: Partition,
    /// Grows with every new holder.
    pub fence: u64,
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

/// Writes that belong together. Preconditions first: the fence, then the documents.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Refuse the transaction unless this lease is still held.
    pub fence: Option<Lease>,
    /// Documents to write, each under its own precondition.
    pub documents: Vec<DocumentWrite>,
    /// Entries to append.
    pub append: Vec<NewEntry>,
    /// Outcomes to add. An entry that is not on the work list any more is left as it is.
    pub settle: Vec<Settlement>,
}

impl Transaction {
    /// Checks what needs no look at the log. For implementations of [`AuditLog`]: a call that holds an invalid
    /// transaction is refused before anything is applied.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a [`Parent::Nth`] is not earlier in `append`.
    pub fn validate(&self) -> Result<()> {
        let late = |(position, entry): &(usize, &NewEntry)| matches!(entry.parent, Parent::Nth(parent) if parent >= *position);
        match self.append.iter().enumerate().find(late) {
            None => Ok(()),
            Some((position, _)) => Err(Error::new(
                ErrorKind::InvalidRequest,
                "a parent has to come earlier in the same transaction",
            )
            .with_operation("audit_log.commit")
            .with_context("position", position)),
        }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Committed {
    /// Applied, with one item per appended entry.
    Applied(Vec<Appended>),
    /// Refused: the lease is no longer held.
    Fenced,
    /// Refused: this document is not as expected.
    Stale(DocKey),
}

/// Where an appended entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A new entry.
    New(Seq),
    /// Nothing was appended: the entry with the same dedupe key is here.
    Duplicate(Seq),
}

impl Appended {
    /// Where the entry is, whoever appended it.
    #[must_use]
    pub fn seq(self) -> Seq {
        match self {
            Self::New(seq) | Self::Duplicate(seq) => seq,
        }
    }
}

/// The name of a document: `snapshot/books/invoice/481500000000103001`. The connection is part of every key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocKey(Arc<str>);

impl DocKey {
    /// A key from a collection, its connection and the rest. The rest may hold any text.
    #[must_use]
    pub fn new(collection: &str, connection: &ConnectionId, rest: &str) -> Self {
        Self(format!("{collection}/{connection}/{rest}").into())
    }

    /// Wraps a key as it was stored.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Grows with every write of the key, also across a delete.
    pub version: u64,
    /// What was written last.
    pub bytes: Bytes,
}

/// A write of one document.
#[derive(Debug, Clone)]
pub struct DocumentWrite {
    /// Which document.
    pub key: DocKey,
    /// Under which condition.
    pub expected: Expected,
    /// What to write; `None` deletes.
    pub value: Option<Bytes>,
}

/// The condition of a document write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It must not exist.
    Absent,
    /// It must have this version.
    Version(u64),
    /// It may be as it is.
    Any,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    /// A hint that was received, or that we gave ourselves.
    Signal = 1,
    /// A change of a record.
    Event = 2,
    /// A promise to bring an event to a destination.
    Delivery = 3,
    /// Something worth remembering that nobody waits for.
    Note = 4,
}

impl EntryKind {
    /// Reads what `as u8` wrote.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        [Self::Signal, Self::Event, Self::Delivery, Self::Note].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Who will work on it.
    pub partition: Partition,
    /// What it is.
    pub kind: EntryKind,
    /// Whose it is.
    pub connection: ConnectionId,
    /// The lane it waits in; `None` = nothing is left to do, the entry never gets on the work list.
    pub lane: Option<u64>,
    /// Not to be worked on before.
    pub due: Timestamp,
    /// Append only if no entry has this key.
    pub dedupe: Option<DedupeKey>,
    /// What it follows from.
    pub parent: Parent,
    /// What it can be found by.
    pub index: Index,
    /// What it says, in the engine's form.
    pub body: Option<Bytes>,
}

/// What an entry follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Nothing: it begins a family.
    None,
    /// An entry of the log. If it has been pruned meanwhile, the new entry begins a family.
    Entry(Seq),
    /// The entry with this position in the same transaction, which must come earlier in it.
    Nth(usize),
}

/// What an entry can be found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The record it is about.
    pub entity: Option<EntityRef>,
    /// The number people use for the record.
    pub number: Option<Arc<str>>,
    /// The type of an event, or the route of a delivery.
    pub name: Option<Arc<str>>,
}

/// An outcome to add to an entry.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which entry.
    pub seq: Seq,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an entry, or of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// An attempt is about to begin. It stays on the work list, uncertain until another outcome follows.
    Begun {
        /// Its number, from 1.
        attempt: u32,
        /// A handle to find it by.
        note: Option<Bytes>,
    },
    /// It stays on the work list until `due`.
    Retry {
        /// How many attempts have begun.
        attempt: u32,
        /// When to try again.
        due: Timestamp,
        /// Why it did not succeed.
        error: Arc<str>,
        /// Whether the attempt may have had its effect: look up before repeating.
        uncertain: bool,
        /// A handle to find it by.
        note: Option<Bytes>,
    },
    /// It stays on the work list with `due` at [`Timestamp::MAX`], until somebody changes something.
    Parked {
        /// Why.
        error: Arc<str>,
    },
    /// It succeeded.
    Done {
        /// The other side's handle.
        receipt: Option<Arc<str>>,
    },
    /// It failed for good, and can be replayed.
    Dead {
        /// Why.
        error: Arc<str>,
    },
    /// Nothing had to be done.
    Dropped {
        /// Why.
        reason: Arc<str>,
    },
}

impl Outcome {
    /// The state an entry is in after this outcome.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Begun { .. } | Self::Retry { .. } => State::Pending,
            Self::Parked { .. } => State::Parked,
            Self::Done { .. } => State::Done,
            Self::Dead { .. } => State::Dead,
            Self::Dropped { .. } => State::Dropped,
        }
    }
}

/// Where an entry stands. The first two are on the work list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Waits or is under way.
    Pending = 1,
    /// Waits until somebody changes something.
    Parked = 2,
    /// Succeeded; also the state of events and notes.
    Done = 3,
    /// Failed for good.
    Dead = 4,
    /// Nothing had to be done.
    Dropped = 5,
}

impl State {
    /// Reads what `as u8` wrote.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        [Self::Pending, Self::Parked, Self::Done, Self::Dead, Self::Dropped]
            .into_iter()
            .find(|state| *state as u8 == number)
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Dropped)
    }
}

/// An unsettled entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub seq: Seq,
    /// [`EntryKind::Signal`] or [`EntryKind::Delivery`].
    pub kind: EntryKind,
    /// Whose it is.
    pub connection: ConnectionId,
    /// The lane it waits in.
    pub lane: u64,
    /// Not to be worked on before; [`Timestamp::MAX`] when it is parked.
    pub due: Timestamp,
    /// How many attempts have begun.
    pub attempt: u32,
    /// Whether an attempt may have had its effect.
    pub uncertain: bool,
}

/// How much of a partition's work list to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingScope {
    /// All of it.
    Partition,
    /// One lane of one kind.
    Lane(EntryKind, u64),
}

/// What to look for. Every criterion that is given must match.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Query {
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Of this kind.
    pub kind: Option<EntryKind>,
    /// About this record.
    pub entity: Option<EntityRef>,
    /// About the record people call so.
    pub number: Option<Arc<str>>,
    /// Events of this type, or deliveries of this route.
    pub name: Option<Arc<str>>,
    /// In this state.
    pub state: Option<State>,
    /// Settled with this receipt.
    pub receipt: Option<Arc<str>>,
    /// With an outcome whose reason holds this text as it stands, such as `channel_not_found`. Narrow it by a state or
    /// a time as well: there is no index for it.
    pub error: Option<Arc<str>>,
    /// Appended at this instant or later.
    pub from: Option<Timestamp>,
    /// Appended before this instant.
    pub to: Option<Timestamp>,
    /// These entries.
    pub seqs: Vec<Seq>,
    /// The whole family of this entry: what it follows from, and everything that follows from that.
    pub family_of: Option<Seq>,
    /// Only entries after this one in reading direction.
    pub after: Option<Seq>,
    /// Newest first.
    pub newest_first: bool,
    /// With bodies; they can be large.
    pub bodies: bool,
    /// At most so many; 0 = [`Query::DEFAULT_LIMIT`].
    pub limit: usize,
}

impl Query {
    /// How many entries are returned when the query does not say.
    pub const DEFAULT_LIMIT: usize = 100;

    /// The entry's whole story, with bodies.
    #[must_use]
    pub fn family_of(seq: Seq) -> Self {
        Self { family_of: Some(seq), bodies: true, limit: 10_000, ..Self::default() }
    }

    /// These entries, with bodies. None of them finds nothing, although an empty `seqs` is no criterion.
    #[must_use]
    pub fn entries(seqs: Vec<Seq>) -> Self {
        let after = seqs.is_empty().then_some(Seq(u64::MAX));
        Self { limit: seqs.len(), seqs, after, bodies: true, ..Self::default() }
    }

    /// Everything of one kind.
    #[must_use]
    pub fn of_kind(kind: EntryKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Narrows to a connection.
    #[must_use]
    pub fn with_connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Narrows to a record.
    #[must_use]
    pub fn with_entity(mut self, entity: EntityRef) -> Self {
        self.entity = Some(entity);
        self
    }

    /// Narrows to a state.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Narrows to a receipt.
    #[must_use]
    pub fn with_receipt(mut self, receipt: impl Into<Arc<str>>) -> Self {
        self.receipt = Some(receipt.into());
        self
    }

    /// Narrows to a reason.
    #[must_use]
    pub fn with_error(mut self, text: impl Into<Arc<str>>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Returns at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The limit in force.
    #[must_use]
    pub fn effective_limit(&self) -> usize {
        if self.limit == 0 { Self::DEFAULT_LIMIT } else { self.limit }
    }
}

/// An entry as stored. `Debug` shows the size of its body only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// Who works on it.
    pub partition: Partition,
    /// What it is.
    pub kind: EntryKind,
    /// Whose it is.
    pub connection: ConnectionId,
    /// What it follows from.
    pub parent: Option<Seq>,
    /// When it was appended.
    pub at: Timestamp,
    /// What it can be found by.
    pub index: Index,
    /// Where it stands.
    pub state: State,
    /// What became of it, in order.
    pub outcomes: Vec<Recorded>,
    /// What it says; only when the query asked for bodies.
    pub body: Option<Bytes>,
}

impl Entry {
    /// An entry without outcomes and body. For implementations of [`AuditLog`].
    #[must_use]
    pub fn new(
        seq: Seq,
        partition: Partition,
        kind: EntryKind,
        connection: ConnectionId,
        at: Timestamp,
    ) -> Self {
        Self {
            seq,
            partition,
            kind,
            connection,
            parent: None,
            at,
            index: Index::default(),
            state: State::Done,
            outcomes: Vec::new(),
            body: None,
        }
    }

    /// The receipt it was settled with.
    #[must_use]
    pub fn receipt(&self) -> Option<&str> {
        self.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
            Outcome::Done { receipt } => receipt.as_deref(),
            _ => None,
        })
    }

    /// Whether the reason of one of its outcomes holds a text.
    #[must_use]
    pub fn has_error(&self, text: &str) -> bool {
        self.outcomes.iter().any(|recorded| match &recorded.outcome {
            Outcome::Retry { error: why, .. }
            | Outcome::Parked { error: why }
            | Outcome::Dead { error: why }
            | Outcome::Dropped { reason: why } => why.contains(text),
            Outcome::Begun { .. } | Outcome::Done { .. } => false,
        })
    }

    /// The handle that the latest attempt left.
    #[must_use]
    pub fn note(&self) -> Option<&Bytes> {
        self.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
            Outcome::Begun { note, .. } | Outcome::Retry { note, .. } => note.as_ref(),
            _ => None,
        })
    }

    /// The event type it is filed under, for events.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.index.name.as_deref().filter(|_| self.kind == EntryKind::Event).map(EventType::from)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("seq", &self.seq)
            .field("kind", &self.kind)
            .field("connection", &self.connection)
            .field("parent", &self.parent)
            .field("entity", &self.index.entity)
            .field("name", &self.index.name)
            .field("state", &self.state)
            .field("outcomes", &self.outcomes)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

/// An outcome and when it was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// What.
    pub outcome: Outcome,
}
