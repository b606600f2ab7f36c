//! A log with one defect, made of a sound one.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    AuditLog, Error, ErrorKind, Result, Timestamp,
    audit::{
        Appended, Backlog, Committed, DocKey, Document, DocumentWrite, Entry, EntryState, Expected, Index,
        Lease, LeaseRequest, MemoryLog, NewEntry, Outcome, Parent, Pending, PendingRequest, PendingScope,
        Query, Settlement, Transaction,
    },
    model::{ConnectionId, DedupeKey, Partition, Seq},
};

/// A sound log behind changes of what goes in and what comes out. Without changes it is sound itself.
#[derive(Debug)]
pub(super) struct Mutant {
    inner: MemoryLog,
    entry: fn(&mut NewEntry),
    outcome: fn(Outcome) -> Option<Outcome>,
    document: fn(&mut DocumentWrite),
    transaction: fn(&mut Transaction),
    lease: fn(LeaseRequest) -> LeaseRequest,
    granted: fn(&mut Lease),
    pending: fn(&mut PendingScope, &mut Seq, &mut usize),
    query: fn(&mut Query),
    found: fn(&mut Entry),
    counted: fn(&mut Backlog),
    prune: fn(Timestamp, usize) -> (Timestamp, usize),
    quirk: Quirk,
    memory: Mutex<Memory>,
}

/// Defects that need more than a change of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirk {
    None,
    AppliesPartOfARefusedTransaction,
    StopsAtARefusedTransaction,
    AppliesTransactionsInReverse,
    LooksForDuplicatesBeforeItLocks,
    LooksAtDocumentsBeforeItLocks,
    VersionsBeginAgainAfterADelete,
    NeedsNoLeaseToRead,
    ShowsSomeEntriesLate,
    ReleasesBeforeItRenews,
    IgnoresReleases,
    RefusesTimeThatGoesBack,
    ReadsAllFromOnePlace,
    AnswersHeldLeasesOnly,
    NeverWakes,
    WakesForNothingInParticular,
    NamesWhatNobodyAskedFor,
    WaitsForEver,
    PrunesWithoutSaying,
    KeepsDocumentsThatWereRemoved,
    RemovesDocumentsOfNeighbors,
    RemovesDocumentsWithoutALimit,
    CountsWithoutACap,
    CountsOnePageOnly,
    CountsOneConnectionOnly,
    DeniesWhatWasCancelled,
}

#[derive(Debug, Default)]
struct Memory {
    keys: HashMap<DedupeKey, Seq>,
    deleted_at: HashMap<DocKey, u64>,
    shown: HashSet<Seq>,
    latest: Option<Timestamp>,
}

impl Default for Mutant {
    fn default() -> Self {
        Self {
            inner: MemoryLog::new(),
            entry: |_| {},
            outcome: Some,
            document: |_| {},
            transaction: |_| {},
            lease: |request| request,
            granted: |_| {},
            pending: |_, _, _| {},
            query: |_| {},
            found: |_| {},
            counted: |_| {},
            prune: |before, limit| (before, limit),
            quirk: Quirk::None,
            memory: Mutex::default(),
        }
    }
}

/// When the tests of leases are at it.
const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

type Plant = fn(Mutant) -> Mutant;

