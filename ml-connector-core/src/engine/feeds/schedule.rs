//! When feeds are read: one entry per feed waits in the log, and the transaction that settles it appends the next.
//! So the schedule survives restarts, moves with the partition, and is caught up once after a downtime.

use std::{sync::Arc, time::Duration};

use super::{
    super::{Shared, registry::SourceSlot, upkeep},
    Ask, asking,
    state::{FeedState, RunId},
};
use crate::{
    FeedInfo, Result, Timestamp,
    audit::{Appended, Committed, DocumentWrite, Expected, NewEntry, Query, Transaction},
    model::{LaneKey, Seq},
};

/// Something that is read on a schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Series {
    Read,
    Sweep,
}

/// Makes sure that the next read of every feed, every sweep and the upkeep of a source wait in the log. Idempotent,
/// on any number of hosts; also heals a series whose last entry is dead, and forgets backfills that are.
pub(in crate::engine) async fn ensure(shared: &Shared, slot: &Arc<SourceSlot>) -> Result<()> {
    shared.watched_since(slot).await?;
    let info = slot.source.info();
    let series = info.feeds.iter().map(|feed| (Series::Read, feed));
    for (series, feed) in series.chain(info.sweeps.iter().map(|feed| (Series::Sweep, feed))) {
        ensure_series(shared, slot, series, feed).await?;
    }
    for feed in &info.feeds {
        forget_dead_backfills(shared, slot, feed).await?;
    }
    upkeep::ensure(shared, slot).await?;
    shared.wake.partitions(&[slot.partition]);
    Ok(())
}

async fn ensure_series(shared: &Shared, slot: &SourceSlot, series: Series, feed: &FeedInfo) -> Result<()> {
    let key = FeedState::key(slot, feed.name);
    let document = shared.log.documents(std::slice::from_ref(&key)).await?.pop().flatten();
    let (expected, mut state) = FeedState::read(document)?;
    let now = shared.clock.now();
    let Some(entry) = series.next(slot, feed, &state, now)? else { return Ok(()) };
    let append = Transaction { append: vec![entry], ..Transaction::default() };
    let Some(Appended::Duplicate(seq)) = shared.commit(append).await?.pop() else { return Ok(()) };
    if !is_settled(shared, seq).await? {
        return Ok(());
    }
    // It ended in a way that appended no successor, such as by its death.
    series.advance(&mut state);
    let Some(entry) = series.next(slot, feed, &state, now)? else { return Ok(()) };
    let heal = Transaction {
        documents: vec![state.write(key, expected)?],
        append: vec![entry],
        ..Transaction::default()
    };
    // Stale: somebody else moved it on.
    let _: Vec<Committed> = shared.log.commit(vec![heal], now).await?;
    Ok(())
}

/// Nobody goes on with a backfill whose entry is settled. Where it ended well, its run was removed with that.
async fn forget_dead_backfills(shared: &Shared, slot: &SourceSlot, feed: &FeedInfo) -> Result<()> {
    let key = FeedState::key(slot, feed.name);
    let document = shared.log.documents(std::slice::from_ref(&key)).await?.pop().flatten();
    let (expected, mut state) = FeedState::read(document)?;
    let mut transaction = Transaction::default();
    for id in state.runs.keys().copied().collect::<Vec<_>>() {
        if let RunId::Backfill(seq) = id
            && is_settled(shared, seq).await?
        {
            state.runs.remove(&id);
            let key = id.checkpoint(slot, feed.name);
            transaction.documents.push(DocumentWrite { key, expected: Expected::Any, value: None });
        }
    }
    if !transaction.documents.is_empty() {
        transaction.documents.push(state.write(key, expected)?);
        // Stale: somebody else moved it on.
        let _: Vec<Committed> = shared.log.commit(vec![transaction], shared.clock.now()).await?;
    }
    Ok(())
}

impl Series {
    /// The entry that has to wait, given the feed's state; `None` where the connection does not read the feed by
    /// itself.
    pub(super) fn next(
        self,
        slot: &SourceSlot,
        feed: &FeedInfo,
        state: &FeedState,
        now: Timestamp,
    ) -> Result<Option<NewEntry>> {
        let polls = slot.source.info().mode.polls();
        let (n, word, ask) = match self {
            Self::Read => (state.read, "read", Ask::Read(state.read)),
            Self::Sweep => (state.sweep, "sweep", Ask::Sweep(state.sweep)),
        };
        let due = match self {
            // The baseline comes in every mode, and at once.
            Self::Read if state.baseline.is_none() && state.read == 0 => now,
            Self::Read if state.baseline.is_some() && !polls => return Ok(None),
            Self::Read | Self::Sweep => slot_after(slot, feed.name, feed.every, now),
        };
        let key = format!("{word}/{}/{}/{n}", slot.connection(), feed.name);
        asking(slot, feed.name, ask, Some(key.into()), due).map(Some)
    }

    pub(super) fn advance(self, state: &mut FeedState) {
        match self {
            Self::Read => state.read += 1,
            Self::Sweep => state.sweep += 1,
        }
    }
}

/// The next instant of a rhythm. Connections and feeds have offsets of their own, so that they do not all come at
/// the full hour; the same on every host.
pub(super) fn slot_after(slot: &SourceSlot, name: &str, every: Duration, now: Timestamp) -> Timestamp {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 4).clamp(1000, i64::MAX / 4);
    let dice = LaneKey::from(name).number(slot.connection());
    let offset = i64::try_from(dice % every.unsigned_abs()).unwrap_or(0);
    let begun = (now.as_millis() - offset).div_euclid(every);
    Timestamp::from_millis((begun + 1) * every + offset)
}

/// Whether an entry has left the work list.
pub(in crate::engine) async fn is_settled(shared: &Shared, seq: Seq) -> Result<bool> {
    let query = Query { bodies: false, ..Query::entries(vec![seq]) };
    Ok(shared.log.query(&query).await?.first().is_none_or(|entry| entry.state.is_settled()))
}
