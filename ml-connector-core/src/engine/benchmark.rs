//! The scheduler by itself, for benchmarks: no log, no sink, no clock.

use std::time::Duration;

use super::lanes::{Appetite, Batch, Evidence, Hold, Lanes};
use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    model::{ConnectionId, Partition, Seq},
    rate::QuotaKey,
};

/// How often the quota has room for one.
const PACE: Duration = Duration::from_millis(100);

/// Lanes with a delivery each that wait for room in one quota.
#[derive(Debug)]
pub struct Scheduler {
    lanes: Lanes,
    gate: QuotaKey,
    now: Timestamp,
    last: u64,
}

impl Scheduler {
    /// So many lanes. Each has tried once, and found no room.
    #[must_use]
    pub fn with_lanes(lanes: u64) -> Self {
        let mut scheduler = Self {
            lanes: Lanes::default(),
            gate: QuotaKey::from("gate"),
            now: Timestamp::default(),
            last: 0,
        };
        (0..lanes).for_each(|lane| scheduler.arrive(lane));
        while let Some(batch) = scheduler.take() {
            scheduler.refuse(&batch);
        }
        scheduler
    }

    /// There is room: the first in line is admitted and delivered, the next one is refused, and another delivery
    /// arrives. Tells whether anything was delivered.
    pub fn deliver(&mut self) -> bool {
        self.now = self.now + PACE;
        let Some(batch) = self.take() else { return false };
        self.lanes.pass(batch.gate.as_ref(), batch.lane);
        if let Some(next) = self.take() {
            self.refuse(&next);
        }
        self.lanes.take_back(&batch, &[], Hold::None, Evidence::Works, self.now);
        self.arrive(batch.lane.lane);
        true
    }

    fn take(&mut self) -> Option<Batch> {
        let one = |_: &ConnectionId, _| Appetite { max: 1, ahead: Duration::ZERO, linger: Duration::ZERO };
        self.lanes.take(self.now, one)
    }

    fn refuse(&mut self, batch: &Batch) {
        let hold = Hold::Quota(self.gate.clone(), self.now + PACE);
        self.lanes.take_back(batch, &batch.items, hold, Evidence::Works, self.now);
    }

    fn arrive(&mut self, lane: u64) {
        self.last += 1;
        let pending = Pending {
            seq: Seq(self.last),
            kind: EntryKind::Delivery,
            connection: "sink".into(),
            lane,
            due: self.now,
            attempt: 0,
            uncertain: false,
        };
        self.lanes.add(Partition::new(0), &pending, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_is_used_by_one_delivery() {
        let mut scheduler = Scheduler::with_lanes(100);
        let delivered = (0..1_000).filter(|_| scheduler.deliver()).count();
        assert_eq!(delivered, 1_000);
    }
}
