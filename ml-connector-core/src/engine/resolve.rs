//! From the signals of a record to its snapshot, its event and its deliveries, in one transaction.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Shared, feeds, foreign,
    intake::signal_entry,
    lanes::{Batch, Hold, Item},
    observe::{Noticed, Purpose, load_snapshots, observe},
    outcome::{self, Told},
    promise,
    registry::SourceSlot,
    retry,
    run::Finished,
    stats::Stat,
    stored::StoredSignal,
    upkeep,
};
use crate::{
    Error, ErrorKind, Result, Retry, Scope, Timestamp,
    audit::{Committed, EntryKind, Lease, Outcome, Parent, Query, Settlement, Transaction},
    model::{Change, EntityRef, Origin, Resolution, Seq, Signal, Subject},
    rate::Feedback,
};

/// How often a record is read again at once because somebody else wrote its snapshot meanwhile.
const STALE_TRIES: usize = 5;
/// How often signals are tried whose read fails for a reason that does not pass by itself.
const PERMANENT_TRIES: u32 = 3;

/// A signal with its place in the log.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) signal: Signal,
    pub(super) origin: Origin,
    /// When it was read in vain first, or now.
    troubled_since: Timestamp,
}

/// What became of the signals of one subject.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) waits: Vec<Item>,
    pub(super) hold: Hold,
    pub(super) reason: Option<Arc<str>>,
}

/// Resolves a batch of signals of one lane.
pub(super) async fn resolve(shared: Arc<Shared>, lease: Lease, batch: Batch) -> Finished {
    match try_resolve(&shared, lease, &batch).await {
        Ok(finished) => finished,
        Err(Stop::Fenced) => Finished::fenced(),
        // Nothing was written: the log decides when it works again.
        Err(Stop::Log(error)) => {
            tracing::error!(%error, connection = %batch.connection, "the log does not work: signals wait");
            Finished::again(&batch, Hold::Until(retry::log_at(shared.clock.now())))
        }
    }
}

