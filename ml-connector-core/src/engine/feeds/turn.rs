//! Which of the signals that wait for a feed have their turn, and what is read for them.

use std::sync::Arc;

use super::{
    state::{FeedState, RunId},
    task::FeedTask,
};
use crate::{
    Timestamp,
    engine::{lanes::LaneId, registry::SourceSlot, resolve::WaitingSignal},
    model::{PollMode, Signal, Subject},
};

/// What one step works on.
pub(super) struct FeedTurn<'a> {
    pub(super) slot: &'a Arc<SourceSlot>,
    pub(super) feed: &'a str,
    pub(super) lane: LaneId,
    pub(super) id: RunId,
    pub(super) mode: PollMode,
    /// The signals that ask for it.
    pub(super) asking: Vec<&'a WaitingSignal>,
    pub(super) since: Option<Timestamp>,
}

impl<'a> FeedTurn<'a> {
    /// What is most urgent: news before the past.
    pub(super) fn choose(
        slot: &'a Arc<SourceSlot>,
        feed: &'a str,
        lane: LaneId,
        state: &FeedState,
        group: &'a [WaitingSignal],
    ) -> Self {
        let of = |wanted: fn(&Signal) -> bool| -> Vec<&'a WaitingSignal> {
            group.iter().filter(|waiting| wanted(&waiting.signal)).collect()
        };
        let turn = |id, mode, asking, since| FeedTurn { slot, feed, lane, id, mode, asking, since };
        let sweeps = of(|signal| {
            matches!(
                FeedTask::of(signal),
                Some(FeedTask::Sweep(_) | FeedTask::SweepNow | FeedTask::ConfirmedSweep(_))
            )
        });
        if state.baseline.is_none() && sweeps.len() < group.len() {
            return turn(RunId::Live, PollMode::Baseline, group.iter().collect(), None);
        }
        let reads = of(|signal| match FeedTask::of(signal) {
            Some(FeedTask::Read(_) | FeedTask::ReadNow) => true,
            Some(_) => false,
            None => since(signal).is_none(),
        });
        if !reads.is_empty() {
            return turn(RunId::Live, PollMode::Live, reads, None);
        }
        let gaps = of(|signal| FeedTask::of(signal).is_none());
        if let Some(since) = gaps.iter().filter_map(|waiting| since(&waiting.signal)).min() {
            // A run that has begun keeps its beginning; what asks for more waits for the next.
            let since = state.runs.get(&RunId::Gap).and_then(|run| run.since).unwrap_or(since);
            return turn(RunId::Gap, PollMode::Backfill { since: Some(since) }, gaps, Some(since));
        }
        if !sweeps.is_empty() {
            return turn(RunId::Sweep, PollMode::Sweep, sweeps, None);
        }
        let first = &group[0];
        let since = match FeedTask::of(&first.signal) {
            Some(FeedTask::Backfill(since)) => since,
            _ => None,
        };
        turn(RunId::Backfill(first.item.seq), PollMode::Backfill { since }, vec![first], since)
    }
}

pub(super) fn since(signal: &Signal) -> Option<Timestamp> {
    match signal.subject {
        Subject::Feed { since, .. } => since,
        _ => None,
    }
}
