//! Reading a record: one read for all its signals, and one transaction for its snapshot, its event and its deliveries.

use std::{sync::Arc, time::Duration};

use super::{
    failed::failed,
    observe::{Found, Purpose, load_snapshots, observe, write_down},
    signals::{Resolved, WaitingSignal},
};
use crate::{
    Error, ErrorKind, Result, Retry,
    audit::{Committed, DocumentWrite, EntryKind, Lease, Outcome, Parent, Settlement, Transaction},
    engine::{
        entries, fan_out, guard,
        lanes::{Batch, Evidence, Item},
        registry::{Asked, SourceSlot},
        shared::Shared,
        stats::Stat,
        trace::OutcomeTrace,
        writes::{Stop, commit, dropped},
    },
    model::{EntityRef, Origin, Record, RecordKind, Resolution, Signal, Status},
    snapshot::Snapshot,
};

/// How long a record is waited for that is [not there yet](Resolution::NotYet). Replicas are minutes behind at most.
const NOT_YET: Duration = Duration::from_secs(3600);
/// How often a record is read again at once because somebody else wrote its snapshot meanwhile.
const STALE_TRIES: usize = 5;

/// Reads the record that signals are about, and keeps what is new about it.
pub(crate) async fn read(
    shared: &Shared,
    lease: Lease,
    slot: &SourceSlot,
    batch: &Batch,
    entity: &EntityRef,
    group: &[WaitingSignal],
) -> Result<Resolved, Stop> {
    let (asked, began) = (asked(slot, group), shared.clock.now());
    if let Some(until) = slot.reads.begin(batch.lane.lane, began, &asked) {
        let waits = group.iter().map(|waiting| Item { due: waiting.item.due.max(until), ..waiting.item });
        return Ok(Resolved { waits: waits.collect(), ..Resolved::default() });
    }
    let signals: Vec<Signal> = group.iter().map(|waiting| waiting.signal.clone()).collect();
    for _ in 0..STALE_TRIES {
        let last = load_snapshots(shared, slot, [entity]).await?.pop().and_then(|known| known.value);
        let within = shared.context.within(shared.settings.call).with_vendor_clock(&slot.vendor_clock);
        let (ctx, calls) = within.watched();
        let began = shared.clock.now();
        let read = slot.source.resolve(&ctx, &signals, last.as_ref());
        let resolution = match guard::call(shared.settings.call, "the read did not end in time", read).await {
            Ok(resolution) => resolution,
            Err(error) => return failed(shared, lease, batch, group, &error).await,
        };
        let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
        let mut found = Found::default();
        let proof = proof_of(calls.succeeded(), &resolution);
        let parent = Parent::Entry(group[0].item.seq);
        match resolution {
            Resolution::Observed(seen) => {
                found = observe(shared, slot, &seen, purpose(group), parent, &mut transaction).await?;
            }
            Resolution::Scheduled { seen, later } => {
                found = observe(shared, slot, &seen, purpose(group), parent, &mut transaction).await?;
                for (at, signal) in later {
                    transaction.append.push(fan_out::later(slot, &signal, at)?);
                }
            }
            Resolution::NotYet { .. }
                if last.as_ref().is_none_or(|last| last.revision.is_none()) && is_given_up(shared, group) =>
            {
                transaction.documents.push(never_seen(shared, slot, entity).await?);
                let note = "created and deleted before it could be read";
                transaction.settle = group.iter().map(|waiting| dropped(waiting.item.seq, note)).collect();
            }
            Resolution::NotYet { retry_at } => {
                let error =
                    Error::new(ErrorKind::NotFound, "not visible yet").with_retry(Retry::At(retry_at));
                return failed(shared, lease, batch, group, &error).await;
            }
            Resolution::Sweep { feed, since } => {
                let signal = Signal { hint: signals[0].hint.clone(), ..Signal::feed(feed, since) };
                transaction.append.push(entries::signal(slot, &signal, parent, shared.clock.now())?);
            }
            Resolution::Past { seen, note } => {
                write_down(shared, slot, &seen, &mut transaction).await?;
                transaction.settle = group.iter().map(|waiting| dropped(waiting.item.seq, note)).collect();
            }
            Resolution::Done { note } => {
                transaction.settle = group.iter().map(|waiting| dropped(waiting.item.seq, note)).collect();
            }
        }
        if !found.older.is_empty() {
            let error = Error::new(ErrorKind::Conflict, "the read is older than what is known")
                .with_retry(Retry::Backoff);
            return failed(shared, lease, batch, group, &error).await;
        }
        if transaction.settle.is_empty() {
            let trace = OutcomeTrace::new(began, calls.take());
            transaction.settle = settlements(group, !transaction.append.is_empty(), trace);
        }
        let mut wake = found.wake;
        if !transaction.append.is_empty() {
            wake.push(slot.partition);
        }
        let is_new = !transaction.documents.is_empty() || found.events > 0;
        let deliveries = transaction.append.iter().filter(|entry| entry.kind == EntryKind::Delivery).count();
        match commit(shared, transaction).await? {
            Committed::Applied(_) => {
                slot.reads.ended(batch.lane.lane, shared.clock.now(), &asked, is_new);
                shared.count(Stat::Events, found.events, slot.connection(), None);
                shared.count(Stat::Deliveries, deliveries, slot.connection(), None);
                shared.count_left_out(slot, found.left_out);
                if found.events == 0 {
                    shared.count(Stat::Unchanged, 1, slot.connection(), None);
                }
                shared.mailbox.wake(&wake);
                return Ok(Resolved::settled(proof));
            }
            Committed::Fenced => return Err(Stop::Fenced),
            Committed::Stale(key) => tracing::debug!(%key, "somebody else wrote the snapshot: reading again"),
        }
    }
    let error = Error::new(ErrorKind::Conflict, "the snapshot kept changing").with_retry(Retry::Backoff);
    failed(shared, lease, batch, group, &error).await
}