/// Every defect with its name.
pub(super) const DEFECTS: &[(&str, Plant)] = &[
    ("fences are ignored", |m| Mutant { transaction: |t| t.fence = None, ..m }),
    ("settlements are lost", |m| Mutant { transaction: |t| t.settle.clear(), ..m }),
    ("documents are not compared", |m| Mutant { document: |d| d.expected = Expected::Any, ..m }),
    ("deletes write nothing", |m| Mutant {
        document: |d| d.value = Some(d.value.take().unwrap_or_default()),
        ..m
    }),
    ("dedupe keys are ignored", |m| Mutant { entry: |e| e.dedupe = None, ..m }),
    ("every signal gets the same dedupe key", |m| Mutant {
        entry: |e| e.dedupe = Some(DedupeKey::from("same")),
        ..m
    }),
    ("parents are lost", |m| Mutant { entry: |e| e.parent = Parent::None, ..m }),
    ("a late parent is no parent", |m| Mutant { transaction: forgive_late_parents, ..m }),
    ("bodies are lost", |m| Mutant { entry: |e| e.body = None, ..m }),
    ("an empty body is none", |m| Mutant {
        entry: |e| e.body = e.body.take().filter(|body| !body.is_empty()),
        ..m
    }),
    ("what an entry is found by is lost", |m| Mutant { entry: |e| e.index = Index::default(), ..m }),
    ("there is one partition", |m| Mutant { entry: |e| e.partition = Partition::new(0), ..m }),
    ("everything is due at once", |m| Mutant { entry: |e| e.due = Timestamp::from_millis(0), ..m }),
    ("lanes are 63 bits wide", |m| Mutant { entry: |e| e.lane = e.lane.map(|lane| lane >> 1), ..m }),
    ("everything gets on the work list", |m| Mutant { entry: |e| e.lane = e.lane.or(Some(0)), ..m }),
    ("what is done is tried again", |m| Mutant {
        outcome: |o| if matches!(o, Outcome::Done { .. }) { retry() } else { Some(o) },
        ..m
    }),
    ("what is dead is dropped", |m| Mutant {
        outcome: |o| match o {
            Outcome::Dead { error } => Some(Outcome::Dropped { reason: error }),
            other => Some(other),
        },
        ..m
    }),
    ("attempts are not recorded", |m| Mutant {
        outcome: |o| Some(o).filter(|o| !matches!(o, Outcome::Begun { .. })),
        ..m
    }),
    ("what is parked is forgotten", |m| Mutant {
        outcome: |o| match o {
            Outcome::Parked { error } => Some(Outcome::Dropped { reason: error }),
            other => Some(other),
        },
        ..m
    }),
    ("what is parked is tried again", |m| Mutant {
        outcome: |o| if matches!(o, Outcome::Parked { .. }) { retry() } else { Some(o) },
        ..m
    }),
    ("a retry is certain", |m| Mutant { outcome: |o| Some(certain(o)), ..m }),
    ("receipts are lost", |m| Mutant {
        outcome: |o| match o {
            Outcome::Done { .. } => Some(Outcome::Done { receipt: None }),
            other => Some(other),
        },
        ..m
    }),
    ("traces of entries are lost", |m| Mutant { entry: |e| e.trace = None, ..m }),
    ("traces of outcomes are lost", |m| Mutant {
        found: |e| e.outcomes.iter_mut().for_each(|recorded| recorded.trace = None),
        ..m
    }),
    ("repeats leave no trace", |m| Mutant { entry: |e| e.counts_as_repeat = false, ..m }),
    ("every duplicate is a repeat", |m| Mutant { entry: |e| e.counts_as_repeat = true, ..m }),
    ("a replay leaves the dead as they are", |m| Mutant { entry: |e| e.replays = None, ..m }),
    ("nothing is dead from the start", |m| Mutant { entry: |e| e.dead = None, ..m }),
    ("amounts are lost", |m| Mutant { entry: |e| e.index.amount = None, ..m }),
    ("destinations are lost", |m| Mutant { entry: |e| e.index.destination = None, ..m }),
    ("nobody can acknowledge", |m| Mutant {
        outcome: |o| Some(o).filter(|o| !matches!(o, Outcome::Acknowledged { .. })),
        ..m
    }),
    ("what is acknowledged is discarded", |m| Mutant {
        outcome: |o| match o {
            Outcome::Acknowledged { by, why } => Some(Outcome::Discarded { by, why }),
            other => Some(other),
        },
        ..m
    }),
    ("what is cancelled is dropped", |m| Mutant {
        outcome: |o| match o {
            Outcome::Cancelled { why, .. } => Some(Outcome::Dropped { reason: why }),
            other => Some(other),
        },
        ..m
    }),
    ("what is discarded stays dead", |m| Mutant {
        outcome: |o| Some(o).filter(|o| !matches!(o, Outcome::Discarded { .. })),
        ..m
    }),
    ("what was cancelled and happened is denied", |m| Mutant { quirk: Quirk::DeniesWhatWasCancelled, ..m }),
    ("what is parked does not wait", |m| Mutant { counted: |row| row.parked = 0, ..m }),
    ("what is acknowledged is parked", |m| Mutant {
        counted: |row| row.parked += std::mem::take(&mut row.acknowledged),
        ..m
    }),
    ("what waits for later is due", |m| Mutant {
        counted: |row| row.due += std::mem::take(&mut row.later),
        ..m
    }),
    ("the backlog has no ages", |m| Mutant { counted: |row| row.older_than = Default::default(), ..m }),
    ("the oldest is not told", |m| Mutant { counted: |row| row.oldest = None, ..m }),
    ("one connection has a backlog", |m| Mutant { quirk: Quirk::CountsOneConnectionOnly, ..m }),
    ("counting has no end", |m| Mutant { quirk: Quirk::CountsWithoutACap, ..m }),
    ("a page is counted", |m| Mutant { quirk: Quirk::CountsOnePageOnly, ..m }),
    ("a search ignores who may see", |m| Mutant { query: |q| q.within = None, ..m }),
    ("a search finds all for whoever sees nothing", |m| Mutant {
        query: |q| q.within = q.within.take().filter(|within| !within.is_empty()),
        ..m
    }),
    ("a search ignores the destination", |m| Mutant { query: |q| q.destination = None, ..m }),
    ("a search ignores the least amount", |m| Mutant { query: |q| q.amount_from = None, ..m }),
    ("a search ignores the largest amount", |m| Mutant { query: |q| q.amount_to = None, ..m }),
    ("a search ignores the currency", |m| Mutant { query: |q| q.currency = None, ..m }),
    ("a search takes a prefix for a receipt", |m| Mutant {
        query: |q| q.receipt = q.receipt_prefix.take().or(q.receipt.take()),
        ..m
    }),
    ("a search ignores the prefix of a receipt", |m| Mutant { query: |q| q.receipt_prefix = None, ..m }),
    ("a search ignores who knows", |m| Mutant { query: |q| q.acknowledged = None, ..m }),
    ("several owners hold a partition", |m| Mutant { lease: everybody_is_one, ..m }),
    ("leases never end", |m| Mutant { lease: |r| at(r, NOON - Lease::LONGEST / 2), ..m }),
    ("a clock that was ahead is believed", |m| Mutant { lease: never_too_long, ..m }),
    ("leases end at once", |m| Mutant { lease: |r| at(r, Timestamp::MAX), ..m }),
    ("all is granted whatever is wanted", |m| Mutant { lease: want_everything, ..m }),
    ("fences do not grow", |m| Mutant { granted: |lease| lease.fence = 1, ..m }),
    ("owners keep what they have", |m| Mutant { quirk: Quirk::IgnoresReleases, ..m }),
    ("renewing changes the fence", |m| Mutant { quirk: Quirk::ReleasesBeforeItRenews, ..m }),
    ("pages begin at the beginning", |m| Mutant { pending: |_, after, _| *after = Seq(0), ..m }),
    ("pages have holes", |m| Mutant { pending: |_, after, _| after.0 += u64::from(after.0 > 0), ..m }),
    ("pages are endless", |m| Mutant { pending: |_, _, limit| *limit = usize::MAX, ..m }),
    ("lanes are mixed", |m| Mutant { pending: |scope, _, _| *scope = PendingScope::Partition, ..m }),
    ("reading needs no lease", |m| Mutant { quirk: Quirk::NeedsNoLeaseToRead, ..m }),
    ("entries appear behind a reader", |m| Mutant { quirk: Quirk::ShowsSomeEntriesLate, ..m }),
    ("a search ignores the connection", |m| Mutant { query: |q| q.connection = None, ..m }),
    ("a search ignores the kind", |m| Mutant { query: |q| q.kind = None, ..m }),
    ("a search ignores the record", |m| Mutant { query: |q| q.entity = None, ..m }),
    ("a search ignores the number", |m| Mutant { query: |q| q.number = None, ..m }),
    ("a search ignores the name", |m| Mutant { query: |q| q.name = None, ..m }),
    ("a search ignores the state", |m| Mutant { query: |q| q.state = None, ..m }),
    ("a search ignores the receipt", |m| Mutant { query: |q| q.receipt = None, ..m }),
    ("a search ignores the error", |m| Mutant { query: |q| q.error = None, ..m }),
    ("a search ignores the beginning", |m| Mutant { query: |q| q.from = None, ..m }),
    ("a search ignores the end", |m| Mutant { query: |q| q.to = None, ..m }),
    ("a search includes the end", |m| Mutant {
        query: |q| q.to = q.to.map(|to| to + Duration::from_millis(1)),
        ..m
    }),
    ("a search ignores numbers", |m| Mutant { query: |q| q.seqs.clear(), ..m }),
    ("a search ignores the family", |m| Mutant { query: |q| q.family_of = None, ..m }),
    ("a search ignores where a page ended", |m| Mutant { query: |q| q.after = None, ..m }),
    ("a search is always in order", |m| Mutant { query: |q| q.newest_first = false, ..m }),
    ("a search has no limit", |m| Mutant { query: |q| q.limit = usize::MAX, ..m }),
    ("a search returns any number of bytes", |m| Mutant { query: |q| q.max_bytes = None, ..m }),
    ("a search never returns bodies", |m| Mutant { query: |q| q.bodies = false, ..m }),
    ("a search always returns bodies", |m| Mutant { query: |q| q.bodies = true, ..m }),
    ("outcomes come in reverse", |m| Mutant { found: |e| e.outcomes.reverse(), ..m }),
    ("only the last outcome is kept", |m| Mutant {
        found: |e| {
            e.outcomes.drain(..e.outcomes.len().saturating_sub(1));
        },
        ..m
    }),
    ("prune ignores age", |m| Mutant { prune: |_, limit| (Timestamp::MAX, limit), ..m }),
    ("prune ignores its limit", |m| Mutant { prune: |before, _| (before, usize::MAX), ..m }),
    ("prune removes nothing", |m| Mutant { prune: |before, _| (before, 0), ..m }),
    ("prune counts nothing", |m| Mutant { quirk: Quirk::PrunesWithoutSaying, ..m }),
    ("documents stay", |m| Mutant { quirk: Quirk::KeepsDocumentsThatWereRemoved, ..m }),
    ("neighbors' documents go", |m| Mutant { quirk: Quirk::RemovesDocumentsOfNeighbors, ..m }),
    ("all documents go at once", |m| Mutant { quirk: Quirk::RemovesDocumentsWithoutALimit, ..m }),
    ("part of a refused transaction is applied", |m| Mutant {
        quirk: Quirk::AppliesPartOfARefusedTransaction,
        ..m
    }),
    ("a call ends with its first refusal", |m| Mutant { quirk: Quirk::StopsAtARefusedTransaction, ..m }),
    ("a call is applied in reverse", |m| Mutant { quirk: Quirk::AppliesTransactionsInReverse, ..m }),
    ("duplicates race", |m| Mutant { quirk: Quirk::LooksForDuplicatesBeforeItLocks, ..m }),
    ("documents race", |m| Mutant { quirk: Quirk::LooksAtDocumentsBeforeItLocks, ..m }),
    ("versions begin again", |m| Mutant { quirk: Quirk::VersionsBeginAgainAfterADelete, ..m }),
    ("time that goes back is refused", |m| Mutant { quirk: Quirk::RefusesTimeThatGoesBack, ..m }),
    ("several work lists begin at one place", |m| Mutant { quirk: Quirk::ReadsAllFromOnePlace, ..m }),
    ("a lost lease loses the others", |m| Mutant { quirk: Quirk::AnswersHeldLeasesOnly, ..m }),
    ("it is not said where there are news", |m| Mutant { quirk: Quirk::WakesForNothingInParticular, ..m }),
    ("there are news everywhere", |m| Mutant { quirk: Quirk::NamesWhatNobodyAskedFor, ..m }),
    ("a commit wakes nobody", |m| Mutant { quirk: Quirk::NeverWakes, ..m }),
    ("waiting never ends", |m| Mutant { quirk: Quirk::WaitsForEver, ..m }),
];

