//! The end of a run: what it answers is settled, and what comes next is appended.

use super::{
    schedule::Series,
    state::{FeedState, Run, RunId},
    sweep,
    task::FeedTask,
    turn::{FeedTurn, since},
};
use crate::{
    Error, FeedInfo, Result, Timestamp,
    audit::{Outcome, Settlement, Transaction},
    engine::{
        notices::{self, Notice},
        resolve::WaitingSignal,
        shared::Shared,
        stats::Stat,
    },
    model::{Change, PollMode, Seq},
};

impl FeedTurn<'_> {
    /// Ends the run: settles what it answers, and appends what comes next. Returns what is settled.
    pub(super) async fn end(
        &self,
        shared: &Shared,
        state: &mut FeedState,
        run: &Run,
        transaction: &mut Transaction,
    ) -> Result<Vec<Seq>> {
        let now = shared.clock.now();
        let found = match self.mode {
            PollMode::Baseline => {
                // A page that was read twice for safety counts once.
                let seen = sweep::seen(shared, self.slot, self.feed, state, run, transaction).await?;
                state.records = Some(seen.len() as u64);
                sweep::accept(self.slot, self.feed, state, run, &[], transaction);
                state.end(self.id, now);
                tracing::info!(connection = %self.slot.connection(), feed = self.feed, records = seen.len(), "baseline complete");
                // What has changed meanwhile is read next, for the same signals.
                return Ok(Vec::new());
            }
            PollMode::Sweep => {
                let answered = self.asking.iter().filter(|waiting| waiting.item.seq <= run.answers);
                let confirmed = answered.filter_map(|waiting| match FeedTask::of(&waiting.signal) {
                    Some(FeedTask::ConfirmedSweep(missing)) => Some(missing),
                    _ => None,
                });
                let cause = (self.asking[0].item.seq, confirmed.max().unwrap_or(0));
                sweep::compare(shared, self.slot, self.feed, state, run, cause, transaction).await?
            }
            _ => Ok(run.found),
        };
        match &found {
            Ok(_) => state.end(self.id, now),
            Err(error) => {
                state.runs.remove(&self.id);
                self.alarm(shared, error, transaction).await?;
            }
        }
        let answered = self.asking.iter().filter(|waiting| match self.id {
            RunId::Gap => waiting.item.seq <= run.answers && since(&waiting.signal) >= run.since,
            _ => waiting.item.seq <= run.answers,
        });
        let mut settled = Vec::new();
        for waiting in answered {
            let outcome = match &found {
                Ok(true) => Outcome::Done { receipt: None },
                Ok(false) => Outcome::Dropped { reason: "unchanged".into() },
                Err(error) => Outcome::Dead { error: error.to_string().into() },
            };
            transaction.settle.push(Settlement::new(waiting.item.seq, outcome));
            settled.push(waiting.item.seq);
            self.schedule_next(waiting, state, now, transaction)?;
        }
        Ok(settled)
    }

    /// Tells that somebody has to look.
    async fn alarm(&self, shared: &Shared, error: &Error, transaction: &mut Transaction) -> Result<()> {
        tracing::error!(%error, "a sweep was not believed");
        shared.count(Stat::Dead, 1, self.slot.connection(), None);
        let notice = Notice {
            kind: "signal",
            seq: self.asking[0].item.seq,
            change: Change::Dead,
            connection: self.slot.connection().clone(),
            lane: self.lane,
            about: None,
            reason: error.to_string().into(),
        };
        let wake = notices::append(shared, notice, transaction).await?;
        shared.mailbox.wake(&wake);
        Ok(())
    }

    /// Appends the successor of a scheduled signal.
    pub(super) fn schedule_next(
        &self,
        settled: &WaitingSignal,
        state: &mut FeedState,
        now: Timestamp,
        transaction: &mut Transaction,
    ) -> Result<()> {
        let info = self.slot.source.info();
        let (series, feeds): (_, &[FeedInfo]) = match FeedTask::of(&settled.signal) {
            Some(FeedTask::Read(n)) if n == state.read => (Series::Read, &info.feeds),
            Some(FeedTask::Sweep(n)) if n == state.sweep => (Series::Sweep, &info.sweeps),
            _ => return Ok(()),
        };
        series.advance(state);
        let Some(feed) = feeds.iter().find(|feed| feed.name == self.feed) else { return Ok(()) };
        transaction.append.extend(series.next(self.slot, feed, state, now)?);
        Ok(())
    }
}