/// Who asks for the read of a record. What somebody waits for, and what does not come from outside, is not put off.
fn asked(slot: &SourceSlot, group: &[WaitingSignal]) -> Asked {
    if slot.source.info().coalesce.is_zero() {
        return Asked::AtOnce;
    }
    let webhooks: Option<Vec<_>> = group.iter().map(|waiting| waiting.said).collect();
    webhooks.map_or(Asked::ByUs, Asked::ByWebhooks)
}

/// Whether a record that nobody has seen yet is waited for no longer.
fn is_given_up(shared: &Shared, group: &[WaitingSignal]) -> bool {
    let now = shared.clock.now();
    group.iter().all(|waiting| now.saturating_since(waiting.troubled_since) >= NOT_YET)
}

/// What is kept of a record that was gone before its first read. Should it be there after all, the next signal about it
/// tells of it as of any new one.
async fn never_seen(shared: &Shared, slot: &SourceSlot, entity: &EntityRef) -> Result<DocumentWrite> {
    let record = Record::new(RecordKind::from(&*entity.kind), Arc::clone(&entity.id), Status::Draft);
    let tombstone = Snapshot::tombstone(&record, shared.clock.now());
    let known = load_snapshots(shared, slot, [entity]).await?.pop();
    known
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say what it knows"))?
        .replace(&tombstone)
}

/// What a read says of its connection. One that was not made through the SDK's client has worked if it shows records.
fn proof_of(succeeded: Option<bool>, resolution: &Resolution) -> Evidence {
    let shows = match resolution {
        Resolution::Observed(seen) | Resolution::Scheduled { seen, .. } | Resolution::Past { seen, .. } => {
            !seen.is_empty()
        }
        _ => false,
    };
    if succeeded.unwrap_or(shows) { Evidence::Works } else { Evidence::Nothing }
}

/// What the signals of a record ask for together.
fn purpose(group: &[WaitingSignal]) -> Purpose {
    let backfill = |waiting: &WaitingSignal| waiting.origin == Origin::Backfill;
    if group.iter().any(backfill) {
        return Purpose::Backfill { alone: group.iter().all(backfill) };
    }
    let said = group.iter().filter(|waiting| !fan_out::is_of_time(&waiting.signal));
    Purpose::Live { heard: said.map(|waiting| waiting.at).min() }
}

/// The first signal led to what was found; the others were answered by the same read.
fn settlements(group: &[WaitingSignal], found: bool, trace: OutcomeTrace) -> Vec<Settlement> {
    let first = group[0].item.seq;
    let of_first = trace.answering(group.iter().skip(1).map(|waiting| waiting.item.seq)).encode();
    let of_others = OutcomeTrace::answered_with(first).encode();
    let trace = |i| if i == 0 { of_first.clone() } else { of_others.clone() };
    let outcome = |i| match (found, i) {
        (true, 0) => Outcome::Done { receipt: None },
        (true, _) => Outcome::Dropped { reason: "coalesced".into() },
        (false, _) => Outcome::Dropped { reason: "unchanged".into() },
    };
    let settle = |(i, waiting): (usize, &WaitingSignal)| Settlement {
        trace: trace(i),
        ..Settlement::new(waiting.item.seq, outcome(i))
    };
    group.iter().enumerate().map(settle).collect()
}