fn retry() -> Option<Outcome> {
    Some(Outcome::Retry { attempt: 2, due: NOON, error: "again".into(), uncertain: true, note: None })
}

fn certain(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry { attempt, due, error, note, .. } => {
            Outcome::Retry { attempt, due, error, uncertain: false, note }
        }
        other => other,
    }
}

fn forgive_late_parents(transaction: &mut Transaction) {
    for (position, entry) in transaction.append.iter_mut().enumerate() {
        if matches!(entry.parent, Parent::Nth(parent) if parent >= position) {
            entry.parent = Parent::None;
        }
    }
}

fn everybody_is_one(mut request: LeaseRequest) -> LeaseRequest {
    let (LeaseRequest::Hold { owner, .. } | LeaseRequest::Release { owner }) = &mut request;
    *owner = "one".into();
    request
}

fn at(mut request: LeaseRequest, instant: Timestamp) -> LeaseRequest {
    if let LeaseRequest::Hold { now, .. } = &mut request {
        *now = instant;
    }
    request
}

fn never_too_long(mut request: LeaseRequest) -> LeaseRequest {
    if let LeaseRequest::Hold { until, .. } = &mut request {
        *until = (*until).min(NOON + Lease::LONGEST / 2);
    }
    request
}

fn want_everything(mut request: LeaseRequest) -> LeaseRequest {
    if let LeaseRequest::Hold { want, .. } = &mut request {
        *want = Partition::COUNT.into();
    }
    request
}

