//! What is counted before something is sent. How it is counted is the business of [`rate`](crate::rate).

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::text_id;

text_id! {
    /// What a vendor counts by, with the tenant in it: `slack/T1/channel/C1`.
    QuotaKey,
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

    /// Whether somebody has to report when the work is over, and how it went. In a rolling window it counts from its
    /// end on, because nobody knows when between the request and the answer the other side has counted it.
    #[must_use]
    pub fn wants_report(&self) -> bool {
        self.counts_concurrency() || self.quotas.iter().any(|quota| matches!(quota, Quota::Rolling { .. }))
    }

    /// Whether it counts work that is under way.
    #[must_use]
    pub fn counts_concurrency(&self) -> bool {
        let counts = |quota: &Quota| matches!(quota, Quota::Concurrent { .. } | Quota::Errors { .. });
        self.quotas.iter().any(counts)
    }
}

/// A limit as the vendor counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// At most `limit` failures in any window of this length, for vendors that block whoever fails too often. A unit is
    /// spent when it is reported as [`Failed`](crate::rate::Feedback::Failed).
    Errors {
        /// Failures.
        limit: u32,
        /// Length.
        window: Duration,
    },
}

impl Quota {
    /// Its units.
    #[must_use]
    pub fn limit(self) -> u32 {
        match self {
            Self::Rolling { limit, .. }
            | Self::Aligned { limit, .. }
            | Self::Concurrent { limit }
            | Self::Errors { limit, .. } => limit,
        }
    }
}
