//! How far a vendor's clock is from ours, by what its answers say.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::model::Timestamp;

/// Nobody has told.
const UNKNOWN: i64 = i64::MIN;
/// Clocks that are this far apart are worth a word.
const NOTABLE: Duration = Duration::from_secs(300);

/// How far a vendor's clock is from ours.
#[derive(Debug)]
pub(crate) struct VendorClock(AtomicI64);

impl Default for VendorClock {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl VendorClock {
    /// Takes note of the date of an answer to a request that was sent and answered then. It has whole seconds, and was
    /// written somewhere in between: as far as that explains a difference, there is none.
    pub(crate) fn learn(&self, date: Timestamp, sent_at: Timestamp, received_at: Timestamp) {
        let least = date.as_millis().saturating_sub(received_at.as_millis());
        let most = date.as_millis().saturating_add(999).saturating_sub(sent_at.as_millis());
        let offset = if least > 0 { least } else { most.min(0) };
        let before = self.0.swap(offset, Ordering::Relaxed);
        let is_notable =
            |offset: i64| offset != UNKNOWN && u128::from(offset.unsigned_abs()) > NOTABLE.as_millis();
        if is_notable(offset) && !is_notable(before) {
            tracing::error!(vendor_ahead_ms = offset, "our clock and the vendor's are far apart: set ours");
        }
    }

    /// By how many milliseconds the vendor's clock is ahead of ours; `None` = no answer has told.
    pub(crate) fn ahead_ms(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != UNKNOWN)
    }

    /// What the vendor's clock shows when ours shows `at`.
    pub(crate) fn shows(&self, at: Timestamp) -> Option<Timestamp> {
        self.ahead_ms().map(|ahead| Timestamp::from_millis(at.as_millis().saturating_add(ahead)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_what_sending_and_whole_seconds_do_not_explain() {
        for (date, sent_ms, received_ms, ahead) in [
            (10_000, 10_000, 10_200, 0),
            (10_000, 10_900, 11_500, 0),
            (10_000, 9_000, 9_500, 500),
            (10_000, 12_000, 12_100, -1_001),
            (10_810_000, 10_000, 10_000, 10_800_000),
        ] {
            let at = Timestamp::from_millis;
            let clock = VendorClock::default();
            assert_eq!(clock.ahead_ms(), None);
            clock.learn(at(date), at(sent_ms), at(received_ms));
            assert_eq!(clock.ahead_ms(), Some(ahead), "{date}, sent at {sent_ms}");
        }
    }
}
