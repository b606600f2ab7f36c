//! Limits as token buckets: a burst, then a steady pace.

use std::collections::HashMap;

use ml_connector_core::Timestamp;

/// One bucket that a call draws from: so many at once, then one each `interval_ms`.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) key: String,
    pub(crate) at_once: u32,
    pub(crate) interval_ms: i64,
}

impl Draw {
    /// So many a minute, with a tenth on top as a burst.
    pub(crate) fn per_minute(key: String, calls: u32) -> Self {
        Self { key, at_once: calls + calls / 10, interval_ms: 60_000 / i64::from(calls.max(1)) }
    }
}

/// All buckets of a client.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    buckets: HashMap<String, Bucket>,
    /// Calls that were refused.
    pub(crate) refused: u64,
    /// Calls that came before a `Retry-After` was over.
    pub(crate) ignored: u64,
}

/// A bucket, kept as the instant in which it is full again.
#[derive(Debug, Default)]
struct Bucket {
    full_at_ms: i64,
    not_before: Timestamp,
}

impl Buckets {
    /// Draws from one bucket if it can. Nobody is to blame if not.
    pub(crate) fn takes(&mut self, draw: &Draw, now: Timestamp) -> bool {
        let bucket = self.buckets.entry(draw.key.clone()).or_default();
        let from_ms = bucket.full_at_ms.max(now.as_millis());
        let room_ms = i64::from(draw.at_once.saturating_sub(1)) * draw.interval_ms;
        let fits = from_ms - now.as_millis() <= room_ms;
        if fits {
            bucket.full_at_ms = from_ms + draw.interval_ms;
        }
        fits
    }

    /// Draws from all buckets or from none. Refused, it tells the whole seconds to wait.
    pub(crate) fn admit(&mut self, draws: &[Draw], now: Timestamp) -> Result<(), u32> {
        let mut wait_ms = 0;
        let mut ignored = false;
        for draw in draws {
            let bucket = self.buckets.entry(draw.key.clone()).or_default();
            ignored |= now < bucket.not_before;
            let room_ms = i64::from(draw.at_once.saturating_sub(1)) * draw.interval_ms;
            let behind_ms = bucket.full_at_ms.max(now.as_millis()) - now.as_millis();
            wait_ms = wait_ms.max(behind_ms - room_ms);
        }
        self.ignored += u64::from(ignored);
        if wait_ms > 0 {
            self.refused += 1;
            let secs =
                u32::try_from(wait_ms.div_euclid(1000) + i64::from(wait_ms % 1000 > 0)).unwrap_or(u32::MAX);
            let not_before = now + std::time::Duration::from_secs(u64::from(secs));
            for draw in draws {
                if let Some(bucket) = self.buckets.get_mut(&draw.key) {
                    let room_ms = i64::from(draw.at_once.saturating_sub(1)) * draw.interval_ms;
                    if bucket.full_at_ms - now.as_millis() > room_ms {
                        bucket.not_before = not_before;
                    }
                }
            }
            return Err(secs);
        }
        for draw in draws {
            let bucket = self.buckets.entry(draw.key.clone()).or_default();
            bucket.full_at_ms = bucket.full_at_ms.max(now.as_millis()) + draw.interval_ms;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel() -> [Draw; 1] {
        [Draw { key: "C1".to_owned(), at_once: 3, interval_ms: 1000 }]
    }

    #[test]
    fn a_burst_passes_and_then_one_a_second() {
        let (mut buckets, start) = (Buckets::default(), Timestamp::from_secs(1_800_000_000));
        for _ in 0..3 {
            buckets.admit(&channel(), start).unwrap();
        }
        assert_eq!(buckets.admit(&channel(), start), Err(1));
        assert_eq!(buckets.admit(&channel(), start + Duration::from_millis(999)), Err(1));
        assert_eq!((buckets.refused, buckets.ignored), (2, 1));
        buckets.admit(&channel(), start + Duration::from_secs(1)).unwrap();
        assert_eq!(buckets.admit(&channel(), start + Duration::from_secs(1)), Err(1));
    }

    #[test]
    fn a_steady_second_is_never_refused() {
        let (mut buckets, start) = (Buckets::default(), Timestamp::from_secs(1_800_000_000));
        for second in 0..1000 {
            buckets.admit(&channel(), start + Duration::from_secs(second)).unwrap();
        }
    }

    #[test]
    fn one_empty_bucket_spares_the_others() {
        let (mut buckets, now) = (Buckets::default(), Timestamp::from_secs(1_800_000_000));
        let team = || Draw { key: "team".to_owned(), at_once: 4, interval_ms: 1000 };
        for _ in 0..3 {
            buckets.admit(&channel(), now).unwrap();
        }
        for _ in 0..10 {
            let [channel] = channel();
            assert!(buckets.admit(&[channel, team()], now).is_err());
        }
        for _ in 0..4 {
            buckets.admit(&[team()], now).unwrap();
        }
    }
}