/// Why a batch could not be brought to an end.
pub(super) enum Stop {
    /// The partition belongs to somebody else.
    Fenced,
    /// The log cannot be read or written.
    Log(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

async fn try_resolve(shared: &Shared, lease: Lease, batch: &Batch) -> Result<Finished, Stop> {
    let registry = shared.registry();
    let Some(slot) = registry.source(&batch.connection) else {
        tracing::warn!(connection = %batch.connection, "signals wait for a source that is not connected");
        return Ok(Finished::again(batch, Hold::Outage(shared.clock.now())));
    };
    let mut waits = Vec::new();
    let (mut hold, mut reason) = (Hold::None, None);
    let mut by_subject: Vec<(Subject, Vec<Waiting>)> = Vec::with_capacity(1);
    for (item, loaded) in load(shared, &batch.items).await? {
        match loaded {
            Ok((signal, origin, troubled_since)) => {
                let waiting = Waiting { item, signal, origin, troubled_since };
                match by_subject.iter_mut().find(|(subject, _)| together(subject, &waiting.signal.subject)) {
                    Some((_, group)) => group.push(waiting),
                    None => by_subject.push((waiting.signal.subject.clone(), vec![waiting])),
                }
            }
            Err(error) => {
                settle(shared, lease, vec![dead(item.seq, &error)]).await?;
                shared.stats.count(Stat::Dead);
            }
        }
    }
    for (subject, group) in by_subject {
        let resolved = match &subject {
            Subject::Feed { name, .. } => feeds::step(shared, lease, slot, batch, name, &group).await?,
            Subject::Subscription(_) => upkeep::look_after(shared, lease, slot, batch, &group).await?,
            Subject::Entity(entity) => resolve_entity(shared, lease, slot, batch, entity, &group).await?,
        };
        waits.extend(resolved.waits);
        if resolved.hold != Hold::None {
            (hold, reason) = (resolved.hold, resolved.reason);
        }
    }
    Ok(Finished { waits, hold, fenced: false, reason })
}

/// Whether one piece of work answers both.
fn together(a: &Subject, b: &Subject) -> bool {
    match (a, b) {
        (Subject::Feed { name: a, .. }, Subject::Feed { name: b, .. }) => a == b,
        (Subject::Subscription(_), Subject::Subscription(_)) => true,
        _ => a == b,
    }
}

type Loaded = Vec<(Item, Result<(Signal, Origin, Timestamp)>)>;

/// Reads the bodies of signals, without those that are settled by now.
async fn load(shared: &Shared, items: &[Item]) -> Result<Loaded> {
    let seqs = items.iter().map(|item| item.seq).collect();
    let mut entries: BTreeMap<Seq, _> =
        shared.log.query(&Query::entries(seqs)).await?.into_iter().map(|entry| (entry.seq, entry)).collect();
    let now = shared.clock.now();
    let decode = |item: &Item| {
        let entry = entries.remove(&item.seq).filter(|entry| !entry.state.is_settled())?;
        let signal = entry
            .body
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a signal has no body"))
            .and_then(|body| StoredSignal::decode(&body))
            .and_then(|stored| {
                let signal =
                    stored.signal.ok_or_else(|| Error::new(ErrorKind::Unexpected, "a signal is empty"))?;
                // A signal may have been written long before its day: its age is that of its troubles.
                Ok((signal, stored.origin, entry.outcomes.first().map_or(now, |first| first.at)))
            });
        Some((*item, signal))
    };
    Ok(items.iter().filter_map(decode).collect())
}

async fn resolve_entity(
    shared: &Shared,
    lease: Lease,
    slot: &SourceSlot,
    batch: &Batch,
    entity: &EntityRef,
    group: &[Waiting],
) -> Result<Resolved, Stop> {
    let signals: Vec<Signal> = group.iter().map(|waiting| waiting.signal.clone()).collect();
    for _ in 0..STALE_TRIES {
        let last = load_snapshots(shared, slot, [entity]).await?.pop().and_then(|(_, known)| known);
        let ctx = shared.context.within(shared.settings.call);
        let read = slot.source.resolve(&ctx, &signals, last.as_ref().map(|(_, snapshot)| snapshot));
        let resolution = match foreign::call(shared.settings.call, "the read did not end in time", read).await
        {
            Ok(resolution) => resolution,
            Err(error) => return failed(shared, lease, batch, group, &error).await,
        };
        let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
        let mut noticed = Noticed::default();
        let parent = Parent::Entry(group[0].item.seq);
        match resolution {
            Resolution::Observed(seen) => {
                noticed = observe(shared, slot, &seen, purpose(group), parent, &mut transaction).await?;
            }
            Resolution::Scheduled { seen, later } => {
                noticed = observe(shared, slot, &seen, purpose(group), parent, &mut transaction).await?;
                for (at, signal) in later {
                    transaction.append.push(promise::later(slot, &signal, at)?);
                }
            }
            Resolution::NotYet { retry_at } => {
                let error =
                    Error::new(ErrorKind::NotFound, "not visible yet").with_retry(Retry::At(retry_at));
                return failed(shared, lease, batch, group, &error).await;
            }
            Resolution::Sweep { feed, since } => {
                let signal = Signal { hint: signals[0].hint.clone(), ..Signal::feed(feed, since) };
                let body = StoredSignal::encode(Some(&signal), None, b"")?;
                transaction.append.push(signal_entry(slot, &signal, parent, body, shared.clock.now()));
            }
            Resolution::Done { note } => {
                transaction.settle = group.iter().map(|waiting| dropped(waiting.item.seq, note)).collect();
            }
        }
        if !noticed.older.is_empty() {
            let error = Error::new(ErrorKind::Conflict, "the read is older than what is known")
                .with_retry(Retry::Backoff);
            return failed(shared, lease, batch, group, &error).await;
        }
        if transaction.settle.is_empty() {
            transaction.settle = settlements(group, !transaction.append.is_empty());
        }
        let mut wake = noticed.wake;
        if !transaction.append.is_empty() {
            wake.push(slot.partition);
        }
        let deliveries = transaction.append.iter().filter(|entry| entry.kind == EntryKind::Delivery).count();
        match commit(shared, transaction).await? {
            Committed::Applied(_) => {
                shared.stats.add(Stat::Events, noticed.events);
                shared.stats.add(Stat::Deliveries, deliveries);
                if noticed.events == 0 {
                    shared.stats.count(Stat::Unchanged);
                }
                shared.wake.partitions(&wake);
                return Ok(Resolved::default());
            }
            Committed::Fenced => return Err(Stop::Fenced),
            Committed::Stale(key) => tracing::debug!(%key, "somebody else wrote the snapshot: reading again"),
        }
    }
    let error = Error::new(ErrorKind::Conflict, "the snapshot kept changing").with_retry(Retry::Backoff);
    failed(shared, lease, batch, group, &error).await
}

/// What the signals of a record ask for together.
fn purpose(group: &[Waiting]) -> Purpose {
    let backfill = |waiting: &Waiting| waiting.origin == Origin::Backfill;
    if group.iter().any(backfill) {
        return Purpose::Backfill { alone: group.iter().all(backfill) };
    }
    Purpose::Live
}

/// The first signal led to what was found; the others were answered by the same read.
fn settlements(group: &[Waiting], found: bool) -> Vec<Settlement> {
    let outcome = |i| match (found, i) {
        (true, 0) => Outcome::Done { receipt: None },
        (true, _) => Outcome::Dropped { reason: "coalesced".into() },
        (false, _) => Outcome::Dropped { reason: "unchanged".into() },
    };
    group.iter().enumerate().map(|(i, waiting)| Settlement::new(waiting.item.seq, outcome(i))).collect()
}

/// Decides what a failed read means for its signals.
pub(super) async fn failed(
    shared: &Shared,
    lease: Lease,
    batch: &Batch,
    group: &[Waiting],
    error: &Error,
) -> Result<Resolved, Stop> {
    let now = shared.clock.now();
    if let (Scope::Quota(key), Retry::At(until)) = (error.scope(), error.retry()) {
        shared.context.limiter().report(key, Feedback::PausedUntil(until), now).await?;
    }
    let outage = matches!(error.scope(), Scope::Connection);
    let counted = !outage && error.kind() != ErrorKind::RateLimited;
    let policy = shared.settings.retries.of_signal(error);
    let mut resolved = Resolved {
        waits: Vec::new(),
        hold: match error.retry() {
            Retry::At(at) if outage => Hold::Outage(at),
            _ if outage => Hold::Outage(now),
            _ => Hold::None,
        },
        reason: outage.then(|| error.to_string().into()),
    };
    let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
    let mut wake = Vec::new();
    for Waiting { item, signal, troubled_since, .. } in group {
        let attempt = item.attempt + u32::from(counted);
        let hopeless = error.retry() == Retry::Never && attempt >= PERMANENT_TRIES && counted;
        let age = now.saturating_since(*troubled_since);
        let too_old = counted
            && (policy.total.is_some_and(|total| age > total)
                || age > shared.settings.max_signal_age && attempt >= PERMANENT_TRIES);
        let hopeless = hopeless || counted && policy.is_used_up(attempt);
        if hopeless || too_old {
            shared.stats.count(Stat::Dead);
            tracing::error!(seq = item.seq.0, %error, "a signal is dead: replay it when the cause is gone");
            transaction.settle.push(dead(item.seq, error));
            let told = Told {
                kind: "signal",
                seq: item.seq,
                change: Change::Dead,
                connection: batch.connection.clone(),
                lane: batch.lane,
                about: match &signal.subject {
                    Subject::Entity(entity) => Some(entity.clone()),
                    _ => None,
                },
                reason: error.to_string().into(),
            };
            wake.extend(outcome::append(shared, told, &mut transaction).await?);
            continue;
        }
        let due = if outage { item.due.min(now) } else { policy.next(error, item.seq, attempt.max(1), now) };
        shared.stats.count(Stat::Retried);
        let outcome =
            Outcome::Retry { attempt, due, error: error.to_string().into(), uncertain: false, note: None };
        transaction.settle.push(Settlement::new(item.seq, outcome));
        resolved.waits.push(Item { due, attempt, ..*item });
    }
    tracing::warn!(%error, signals = group.len(), "a read failed");
    apply(shared, transaction).await?;
    shared.wake.partitions(&wake);
    Ok(resolved)
}

/// Adds outcomes under the fence.
pub(super) async fn settle(shared: &Shared, lease: Lease, settle: Vec<Settlement>) -> Result<(), Stop> {
    apply(shared, Transaction { fence: Some(lease), settle, ..Transaction::default() }).await
}

/// Commits a transaction that only its fence can refuse.
pub(super) async fn apply(shared: &Shared, transaction: Transaction) -> Result<(), Stop> {
    match commit(shared, transaction).await? {
        Committed::Applied(_) => Ok(()),
        Committed::Fenced => Err(Stop::Fenced),
        Committed::Stale(key) => Err(Stop::Log(
            Error::new(ErrorKind::Unexpected, "a document was written under no condition")
                .with_context("key", key),
        )),
    }
}

pub(super) async fn commit(shared: &Shared, transaction: Transaction) -> Result<Committed> {
    let committed = shared.log.commit(vec![transaction], shared.clock.now()).await?.pop();
    committed
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say what became of a transaction"))
}

pub(super) fn dead(seq: Seq, error: &Error) -> Settlement {
    Settlement::new(seq, Outcome::Dead { error: error.to_string().into() })
}

pub(super) fn dropped(seq: Seq, reason: &'static str) -> Settlement {
    Settlement::new(seq, Outcome::Dropped { reason: reason.into() })
}
