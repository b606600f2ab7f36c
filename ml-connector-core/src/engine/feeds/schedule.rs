//! When feeds are read: one entry per feed waits in the log, and the transaction that settles it appends the next.
//! So the schedule survives restarts, moves with the partition, and is caught up once after a downtime.

use std::{sync::Arc, time::Duration};

use super::{
    moved,
    state::{FeedState, RunId},
    task::FeedTask,
};
use crate::{
    FeedInfo, Result, Timestamp,
    audit::{Appended, NewEntry, Transaction},
    engine::{
        documents,
        registry::SourceSlot,
        shared::Shared,
        writes::{append, commit, is_settled},
    },
    model::LaneKey,
};

/// Something that is read on a schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Series {
    Read,
    Sweep,
}

/// Makes sure that the next read of every feed and every sweep of a source wait in the log. Idempotent,
/// on any number of hosts; also heals a series whose last entry is dead, and forgets backfills that are.
pub(crate) async fn ensure(shared: &Shared, slot: &Arc<SourceSlot>) -> Result<()> {
    moved::look(shared, slot).await?;
    shared.watched_since(slot).await?;
    let info = slot.source.info();
    let series = info.feeds.iter().map(|feed| (Series::Read, feed));
    for (series, feed) in series.chain(info.sweeps.iter().map(|feed| (Series::Sweep, feed))) {
        ensure_series(shared, slot, series, feed).await?;
    }
    for feed in &info.feeds {
        forget_dead_backfills(shared, slot, feed).await?;
    }
    shared.mailbox.wake(&[slot.partition]);
    Ok(())
}

async fn ensure_series(shared: &Shared, slot: &SourceSlot, series: Series, feed: &FeedInfo) -> Result<()> {
    let (document, mut state) = FeedState::load(shared, slot, feed.name).await?;
    let now = shared.clock.now();
    let Some(entry) = series.next(slot, feed, &state, now)? else { return Ok(()) };
    let next = Transaction { append: vec![entry], ..Transaction::default() };
    let Some(Appended::Duplicate(seq)) = append(shared, next).await?.pop() else { return Ok(()) };
    if !is_settled(shared, seq).await? {
        return Ok(());
    }
    // It ended in a way that appended no successor, such as by its death.
    series.advance(&mut state);
    let Some(entry) = series.next(slot, feed, &state, now)? else { return Ok(()) };
    let heal = Transaction {
        documents: vec![document.replace(&state)?],
        append: vec![entry],
        ..Transaction::default()
    };
    // Stale: somebody else moved it on.
    commit(shared, heal).await.map(drop)
}

/// Nobody goes on with a backfill whose entry is settled. Where it ended well, its run was removed with that.
async fn forget_dead_backfills(shared: &Shared, slot: &SourceSlot, feed: &FeedInfo) -> Result<()> {
    let (document, mut state) = FeedState::load(shared, slot, feed.name).await?;
    let mut transaction = Transaction::default();
    for id in state.runs.keys().copied().collect::<Vec<_>>() {
        if let RunId::Backfill(seq) = id
            && is_settled(shared, seq).await?
        {
            state.runs.remove(&id);
            transaction.documents.push(documents::remove(id.checkpoint(slot, feed.name)));
        }
    }
    if !transaction.documents.is_empty() {
        transaction.documents.push(document.replace(&state)?);
        // Stale: somebody else moved it on.
        commit(shared, transaction).await?;
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
        let (n, word, task) = match self {
            Self::Read => (state.read, "read", FeedTask::Read(state.read)),
            Self::Sweep => (state.sweep, "sweep", FeedTask::Sweep(state.sweep)),
        };
        let due = match self {
            // The baseline comes in every mode, and at once.
            Self::Read if state.baseline.is_none() && state.read == 0 => now,
            Self::Read if state.baseline.is_some() && !polls => return Ok(None),
            Self::Read | Self::Sweep => slot_after(slot, feed.name, feed.every, now),
        };
        let due = state.unavailable.as_ref().map_or(due, |unavailable| due.max(unavailable.next));
        let key = format!("{word}/{}/{}/{n}", slot.connection(), feed.name);
        task.entry(slot, feed.name, Some(key.into()), due).map(Some)
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