impl Mutant {
    fn change(&self, transaction: &mut Transaction) {
        (self.transaction)(transaction);
        transaction.append.iter_mut().for_each(self.entry);
        transaction.documents.iter_mut().for_each(self.document);
        let settle = std::mem::take(&mut transaction.settle);
        transaction.settle = settle
            .into_iter()
            .filter_map(|settlement| {
                (self.outcome)(settlement.outcome).map(|outcome| Settlement { outcome, ..settlement })
            })
            .collect();
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// Answers from what it saw before a pause, in which others go on.
    async fn race(&self, mut transaction: Transaction, now: Timestamp) -> Result<Committed> {
        if self.quirk == Quirk::LooksAtDocumentsBeforeItLocks {
            let keys: Vec<DocKey> = transaction.documents.iter().map(|write| write.key.clone()).collect();
            let found = self.inner.documents(&keys).await?;
            for (write, found) in transaction.documents.iter_mut().zip(found) {
                let version = found.map(|document| document.version);
                let holds = match write.expected {
                    Expected::Absent => version.is_none(),
                    Expected::Version(expected) => version == Some(expected),
                    Expected::Any => true,
                };
                if !holds {
                    return Ok(Committed::Stale(write.key.clone()));
                }
                write.expected = Expected::Any;
            }
        }
        let mut keys = Vec::new();
        if self.quirk == Quirk::LooksForDuplicatesBeforeItLocks && transaction.append.len() == 1 {
            let key = transaction.append[0].dedupe.take();
            if let Some(seq) = key.as_ref().and_then(|key| self.memory().keys.get(key).copied()) {
                return Ok(Committed::Applied(vec![Appended::Duplicate(seq)]));
            }
            keys.extend(key);
        }
        tokio::task::yield_now().await;
        let committed = self.inner.commit(vec![transaction], now).await?.remove(0);
        if let (Committed::Applied(appended), [key]) = (&committed, &keys[..]) {
            self.memory().keys.insert(key.clone(), appended[0].seq());
        }
        Ok(committed)
    }

    /// Counts a document's versions from its last delete.
    async fn commit_with_small_versions(
        &self,
        mut transaction: Transaction,
        now: Timestamp,
    ) -> Result<Committed> {
        for write in &mut transaction.documents {
            let mut memory = self.memory();
            let base = memory.deleted_at.get(&write.key).copied().unwrap_or(0);
            if let Expected::Version(version) = &mut write.expected {
                *version += base;
                if write.value.is_none() {
                    memory.deleted_at.insert(write.key.clone(), *version + 1);
                }
            }
        }
        Ok(self.inner.commit(vec![transaction], now).await?.remove(0))
    }

    async fn commit_one(&self, transaction: Transaction, now: Timestamp) -> Result<Committed> {
        match self.quirk {
            Quirk::LooksForDuplicatesBeforeItLocks | Quirk::LooksAtDocumentsBeforeItLocks => {
                self.race(transaction, now).await
            }
            Quirk::VersionsBeginAgainAfterADelete => self.commit_with_small_versions(transaction, now).await,
            Quirk::AppliesPartOfARefusedTransaction => {
                let rest = Transaction { fence: None, documents: Vec::new(), ..transaction.clone() };
                let committed = self.inner.commit(vec![transaction], now).await?.remove(0);
                if matches!(committed, Committed::Stale(_)) {
                    self.inner.commit(vec![rest], now).await?;
                }
                Ok(committed)
            }
            Quirk::DeniesWhatWasCancelled => {
                let seqs = transaction.settle.iter().map(|settlement| settlement.seq).collect();
                let found = self.inner.query(&Query::entries(seqs)).await?;
                let mut transaction = transaction;
                transaction.settle.retain(|settlement| {
                    let of = found.iter().find(|entry| entry.seq == settlement.seq);
                    of.is_none_or(|entry| entry.state != EntryState::Cancelled)
                });
                Ok(self.inner.commit(vec![transaction], now).await?.remove(0))
            }
            _ => Ok(self.inner.commit(vec![transaction], now).await?.remove(0)),
        }
    }
}

#[async_trait]
impl AuditLog for Mutant {
    async fn commit(&self, mut transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        transactions.iter_mut().for_each(|transaction| self.change(transaction));
        transactions.iter().try_for_each(Transaction::validate)?;
        if self.quirk == Quirk::RefusesTimeThatGoesBack {
            let latest = self.memory().latest.replace(now);
            if latest.is_some_and(|latest| latest > now) {
                return Err(Error::new(ErrorKind::InvalidRequest, "time went back"));
            }
        }
        let is_reversed = self.quirk == Quirk::AppliesTransactionsInReverse;
        if is_reversed {
            transactions.reverse();
        }
        let mut committed = Vec::new();
        for transaction in transactions {
            committed.push(self.commit_one(transaction, now).await?);
            let is_refused = !matches!(committed.last(), Some(Committed::Applied(_)));
            if is_refused && self.quirk == Quirk::StopsAtARefusedTransaction {
                break;
            }
        }
        if is_reversed {
            committed.reverse();
        }
        Ok(committed)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        match (&request, self.quirk) {
            (LeaseRequest::Release { .. }, Quirk::IgnoresReleases) => return Ok(Vec::new()),
            (LeaseRequest::Hold { owner, .. }, Quirk::ReleasesBeforeItRenews) => {
                self.inner.lease(LeaseRequest::Release { owner: owner.clone() }).await?;
            }
            _ => {}
        }
        let mut held = self.inner.lease((self.lease)(request)).await?;
        held.iter_mut().for_each(self.granted);
        Ok(held)
    }

