//! What is spent and what is left, for whoever asks why something waits.

use serde::Serialize;

use crate::{
    Timestamp,
    model::{Quota, QuotaKey},
};

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// The key.
    pub key: QuotaKey,
    /// The windows that are counted, each of them once, with the quota that was named first.
    pub windows: Vec<WindowUsage>,
    /// How many units of work are under way that was counted as concurrent.
    pub under_way: u64,
    /// How many units are left by the other side's own word, until its count begins again.
    pub remaining: Option<(u32, Timestamp)>,
    /// The other side wants to be left alone until then.
    pub paused_until: Option<Timestamp>,
}

/// What was spent in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WindowUsage {
    /// The limit and its window.
    pub quota: Quota,
    /// Units that count now; of an error quota, failures.
    pub used: u64,
    /// When one more unit has room; `None` = now.
    pub room_at: Option<Timestamp>,
}

impl Usage {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(key: QuotaKey) -> Self {
        Self { key, windows: Vec::new(), under_way: 0, remaining: None, paused_until: None }
    }

    /// Until when nothing is admitted, because of a window or because the other side said so. `None` = there is room.
    #[must_use]
    pub fn full_until(&self) -> Option<Timestamp> {
        let said = self.remaining.filter(|(left, _)| *left == 0).map(|(_, reset)| reset);
        let windows = self.windows.iter().filter_map(|window| window.room_at);
        windows.chain(said).chain(self.paused_until).max()
    }
}

impl WindowUsage {
    /// What counts in a window.
    #[must_use]
    pub fn new(quota: Quota, used: u64, room_at: Option<Timestamp>) -> Self {
        Self { quota, used, room_at }
    }

    /// Units that still have room.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::from(self.quota.limit()).saturating_sub(self.used)
    }
}
