//! Limits that are kept, not discovered.

mod memory;

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use memory::MemoryRateLimiter;

use crate::{Result, Timestamp, model::text_id};

text_id! {
    /// What a vendor counts by, with the tenant in it: `slack/T1/channel/C1`.
    QuotaKey,
}

/// Counts what is spent and says when more may be spent.
///
/// # Contract
/// - [`admit`](Self::admit) takes all costs or none, and never waits: queues and timers belong to the engine.
/// - No rolling window of a quota's length ever holds more admitted units than its limit, for any sequence of
///   calls. Aligned windows begin at multiples of their period since the Unix epoch.
/// - When `now` goes back, nothing is admitted that the time seen so far would not have allowed.
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
}

/// What an attempt spends of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// What is counted.
    pub key: QuotaKey,
    /// All of them have to have room.
    pub quotas: Arc<[Quota]>,
    /// How much.
    pub units: u32,
    /// How many units must stay free in each window, so that polls leave room for live work.
    pub leave: u32,
}

impl Cost {
    /// One unit.
    #[must_use]
    pub fn one(key: QuotaKey, quotas: Arc<[Quota]>) -> Self {
        Self { key, quotas, units: 1, leave: 0 }
    }
}

/// A limit as the vendor counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quota {
    /// At most `limit` units in any window of this length.
    Rolling {
        /// Units.
        limit: u32,
        /// Length.
        window: Duration,
    },
    /// At most `limit` units in each period since the Unix epoch.
    Aligned {
        /// Units.
        limit: u32,
        /// Length.
        period: Duration,
    },
    /// At most `limit` units under way.
    Concurrent {
        /// Units.
        limit: u32,
    },
}

/// The answer to a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// All costs are taken.
    Admitted(Permit),
    /// None is. Asking earlier is useless; asking then may be refused again.
    NotBefore(Timestamp),
}

/// What was admitted. Report [`Feedback::Finished`] for keys with a concurrent quota when the work is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// The other side says: not before. An earlier instant than one already known changes nothing.
    PausedUntil(Timestamp),
    /// The other side says how much is left until when.
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

impl Cost {
    /// Whether somebody has to say when the work is over.
    #[must_use]
    pub fn counts_concurrency(&self) -> bool {
        self.quotas.iter().any(|quota| matches!(quota, Quota::Concurrent { .. }))
    }
}
