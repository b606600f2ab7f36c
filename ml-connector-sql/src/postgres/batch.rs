//! How transactions change what was loaded of the database: nothing here talks to the server.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    vec,
};

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{
        Appended, Backlog, Committed, DocumentWrite, EntryKind, EntryState, Expected, NewEntry, Outcome,
        Parent, Pending, Settlement, Transaction,
    },
    model::{ConnectionId, Partition, Seq},
};

use super::values::text;

/// A transaction, and when it happens.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) transaction: Transaction,
    pub(super) now: Timestamp,
}

/// What the transactions of a batch ask about, under locks, and how they leave it.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch<'a> {
    /// The fences of partitions that are held.
    pub(super) fences: HashMap<Partition, u64>,
    /// Documents and dedupe keys, as they are stored.
    pub(super) documents: BTreeMap<String, Doc>,
    pub(super) duplicates: HashMap<String, Seq>,
    /// What began the families of entries that are there.
    pub(super) roots: HashMap<Seq, Seq>,
    pub(super) standings: BTreeMap<Seq, Standings>,
    /// Numbers for new entries, in order.
    pub(super) numbers: vec::IntoIter<Seq>,
    /// What is to be added.
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) outcomes: Vec<(Seq, Outcome, Option<Bytes>, Timestamp)>,
    pub(super) repeats: BTreeMap<Seq, (i64, Timestamp)>,
    /// Where a chain is kept: the partitions of what is settled, and how many outcomes it has.
    pub(super) parts: BTreeMap<i64, i16>,
    pub(super) outcome_counts: HashMap<i64, i64>,
}

/// A document, or what is left of one.
#[derive(Debug, Clone, Default)]
pub(super) struct Doc {
    /// Whether it has a row.
    pub(super) is_stored: bool,
    pub(super) version: u64,
    pub(super) exists: bool,
    /// What was written.
    pub(super) written: Option<Option<Bytes>>,
}

/// A new entry.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) seq: Seq,
    pub(super) root: Seq,
    pub(super) parent: Option<Seq>,
    pub(super) at: Timestamp,
    pub(super) new: &'a NewEntry,
}

/// Where an entry stood, and stands. Without either it is done, or not there.
#[derive(Debug, Clone, Default)]
pub(super) struct Standings {
    pub(super) before: Option<Standing>,
    pub(super) after: Option<Standing>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is on the work list.
    Waits(Waits),
    /// It is in `settled`.
    Settled { state: EntryState, acknowledged: bool },
}

/// A row of the work list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) partition: Partition,
    pub(super) kind: EntryKind,
    pub(super) connection: ConnectionId,
    pub(super) lane: u64,
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) uncertain: bool,
    pub(super) acknowledged: bool,
}

impl Standing {
    fn state(&self) -> (EntryState, bool) {
        match self {
            Self::Waits(Waits { due: Pending::NEVER, acknowledged, .. }) => {
                (EntryState::Parked, *acknowledged)
            }
            Self::Waits(_) => (EntryState::Pending, false),
            Self::Settled { state, acknowledged } => (*state, *acknowledged),
        }
    }

    pub(super) fn waits(&self) -> Option<&Waits> {
        match self {
            Self::Waits(waits) => Some(waits),
            Self::Settled { .. } => None,
        }
    }
}

impl<'a> Batch<'a> {
    /// Applies a transaction that [`Transaction::validate`] has seen.
    pub(super) fn apply(&mut self, transaction: &'a Transaction, now: Timestamp) -> Committed {
        let Transaction { fence, documents, append, settle } = transaction;
        if fence.is_some_and(|lease| self.fences.get(&lease.partition) != Some(&lease.fence)) {
            return Committed::Fenced;
        }
        if let Some(stale) = documents.iter().find(|write| !self.is_as_expected(write)) {
            return Committed::Stale(stale.key.clone());
        }
        for DocumentWrite { key, value, .. } in documents {
            let doc = self.documents.entry(text(key.as_str()).into_owned()).or_default();
            doc.version += 1;
            doc.exists = value.is_some();
            doc.written = Some(value.clone());
        }
        let mut appended: Vec<Appended> = Vec::with_capacity(append.len());
        for new in append {
            let parent = match new.parent {
                Parent::None => None,
                Parent::Entry(seq) => self.roots.contains_key(&seq).then_some(seq),
                Parent::Nth(position) => appended.get(position).map(|appended| appended.seq()),
            };
            appended.push(self.append(new, parent, now));
        }
        for Settlement { seq, outcome, trace } in settle {
            self.settle(*seq, outcome.clone(), trace.clone(), now);
        }
        Committed::Applied(appended)
    }

