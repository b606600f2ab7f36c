//! What the log holds, and how transactions change it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::leases::Leases;
use crate::{
    Timestamp,
    audit::{
        Appended, Committed, DocKey, Document, DocumentWrite, Entry, EntryKind, Expected, NewEntry, Outcome,
        Parent, Pending, PendingScope, Query, Recorded, Settlement, State as EntryState, Transaction,
    },
    model::{DedupeKey, Partition, Seq},
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) leases: Leases,
    /// The last number given. Never goes back, so that no reader's cursor is ahead of a new entry.
    last: u64,
    /// `Entry::state` is filled in when an entry is read.
    entries: BTreeMap<Seq, Entry>,
    children: BTreeMap<Seq, Vec<Seq>>,
    dedupe: HashMap<DedupeKey, Seq>,
    keys: HashMap<Seq, DedupeKey>,
    work: BTreeMap<(Partition, Seq), Pending>,
    lanes: BTreeSet<(Partition, EntryKind, u64, Seq)>,
    /// A deleted document keeps its version.
    documents: HashMap<DocKey, (u64, Option<Bytes>)>,
}

impl State {
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
            Some(seqs) => Box::new(seqs.into_iter().filter_map(|seq| self.entries.get(&seq))),
            None => Box::new(self.entries.values()),
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
        let is_old = |entry: &&Entry| entry.at < before && entry.parent.is_none();
        let mut roots: Vec<&Entry> = self.entries.values().filter(is_old).collect();
        roots.sort_by_key(|entry| entry.at);
        let families: Vec<BTreeSet<Seq>> = roots
            .into_iter()
            .map(|entry| self.family(entry.seq))
            .filter(|family| !family.iter().any(|seq| self.is_unsettled(*seq)))
            .take(limit)
            .collect();
        let mut removed = 0;
        for seq in families.into_iter().flatten() {
            self.entries.remove(&seq);
            self.children.remove(&seq);
            if let Some(key) = self.keys.remove(&seq) {
                self.dedupe.remove(&key);
            }
            removed += 1;
        }
        removed
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
        if let Some(key) = new.dedupe {
            self.dedupe.insert(key.clone(), seq);
            self.keys.insert(seq, key);
        }
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().push(seq);
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
        }
        let entry = Entry {
            parent,
            index: new.index,
            body: new.body,
            ..Entry::new(seq, new.partition, new.kind, new.connection, now)
        };
        self.entries.insert(seq, entry);
        Appended::New(seq)
    }

    fn settle(&mut self, Settlement { seq, outcome }: Settlement, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
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
                pending.due = Timestamp::MAX;
                pending.uncertain = false;
            }
            Outcome::Done { .. } | Outcome::Dead { .. } | Outcome::Dropped { .. } => {
                self.lanes.remove(&(entry.partition, pending.kind, pending.lane, seq));
                self.work.remove(&place);
            }
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
        let family = query.family_of.map(|seq| self.family(self.root(seq)));
        let seqs = (!query.seqs.is_empty()).then(|| query.seqs.iter().copied().collect());
        match (family, seqs) {
            (Some(family), Some(seqs)) => Some(&family & &seqs),
            (family, seqs) => family.or(seqs),
        }
    }

    fn entry_state(&self, entry: &Entry) -> EntryState {
        match self.work.get(&(entry.partition, entry.seq)) {
            Some(pending) if pending.due == Timestamp::MAX => EntryState::Parked,
            Some(_) => EntryState::Pending,
            None => entry.outcomes.last().map_or(EntryState::Done, |last| last.outcome.state()),
        }
    }

    fn is_unsettled(&self, seq: Seq) -> bool {
        self.entries.get(&seq).is_some_and(|entry| self.work.contains_key(&(entry.partition, seq)))
    }

    fn root(&self, seq: Seq) -> Seq {
        let parent = |seq: &Seq| self.entries.get(seq).and_then(|entry| entry.parent);
        std::iter::successors(Some(seq), parent).last().unwrap_or(seq)
    }

    fn family(&self, root: Seq) -> BTreeSet<Seq> {
        let mut family = BTreeSet::new();
        let mut open = vec![root];
        while let Some(seq) = open.pop() {
            if family.insert(seq) {
                open.extend(self.children.get(&seq).into_iter().flatten());
            }
        }
        family
    }
}
