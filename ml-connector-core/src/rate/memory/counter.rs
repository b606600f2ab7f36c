//! What was spent of one quota.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, rate::Quota};

/// Windows up to an hour are short enough to be waited for.
const SHORT_MS: i64 = 3_600_000;
/// How finely the past of a window is saved.
const SAVED_STEPS: i64 = 240;

/// Whether two quotas count the same, whatever their limits.
pub(super) fn same(a: Quota, b: Quota) -> bool {
    match (a, b) {
        (Quota::Rolling { window: a, .. }, Quota::Rolling { window: b, .. })
        | (Quota::Errors { window: a, .. }, Quota::Errors { window: b, .. })
        | (Quota::Aligned { period: a, .. }, Quota::Aligned { period: b, .. }) => a == b,
        (Quota::Concurrent { .. }, Quota::Concurrent { .. }) => true,
        _ => false,
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Counter {
    quota: Quota,
    /// Of a window, or a period.
    length_ms: i64,
    used: u64,
    kind: CounterKind,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum CounterKind {
    Rolling {
        log: Log,
        /// The largest limit seen: units beyond it cannot matter.
        limit: u32,
    },
    Aligned {
        period_start: i64,
    },
}

impl Counter {
    /// A counter for a quota of time.
    pub(super) fn new(quota: Quota) -> Option<Self> {
        let (length, kind) = match quota {
            Quota::Rolling { window, limit } | Quota::Errors { window, limit } => {
                (window, CounterKind::Rolling { log: Log::default(), limit })
            }
            Quota::Aligned { period, .. } => (period, CounterKind::Aligned { period_start: i64::MIN }),
            Quota::Concurrent { .. } => return None,
        };
        Some(Self { quota, length_ms: whole_millis(length), used: 0, kind })
    }

    pub(super) fn counts(&self, quota: Quota) -> bool {
        same(self.quota, quota)
    }

    /// Whether it counts failures, and not what is admitted.
    pub(super) fn counts_errors(&self) -> bool {
        matches!(self.quota, Quota::Errors { .. })
    }

    /// Counts as if somebody had spent all there was at this instant, if the window is short; of failures half.
    pub(super) fn assume_spent(&mut self, at: Timestamp) {
        let (Quota::Rolling { limit, .. } | Quota::Aligned { limit, .. }) = self.quota else {
            if let Quota::Errors { limit, .. } = self.quota {
                let used = u32::try_from(self.used).unwrap_or(u32::MAX);
                self.spend(limit.div_ceil(2).saturating_sub(used), at);
            }
            return;
        };
        if self.length_ms <= SHORT_MS {
            self.spend(limit, at);
        }
    }

    /// Everything that still counts: at most so many instants, each a little late rather than early.
    pub(super) fn spent(&mut self, latest: Timestamp) -> Vec<(i64, u32)> {
        self.forget_old(latest);
        match &self.kind {
            CounterKind::Rolling { log, .. } => log.in_steps_of(self.length_ms / SAVED_STEPS),
            CounterKind::Aligned { period_start } if self.used > 0 => {
                vec![(*period_start, u32::try_from(self.used).unwrap_or(u32::MAX))]
            }
            CounterKind::Aligned { .. } => Vec::new(),
        }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn length_ms(&self) -> i64 {
        self.length_ms
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn is_empty(&mut self, latest: Timestamp) -> bool {
        self.forget_old(latest);
        self.used == 0
    }

    /// When `wanted` units will fit below `limit`, unless they do now.
    pub(super) fn full_until(&mut self, wanted: u64, limit: u32, latest: Timestamp) -> Option<Timestamp> {
        self.forget_old(latest);
        let excess =
            self.used.saturating_add(wanted).checked_sub(u64::from(limit)).filter(|excess| *excess > 0)?;
        let since = match &mut self.kind {
            CounterKind::Rolling { log, limit: largest } => {
                *largest = limit.max(*largest);
                log.instant_of(excess)
            }
            CounterKind::Aligned { period_start } => *period_start,
        };
        Some(Timestamp::from_millis(since.saturating_add(self.length_ms)))
    }

    /// Counts units at an instant that is no earlier than any before.
    pub(super) fn spend(&mut self, units: u32, at: Timestamp) {
        if units == 0 {
            return;
        }
        self.forget_old(at);
        self.used = self.used.saturating_add(u64::from(units));
        if let CounterKind::Rolling { log, limit } = &mut self.kind {
            log.push(at.as_millis(), units);
            // Where others spent more than the limit, what they spent first runs out before it makes room.
            while let Some(oldest) = log.oldest().filter(|oldest| self.used - oldest >= u64::from(*limit)) {
                self.used -= oldest;
                log.pop();
            }
        }
    }

    /// What was counted at an instant counts later: from now on.
    pub(super) fn move_on(&mut self, units: u32, from: Timestamp, to: Timestamp) {
        if from == to {
            return;
        }
        self.forget_old(to);
        if let CounterKind::Rolling { log, .. } = &mut self.kind {
            self.used -= u64::from(log.take_back(from.as_millis(), units));
            self.spend(units, to);
        }
    }

    /// Moves everything back by so much.
    pub(super) fn shift(&mut self, back: Duration) {
        let back = whole_millis(back);
        match &mut self.kind {
            CounterKind::Rolling { log, .. } => {
                log.first = log.first.saturating_sub(back);
                log.last = log.last.saturating_sub(back);
            }
            CounterKind::Aligned { period_start } => {
                let start = period_start.saturating_sub(back);
                *period_start = start.saturating_sub(start.rem_euclid(self.length_ms));
            }
        }
    }

    fn forget_old(&mut self, latest: Timestamp) {
        let latest = latest.as_millis();
        match &mut self.kind {
            CounterKind::Rolling { log, .. } => {
                while let Some(oldest) = log.oldest()
                    && log.first.saturating_add(self.length_ms) <= latest
                {
                    self.used -= oldest;
                    log.pop();
                }
            }
            CounterKind::Aligned { period_start } => {
                let start = latest.saturating_sub(latest.rem_euclid(self.length_ms));
                if start > *period_start {
                    *period_start = start;
                    self.used = 0;
                }
            }
        }
    }
}

/// Who spent how much when, oldest first, in 8 bytes per instant: each entry knows how long after the one before
/// it was made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Log {
    entries: VecDeque<Spent>,
    /// The instants of the oldest entry and of the newest; without entries they mean nothing.
    first: i64,
    last: i64,
}

/// Stored as a pair: there may be thousands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
struct Spent {
    after_ms: u32,
    units: u32,
}

impl From<(u32, u32)> for Spent {
    fn from((after_ms, units): (u32, u32)) -> Self {
        Self { after_ms, units }
    }
}

impl From<Spent> for (u32, u32) {
    fn from(Spent { after_ms, units }: Spent) -> Self {
        (after_ms, units)
    }
}

impl Log {
    fn push(&mut self, at: i64, units: u32) {
        if self.entries.is_empty() {
            (self.first, self.last) = (at, at);
        }
        if at == self.last
            && let Some(newest) = self.entries.back_mut()
            && let Some(sum) = newest.units.checked_add(units)
        {
            newest.units = sum;
            return;
        }
        // Gaps of more than seven weeks are bridged by entries without units.
        let mut gap = at.abs_diff(self.last);
        while gap > u64::from(u32::MAX) {
            self.entries.push_back(Spent { after_ms: u32::MAX, units: 0 });
            gap -= u64::from(u32::MAX);
        }
        self.entries.push_back(Spent { after_ms: u32::try_from(gap).unwrap_or(u32::MAX), units });
        self.last = at;
    }

    /// Takes back what was spent at an instant, as far as it is still there. Returns how much that was.
    fn take_back(&mut self, spent_at: i64, units: u32) -> u32 {
        let mut at = self.last;
        for place in (0..self.entries.len()).rev() {
            if at <= spent_at {
                let entry = &mut self.entries[place];
                let taken = if at == spent_at { units.min(entry.units) } else { 0 };
                entry.units -= taken;
                if taken > 0 && entry.units == 0 {
                    self.close_up(place);
                }
                return taken;
            }
            at -= i64::from(self.entries[place].after_ms);
        }
        0
    }

    /// Removes an entry without units.
    fn close_up(&mut self, place: usize) {
        if place == 0 {
            self.pop();
        } else if place + 1 == self.entries.len() {
            self.last -= i64::from(self.entries[place].after_ms);
            self.entries.pop_back();
        } else if let Some(gap) = self.entries[place].after_ms.checked_add(self.entries[place + 1].after_ms) {
            self.entries[place + 1].after_ms = gap;
            self.entries.remove(place);
        }
    }

    /// The units of the oldest entry.
    fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|oldest| u64::from(oldest.units))
    }

    fn pop(&mut self) {
        self.entries.pop_front();
        if let Some(next) = self.entries.front() {
            self.first += i64::from(next.after_ms);
        }
    }

    /// What was spent when, what lies close together at the instant of the last of it.
    fn in_steps_of(&self, step: i64) -> Vec<(i64, u32)> {
        let mut steps: Vec<(i64, u32)> = Vec::new();
        let (mut at, mut begun) = (self.first, self.first);
        for (i, spent) in self.entries.iter().enumerate() {
            at += if i == 0 { 0 } else { i64::from(spent.after_ms) };
            match steps.last_mut().filter(|_| at - begun <= step) {
                Some((last, units)) => (*last, *units) = (at, units.saturating_add(spent.units)),
                None => {
                    steps.push((at, spent.units));
                    begun = at;
                }
            }
        }
        steps
    }

    /// When the `n`-th unit was spent, counted from the oldest; the newest entry when there are fewer.
    fn instant_of(&self, n: u64) -> i64 {
        let mut at = self.first;
        let mut units = 0;
        for (i, spent) in self.entries.iter().enumerate() {
            at += if i == 0 { 0 } else { i64::from(spent.after_ms) };
            units += u64::from(spent.units);
            if units >= n {
                return at;
            }
        }
        self.last
    }
}

/// At least one, and rounded up: a window is never counted as shorter than it is.
fn whole_millis(length: Duration) -> i64 {
    i64::try_from(length.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX).max(1)
}
