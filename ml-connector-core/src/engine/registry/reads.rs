//! The reads of a source's records: how often each was read lately, and which read answers what comes in.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::Timestamp;

/// So often a record is read in a minute. What else is said of it waits until the minute is over, and is answered by one
/// read: whoever sends an old webhook again and again gets no more than that.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Of so many records it is known. Beyond that all begin anew.
const MOST_KNOWN: usize = 20_000;

/// The reads of a source's records, by lane.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<Known>);

#[derive(Debug)]
struct Known {
    lanes: HashMap<u64, Lane>,
    /// The number of lanes that were not read since all began anew.
    base: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self { lanes: HashMap::new(), base: next_number() }
    }
}

/// No number is given twice by a process, whatever is detached and attached again.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    /// The number of the read that began last.
    number: u64,
    /// When the minute began, and how many reads have begun in it.
    since: Timestamp,
    count: u32,
}

impl Reads {
    /// A read of a record begins: what was received until now is answered by it. If there were too many in this minute, it
    /// does not, and the end of the minute is returned.
    pub(crate) fn begin(&self, lane: u64, now: Timestamp, is_bounded: bool) -> Option<Timestamp> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = known.lanes.get(&lane).copied();
        let minute = begun.filter(|lane| now >= lane.since && now.saturating_since(lane.since) < MINUTE);
        let (since, count) = minute.map_or((now, 0), |lane| (lane.since, lane.count));
        if is_bounded && count >= MOST {
            return Some(since + MINUTE);
        }
        let number = next_number();
        if known.lanes.len() >= MOST_KNOWN {
            known.lanes.clear();
            known.base = number;
        }
        known.lanes.insert(lane, Lane { number, since, count: count + 1 });
        None
    }

    /// What comes in for a record with the same number is answered by the same read, the next one.
    pub(crate) fn number(&self, lane: u64) -> u64 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.lanes.get(&lane).map_or(known.base, |lane| lane.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_record_is_read_ten_times_a_minute() {
        let reads = Reads::default();
        for second in 0..10 {
            assert_eq!(reads.begin(1, at(second), true), None);
        }
        assert_eq!(reads.begin(1, at(59), true), Some(at(60)));
        assert_eq!((reads.begin(2, at(59), true), reads.begin(1, at(59), false)), (None, None));
        assert_eq!(reads.begin(1, at(60), true), None, "the next minute");
        assert_eq!(reads.begin(1, at(-900), true), None, "a clock that was set back");
    }

    #[test]
    fn what_comes_in_while_a_read_is_under_way_is_for_the_next() {
        let reads = Reads::default();
        let waiting = reads.number(1);
        assert_eq!(reads.number(1), waiting);
        reads.begin(1, at(0), true);
        let next = reads.number(1);
        reads.begin(2, at(0), true);
        assert_eq!((next == waiting, reads.number(1) == next), (false, true));
        for lane in 10..30_000 {
            reads.begin(lane, at(0), true);
        }
        assert!(![waiting, next].contains(&reads.number(1)), "nor when the records begin anew");
    }
}
