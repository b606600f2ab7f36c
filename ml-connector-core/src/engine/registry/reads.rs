//! The reads of a source's records: how often each was read lately, which read answers what comes in, and which webhooks
//! have led to nothing.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{Timestamp, model::Revision};

/// So often a record is read in a minute. What else is said of it waits until the minute is over, and is answered by one
/// read: whoever sends an old webhook again and again gets no more than that.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// After [`MOST`] reads in a row that found nothing new, a webhook that has led to nothing before waits: a minute at first,
/// then twice as long each time, up to this. So one that is sent again all day costs about a hundred reads.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Reads in vain that are so long ago are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// So many webhooks of a record are told apart. When more have led to nothing in a row, the next are taken for one of them.
const MOST_HEARD: usize = 16;
/// Of so many records it is known. Beyond that all begin anew.
const MOST_KNOWN: usize = 20_000;

/// Who asks for a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Somebody who waits for it.
    AtOnce,
    /// Webhooks and nothing else: the digest of each.
    ByWebhooks(Vec<Revision>),
    /// Something of our own, such as a feed, a date or an operator.
    ByUs,
}

/// The reads of a source's records, by lane.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<ReadLanes>);

#[derive(Debug)]
struct ReadLanes {
    lanes: HashMap<u64, LaneReads>,
    /// The number of lanes that were not read since all began anew.
    base: u64,
}

impl Default for ReadLanes {
    fn default() -> Self {
        Self { lanes: HashMap::new(), base: next_number() }
    }
}

/// No number is given twice by a process, whatever is detached and attached again.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug)]
struct LaneReads {
    /// The number of the read that began last.
    number: u64,
    /// When the minute began, and how many reads have begun in it.
    since: Timestamp,
    count: u32,
    /// The reads for webhooks since the record changed last.
    in_vain: Option<Box<InVain>>,
}

/// Reads in a row that webhooks asked for, and that found nothing new.
#[derive(Debug)]
struct InVain {
    count: u32,
    last: Timestamp,
    heard: Vec<Revision>,
}

impl InVain {
    /// Until when these webhooks wait, all of which have led to nothing before; `None` = they do not.
    fn wait_until(&self, webhooks: &[Revision], now: Timestamp) -> Option<Timestamp> {
        let is_known = self.heard.len() >= MOST_HEARD || webhooks.iter().all(|one| self.heard.contains(one));
        let doublings = self.count.checked_sub(MOST).filter(|_| is_known)?;
        let until = self.last + MINUTE.saturating_mul(1 << doublings.min(8)).min(LONGEST);
        // A clock that was ahead may have set it.
        (now < until && until.saturating_since(now) <= LONGEST).then_some(until)
    }

    fn count(&mut self, webhooks: &[Revision], now: Timestamp) {
        if now.saturating_since(self.last) >= FORGOTTEN_AFTER {
            (self.count, self.heard) = (0, Vec::new());
        }
        (self.count, self.last) = (self.count.saturating_add(1), now);
        for one in webhooks {
            if self.heard.len() < MOST_HEARD && !self.heard.contains(one) {
                self.heard.push(*one);
            }
        }
    }
}

impl Reads {
    /// A read of a record begins: what was received until now is answered by it. If there were too many, it does not, and
    /// the instant is returned at which there is one again.
    pub(crate) fn begin(&self, lane: u64, now: Timestamp, asked: &Asked) -> Option<Timestamp> {
        let mut known = self.known();
        let begun = known.lanes.get(&lane);
        let minute = begun.filter(|lane| now >= lane.since && now.saturating_since(lane.since) < MINUTE);
        let (since, count) = minute.map_or((now, 0), |lane| (lane.since, lane.count));
        if count >= MOST && *asked != Asked::AtOnce {
            return Some(since + MINUTE);
        }
        if let Asked::ByWebhooks(webhooks) = asked
            && let Some(in_vain) = begun.and_then(|lane| lane.in_vain.as_ref())
            && let Some(until) = in_vain.wait_until(webhooks, now)
        {
            return Some(until);
        }
        let number = next_number();
        if known.lanes.len() >= MOST_KNOWN {
            known.lanes.clear();
            known.base = number;
        }
        let in_vain = known.lanes.remove(&lane).and_then(|lane| lane.in_vain);
        known.lanes.insert(lane, LaneReads { number, since, count: count + 1, in_vain });
        None
    }

