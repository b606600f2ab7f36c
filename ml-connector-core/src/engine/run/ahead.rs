//! A clock that was ahead and is set back: what it wrote down falls due as if it had been right.

use std::time::Duration;

use super::runner::Runner;
use crate::{
    Timestamp,
    audit::{Entry, EntryState, Pending, Query},
    engine::fan_out,
};

/// A clock that is set back by more was wrong. Hosts' clocks may differ by as much.
const STEP_BACK: Duration = Duration::from_secs(300);
/// What is tried again is tried within the hour.
const LATEST_RETRY: Duration = Duration::from_secs(3600);
/// What is put off for longer waits for a day of the calendar, and for no pause.
const LONGEST_DELAY: Duration = Duration::from_secs(25 * 3600);
/// Of how many entries it is looked up when they were appended.
const MOST: usize = 10_000;

impl Runner {
    /// Whether the clock was ahead until now.
    pub(super) fn is_set_back(&mut self) -> bool {
        let now = self.shared.clock.now();
        let is_set_back = self.latest.saturating_since(now) > STEP_BACK;
        self.latest = self.latest.max(now);
        is_set_back
    }

    /// Looks for what waits and was appended by a clock that was ahead.
    pub(super) async fn find_ahead(&mut self) {
        let from = self.shared.clock.now() + STEP_BACK;
        let query =
            Query { from: Some(from), limit: MOST, ..Query::default().with_state(EntryState::Pending) };
        match self.shared.log.query(&query).await {
            Ok(found) => {
                let of_time =
                    |entry: &Entry| entry.index.name.as_deref().is_some_and(fan_out::is_hint_of_time);
                let found = found.into_iter().filter(|entry| !of_time(entry));
                self.from_ahead.clear();
                self.from_ahead.extend(found.map(|entry| (entry.seq, entry.at)));
            }
            Err(error) => tracing::warn!(%error, "the log cannot say what a clock wrote that was ahead"),
        }
    }

    /// The entry as a clock would have written it that was right.
    pub(super) fn righted(&self, mut pending: Pending, now: Timestamp) -> Pending {
        // After an attempt its time was set by the right clock.
        let appended = self.from_ahead.get(&pending.seq).filter(|_| pending.attempt == 0);
        let delay = appended.map(|at| pending.due.saturating_since(*at));
        if pending.is_parked() {
            return pending;
        }
        if let Some(delay) = delay.filter(|delay| *delay < LONGEST_DELAY) {
            pending.due = pending.due.min(now + delay);
        } else if pending.attempt > 0 && pending.due > now + LATEST_RETRY + STEP_BACK {
            pending.due = now;
        }
        pending
    }
}
