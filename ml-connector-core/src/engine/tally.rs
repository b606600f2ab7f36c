//! What happens to each connection, minute by minute: counted here, and written into the log by `history`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, model::ConnectionId};

/// How often counts are written down.
const EVERY_MS: i64 = 60_000;
/// How many minutes of a connection are kept while the log takes nothing; the oldest go.
const KEPT: usize = 240;

/// How many bounds of latencies there are.
const BOUNDS: usize = 9;

/// What happened to a connection in a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tally {
    /// Signals that were stored from webhooks.
    #[serde(skip_serializing_if = "is_zero")]
    pub received: u64,
    /// Webhooks that were not proven to come from the vendor.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Changes that were found.
    #[serde(skip_serializing_if = "is_zero")]
    pub events: u64,
    /// Values that could not be read and were told without, with a note: see [`LeftOut`](crate::model::LeftOut).
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Deliveries that were done.
    #[serde(skip_serializing_if = "is_zero")]
    pub delivered: u64,
    /// Signals and deliveries that were given up.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead: u64,
    /// How long deliveries without a schedule took from their event: how many of those that were done took no longer than each of [`Tally::LATENCIES`] and longer than the one before; the last
    /// number is of those that took longer than all of them.
    pub latency: [u64; BOUNDS + 1],
}

impl Tally {
    /// The bounds between which latencies are counted.
    pub const LATENCIES: [Duration; BOUNDS] = [
        Duration::from_millis(100),
        Duration::from_millis(300),
        Duration::from_secs(1),
        Duration::from_secs(3),
        Duration::from_secs(10),
        Duration::from_secs(30),
        Duration::from_secs(60),
        Duration::from_secs(300),
        Duration::from_secs(1800),
    ];

    /// Counts a delivery that was done.
    pub(crate) fn deliver(&mut self, latency: Option<Duration>) {
        self.delivered += 1;
        if let Some(latency) = latency {
            self.latency[Self::LATENCIES.partition_point(|bound| *bound < latency)] += 1;
        }
    }

    /// Adds what happened at another host, or at another time.
    pub fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.refused += other.refused;
        self.left_out += other.left_out;
        self.events += other.events;
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.latency.iter_mut().zip(other.latency).for_each(|(own, other)| *own += other);
    }

    /// A time that so large a part of the deliveries did not exceed, such as 0.99: one of [`Tally::LATENCIES`]. `None` when
    /// nothing was delivered, or when it is longer than all of them.
    #[must_use]
    pub fn latency_at(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.latency.iter().sum();
        let mut seen = 0;
        #[allow(clippy::cast_precision_loss)] // a part of a count
        let reached = self.latency.iter().position(|count| {
            seen += count;
            seen > 0 && seen as f64 >= all as f64 * part
        });
        Self::LATENCIES.get(reached?).copied()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Tallies by minutes since the epoch.
pub(crate) type ByMinute = BTreeMap<i64, Tally>;

/// What was counted here and is not in the log yet.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    counted: Mutex<HashMap<ConnectionId, ByMinute>>,
    write_at_ms: AtomicI64,
}

impl Tallies {
    pub(crate) fn count(&self, of: &ConnectionId, now: Timestamp, count: impl FnOnce(&mut Tally)) {
        let mut counted = self.counted();
        if !counted.contains_key(of) {
            counted.insert(of.clone(), ByMinute::new());
        }
        let Some(minutes) = counted.get_mut(of) else { return };
        count(minutes.entry(minute_of(now)).or_default());
        if minutes.len() > KEPT {
            minutes.pop_first();
        }
    }

    /// Whether it is time to write, for one who asks.
    pub(crate) fn is_time(&self, now: Timestamp) -> bool {
        let (now, at) = (now.as_millis(), self.write_at_ms.load(Ordering::Relaxed));
        // A clock that went back far does not stop it.
        let is_due = now >= at || at - now > EVERY_MS;
        let next = now + EVERY_MS;
        is_due
            && !self.counted().is_empty()
            && self.write_at_ms.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes everything, to be written.
    pub(crate) fn take(&self) -> HashMap<ConnectionId, ByMinute> {
        std::mem::take(&mut *self.counted())
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, of: &ConnectionId, minutes: ByMinute) {
        let mut counted = self.counted();
        let own = counted.entry(of.clone()).or_default();
        for (minute, tally) in minutes {
            own.entry(minute).or_default().merge(&tally);
        }
        while own.len() > KEPT {
            own.pop_first();
        }
    }

    /// What is not in the log yet.
    pub(crate) fn of(&self, connection: &ConnectionId) -> ByMinute {
        self.counted().get(connection).cloned().unwrap_or_default()
    }

    /// Forgets a connection.
    pub(crate) fn forget(&self, connection: &ConnectionId) {
        self.counted().remove(connection);
    }

    fn counted(&self) -> MutexGuard<'_, HashMap<ConnectionId, ByMinute>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn minute_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_between_their_bounds() {
        let mut tally = Tally::default();
        assert_eq!(tally.latency_at(0.5), None);
        for millis in [0, 100, 101, 999, 1_000, 1_800_000, 1_800_001] {
            tally.deliver(Some(Duration::from_millis(millis)));
        }
        assert_eq!(tally.latency, [2, 1, 2, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(tally.latency_at(0.5), Some(Duration::from_secs(1)));
        assert_eq!((tally.latency_at(0.8), tally.latency_at(1.0)), (Some(Duration::from_secs(1800)), None));
    }

    #[test]
    fn one_of_many_writes_and_a_clock_that_goes_back_does_not_stop_it() {
        let (tallies, at) = (Tallies::default(), Timestamp::from_secs);
        assert!(!tallies.is_time(at(1_000)), "there is nothing to write");
        tallies.count(&"books".into(), at(1_000), |tally| tally.received += 1);
        assert_eq!(
            [1_000, 1_001, 1_059, 1_060].map(|secs| tallies.is_time(at(secs))),
            [true, false, false, true]
        );
        assert!(tallies.is_time(at(500)) && !tallies.is_time(at(501)));
    }
}
