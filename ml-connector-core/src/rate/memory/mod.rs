//! The limiter in memory.

mod account;
mod counter;
mod saved;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use account::Account;
use async_trait::async_trait;
pub use stored::StoredAccounts;

use bytes::Bytes;

use super::{Admission, Cost, Feedback, Permit, Quota, QuotaKey, RateLimiter, TakeOver, Usage};
use crate::{Error, ErrorKind, Result, Timestamp};

/// Counts in memory: exact, and enough with several hosts, because a partition has one holder.
///
/// Beyond the [contract](RateLimiter):
/// - Time is counted in whole milliseconds, and does not run backwards: after a clock was set back by up to five minutes,
///   every call is taken to happen at the latest instant seen, until the clock has caught up. Pauses and resets, which the
///   other side names, are compared with the clock as it is. One that is set back by more was ahead: windows, pauses and
///   resets are moved back with it.
/// - A quota counts from the first time it is named together with its key, and counts the costs that name it.
///   Its length tells it from others, so that a changed limit finds the same history.
/// - Work that is counted as concurrent and never reported as finished is forgotten after ten minutes, many times
///   what a call may take. Nobody can know when work ends, so a refusal for its sake names an instant 20 ms away.
/// - A key remembers one [`Remaining`](Feedback::Remaining). The latest word holds; of two about the same reset,
///   the lower count. A vendor's daily and minutely counts therefore need keys of their own.
/// - A [`Charge`](Feedback::Charge) to a key that was never asked for is kept for a day and counts in each quota
///   that is named later.
/// - Memory: 8 bytes for each millisecond of a rolling window in which something was spent, at most `limit` of
///   them. Keys about which nothing is left to know are dropped.
#[derive(Default)]
pub struct MemoryRateLimiter {
    state: Mutex<Accounts>,
}

#[derive(Debug, Clone)]
struct Accounts {
    accounts: HashMap<QuotaKey, Account>,
    /// The latest instant ever seen.
    latest: Timestamp,
    last_permit: u64,
    /// Until when a host that is gone may have spent from keys that are not known here.
    lost: Option<Timestamp>,
    /// How many accounts there may be before the idle ones are dropped.
    sweep_at: usize,
}

/// A clock that is set back by more was wrong before.
const STEP_BACK: Duration = Duration::from_secs(300);
/// So few accounts are not worth looking through.
const SWEEP_AT_LEAST: usize = 1024;

impl MemoryRateLimiter {
    /// A limiter that has counted nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        require_possible(costs)?;
        Ok(self.lock().admit(costs, now))
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        self.lock().report(key, &feedback, now);
        Ok(())
    }

    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        self.lock().save(at_least, now)
    }

    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        self.lock().take_over(from, now)
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        Ok(self.lock().usage(now))
    }
}

impl Accounts {
    fn admit(&mut self, costs: &[Cost], now: Timestamp) -> Admission {
        let latest = self.see(now);
        let mut ready = now;
        for (i, cost) in costs.iter().enumerate() {
            let before = &costs[..i];
            ready = ready.max(self.account(&cost.key, now).ready_at(cost, before, now, latest));
        }
        if ready > now {
            return Admission::NotBefore(ready);
        }
        self.last_permit += 1;
        let permit = Permit { id: self.last_permit };
        for cost in costs {
            self.account(&cost.key, now).spend(cost, permit, latest);
        }
        Admission::Admitted(permit)
    }

    fn report(&mut self, key: &QuotaKey, feedback: &Feedback, now: Timestamp) {
        let latest = self.see(now);
        match *feedback {
            Feedback::Finished(permit) => {
                if let Some(account) = self.accounts.get_mut(key) {
                    account.finish(permit, latest);
                }
            }
            Feedback::Failed(permit) => self.account(key, now).fail(permit, latest),
            Feedback::PausedUntil(until) if until > now => {
                if let Some(believed) = self.account(key, now).pause(until, now) {
                    tracing::warn!(%key, %until, %believed, "the other side wants a long pause: it is asked again sooner");
                }
            }
            Feedback::Remaining { units, reset } if reset > now => {
                self.account(key, now).limit_to(units, reset, now);
            }
            Feedback::PausedUntil(_) | Feedback::Remaining { .. } => {}
            Feedback::Charge { units } => self.account(key, now).charge(units, latest),
        }
    }

    /// Takes note of the time, and returns the latest ever seen. A clock that was ahead and has been set right takes with it
    /// what was written down by it: otherwise all of that would hold until the clock has caught up.
    fn see(&mut self, now: Timestamp) -> Timestamp {
        let ahead = self.latest.saturating_since(now);
        if ahead > STEP_BACK && self.latest > Timestamp::from_millis(i64::MIN) {
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                "the clock was set back: windows and pauses are moved with it"
            );
            self.accounts.values_mut().for_each(|account| account.shift(ahead));
            self.lost = self.lost.map(|lost| lost - ahead);
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        self.latest
    }

    fn usage(&mut self, now: Timestamp) -> Vec<Usage> {
        let latest = self.see(now);
        let told = |(key, account): (&QuotaKey, &mut Account)| {
            (!account.is_idle(now, latest)).then(|| account.usage(key.clone(), now, latest))
        };
        let mut usage: Vec<Usage> = self.accounts.iter_mut().filter_map(told).collect();
        usage.sort_by(|a, b| a.key.cmp(&b.key));
        usage
    }

    fn account(&mut self, key: &QuotaKey, now: Timestamp) -> &mut Account {
        if !self.accounts.contains_key(key) {
            if self.accounts.len() >= self.sweep_at {
                let latest = self.latest;
                self.accounts.retain(|_, account| !account.is_idle(now, latest));
                self.sweep_at = (self.accounts.len() * 2).max(SWEEP_AT_LEAST);
            }
            self.accounts.insert(key.clone(), Account::spent_at(self.lost));
        }
        self.accounts.entry(key.clone()).or_default()
    }
}

/// Refuses what no wait can help.
fn require_possible(costs: &[Cost]) -> Result<()> {
    for (i, cost) in costs.iter().enumerate() {
        for quota in &*cost.quotas {
            let (Quota::Rolling { limit, .. }
            | Quota::Aligned { limit, .. }
            | Quota::Concurrent { limit }
            | Quota::Errors { limit, .. }) = *quota;
            let wanted = wanted(cost, &costs[..i], *quota);
            if wanted > u64::from(limit) {
                return Err(Error::new(ErrorKind::InvalidRequest, "a cost is larger than its quota")
                    .with_context("key", &cost.key)
                    .with_context("wanted", wanted)
                    .with_context("limit", limit));
            }
        }
    }
    Ok(())
}

/// How many units have to be free in a quota: the cost's own, those it leaves, and what earlier costs of the same
/// call take from it.
fn wanted(cost: &Cost, before: &[Cost], quota: Quota) -> u64 {
    before
        .iter()
        .filter(|other| other.key == cost.key && other.quotas.iter().any(|q| counter::same(*q, quota)))
        .map(|other| u64::from(other.units))
        .sum::<u64>()
        + u64::from(cost.units)
        + u64::from(cost.leave)
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            latest: Timestamp::from_millis(i64::MIN),
            last_permit: 0,
            lost: None,
            sweep_at: SWEEP_AT_LEAST,
        }
    }
}

impl fmt::Debug for MemoryRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRateLimiter").field("keys", &self.lock().accounts.len()).finish_non_exhaustive()
    }
}
