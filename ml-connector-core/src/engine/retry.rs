//! When to try again. Retry state is data in the log, so this is arithmetic only.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, Retry, Timestamp, model::Seq};

/// How long a connection or a lane that needs somebody to act is left alone; it doubles up to the cap.
const PROBE_FIRST: Duration = Duration::from_secs(60);
const PROBE_CAP: Duration = Duration::from_secs(15 * 60);

/// How long to wait for a log that does not work.
pub(crate) const LOG_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause of one lane whose work cannot be written down.
const LOG_LONGEST: Duration = Duration::from_secs(60);

/// What is tried again, when, and how often: of deliveries, of signals, and for single kinds of errors.
///
/// ```
/// use ml_connector_core::{ErrorKind, engine::Retries};
///
/// let retries: Retries = serde_json::from_str(
///     r#"{"kinds": {"conflict": {"first_ms": 100, "longest_ms": 2000, "jitter": "full", "tries": 5}}}"#,
/// )?;
/// assert_eq!(retries.kinds[&ErrorKind::Conflict].tries, Some(5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Retries {
    /// Attempts of deliveries. Pauses from a second to five minutes, until [`max_block`](crate::engine::Settings::max_block)
    /// is over.
    pub deliveries: RetryPolicy,
    /// Reads for signals. Pauses from a second to fifteen minutes, until
    /// [`max_signal_age`](crate::engine::Settings::max_signal_age) is over.
    pub signals: RetryPolicy,
    /// What holds instead for errors of a kind, be it of a delivery or a signal. Whether an error is tried again at all
    /// is said by the error itself.
    pub kinds: BTreeMap<ErrorKind, RetryPolicy>,
}

/// How often and when something is tried again: after pauses that double, with a jitter, so that what failed together
/// does not come back together. An instant that the other side names is never undercut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The first pause. Default: a second.
    #[serde(rename = "first_ms", with = "millis")]
    pub first: Duration,
    /// The longest pause. Default: five minutes.
    #[serde(rename = "longest_ms", with = "millis")]
    pub longest: Duration,
    /// How much of a pause is left to chance.
    pub jitter: Jitter,
    /// After so many attempts it is given up; `None` = only time counts. Attempts that the other side put off by a limit
    /// are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// It is given up rather than tried later than this after the first failure. `None` = as the settings say for
    /// deliveries or signals.
    #[serde(rename = "total_ms", with = "millis::optional", skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

/// How much of a pause is left to chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// Half: it takes between half and all of the time.
    #[default]
    Half,
    /// All: it takes between nothing and all of the time.
    Full,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(5 * 60),
            jitter: Jitter::Half,
            tries: None,
            total: None,
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        let deliveries = RetryPolicy::default();
        let signals = RetryPolicy { longest: Duration::from_secs(15 * 60), ..deliveries };
        Self { deliveries, signals, kinds: BTreeMap::new() }
    }
}

impl Retries {
    /// What holds for a delivery that failed so.
    pub(crate) fn of_delivery(&self, error: &Error) -> &RetryPolicy {
        self.kinds.get(&error.kind()).unwrap_or(&self.deliveries)
    }

    /// What holds for signals whose read failed so.
    pub(crate) fn of_signal(&self, error: &Error) -> &RetryPolicy {
        self.kinds.get(&error.kind()).unwrap_or(&self.signals)
    }

    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the policy and what is wrong with it.
    pub(crate) fn validate(&self) -> Result<()> {
        let kinds = self.kinds.iter().map(|(kind, policy)| (kind.as_str(), policy));
        for (of, policy) in kinds.chain([("deliveries", &self.deliveries), ("signals", &self.signals)]) {
            policy.validate().map_err(|error| error.with_context("retries", of))?;
        }
        Ok(())
    }
}

impl RetryPolicy {
    /// When to repeat after attempt number `attempt` (from 1) has failed.
    pub(crate) fn next(&self, error: &Error, seq: Seq, attempt: u32, now: Timestamp) -> Timestamp {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(30));
        let own = now + jittered(doubled.min(self.longest), self.jitter, seq, attempt);
        match error.retry() {
            Retry::At(at) => at.max(own),
            Retry::Backoff | Retry::Never => own,
        }
    }

    /// Whether so many attempts are enough.
    pub(crate) fn is_used_up(&self, attempts: u32) -> bool {
        self.tries.is_some_and(|tries| attempts >= tries)
    }

    fn validate(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if self.first.is_zero() || self.total.is_some_and(|total| total.is_zero()) {
            return wrong("a retry's first pause and its total time must be longer than nothing");
        }
        if self.longest < self.first {
            return wrong("a retry's longest pause must be no shorter than its first");
        }
        if self.tries == Some(0) {
            return wrong("a retry needs one try at least");
        }
        Ok(())
    }
}

/// When to look whether the log works again.
pub(crate) fn log_at(now: Timestamp) -> Timestamp {
    now + jittered(RetryPolicy::default().first, Jitter::Half, Seq(0), 1)
}

/// When to try again what could not be written down `failures` times before: each time costs calls.
pub(crate) fn log_again_at(failures: u32, now: Timestamp) -> Timestamp {
    let pause = LOG_PAUSE.saturating_mul(1 << failures.min(8)).min(LOG_LONGEST);
    now + jittered(pause, Jitter::Half, Seq(0), 1)
}

/// When to see whether something that a person has to repair works again, after `failures` earlier looks.
pub(crate) fn probe_at(failures: u32, now: Timestamp) -> Timestamp {
    now + PROBE_FIRST.saturating_mul(1 << failures.min(8)).min(PROBE_CAP)
}

