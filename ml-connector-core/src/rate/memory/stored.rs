//! Accounts that are kept elsewhere: for limiters that count for several hosts in one place.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Accounts, account::Account, require_possible};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    rate::{Admission, Cost, Feedback, QuotaKey, TakeOver, Usage},
};

/// What is known of some keys, taken from a store and given back to it: [`MemoryRateLimiter`](super::MemoryRateLimiter)'s
/// own counting, for limiters that keep the counts where several hosts reach them. Whoever uses it locks the keys from
/// [`read`](Self::read) to [`write`](Self::write).
///
/// ```
/// use std::time::Duration;
/// use ml_connector_core::{Timestamp, rate::{Admission, Cost, Quota, QuotaKey, StoredAccounts}};
///
/// let quota = Quota::Rolling { limit: 1, window: Duration::from_secs(60) };
/// let cost = Cost::one(QuotaKey::from("a"), [quota].into());
/// let now = Timestamp::from_secs(1_790_000_000);
/// let mut accounts = StoredAccounts::read([], 1)?;
/// assert!(matches!(accounts.admit(&[cost.clone()], now)?, Admission::Admitted(_)));
/// let stored = accounts.write(now)?;
/// // Another host goes on with what was stored.
/// let stored = stored.into_iter().filter_map(|(key, state)| Some((key, state?)));
/// let mut accounts = StoredAccounts::read(stored, 2)?;
/// assert!(matches!(accounts.admit(&[cost], now)?, Admission::NotBefore(_)));
/// # Ok::<(), ml_connector_core::Error>(())
/// ```
#[derive(Debug)]
pub struct StoredAccounts(Accounts);

/// One account. Time does not run backwards for it.
#[derive(Serialize, Deserialize)]
struct StoredAccount {
    latest: Timestamp,
    account: Account,
}

impl StoredAccounts {
    /// What is stored of keys; one that is not there has spent nothing. The permit of an admission has the number
    /// `permit`, which nobody else may have.
    ///
    /// # Errors
    /// [`InvalidResponse`](ErrorKind::InvalidResponse) when something that is stored cannot be read.
    pub fn read(stored: impl IntoIterator<Item = (QuotaKey, Bytes)>, permit: u64) -> Result<Self> {
        let mut accounts = Accounts { last_permit: permit.saturating_sub(1), ..Accounts::default() };
        for (key, state) in stored {
            let StoredAccount { latest, account } = serde_json::from_slice(&state).map_err(|source| {
                Error::new(ErrorKind::InvalidResponse, "what was spent of a quota cannot be read")
                    .with_context("key", &key)
                    .with_source(source)
            })?;
            accounts.latest = accounts.latest.max(latest);
            accounts.accounts.insert(key, account);
        }
        Ok(Self(accounts))
    }

    /// What another host's [`counts`](crate::RateLimiter::counts) tell.
    ///
    /// # Errors
    /// [`InvalidResponse`](ErrorKind::InvalidResponse) when the counts cannot be read.
    pub fn of_counts(counts: Bytes, now: Timestamp) -> Result<Self> {
        let mut accounts = Accounts::default();
        accounts.take_over(&TakeOver { counts: Some(counts), lost: None }, now)?;
        Ok(Self(accounts))
    }

    /// As [`RateLimiter::admit`](crate::RateLimiter::admit); the keys of all costs have been read.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) when a cost can never be admitted.
    pub fn admit(&mut self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        require_possible(costs)?;
        Ok(self.0.admit(costs, now))
    }

    /// As [`RateLimiter::report`](crate::RateLimiter::report); the key has been read.
    pub fn report(&mut self, key: &QuotaKey, feedback: &Feedback, now: Timestamp) {
        self.0.report(key, feedback, now);
    }

    /// As [`RateLimiter::usage`](crate::RateLimiter::usage), of the keys that have been read.
    pub fn usage(&mut self, now: Timestamp) -> Vec<Usage> {
        self.0.usage(now)
    }

    /// What to store for each key; `None` = nothing is left to know of it.
    ///
    /// # Errors
    /// [`Unexpected`](ErrorKind::Unexpected) when it cannot be written down.
    pub fn write(self, now: Timestamp) -> Result<Vec<(QuotaKey, Option<Bytes>)>> {
        let latest = self.0.latest;
        let state = |(key, mut account): (QuotaKey, Account)| {
            if account.is_idle(now, latest) {
                return Ok((key, None));
            }
            let state = serde_json::to_vec(&StoredAccount { latest, account }).map_err(|source| {
                Error::new(ErrorKind::Unexpected, "what was spent of a quota cannot be written")
                    .with_source(source)
            })?;
            Ok((key, Some(state.into())))
        };
        self.0.accounts.into_iter().map(state).collect()
    }
}
