//! What the log holds, and how transactions change it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use bytes::Bytes;

use super::leases::Leases;
use crate::{
    Timestamp,
    audit::{
        Appended, Committed, DocKey, Document, DocumentWrite, Entry, EntryKind, EntryState, Expected,
        NewEntry, Outcome, Parent, Pending, PendingScope, Query, Recorded, Settlement, Transaction,
    },
    model::{DedupeKey, Partition, Seq},
};

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) leases: Leases,
    /// The last number given. Never goes back, so that no reader's cursor is ahead of a new entry.
    last: u64,
    entries: BTreeMap<Seq, Stored>,
    /// What begins families, by age.
    roots: BTreeSet<(Timestamp, Seq)>,
    /// What began each family, and its members; and those of them that are on the work list.
    members: BTreeSet<(Seq, Seq)>,
    unsettled: BTreeSet<(Seq, Seq)>,
    dedupe: HashMap<DedupeKey, Seq>,
    receipts: HashMap<Arc<str>, BTreeSet<Seq>>,
    work: BTreeMap<(Partition, Seq), Pending>,
    lanes: BTreeSet<(Partition, EntryKind, u64, Seq)>,
    /// A deleted document keeps its version.
    documents: HashMap<DocKey, (u64, Option<Bytes>)>,
}

#[derive(Debug)]
struct Stored {
    /// `Entry::state` is filled in when it is read.
    entry: Entry,
    root: Seq,
    dedupe: Option<DedupeKey>,
}

impl Tables {
    /// The last number given.
    pub(super) fn end(&self) -> u64 {
        self.last
    }

    /// Applies a transaction that [`Transaction::validate`] has seen.
    pub(super) fn apply(&mut self, transaction: Transaction, now: Timestamp) -> Committed {
        let Transaction { fence, documents, append, settle } = transaction;
        if fence.is_some_and(|lease| !self.leases.holds(lease)) {
            return Committed::Fenced;
        }
        if let Some(stale) = documents.iter().find(|write| !self.is_as_expected(write)) {
            return Committed::Stale(stale.key.clone());
        }
        for write in documents {
            self.write(write);
        }
        let mut appended = Vec::with_capacity(append.len());
        for entry in append {
            let parent = match entry.parent {
                Parent::None => None,
                Parent::Entry(seq) => self.entries.contains_key(&seq).then_some(seq),
                Parent::Nth(position) => appended.get(position).copied().map(Appended::seq),
            };
            appended.push(self.append(entry, parent, now));
        }
        for settlement in settle {
            self.settle(settlement, now);
        }
        Committed::Applied(appended)
    }

    pub(super) fn document(&self, key: &DocKey) -> Option<Document> {
        let (version, bytes) = self.documents.get(key)?;
        bytes.clone().map(|bytes| Document { version: *version, bytes })
    }

    pub(super) fn pending(
        &self,
        partition: Partition,
        scope: PendingScope,
        after: Seq,
        limit: usize,
    ) -> Vec<Pending> {
        let after = Seq(after.0.saturating_add(1));
        match scope {
            PendingScope::Partition => self
                .work
                .range((partition, after)..=(partition, Seq(u64::MAX)))
                .take(limit)
                .map(|(_, pending)| pending.clone())
                .collect(),
            PendingScope::Lane(kind, lane) => self
                .lanes
                .range((partition, kind, lane, after)..=(partition, kind, lane, Seq(u64::MAX)))
                .take(limit)
                .filter_map(|&(.., seq)| self.work.get(&(partition, seq)).cloned())
                .collect(),
        }
    }

    pub(super) fn query(&self, query: &Query) -> Vec<Entry> {
        let mut found: Box<dyn DoubleEndedIterator<Item = &Entry>> = match self.named(query) {
            Some(seqs) => Box::new(seqs.into_iter().filter_map(|seq| self.entry(seq))),
            None => Box::new(self.entries.values().map(|stored| &stored.entry)),
        };
        if query.newest_first {
            found = Box::new(found.rev());
        }
        let is_behind = |entry: &&Entry| match query.after {
            None => false,
            Some(after) if query.newest_first => entry.seq >= after,
            Some(after) => entry.seq <= after,
        };
        let read = |entry: &Entry| Entry {
            state: self.entry_state(entry),
            body: entry.body.clone().filter(|_| query.bodies),
            ..entry.clone()
        };
        found
            .skip_while(is_behind)
            .filter(|entry| self.matches(entry, query))
            .take(query.effective_limit())
            .map(read)
            .collect()
    }

    pub(super) fn prune(&mut self, before: Timestamp, limit: usize) -> usize {
        let is_settled = |root: &Seq| self.unsettled.range(family(*root)).next().is_none();
        let families = self.roots.range(..(before, Seq(0))).map(|(_, root)| *root).filter(is_settled);
        // A child comes after its parent.
        let members = families.flat_map(|root| self.members.range(family(root)).rev());
        let going: Vec<Seq> = members.map(|(_, seq)| *seq).take(limit).collect();
        going.iter().for_each(|seq| self.remove(*seq));
        going.len()
    }