    /// How many numbers it takes to apply these transactions.
    pub(super) fn count_new(mut self, jobs: &[&'a Job]) -> usize {
        let most = jobs.iter().map(|job| job.transaction.append.len()).sum::<usize>();
        self.numbers = vec![Seq(u64::MAX); most].into_iter();
        for job in jobs {
            self.apply(&job.transaction, job.now);
        }
        self.entries.len()
    }

    /// By how much the work list grows and shrinks.
    pub(super) fn backlog(&self) -> BTreeMap<(ConnectionId, u8, i64), i64> {
        let mut counts = BTreeMap::new();
        let mut count = |standing: &Option<Standing>, by: i64| {
            if let Some(Waits { kind, connection, due, acknowledged, .. }) =
                standing.as_ref().and_then(Standing::waits)
            {
                let slot = Backlog::slot(*due, *acknowledged);
                *counts.entry((connection.clone(), *kind as u8, slot)).or_default() += by;
            }
        };
        for Standings { before, after } in self.standings.values() {
            count(before, -1);
            count(after, 1);
        }
        counts.retain(|_, count| *count != 0);
        counts
    }

    fn is_as_expected(&self, write: &DocumentWrite) -> bool {
        let found = self.documents.get(&*text(write.key.as_str())).filter(|doc| doc.exists);
        match write.expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Version(expected) => found.is_some_and(|doc| doc.version == expected),
        }
    }

    fn append(&mut self, new: &'a NewEntry, parent: Option<Seq>, now: Timestamp) -> Appended {
        if let Some(seq) =
            new.dedupe.as_ref().and_then(|key| self.duplicates.get(&*text(key.as_str())).copied())
        {
            if new.counts_as_repeat {
                let (count, last) = self.repeats.entry(seq).or_insert((0, now));
                (*count, *last) = (*count + 1, now);
            }
            return Appended::Duplicate(seq);
        }
        let seq = self.numbers.next().expect("there is a number for every entry of the batch");
        let root = parent.and_then(|parent| self.roots.get(&parent).copied()).unwrap_or(seq);
        self.roots.insert(seq, root);
        if let Some(key) = &new.dedupe {
            self.duplicates.insert(text(key.as_str()).into_owned(), seq);
        }
        self.entries.push(Entry { seq, root, parent, at: now, new });
        let standing = match (new.lane, &new.dead) {
            (Some(lane), _) => Some(Standing::Waits(Waits {
                partition: new.partition,
                kind: new.kind,
                connection: new.connection.clone(),
                lane,
                due: new.due,
                attempt: 0,
                uncertain: false,
                acknowledged: false,
            })),
            (None, Some(error)) => {
                self.outcomes.push((seq, Outcome::Dead { error: Arc::clone(error) }, None, now));
                Some(Standing::Settled { state: EntryState::Dead, acknowledged: false })
            }
            (None, None) => None,
        };
        self.standings.insert(seq, Standings { before: None, after: standing });
        if let Some(replayed) = new.replays {
            self.settle(replayed, Outcome::Replayed { replay: seq }, None, now);
        }
        Appended::New(seq)
    }

    /// Records an outcome if it fits the state of its entry.
    fn settle(&mut self, seq: Seq, outcome: Outcome, trace: Option<Bytes>, now: Timestamp) {
        let Some(standing) = self.standings.get_mut(&seq).map(|standings| &mut standings.after) else {
            return;
        };
        let Some((state, acknowledged)) = standing.as_ref().map(Standing::state) else { return };
        if !outcome.fits(state, acknowledged) {
            return;
        }
        match (&outcome, standing.as_mut()) {
            (Outcome::Begun { attempt, .. }, Some(Standing::Waits(waits))) => {
                (waits.attempt, waits.uncertain) = (*attempt, true);
            }
            (Outcome::Retry { attempt, due, uncertain, .. }, Some(Standing::Waits(waits))) => {
                (waits.attempt, waits.due, waits.uncertain) = (*attempt, *due, *uncertain);
                waits.acknowledged &= *due == Pending::NEVER;
            }
            (Outcome::Parked { .. }, Some(Standing::Waits(waits))) => {
                (waits.due, waits.uncertain) = (Pending::NEVER, false);
            }
            (Outcome::Acknowledged { .. }, Some(Standing::Waits(Waits { acknowledged, .. })))
            | (Outcome::Acknowledged { .. }, Some(Standing::Settled { acknowledged, .. })) => {
                *acknowledged = true;
            }
            _ => {
                *standing = match outcome.state() {
                    None | Some(EntryState::Done) => None,
                    Some(state) => Some(Standing::Settled { state, acknowledged: false }),
                };
            }
        }
        self.outcomes.push((seq, outcome, trace, now));
    }
}
