//! What the log holds, and how transactions change it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::{Bound, RangeInclusive},
    sync::Arc,
};

use bytes::Bytes;

use super::leases::Leases;
use crate::{
    Timestamp,
    audit::{
        Appended, Backlog, Committed, DocKey, Document, DocumentWrite, Entry, EntryKind, EntryState,
        Expected, NewEntry, Outcome, Parent, Pending, PendingScope, Query, Recorded, Repeats, Settlement,
        Transaction,
    },
    model::{ConnectionId, DedupeKey, Partition, Seq},
};

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) leases: Leases,
    /// The last number given. Never goes back, so that no reader's cursor is ahead of a new entry.
    last: u64,
    pub(super) entries: BTreeMap<Seq, KeptEntry>,
    /// What begins families, by age.
    roots: BTreeSet<(Timestamp, Seq)>,
    /// What began each family, and its members; and those of them that are on the work list.
    members: BTreeSet<(Seq, Seq)>,
    unsettled: BTreeSet<(Seq, Seq)>,
    pub(super) dedupe: HashMap<DedupeKey, Seq>,
    pub(super) receipts: HashMap<Arc<str>, BTreeSet<Seq>>,
    work: BTreeMap<(Partition, Seq), Pending>,
    /// The last entry that was put on the work list of each partition, and of any.
    pub(super) newest: BTreeMap<Partition, Seq>,
    pub(super) newest_of_all: Seq,
    lanes: BTreeSet<(Partition, EntryKind, u64, Seq)>,
    /// A deleted document keeps its version.
    pub(super) documents: HashMap<DocKey, (u64, Option<Bytes>)>,
}

#[derive(Debug)]
pub(super) struct KeptEntry {
    pub(super) entry: Entry,
    root: Seq,
    pub(super) dedupe: Option<DedupeKey>,
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

    #[cfg(test)]
    pub(super) fn document_keys(&self) -> Vec<DocKey> {
        let there = self.documents.iter().filter(|(_, (_, bytes))| bytes.is_some());
        there.map(|(key, _)| key.clone()).collect()
    }

    /// Removes documents whose keys begin so.
    pub(super) fn remove_documents(&mut self, begin: &DocKey, limit: usize) -> usize {
        let of_them = |key: &&DocKey| key.as_str().starts_with(begin.as_str());
        let going: Vec<DocKey> = self.documents.keys().filter(of_them).take(limit).cloned().collect();
        going.iter().for_each(|key| drop(self.documents.remove(key)));
        going.len()
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
        let without_bodies = |entry: &Entry| Entry {
            body: None,
            trace: None,
            outcomes: entry.outcomes.iter().cloned().map(|it| Recorded { trace: None, ..it }).collect(),
            ..entry.clone()
        };
        let read = |entry: &Entry| if query.bodies { entry.clone() } else { without_bodies(entry) };
        let mut fits = query.budget();
        self.find(query).take(query.effective_limit()).map(read).take_while(|entry| fits(entry)).collect()
    }

    pub(super) fn count(&self, query: &Query, cap: usize) -> usize {
        self.find(query).take(cap).count()
    }

    pub(super) fn backlog(&self, now: Timestamp) -> Vec<Backlog> {
        let mut rows: BTreeMap<(&ConnectionId, EntryKind), Backlog> = BTreeMap::new();
        for pending in self.work.values() {
            let Pending { seq, kind, connection, due, .. } = pending;
            let acknowledged = self.entry(*seq).is_some_and(|entry| entry.acknowledged);
            let row =
                rows.entry((connection, *kind)).or_insert_with(|| Backlog::new(connection.clone(), *kind));
            row.add(Backlog::slot(*due, acknowledged), 1, now);
        }
        rows.into_values().collect()
    }

