//! What one host tells the next: counts as text, so that any version can read them.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Accounts, Quota, QuotaKey, TakeOver,
    account::{Account, SECOND_WORD},
    counter::Counter,
};
use crate::{Error, ErrorKind, Result, Timestamp};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    key: QuotaKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remaining: Option<(u32, Timestamp)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Window>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Window {
    counts: Counts,
    ms: u64,
    limit: u32,
    /// When, in milliseconds since 1970, and how much.
    spent: Vec<(i64, u32)>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Counts {
    Rolling,
    Aligned,
    Errors,
}

impl Accounts {
    pub(super) fn save(&mut self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        let latest = self.see(now);
        let mut saved: Vec<Saved> = Vec::new();
        for (key, account) in &mut self.accounts {
            saved.extend(account.save(key, at_least, now, latest));
        }
        if saved.is_empty() {
            return Ok(None);
        }
        saved.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let bytes = serde_json::to_vec(&saved).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "counts cannot be written").with_source(source)
        })?;
        Ok(Some(bytes.into()))
    }

    pub(super) fn take_over(&mut self, from: &TakeOver, now: Timestamp) -> Result<()> {
        let saved: Vec<Saved> = match &from.counts {
            None => Vec::new(),
            Some(counts) => serde_json::from_slice(counts).map_err(|source| {
                Error::new(ErrorKind::InvalidResponse, "the counts of another host cannot be read")
                    .with_source(source)
            })?,
        };
        let latest = self.see(now);
        self.lost = self.lost.max(from.lost);
        for saved in saved {
            let known = self.accounts.contains_key(&saved.key);
            let account = self.account(&saved.key.clone(), now);
            if !known {
                account.lost = from.lost;
            }
            account.restore(saved, latest);
        }
        Ok(())
    }
}

impl Account {
    fn save(
        &mut self,
        key: &QuotaKey,
        at_least: Duration,
        now: Timestamp,
        latest: Timestamp,
    ) -> Option<Saved> {
        let at_least = i64::try_from(at_least.as_millis()).unwrap_or(i64::MAX);
        let long = self.counters.iter_mut().filter(|counter| counter.length_ms() >= at_least);
        let windows: Vec<Window> = long.filter_map(|counter| Window::of(counter, latest)).collect();
        let paused_until = self.paused_until.filter(|until| *until > now);
        let remaining = self.remaining.filter(|(_, reset)| *reset > now);
        let says_something = paused_until.is_some() || remaining.is_some() || !windows.is_empty();
        says_something.then(|| Saved { key: key.clone(), paused_until, remaining, windows })
    }

    fn restore(&mut self, saved: Saved, latest: Timestamp) {
        self.paused_until = self.paused_until.max(saved.paused_until);
        if let Some((units, reset)) = saved.remaining.filter(|_| self.remaining.is_none()) {
            // It was believed when it was saved.
            self.remaining = Some((units, reset.min(latest + SECOND_WORD)));
        }
        for window in saved.windows {
            let Some(mut counter) = Counter::new(window.quota()) else { continue };
            for (at, units) in window.spent {
                counter.spend(units, Timestamp::from_millis(at.min(latest.as_millis())));
            }
            if self.lost.is_some() {
                counter.assume_spent(latest);
            }
            match self
                .counters
                .iter_mut()
                .find(|known| known.counts(window.counts.quota(window.ms, window.limit)))
            {
                Some(known) if known.used() < counter.used() => *known = counter,
                Some(_) => {}
                None => self.counters.push(counter),
            }
        }
    }
}

impl Window {
    fn of(counter: &mut Counter, latest: Timestamp) -> Option<Self> {
        let spent = counter.spent(latest);
        let (counts, limit) = match counter.quota() {
            Quota::Rolling { limit, .. } => (Counts::Rolling, limit),
            Quota::Aligned { limit, .. } => (Counts::Aligned, limit),
            Quota::Errors { limit, .. } => (Counts::Errors, limit),
            Quota::Concurrent { .. } => return None,
        };
        let ms = counter.length_ms().unsigned_abs();
        (!spent.is_empty()).then_some(Self { counts, ms, limit, spent })
    }

    fn quota(&self) -> Quota {
        self.counts.quota(self.ms, self.limit)
    }
}

impl Counts {
    fn quota(self, ms: u64, limit: u32) -> Quota {
        let length = Duration::from_millis(ms);
        match self {
            Self::Rolling => Quota::Rolling { limit, window: length },
            Self::Aligned => Quota::Aligned { limit, period: length },
            Self::Errors => Quota::Errors { limit, window: length },
        }
    }
}
