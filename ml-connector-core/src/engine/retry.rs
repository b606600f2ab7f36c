//! When to try again. Retry state is data in the log, so this is arithmetic only.

use std::time::Duration;

use crate::{Error, Retry, Timestamp, model::Seq};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two attempts of a delivery.
pub(super) const DELIVERY_CAP: Duration = Duration::from_secs(5 * 60);
/// The longest pause between two reads for a signal.
pub(super) const SIGNAL_CAP: Duration = Duration::from_secs(15 * 60);
/// How long a connection or a lane that needs somebody to act is left alone; it doubles up to the cap.
const PROBE_FIRST: Duration = Duration::from_secs(60);
const PROBE_CAP: Duration = Duration::from_secs(15 * 60);

/// When to repeat after attempt number `attempt` (from 1) has failed: after an exponential, jittered pause, so that
/// entries which failed together do not come back together, and not before the other side wants it.
pub(super) fn next(error: &Error, seq: Seq, attempt: u32, cap: Duration, now: Timestamp) -> Timestamp {
    let own =
        now + jittered(FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(cap), seq, attempt);
    match error.retry() {
        Retry::At(at) => at.max(own),
        Retry::Backoff | Retry::Never => own,
    }
}

/// When to see whether something that a person has to repair works again, after `failures` earlier looks.
pub(super) fn probe_at(failures: u32, now: Timestamp) -> Timestamp {
    now + PROBE_FIRST.saturating_mul(1 << failures.min(8)).min(PROBE_CAP)
}

/// Between half and all of `pause`. The entry's number and attempt are the dice: different entries differ, and a
/// test sees the same every time.
fn jittered(pause: Duration, seq: Seq, attempt: u32) -> Duration {
    let mut dice =
        seq.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(attempt).wrapping_mul(0xD1B5_4A32_D192_ED03);
    dice ^= dice >> 32;
    dice = dice.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let share = u32::try_from(dice >> 48).unwrap_or(0);
    pause / 2 + (pause / 2 / 0x1_0000) * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn pauses_grow_to_their_cap_and_never_overflow() {
        let error = Error::new(ErrorKind::Unavailable, "down");
        let now = Timestamp::from_secs(1_000);
        let mut last = Duration::ZERO;
        for attempt in [1, 2, 3, 5, 9, 12, 40, u32::MAX] {
            let pause = next(&error, Seq(7), attempt, DELIVERY_CAP, now).saturating_since(now);
            assert!(pause >= Duration::from_millis(499) && pause <= DELIVERY_CAP, "{attempt}: {pause:?}");
            assert!(pause.saturating_mul(2) >= last, "{attempt}: {pause:?} after {last:?}");
            last = pause;
        }
        assert!(probe_at(u32::MAX, now).saturating_since(now) <= PROBE_CAP);
    }

    #[test]
    fn entries_that_failed_together_do_not_come_back_together() {
        let error = Error::new(ErrorKind::Unavailable, "down");
        let times: std::collections::BTreeSet<_> =
            (0..100).map(|seq| next(&error, Seq(seq), 6, DELIVERY_CAP, Timestamp::default())).collect();
        assert!(times.len() > 90, "{}", times.len());
    }

    #[test]
    fn an_instant_the_other_side_named_is_kept() {
        let at = Timestamp::from_secs(50);
        let error = Error::new(ErrorKind::RateLimited, "later").with_retry(Retry::At(at));
        assert_eq!(next(&error, Seq(1), 1, DELIVERY_CAP, Timestamp::from_secs(10)), at);
        let late = next(&error, Seq(1), 1, DELIVERY_CAP, Timestamp::from_secs(90));
        assert!(late > Timestamp::from_secs(90), "an instant that has passed does not make a busy loop");
    }
}