    /// What matches, in reading direction.
    fn find<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a Entry> {
        let mut found: Box<dyn DoubleEndedIterator<Item = &Entry>> = match self.named(query) {
            Some(seqs) => Box::new(seqs.into_iter().filter_map(|seq| self.entry(seq))),
            None => {
                let within = match query.after {
                    None => self.entries.range(..),
                    Some(after) if query.newest_first => self.entries.range(..after),
                    Some(after) => self.entries.range((Bound::Excluded(after), Bound::Unbounded)),
                };
                Box::new(within.map(|(_, stored)| &stored.entry))
            }
        };
        if query.newest_first {
            found = Box::new(found.rev());
        }
        let is_behind = move |entry: &&Entry| match query.after {
            None => false,
            Some(after) if query.newest_first => entry.seq >= after,
            Some(after) => entry.seq <= after,
        };
        found.skip_while(is_behind).filter(|entry| matches(entry, query))
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
        let Some(KeptEntry { entry, root, dedupe }) = self.entries.remove(&seq) else { return };
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
        if let Some(seq) = new.dedupe.as_ref().and_then(|key| self.dedupe.get(key).copied()) {
            if new.counts_as_repeat
                && let Some(stored) = self.entries.get_mut(&seq)
            {
                let count = stored.entry.repeats.map_or(0, |repeats| repeats.count);
                stored.entry.repeats = Some(Repeats { count: count + 1, last: now });
            }
            return Appended::Duplicate(seq);
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
            self.newest.insert(new.partition, seq);
            self.newest_of_all = seq;
            self.unsettled.insert((root, seq));
        }
        let state = match new.lane {
            Some(_) if new.due == Pending::NEVER => EntryState::Parked,
            Some(_) => EntryState::Pending,
            None if new.dead.is_some() => EntryState::Dead,
            None => EntryState::Done,
        };
        let dead = new.dead.filter(|_| new.lane.is_none()).map(|error| Outcome::Dead { error });
        let entry = Entry {
            outcomes: dead.map(|outcome| Recorded { at: now, outcome, trace: None }).into_iter().collect(),
            parent,
            index: new.index,
            state,
            body: new.body,
            trace: new.trace,
            ..Entry::new(seq, new.partition, new.kind, new.connection, now)
        };
        self.entries.insert(seq, KeptEntry { entry, root, dedupe: new.dedupe });
        if let Some(replayed) = new.replays {
            self.settle(Settlement::new(replayed, Outcome::Replayed { replay: seq }), now);
        }
        Appended::New(seq)
    }

    fn settle(&mut self, Settlement { seq, outcome, trace }: Settlement, now: Timestamp) {
        let Some(KeptEntry { entry, root, .. }) = self.entries.get_mut(&seq) else { return };
        if !outcome.fits(entry.state, entry.acknowledged) {
            return;
        }
        let place = (entry.partition, seq);
        if let Some(pending) = self.work.get_mut(&place) {
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
                Outcome::Acknowledged { .. } => {}
                _ => {
                    self.lanes.remove(&(entry.partition, pending.kind, pending.lane, seq));
                    self.work.remove(&place);
                    self.unsettled.remove(&(*root, seq));
                }
            }
        }
        if let Outcome::Done { receipt: Some(receipt) } = &outcome {
            self.receipts.entry(Arc::clone(receipt)).or_default().insert(seq);
        }
        match &outcome {
            Outcome::Acknowledged { .. } => entry.acknowledged = true,
            Outcome::Retry { due: Pending::NEVER, .. } | Outcome::Parked { .. } => {
                entry.state = EntryState::Parked;
            }
            outcome => {
                if let Some(state) = outcome.state() {
                    (entry.state, entry.acknowledged) = (state, false);
                }
            }
        }
        entry.outcomes.push(Recorded { at: now, outcome, trace });
    }

    /// The entries that the query names, in order; `None` when it does not name any.
    fn named(&self, query: &Query) -> Option<BTreeSet<Seq>> {
        let members = |seq| self.members.range(family(self.root(seq))).map(|(_, member)| *member).collect();
        let of_family: Option<BTreeSet<Seq>> = query.family_of.map(members);
        let seqs = (!query.seqs.is_empty()).then(|| query.seqs.iter().copied().collect());
        let with_receipt = |receipt| self.receipts.get(receipt).cloned().unwrap_or_default();
        [of_family, seqs, query.receipt.as_ref().map(with_receipt)]
            .into_iter()
            .flatten()
            .reduce(|some, others| &some & &others)
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

/// Whether an entry meets every criterion but those of [`State::named`].
fn matches(entry: &Entry, query: &Query) -> bool {
    fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
        wanted.is_none() || wanted == found
    }
    let index = &entry.index;
    let amount = index.amount.map(|money| money.amount);
    is(query.connection.as_ref(), Some(&entry.connection))
        && query.within.as_ref().is_none_or(|within| within.contains(&entry.connection))
        && is(query.kind.as_ref(), Some(&entry.kind))
        && is(query.entity.as_ref(), index.entity.as_ref())
        && is(query.number.as_ref(), index.number.as_ref())
        && is(query.name.as_ref(), index.name.as_ref())
        && is(query.destination.as_ref(), index.destination.as_ref())
        && query.amount_from.is_none_or(|from| amount.is_some_and(|amount| amount >= from))
        && query.amount_to.is_none_or(|to| amount.is_some_and(|amount| amount <= to))
        && is(query.currency.as_ref(), index.amount.map(|money| money.currency).as_ref())
        && is(query.receipt.as_deref(), entry.receipt())
        && query
            .receipt_prefix
            .as_deref()
            .is_none_or(|prefix| entry.receipt().is_some_and(|receipt| receipt.starts_with(prefix)))
        && query.error.as_deref().is_none_or(|text| entry.has_error(text))
        && is(query.state.as_ref(), Some(&entry.state))
        && query.acknowledged.is_none_or(|acknowledged| {
            matches!(entry.state, EntryState::Parked | EntryState::Dead) && entry.acknowledged == acknowledged
        })
        && query.from.is_none_or(|from| entry.at >= from)
        && query.to.is_none_or(|to| entry.at < to)
}
