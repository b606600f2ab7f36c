//! What is read: the work list, and entries with what became of them.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{EntryKind, EntryState, Index, Lease, Outcome};
use crate::{
    Timestamp,
    model::{ConnectionId, EventType, Partition, Seq},
    size::Size,
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

/// What to read of the work list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRequest {
    /// Of which partition: the right to work on it.
    pub lease: Lease,
    /// How much of it.
    pub scope: PendingScope,
    /// After which entry.
    pub after: Seq,
}

/// How much of a partition's work list to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingScope {
    /// All of it.
    Partition,
    /// One lane of one kind.
    Lane(EntryKind, u64),
}

/// An entry as stored. `Debug` shows the sizes of its body and its trace only.
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
    /// Whether somebody knows that it is parked or dead.
    pub acknowledged: bool,
    /// How often it came again, if that is counted ([`NewEntry::counts_as_repeat`](super::NewEntry)).
    pub repeats: Option<Repeats>,
    /// What became of it, in order.
    pub outcomes: Vec<Recorded>,
    /// What it says; only when the query asked for bodies.
    pub body: Option<Bytes>,
    /// What was decided when it was appended; only when the query asked for bodies.
    pub trace: Option<Bytes>,
}

/// How often an entry came again and was not appended, as it was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repeats {
    /// How often.
    pub count: u64,
    /// When it came last.
    pub last: Timestamp,
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
            acknowledged: false,
            repeats: None,
            outcomes: Vec::new(),
            body: None,
            trace: None,
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
            _ => false,
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

    /// The entry that stands for it since it was replayed.
    #[must_use]
    pub fn replayed_by(&self) -> Option<Seq> {
        self.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
            Outcome::Replayed { replay } => Some(*replay),
            _ => None,
        })
    }

    /// The event type it is filed under, for events.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.index.name.as_deref().filter(|_| self.kind == EntryKind::Event).map(EventType::from)
    }
}

/// Everything but the bytes of its body, its notes and its traces: of the body, how many there are.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Index { entity, number, name, amount, destination } = &self.index;
        let mut entry = to.serialize_struct("Entry", 16)?;
        entry.serialize_field("seq", &self.seq)?;
        entry.serialize_field("partition", &self.partition.number())?;
        entry.serialize_field("kind", &self.kind)?;
        entry.serialize_field("connection", &self.connection)?;
        entry.serialize_field("parent", &self.parent)?;
        entry.serialize_field("at", &self.at)?;
        entry.serialize_field("entity", entity)?;
        entry.serialize_field("number", number)?;
        entry.serialize_field("name", name)?;
        entry.serialize_field("amount", amount)?;
        entry.serialize_field("destination", destination)?;
        entry.serialize_field("state", &self.state)?;
        entry.serialize_field("acknowledged", &self.acknowledged)?;
        entry.serialize_field("repeats", &self.repeats)?;
        entry.serialize_field("outcomes", &self.outcomes)?;
        entry.serialize_field("body_bytes", &self.body.as_ref().map(Bytes::len))?;
        entry.end()
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
            .field("destination", &self.index.destination)
            .field("state", &self.state)
            .field("acknowledged", &self.acknowledged)
            .field("repeats", &self.repeats)
            .field("outcomes", &self.outcomes)
            .field("body", &Size::of(&self.body))
            .field("trace", &Size::of(&self.trace))
            .finish_non_exhaustive()
    }
}

/// An outcome and when it was added. `Debug` shows the size of its trace only.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How it came to that; only when the query asked for bodies.
    #[serde(skip)]
    pub trace: Option<Bytes>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, outcome, trace } = self;
        f.debug_struct("Recorded")
            .field("at", at)
            .field("outcome", outcome)
            .field("trace", &Size::of(trace))
            .finish()
    }
}
