//! Rate limits: calls are counted, and wait before the vendor would refuse them.

mod budget;
mod memory;
mod usage;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
pub use budget::Budget;
use bytes::Bytes;
pub use memory::{MemoryRateLimiter, StoredAccounts};
use serde::{Deserialize, Serialize};
pub use usage::{Usage, WindowUsage};

pub use crate::model::{Cost, Quota, QuotaKey};
use crate::{Error, ErrorKind, Result, Timestamp};

/// Counts what is spent and says when more may be spent.
///
/// # Contract
/// - [`admit`](Self::admit) takes all costs or none, and never waits: queues and timers belong to the engine.
/// - No rolling window of a quota's length ever holds more admitted units than its limit, for any sequence of
///   calls. Work whose end is reported counts from its end on, because the other side counts it when it arrives. Aligned windows begin at multiples of their period since the Unix epoch.
/// - When `now` goes back, nothing is admitted that the time seen so far would not have allowed.
/// - No window of an error quota holds more failures than its limit, whatever fails: what is under way counts as if it
///   were to fail, until it is reported as [`Finished`](Feedback::Finished) or [`Failed`](Feedback::Failed).
/// - [`NotBefore`](Admission::NotBefore) is later than `now`, and never later than necessary. Where only the end of
///   other work makes room, nobody knows when that is: it is the next instant worth asking, and whoever reports
///   [`Finished`](Feedback::Finished) may ask again at once.
#[async_trait]
pub trait RateLimiter: Debug + Send + Sync + 'static {
    /// Asks for all of `costs` at once.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a cost can never be admitted;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a shared limiter cannot be reached.
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission>;

    /// Tells what the other side said, or that work which was counted as concurrent is over.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a shared limiter cannot be reached.
    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()>;

    /// What was counted in windows of this length or longer, and what the other side said, in the limiter's own form.
    /// The host that goes on with the work gives it to [`take_over`](Self::take_over). Units that were spent at almost
    /// the same time may be told as spent at the last of those instants. `None` when there is nothing to tell, such as
    /// when all hosts count in one place.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a shared limiter cannot be reached.
    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>>;

    /// Goes on with the counts of another host. Counts that are already known here stay as they are, or grow.
    ///
    /// # Errors
    /// [`InvalidResponse`](crate::ErrorKind::InvalidResponse) when the counts cannot be read: nothing is taken over.
    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()>;

    /// What is spent and what is left of every key that anything is known of, in the order of their names. It changes
    /// nothing.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a shared limiter cannot be reached.
    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>>;
}

/// What is known of a host whose work is taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeOver {
    /// Its latest [`counts`](RateLimiter::counts).
    pub counts: Option<Bytes>,
    /// Until when a host that did not hand over may have spent everything. For keys that were not known before,
    /// windows of an hour or less start as spent at this instant, error quotas as half spent.
    pub lost: Option<Timestamp>,
}

/// The result of [`admit`](RateLimiter::admit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// All costs are taken.
    Admitted(Permit),
    /// None is taken. Asking earlier is useless; asking then may be refused again.
    NotBefore(Timestamp),
}

/// What was admitted. When the work is over, report [`Feedback::after`] for every key that [wants
/// it](Cost::wants_report).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permit {
    /// Names the admission.
    pub id: u64,
}

/// What is known about a key apart from what was admitted here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// The work of this permit is over.
    Finished(Permit),
    /// The work of this permit is over, and the other side counts it as a failure.
    Failed(Permit),
    /// The other side says: not before. An earlier instant than one already known changes nothing. One more than an hour
    /// ahead is believed for an hour, and for a day at most when it is said again after that hour: a slip of a vendor's
    /// must not stop us for years.
    PausedUntil(Timestamp),
    /// The other side says how much is left until when. A reset that is more than an hour away is believed for an hour, and
    /// for a day at most once it is confirmed: named again after that hour, or after an answer that left something.
    Remaining {
        /// Units left.
        units: u32,
        /// When the count begins again.
        reset: Timestamp,
    },
    /// Somebody else spent from the same quota.
    Charge {
        /// Units.
        units: u32,
    },
}

impl Feedback {
    /// What to report of work that is over. Vendors count requests that they find wrong, so only those are failures. A
    /// request that never reached the vendor, or that failed by a fault of the vendor's, is none.
    #[must_use]
    pub fn after(permit: Permit, error: Option<&Error>) -> Self {
        let counts = |error: &Error| {
            matches!(
                error.kind(),
                ErrorKind::InvalidRequest
                    | ErrorKind::Unauthenticated
                    | ErrorKind::PermissionDenied
                    | ErrorKind::NotFound
                    | ErrorKind::Conflict
                    | ErrorKind::ConfigInvalid
                    | ErrorKind::Unsupported
            )
        };
        if error.is_some_and(counts) { Self::Failed(permit) } else { Self::Finished(permit) }
    }
}
