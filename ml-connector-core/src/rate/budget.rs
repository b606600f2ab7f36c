//! The calls that one account has, shared between what people wait for and what can wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{Cost, Feedback, Quota, QuotaKey, RateLimiter};
use crate::Timestamp;

/// The limits of one vendor account (per minute, at once, per day), and what a call costs of them.
///
/// Work that can wait, such as polls, leaves a part of every limit to other work: see
/// [`in_background`](Self::in_background). Clones share what the vendor has told.
///
/// ```
/// use std::time::Duration;
///
/// use ml_connector_core::rate::{Budget, Quota, QuotaKey};
///
/// let minute = Quota::Rolling { limit: 100, window: Duration::from_secs(60) };
/// let budget = Budget::new(QuotaKey::new("books/1"))
///     .limit(minute, 20) // polls leave 20 of the 100
///     .day(QuotaKey::new("books/1/day"), 5_000, 10, 1_000); // and a tenth of the day
/// assert_eq!(budget.costs().len(), 2);
/// assert_eq!(budget.in_background().costs()[0].leave, 20);
/// ```
#[derive(Debug, Clone)]
pub struct Budget {
    key: QuotaKey,
    limits: Vec<(Quota, u32)>,
    day: Option<Day>,
    background: bool,
}

/// The calls of a day have a key of their own, because vendors pause them apart.
#[derive(Debug, Clone)]
struct Day {
    key: QuotaKey,
    quota: Quota,
    limit: u32,
    leave_one_in: u32,
    smallest: u32,
    /// The limit by the vendor's last answer. 0 = none has told yet.
    told: Arc<AtomicU32>,
}

/// The organization's day may begin at any hour, so any 24 hours are kept below the limit.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Budget {
    /// A budget without limits. `key` is what the vendor counts by.
    #[must_use]
    pub fn new(key: QuotaKey) -> Self {
        Self { key, limits: Vec::new(), day: None, background: false }
    }

    /// Adds a limit, and how many of its units work in the background leaves to other work.
    #[must_use]
    pub fn limit(mut self, quota: Quota, leave: u32) -> Self {
        self.limits.push((quota, leave));
        self
    }

    /// Adds the limit of a day, under a key of its own. Work in the background leaves one unit in `leave_one_in`
    /// unused. Until an answer names the account's limit, that part is computed from `smallest`.
    #[must_use]
    pub fn day(mut self, key: QuotaKey, limit: u32, leave_one_in: u32, smallest: u32) -> Self {
        let quota = Quota::Rolling { limit, window: DAY };
        let leave_one_in = leave_one_in.max(1);
        self.day = Some(Day { key, quota, limit, leave_one_in, smallest, told: Arc::default() });
        self
    }

    /// The same budget for work that can wait.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { background: true, ..self.clone() }
    }

    /// Whether this is the budget of work that can wait.
    #[must_use]
    pub fn is_in_background(&self) -> bool {
        self.background
    }

    /// What the vendor counts by, except for the day.
    #[must_use]
    pub fn key(&self) -> &QuotaKey {
        &self.key
    }

    /// What the vendor counts the day by.
    #[must_use]
    pub fn day_key(&self) -> Option<&QuotaKey> {
        self.day.as_ref().map(|day| &day.key)
    }

    /// What one call costs.
    #[must_use]
    pub fn costs(&self) -> Vec<Cost> {
        let cost = |key: &QuotaKey, quotas, leave| Cost { leave, ..Cost::one(key.clone(), quotas) };
        let mut costs: Vec<Cost> = match (self.background, &*self.limits) {
            (_, []) => Vec::new(),
            (false, limits) => vec![cost(&self.key, limits.iter().map(|(quota, _)| *quota).collect(), 0)],
            // What is left differs, so each limit is a cost of its own.
            (true, limits) => {
                limits.iter().map(|(quota, leave)| cost(&self.key, Arc::new([*quota]), *leave)).collect()
            }
        };
        costs.extend(self.day.as_ref().map(|day| {
            let real = self.calls_per_day().unwrap_or(day.smallest).min(day.limit);
            let leave = if self.background { real / day.leave_one_in } else { 0 };
            cost(&day.key, Arc::new([day.quota]), leave)
        }));
        costs
    }

    /// How many calls the account has in a day, by what the vendor said last.
    #[must_use]
    pub fn calls_per_day(&self) -> Option<u32> {
        let told = self.day.as_ref()?.told.load(Ordering::Relaxed);
        Some(told).filter(|calls| *calls > 0)
    }

    /// Passes on what an answer says of the day: its limit, and how many calls are left until when. Others spend from the
    /// same quota, and trials have less than their plan. A limiter that cannot be reached is logged.
    pub async fn report_day(
        &self,
        limiter: &dyn RateLimiter,
        limit: Option<u32>,
        remaining: Option<(u32, Timestamp)>,
        now: Timestamp,
    ) {
        let Some(day) = &self.day else { return };
        if let Some(limit) = limit {
            day.told.store(limit, Ordering::Relaxed);
        }
        let Some((units, reset)) = remaining else { return };
        let feedback = Feedback::Remaining { units, reset };
        if let Err(error) = limiter.report(&day.key, feedback, now).await {
            tracing::warn!(%error, key = %day.key, "the limiter could not be told what is left of the day");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::MemoryRateLimiter;

    fn budget() -> Budget {
        let minute = Quota::Rolling { limit: 100, window: Duration::from_secs(60) };
        Budget::new(QuotaKey::new("v/1")).limit(minute, 20).limit(Quota::Concurrent { limit: 8 }, 2).day(
            QuotaKey::new("v/1/day"),
            5_000,
            10,
            1_000,
        )
    }

    #[test]
    fn work_in_the_background_leaves_a_part_of_every_limit() {
        let leaves = |budget: &Budget| budget.costs().iter().map(|cost| cost.leave).collect::<Vec<_>>();
        assert_eq!(leaves(&budget()), [0, 0]);
        assert_eq!(budget().costs()[0].quotas.len(), 2);
        assert_eq!(leaves(&budget().in_background()), [20, 2, 100], "a tenth of the smallest day");
        assert!(Budget::new(QuotaKey::new("v/1")).costs().is_empty());
    }

    #[tokio::test]
    async fn what_an_answer_says_of_the_day_holds_for_every_clone() {
        let (budget, limiter, now) = (budget(), MemoryRateLimiter::new(), Timestamp::default());
        let background = budget.in_background();
        budget.report_day(&limiter, Some(3_000), Some((2_000, now + DAY)), now).await;
        assert_eq!(background.calls_per_day(), Some(3_000));
        assert_eq!(background.costs()[2].leave, 300);
        budget.report_day(&limiter, Some(90_000), None, now).await;
        assert_eq!(background.costs()[2].leave, 500, "never more than of the configured day");
    }
}
