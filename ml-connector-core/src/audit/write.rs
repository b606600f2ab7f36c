//! What is written: transactions of documents, entries and outcomes.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Lease, Outcome};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    model::{ConnectionId, DedupeKey, EntityRef, Money, Partition, Seq},
    size::Size,
};

/// Writes that belong together. Preconditions first: the fence, then the documents.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Refuse the transaction unless this lease is still held.
    pub fence: Option<Lease>,
    /// Documents to write, each under its own precondition.
    pub documents: Vec<DocumentWrite>,
    /// Entries to append.
    pub append: Vec<NewEntry>,
    /// Outcomes to add. One that does not fit the state of its entry is left out: [`Outcome`] says which fit.
    pub settle: Vec<Settlement>,
}

impl Transaction {
    /// How many bytes it brings, names and numbers aside.
    pub(crate) fn payload_bytes(&self) -> usize {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let documents = self.documents.iter().map(|write| of(&write.value));
        let entries = self.append.iter().map(|entry| of(&entry.body));
        let outcomes = self.settle.iter().map(|settlement| of(&settlement.trace));
        documents.chain(entries).chain(outcomes).sum()
    }

    /// Checks what needs no look at the log. For implementations of [`AuditLog`](super::AuditLog): a call that holds
    /// an invalid transaction is refused before anything is applied.
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

/// A document as stored. `Debug` shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Grows with every write of the key, also across a delete.
    pub version: u64,
    /// What was written last.
    pub bytes: Bytes,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, bytes } = self;
        f.debug_struct("Document").field("version", version).field("bytes", &Size(bytes)).finish()
    }
}

/// A write of one document. `Debug` shows the size of its value only.
#[derive(Clone)]
pub struct DocumentWrite {
    /// Which document.
    pub key: DocKey,
    /// Under which condition.
    pub expected: Expected,
    /// What to write; `None` deletes.
    pub value: Option<Bytes>,
}

impl fmt::Debug for DocumentWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, expected, value } = self;
        f.debug_struct("DocumentWrite")
            .field("key", key)
            .field("expected", expected)
            .field("value", &Size::of(value))
            .finish()
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EntryKind {
    /// A hint that was received, or that we gave ourselves.
    Signal = 1,
    /// A change of a record.
    Event = 2,
    /// An event that has to go to a destination.
    Delivery = 3,
    /// Something worth remembering that nobody waits for.
    Note = 4,
    /// What somebody did or asked for: a replay, a cancellation, a change of the routes.
    Act = 5,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Signal, Self::Event, Self::Delivery, Self::Note, Self::Act];

    /// Reads what `as u8` wrote.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// An entry to append. `Debug` shows the sizes of its body and its trace only.
#[derive(Clone)]
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
    /// Whether the entry that has the key already counts this one: [`Entry::repeats`](super::Entry::repeats).
    pub counts_as_repeat: bool,
    /// What it follows from.
    pub parent: Parent,
    /// The entry that it is the replay of. If that is [`Dead`](super::EntryState::Dead), it becomes [`Replayed`](super::EntryState::Replayed)
    /// with an [`Outcome::Replayed`] that names the new entry.
    pub replays: Option<Seq>,
    /// Why it is [`Dead`](super::EntryState::Dead) from the start: nobody can work on it, and it can be replayed. Without a lane
    /// only.
    pub dead: Option<Arc<str>>,
    /// What it can be found by.
    pub index: Index,
    /// What it says, in the engine's form.
    pub body: Option<Bytes>,
    /// What was decided when it was appended, in the engine's form.
    pub trace: Option<Bytes>,
}

impl NewEntry {
    /// An entry with nothing left to do, due at once, without parent, index and body.
    #[must_use]
    pub fn new(partition: Partition, kind: EntryKind, connection: ConnectionId, due: Timestamp) -> Self {
        Self {
            partition,
            kind,
            connection,
            lane: None,
            due,
            dedupe: None,
            counts_as_repeat: false,
            parent: Parent::None,
            replays: None,
            dead: None,
            index: Index::default(),
            body: None,
            trace: None,
        }
    }
}

impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition, kind, connection, lane, due, dedupe, parent, replays, index, body, trace, ..
        } = self;
        f.debug_struct("NewEntry")
            .field("partition", partition)
            .field("kind", kind)
            .field("connection", connection)
            .field("lane", lane)
            .field("due", due)
            .field("dedupe", dedupe)
            .field("parent", parent)
            .field("replays", replays)
            .field("index", index)
            .field("body", &Size::of(body))
            .field("trace", &Size::of(trace))
            .finish()
    }
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

/// What an entry can be found by. `Debug` leaves number and amount out: they are the customer's business.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The record it is about.
    pub entity: Option<EntityRef>,
    /// The number people use for the record.
    pub number: Option<Arc<str>>,
    /// The type of an event, the route of a delivery, what somebody did.
    pub name: Option<Arc<str>>,
    /// What the record amounts to. It comes back equal, but perhaps with other zeros at its end.
    pub amount: Option<Money>,
    /// Where a delivery goes.
    pub destination: Option<Arc<str>>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, name, destination, .. } = self;
        f.debug_struct("Index")
            .field("entity", entity)
            .field("name", name)
            .field("destination", destination)
            .finish_non_exhaustive()
    }
}

/// An outcome to add to an entry. `Debug` shows the size of its trace only.
#[derive(Clone)]
pub struct Settlement {
    /// Which entry.
    pub seq: Seq,
    /// What became of it.
    pub outcome: Outcome,
    /// How it came to that, in the engine's form: what was waited for, what was read.
    pub trace: Option<Bytes>,
}

impl Settlement {
    /// An outcome without a trace.
    #[must_use]
    pub fn new(seq: Seq, outcome: Outcome) -> Self {
        Self { seq, outcome, trace: None }
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, outcome, trace } = self;
        f.debug_struct("Settlement")
            .field("seq", seq)
            .field("outcome", outcome)
            .field("trace", &Size::of(trace))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_shown_by_its_size_only_and_people_not_at_all() {
        let bytes = Bytes::from_static(b"Jane Roe");
        let key = DocKey::new("snapshot", &"books".into(), "1");
        let write = DocumentWrite { key, expected: Expected::Any, value: Some(bytes.clone()) };
        let amount = Some(Money::parse("4711.00", "EUR").unwrap());
        let index = Index { number: Some("Jane-1".into()), amount, ..Index::default() };
        let entry = NewEntry {
            index,
            body: Some(bytes.clone()),
            trace: Some(bytes.clone()),
            ..NewEntry::new(Partition::new(0), EntryKind::Signal, "books".into(), Timestamp::default())
        };
        let (by, why) = (Arc::<str>::from("Jane Roe"), Arc::<str>::from("Jane is on leave"));
        let note = Some(bytes.clone());
        let outcomes = [
            Outcome::Begun { attempt: 1, note: note.clone() },
            Outcome::Retry {
                attempt: 1,
                due: Timestamp::default(),
                error: "timeout".into(),
                uncertain: true,
                note,
            },
            Outcome::Acknowledged { by: by.clone(), why: why.clone() },
            Outcome::Cancelled { by: by.clone(), why: why.clone() },
            Outcome::Discarded { by, why },
        ];
        let settle = |outcome| Settlement { trace: Some(bytes.clone()), ..Settlement::new(Seq(1), outcome) };
        let transaction = Transaction {
            documents: vec![write],
            append: vec![entry],
            settle: outcomes.into_iter().map(settle).collect(),
            ..Transaction::default()
        };
        let shown = format!("{transaction:?} {:?} {amount:?}", Document { version: 1, bytes: bytes.clone() });
        assert_eq!(shown.matches("8 bytes").count(), 11, "{shown}");
        assert!(shown.contains("timeout"), "{shown}");
        assert!(!shown.contains("Jane") && !shown.contains("4711"), "{shown}");
    }
}