    fn remove(&mut self, seq: Seq) {
        let Some(Stored { entry, root, dedupe }) = self.entries.remove(&seq) else { return };
        self.roots.remove(&(entry.at, seq));
        self.members.remove(&(root, seq));
        if let Some(key) = dedupe {
            self.dedupe.remove(&key);
        }
        if let Some(receipt) = entry.receipt()
            && let Some(seqs) = self.receipts.get_mut(receipt)
        {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.receipts.remove(receipt);
            }
        }
    }

    fn is_as_expected(&self, write: &DocumentWrite) -> bool {
        let version = self.document(&write.key).map(|document| document.version);
        match write.expected {
            Expected::Absent => version.is_none(),
            Expected::Version(expected) => version == Some(expected),
            Expected::Any => true,
        }
    }

    fn write(&mut self, write: DocumentWrite) {
        let slot = self.documents.entry(write.key).or_default();
        slot.0 += 1;
        slot.1 = write.value;
    }

    fn append(&mut self, new: NewEntry, parent: Option<Seq>, now: Timestamp) -> Appended {
        if let Some(seq) = new.dedupe.as_ref().and_then(|key| self.dedupe.get(key)) {
            return Appended::Duplicate(*seq);
        }
        self.last += 1;
        let seq = Seq(self.last);
        let root = parent.map_or(seq, |parent| self.root(parent));
        self.members.insert((root, seq));
        if root == seq {
            self.roots.insert((now, seq));
        }
        if let Some(key) = &new.dedupe {
            self.dedupe.insert(key.clone(), seq);
        }
        if let Some(lane) = new.lane {
            let pending = Pending {
                seq,
                kind: new.kind,
                connection: new.connection.clone(),
                lane,
                due: new.due,
                attempt: 0,
                uncertain: false,
            };
            self.work.insert((new.partition, seq), pending);
            self.lanes.insert((new.partition, new.kind, lane, seq));
            self.unsettled.insert((root, seq));
        }
        let entry = Entry {
            parent,
            index: new.index,
            body: new.body,
            ..Entry::new(seq, new.partition, new.kind, new.connection, now)
        };
        self.entries.insert(seq, Stored { entry, root, dedupe: new.dedupe });
        Appended::New(seq)
    }

    fn settle(&mut self, Settlement { seq, outcome }: Settlement, now: Timestamp) {
        let Some(Stored { entry, root, .. }) = self.entries.get_mut(&seq) else { return };
        let place = (entry.partition, seq);
        let Some(pending) = self.work.get_mut(&place) else { return };
        match &outcome {
            Outcome::Begun { attempt, .. } => {
                pending.attempt = *attempt;
                pending.uncertain = true;
            }
            Outcome::Retry { attempt, due, uncertain, .. } => {
                pending.attempt = *attempt;
                pending.due = *due;
                pending.uncertain = *uncertain;
            }
            Outcome::Parked { .. } => {
                pending.due = Pending::NEVER;
                pending.uncertain = false;
            }
            Outcome::Done { .. } | Outcome::Dead { .. } | Outcome::Dropped { .. } => {
                self.lanes.remove(&(entry.partition, pending.kind, pending.lane, seq));
                self.work.remove(&place);
                self.unsettled.remove(&(*root, seq));
            }
        }
        if let Outcome::Done { receipt: Some(receipt) } = &outcome {
            self.receipts.entry(Arc::clone(receipt)).or_default().insert(seq);
        }
        entry.outcomes.push(Recorded { at: now, outcome });
    }

    fn matches(&self, entry: &Entry, query: &Query) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(query.connection.as_ref(), Some(&entry.connection))
            && is(query.kind.as_ref(), Some(&entry.kind))
            && is(query.entity.as_ref(), entry.index.entity.as_ref())
            && is(query.number.as_ref(), entry.index.number.as_ref())
            && is(query.name.as_ref(), entry.index.name.as_ref())
            && is(query.receipt.as_deref(), entry.receipt())
            && query.error.as_deref().is_none_or(|text| entry.has_error(text))
            && is(query.state.as_ref(), Some(&self.entry_state(entry)))
            && query.from.is_none_or(|from| entry.at >= from)
            && query.to.is_none_or(|to| entry.at < to)
    }

    /// The entries that the query names, in order; `None` when it does not name any.
    fn named(&self, query: &Query) -> Option<BTreeSet<Seq>> {
        let members = |seq| self.members.range(family(self.root(seq))).map(|(_, member)| *member).collect();
        let of_family: Option<BTreeSet<Seq>> = query.family_of.map(members);
        let seqs = (!query.seqs.is_empty()).then(|| query.seqs.iter().copied().collect());
        let receipt = query.receipt.as_ref();
        let with_receipt = receipt.map(|receipt| self.receipts.get(receipt).cloned().unwrap_or_default());
        [of_family, seqs, with_receipt].into_iter().flatten().reduce(|some, others| &some & &others)
    }

    fn entry_state(&self, entry: &Entry) -> EntryState {
        match self.work.get(&(entry.partition, entry.seq)) {
            Some(pending) if pending.is_parked() => EntryState::Parked,
            Some(_) => EntryState::Pending,
            None => entry.outcomes.last().map_or(EntryState::Done, |last| last.outcome.state()),
        }
    }

    fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(&seq).map(|stored| &stored.entry)
    }

    /// What began the family.
    fn root(&self, seq: Seq) -> Seq {
        self.entries.get(&seq).map_or(seq, |stored| stored.root)
    }
}

/// The places of a family's members, where they are sorted by what began it.
fn family(root: Seq) -> RangeInclusive<(Seq, Seq)> {
    (root, Seq(0))..=(root, Seq(u64::MAX))
}