/// When to see whether the other side is back, after `failures` earlier looks.
pub(crate) fn back_at(failures: u32, now: Timestamp) -> Timestamp {
    let policy = RetryPolicy::default();
    now + policy.first.saturating_mul(1 << failures.min(30)).min(policy.longest)
}

/// A part of `pause`. The entry's number and attempt are the dice: different entries differ, and a test sees the same
/// every time.
fn jittered(pause: Duration, jitter: Jitter, seq: Seq, attempt: u32) -> Duration {
    let mut dice =
        seq.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(attempt).wrapping_mul(0xD1B5_4A32_D192_ED03);
    dice ^= dice >> 32;
    dice = dice.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let share = u32::try_from(dice >> 48).unwrap_or(0);
    let (certain, chance) = match jitter {
        Jitter::Half => (pause / 2, pause / 2),
        Jitter::Full => (Duration::ZERO, pause),
    };
    certain + (chance / 0x1_0000).saturating_mul(share)
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }

    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        #[allow(clippy::ref_option)] // serde asks for a reference
        pub(in super::super) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, to),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(5 * 60);

    fn next(error: &Error, seq: Seq, attempt: u32, now: Timestamp) -> Timestamp {
        RetryPolicy::default().next(error, seq, attempt, now)
    }

    #[test]
    fn pauses_grow_to_their_cap_and_never_overflow() {
        let error = Error::new(ErrorKind::Unavailable, "down");
        let now = Timestamp::from_secs(1_000);
        let mut last = Duration::ZERO;
        for attempt in [1, 2, 3, 5, 9, 12, 40, u32::MAX] {
            let pause = next(&error, Seq(7), attempt, now).saturating_since(now);
            assert!(pause >= Duration::from_millis(499) && pause <= CAP, "{attempt}: {pause:?}");
            assert!(pause.saturating_mul(2) >= last, "{attempt}: {pause:?} after {last:?}");
            last = pause;
        }
        assert!(probe_at(u32::MAX, now).saturating_since(now) <= PROBE_CAP);
    }

    #[test]
    fn entries_that_failed_together_do_not_come_back_together() {
        let error = Error::new(ErrorKind::Unavailable, "down");
        let times: std::collections::BTreeSet<_> =
            (0..100).map(|seq| next(&error, Seq(seq), 6, Timestamp::default())).collect();
        assert!(times.len() > 90, "{}", times.len());
    }

    #[test]
    fn an_instant_the_other_side_named_is_kept() {
        let at = Timestamp::from_secs(50);
        let error = Error::new(ErrorKind::RateLimited, "later").with_retry(Retry::At(at));
        assert_eq!(next(&error, Seq(1), 1, Timestamp::from_secs(10)), at);
        let late = next(&error, Seq(1), 1, Timestamp::from_secs(90));
        assert!(late > Timestamp::from_secs(90), "an instant that has passed does not make a busy loop");
    }

    #[test]
    fn full_jitter_takes_between_nothing_and_all_of_the_pause() {
        let policy = RetryPolicy { jitter: Jitter::Full, ..RetryPolicy::default() };
        let error = Error::new(ErrorKind::Unavailable, "down");
        let pauses: Vec<u64> = (0..500)
            .map(|seq| policy.next(&error, Seq(seq), 4, Timestamp::default()).as_millis().unsigned_abs())
            .collect();
        assert!(pauses.iter().all(|pause| *pause <= 8_000));
        assert!(pauses.iter().any(|pause| *pause < 800) && pauses.iter().any(|pause| *pause > 7_200));
    }

    #[test]
    fn a_kind_s_own_policy_holds_for_it_alone_and_survives_its_text_form() {
        let mut retries = Retries::default();
        let quick =
            RetryPolicy { first: Duration::from_millis(20), tries: Some(3), ..RetryPolicy::default() };
        retries.kinds.insert(ErrorKind::Conflict, quick);
        let text = serde_json::to_string(&retries).unwrap();
        assert_eq!(serde_json::from_str::<Retries>(&text).unwrap(), retries, "{text}");
        assert_eq!(serde_json::from_str::<Retries>("{}").unwrap(), Retries::default());
        assert!(serde_json::from_str::<Retries>(r#"{"kinds":{"conflicts":{}}}"#).is_err());
        assert!(serde_json::from_str::<Retries>(r#"{"signals":{"first":1}}"#).is_err());
        let conflict = Error::new(ErrorKind::Conflict, "changed");
        let down = Error::new(ErrorKind::Unavailable, "down");
        assert_eq!((retries.of_delivery(&conflict), retries.of_signal(&conflict)), (&quick, &quick));
        assert_eq!(retries.of_delivery(&down), &Retries::default().deliveries);
        assert_eq!(retries.of_signal(&down).longest, Duration::from_secs(900));
        assert_eq!([2, 3].map(|attempts| quick.is_used_up(attempts)), [false, true]);
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused_by_name() {
        let sound = RetryPolicy::default();
        for wrong in [
            RetryPolicy { first: Duration::ZERO, ..sound },
            RetryPolicy { longest: Duration::from_millis(1), ..sound },
            RetryPolicy { tries: Some(0), ..sound },
            RetryPolicy { total: Some(Duration::ZERO), ..sound },
        ] {
            let retries = Retries { signals: wrong, ..Retries::default() };
            let error = retries.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{wrong:?}");
            assert_eq!(error.context("retries"), Some("signals"));
        }
    }
}