    async fn pending(
        &self,
        wanted: &[PendingRequest],
        mut limit: usize,
    ) -> Result<Vec<Option<Vec<Pending>>>> {
        let mut wanted = wanted.to_vec();
        for PendingRequest { scope, after, .. } in &mut wanted {
            (self.pending)(scope, after, &mut limit);
        }
        let first = wanted.first().map(|first| first.after);
        match (self.quirk, first) {
            (Quirk::ReadsAllFromOnePlace, Some(first)) => wanted.iter_mut().for_each(|it| it.after = first),
            (Quirk::AnswersHeldLeasesOnly, _) => {
                let pages = self.inner.pending(&wanted, limit).await?;
                return Ok(if pages.len() > 1 && pages.contains(&None) {
                    vec![None; pages.len()]
                } else {
                    pages
                });
            }
            _ => {}
        }
        let mut pages = self.inner.pending(&wanted, limit).await?;
        if self.quirk == Quirk::NeedsNoLeaseToRead {
            pages.iter_mut().for_each(|page| *page = Some(page.take().unwrap_or_default()));
        }
        if self.quirk == Quirk::ShowsSomeEntriesLate {
            let mut memory = self.memory();
            let late = |pending: &Pending| pending.seq.0.is_multiple_of(5);
            for page in pages.iter_mut().flatten() {
                page.retain(|pending| !late(pending) || !memory.shown.insert(pending.seq));
            }
        }
        Ok(pages)
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        let mut found = self.inner.documents(keys).await?;
        for (key, document) in keys.iter().zip(&mut found) {
            let base = self.memory().deleted_at.get(key).copied().unwrap_or(0);
            if let Some(document) = document {
                document.version -= base;
            }
        }
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        let mut query = query.clone();
        (self.query)(&mut query);
        let mut found = self.inner.query(&query).await?;
        found.iter_mut().for_each(self.found);
        Ok(found)
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        let mut query = query.clone();
        (self.query)(&mut query);
        match self.quirk {
            Quirk::CountsWithoutACap => self.inner.count(&query, usize::MAX).await,
            Quirk::CountsOnePageOnly => self.inner.count(&query, query.effective_limit().min(cap)).await,
            _ => self.inner.count(&query, cap).await,
        }
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        let mut rows = self.inner.backlog(now).await?;
        rows.iter_mut().for_each(self.counted);
        rows.retain(|row| !row.is_empty());
        if self.quirk == Quirk::CountsOneConnectionOnly {
            rows.truncate(1);
        }
        Ok(rows)
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        match self.quirk {
            Quirk::NeverWakes => {
                tokio::time::sleep(at_most).await;
                Ok(Vec::new())
            }
            Quirk::WaitsForEver => std::future::pending().await,
            Quirk::WakesForNothingInParticular => {
                self.inner.wait(partitions, at_most).await.map(|_| Vec::new())
            }
            Quirk::NamesWhatNobodyAskedFor => {
                self.inner.wait(partitions, at_most).await.map(|_| Partition::all().collect())
            }
            _ => self.inner.wait(partitions, at_most).await,
        }
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let (before, limit) = (self.prune)(before, limit);
        let removed = self.inner.prune(before, limit).await?;
        Ok(if self.quirk == Quirk::PrunesWithoutSaying { 0 } else { removed })
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        match self.quirk {
            Quirk::RemovesDocumentsWithoutALimit => self
                .inner
                .remove_documents(of, connection, usize::MAX)
                .await
                .map(|removed| removed.min(limit)),
            Quirk::KeepsDocumentsThatWereRemoved => Ok(0),
            Quirk::RemovesDocumentsOfNeighbors => {
                self.inner.remove_documents(of, &format!("{connection}2").into(), limit).await?;
                self.inner.remove_documents(&format!("{of}2"), connection, limit).await?;
                self.inner.remove_documents(of, connection, limit).await
            }
            _ => self.inner.remove_documents(of, connection, limit).await,
        }
    }
}