    /// A read has ended, and told whether anything about the record is new.
    pub(crate) fn ended(&self, lane: u64, now: Timestamp, asked: &Asked, is_new: bool) {
        let mut known = self.known();
        let Some(lane) = known.lanes.get_mut(&lane) else { return };
        match asked {
            _ if is_new => lane.in_vain = None,
            Asked::ByWebhooks(webhooks) => {
                let first = || Box::new(InVain { count: 0, last: now, heard: Vec::new() });
                lane.in_vain.get_or_insert_with(first).count(webhooks, now);
            }
            Asked::AtOnce | Asked::ByUs => {}
        }
    }

    /// What comes in for a record with the same number is answered by the same read, the next one.
    pub(crate) fn number(&self, lane: u64) -> u64 {
        let known = self.known();
        known.lanes.get(&lane).map_or(known.base, |lane| lane.number)
    }

    fn known(&self) -> MutexGuard<'_, ReadLanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            assert_eq!(reads.begin(1, at(second), &Asked::ByUs), None);
        }
        assert_eq!(reads.begin(1, at(59), &Asked::ByUs), Some(at(60)));
        assert_eq!(
            (reads.begin(2, at(59), &Asked::ByUs), reads.begin(1, at(59), &Asked::AtOnce)),
            (None, None)
        );
        assert_eq!(reads.begin(1, at(60), &Asked::ByUs), None, "the next minute");
        assert_eq!(reads.begin(1, at(-900), &Asked::ByUs), None, "a clock that was set back");
    }

    #[test]
    fn what_comes_in_while_a_read_is_under_way_is_for_the_next() {
        let reads = Reads::default();
        let waiting = reads.number(1);
        assert_eq!(reads.number(1), waiting);
        reads.begin(1, at(0), &Asked::ByUs);
        let next = reads.number(1);
        reads.begin(2, at(0), &Asked::ByUs);
        assert_eq!((next == waiting, reads.number(1) == next), (false, true));
        for lane in 10..30_000 {
            reads.begin(lane, at(0), &Asked::ByUs);
        }
        assert!(![waiting, next].contains(&reads.number(1)), "nor when the records begin anew");
    }

    /// Sends a webhook again and again, and counts the reads, each of which finds nothing.
    fn replay(reads: &Reads, bodies: &[&str], seconds: std::ops::Range<i64>) -> usize {
        let mut begun = 0;
        for second in seconds.step_by(5) {
            let body = bodies[usize::try_from(second).unwrap() / 5 % bodies.len()];
            let asked = Asked::ByWebhooks(vec![Revision::of(body.as_bytes())]);
            if reads.begin(1, at(second), &asked).is_none() {
                reads.ended(1, at(second), &asked, false);
                begun += 1;
            }
        }
        begun
    }

    #[test]
    fn a_webhook_that_is_sent_again_all_day_costs_about_a_hundred_reads() {
        let day = 86_400;
        let reads = Reads::default();
        let first = replay(&reads, &["a"], 0..day);
        assert!((96..=115).contains(&first), "{first}");
        let second = replay(&reads, &["a", "b", "c"], day..2 * day);
        assert!(second <= 115, "{second} for three of them");
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let third = replay(&reads, &many, 2 * day..3 * day);
        assert!(third <= 130, "{third} for a thousand of them");
    }

    #[test]
    fn what_was_not_heard_before_and_what_we_ask_ourselves_does_not_wait_for_replays() {
        let reads = Reads::default();
        replay(&reads, &["a"], 0..3600);
        let webhook = |body: &str| Asked::ByWebhooks(vec![Revision::of(body.as_bytes())]);
        let waits = reads.begin(1, at(3601), &webhook("a")).expect("an old one waits");
        assert!(waits <= at(3600) + LONGEST);
        for asked in [webhook("b"), Asked::ByUs, Asked::AtOnce] {
            assert_eq!(reads.begin(1, at(3601), &asked), None, "{asked:?}");
        }
        let both = Asked::ByWebhooks(vec![Revision::of(b"a"), Revision::of(b"c")]);
        assert_eq!(reads.begin(1, at(3602), &both), None, "one of them is new");
        // The record changes: the same bytes may say something else from now on.
        reads.ended(1, at(3602), &both, true);
        assert_eq!(reads.begin(1, at(3603), &webhook("a")), None);
    }

    #[test]
    fn reads_in_vain_are_forgotten_after_a_day_and_a_clock_that_was_ahead_stops_nothing() {
        let reads = Reads::default();
        replay(&reads, &["a"], 0..3600);
        let webhook = Asked::ByWebhooks(vec![Revision::of(b"a")]);
        assert_eq!(reads.begin(1, at(-100_000), &webhook), None, "it was set back");
        let next = 3600 + 86_400;
        assert_eq!(replay(&reads, &["a"], next..next + 50), 10);
    }
}
