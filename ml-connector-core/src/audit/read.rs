//! What is read: the work list, and entries with what became of them.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{EntryKind, EntryState, Index, Outcome};
use crate::{
    Timestamp,
    model::{ConnectionId, EntityRef, EventType, Partition, Seq},
};

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
    /// Not to be worked on before; [`Pending::NEVER`] when it [is parked](Self::is_parked).
    pub due: Timestamp,
    /// How many attempts have begun.
    pub attempt: u32,
    /// Whether an attempt may have had its effect.
    pub uncertain: bool,
}

impl Pending {
    /// The value of [`due`](Self::due) of a parked entry: it is never due by itself.
    pub const NEVER: Timestamp = Timestamp::MAX;

    /// Whether the entry is parked: it waits until somebody changes something, not for a time to come.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.due == Self::NEVER
    }
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
    pub state: Option<EntryState>,
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
    pub fn with_state(mut self, state: EntryState) -> Self {
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
    pub state: EntryState,
    /// What became of it, in order.
    pub outcomes: Vec<Recorded>,
    /// What it says; only when the query asked for bodies.
    pub body: Option<Bytes>,
}

impl Entry {
    /// An entry without outcomes and body. For implementations of [`AuditLog`](super::AuditLog).
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
            state: EntryState::Done,
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
