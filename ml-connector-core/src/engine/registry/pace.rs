//! How often one record is read.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// An hour has room for the reads of so many full minutes.
const FULL_MINUTES: usize = 10;

/// When the records of a connection were read lately. A webhook that somebody sends again and again, because its vendor signs
/// no time, must not spend the vendor's calls: what comes too often waits, and one later read answers all of it.
#[derive(Debug, Default)]
pub(crate) struct ReadPace(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// By the number of the record's lane.
    reads: HashMap<u64, VecDeque<Timestamp>>,
    forgotten_at: Timestamp,
}

impl ReadPace {
    /// Counts a read that begins now.
    pub(crate) fn begin(&self, lane: u64, now: Timestamp) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_since(recent.forgotten_at) >= MINUTE {
            recent.forgotten_at = now;
            recent.reads.retain(|_, reads| reads.back().is_some_and(|last| *last + HOUR > now));
        }
        let reads = recent.reads.entry(lane).or_default();
        while reads.front().is_some_and(|first| *first + HOUR <= now) {
            reads.pop_front();
        }
        reads.push_back(now);
    }

    /// When the record may be read again, at most `per_minute` times a minute and ten times as often in an hour. `None` = now.
    pub(crate) fn next(&self, lane: u64, per_minute: u32, now: Timestamp) -> Option<Timestamp> {
        let per_minute = usize::try_from(per_minute).unwrap_or(usize::MAX).max(1);
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reads = recent.reads.get(&lane)?;
        // A clock that was set back must not stop reads.
        let began = |read: &&Timestamp| **read <= now;
        let room = |limit: usize, window: Duration| {
            let nth = limit.checked_sub(1)?;
            reads.iter().rev().filter(began).nth(nth).map(|read| *read + window).filter(|at| *at > now)
        };
        room(per_minute, MINUTE).max(room(per_minute.saturating_mul(FULL_MINUTES), HOUR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

    /// Reads whenever it may, once a second, and tells at which seconds.
    fn reads(pace: &ReadPace, lane: u64, per_minute: u32, seconds: u32) -> Vec<u32> {
        let mut read = Vec::new();
        for second in 0..seconds {
            let now = NOON + Duration::from_secs(second.into());
            if pace.next(lane, per_minute, now).is_none() {
                pace.begin(lane, now);
                read.push(second);
            }
        }
        read
    }

    #[test]
    fn no_minute_and_no_hour_has_more_reads_than_it_may() {
        let read = reads(&ReadPace::default(), 1, 6, 3 * 3600);
        assert_eq!(read[..8], [0, 1, 2, 3, 4, 5, 60, 61], "news is not slowed down");
        for (window, limit) in [(60, 6), (3600, 60)] {
            for first in &read {
                let within = read.iter().filter(|at| (*first..first + window).contains(*at)).count();
                assert!(within <= limit, "{within} in {window} s from {first} on");
            }
        }
        assert_eq!(read.len(), 180);
    }

    #[test]
    fn each_record_has_its_own_pace_and_what_was_read_long_ago_is_forgotten() {
        let pace = ReadPace::default();
        for lane in 0..1000 {
            pace.begin(lane, NOON);
        }
        assert_eq!(pace.next(1, 1, NOON), Some(NOON + MINUTE));
        assert_eq!(pace.next(1000, 1, NOON), None);
        pace.begin(1, NOON + HOUR);
        assert_eq!(pace.0.lock().unwrap().reads.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let pace = ReadPace::default();
        pace.begin(1, NOON + HOUR);
        assert_eq!(pace.next(1, 1, NOON), None);
    }
}
