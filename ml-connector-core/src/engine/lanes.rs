//! What waits, in which order, and what may begin now: the scheduler's state, without I/O and without a clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use super::{health::Backlog, retry};
use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    model::{ConnectionId, Partition, Seq},
};

/// A lane: what keeps order among its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneId {
    pub(super) kind: EntryKind,
    pub(super) partition: Partition,
    pub(super) lane: u64,
}

/// An entry of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) seq: Seq,
    /// [`Timestamp::MAX`] when it is parked.
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) uncertain: bool,
}

/// What may be taken from a lane at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appetite {
    pub(super) max: usize,
    /// Signals that fall due within this time are answered by the same read.
    pub(super) ahead: Duration,
}

/// Work that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lane: LaneId,
    pub(super) connection: ConnectionId,
    pub(super) items: Vec<Item>,
    /// Since when the lane's head has failed for reasons that pass.
    pub(super) blocked_since: Option<Timestamp>,
}

/// What the lane has to wait for apart from its items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing.
    #[default]
    None,
    /// The head failed for a reason that passes.
    Blocked,
    /// There is no room in a quota before.
    Until(Timestamp),
    /// Somebody has to repair something. The head is tried again from time to time.
    Parked,
    /// Nothing of the connection works, at least until then. One batch is tried from time to time.
    Outage(Timestamp),
}

#[derive(Debug)]
struct Lane {
    connection: ConnectionId,
    items: VecDeque<Item>,
    held_until: Timestamp,
    blocked_since: Option<Timestamp>,
    /// How often in a row the head was parked.
    parked: u32,
    running: bool,
    /// When the heap has an entry for this lane; entries that say otherwise are stale.
    queued_for: Option<Timestamp>,
}

/// A connection that does not work at present.
#[derive(Debug)]
struct Outage {
    failures: u32,
    until: Timestamp,
    probing: bool,
    lanes: Vec<LaneId>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Lane(LaneId),
    Probe(ConnectionId),
}

/// All lanes of one kind in the partitions this host holds.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<LaneId, Lane>,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Wake)>>,
    outages: HashMap<ConnectionId, Outage>,
    /// Breaks ties in the heap in the order of arrival.
    ticket: u64,
}

impl Lanes {
    /// Takes note of an unsettled entry. Entries of a lane come in the order of the log.
    pub(super) fn add(&mut self, partition: Partition, pending: &Pending) {
        let id = LaneId { kind: pending.kind, partition, lane: pending.lane };
        let lane = self.lanes.entry(id).or_insert_with(|| Lane {
            connection: pending.connection.clone(),
            items: VecDeque::with_capacity(1),
            held_until: Timestamp::default(),
            blocked_since: None,
            parked: 0,
            running: false,
            queued_for: None,
        });
        let Pending { seq, due, attempt, uncertain, .. } = *pending;
        insert(id.kind, &mut lane.items, Item { seq, due, attempt, uncertain });
        self.queue(id);
    }

    /// Forgets a partition that is not held any more. Batches that are under way find out by their fence.
    pub(super) fn forget(&mut self, partition: Partition) {
        self.lanes.retain(|id, _| id.partition != partition);
    }

    /// The next batch that may begin, if any. `appetite` says how much a connection takes at once.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        appetite: impl Fn(&ConnectionId) -> Appetite,
    ) -> Option<Batch> {
        while let Some(Reverse((at, _, _))) = self.heap.peek() {
            if *at > now {
                return None;
            }
            let Reverse((at, _, wake)) = self.heap.pop()?;
            let id = match wake {
                Wake::Probe(connection) => match self.probe(&connection, at) {
                    Some(id) => id,
                    None => continue,
                },
                Wake::Lane(id) => {
                    let Some(lane) = self.lanes.get_mut(&id) else { continue };
                    if lane.running || lane.queued_for != Some(at) {
                        continue;
                    }
                    lane.queued_for = None;
                    if let Some(outage) = self.outages.get_mut(&lane.connection) {
                        outage.lanes.push(id);
                        continue;
                    }
                    id
                }
            };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let Appetite { max, ahead } = appetite(&lane.connection);
            let items = pick(id.kind, &mut lane.items, now, max.max(1), ahead);
            let (connection, blocked_since) = (lane.connection.clone(), lane.blocked_since);
            if items.is_empty() {
                self.queue(id);
                self.wait_for_probe(&connection);
                continue;
            }
            lane.running = true;
            return Some(Batch { lane: id, connection, items, blocked_since });
        }
        None
    }

    /// Takes note of what became of a batch: `waits` are those of its items that are not settled.
    pub(super) fn finish(&mut self, id: LaneId, waits: &[Item], hold: Hold, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.running = false;
        waits.iter().for_each(|item| insert(id.kind, &mut lane.items, *item));
        lane.blocked_since = (hold == Hold::Blocked).then(|| lane.blocked_since.unwrap_or(now));
        lane.parked = if hold == Hold::Parked { lane.parked.saturating_add(1) } else { 0 };
        lane.held_until = match hold {
            Hold::Until(at) => at,
            Hold::Parked => retry::probe_at(lane.parked - 1, now),
            Hold::None | Hold::Blocked | Hold::Outage(_) => Timestamp::default(),
        };
        let connection = lane.connection.clone();
        match hold {
            Hold::Outage(not_before) => self.begin_outage(connection, not_before, now),
            // Waiting for room proves nothing about the connection.
            Hold::Until(_) => self.wait_for_probe(&connection),
            Hold::None | Hold::Blocked | Hold::Parked => self.end_outage(&connection),
        }
        self.queue(id);
    }

    /// Lets a connection that does not work be tried at once.
    pub(super) fn resume(&mut self, connection: &ConnectionId) {
        self.end_outage(connection);
        let parked: Vec<_> =
            self.lanes.iter().filter(|(_, lane)| lane.connection == *connection).map(|(id, _)| *id).collect();
        for id in parked {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.held_until = Timestamp::default();
            }
            self.queue(id);
        }
    }

    /// When something may begin next.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// What waits for each connection, batches under way not counted. Looks at every lane.
    pub(super) fn survey(&self, now: Timestamp, mut see: impl FnMut(&ConnectionId, &Backlog)) {
        for lane in self.lanes.values() {
            let due = lane.items.iter().filter(|item| item.due <= now || item.due == Timestamp::MAX);
            let oldest = lane.items.iter().map(|item| item.due).filter(|due| *due <= now).min();
            let parked_lanes = usize::from(lane.parked > 0);
            see(&lane.connection, &Backlog { waiting: due.count(), oldest, parked_lanes });
        }
    }

    /// How many entries wait, those of batches under way not counted.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.items.len()).sum()
    }

    /// Puts a lane into the heap for the time at which it may begin, or drops it when it is empty.
    fn queue(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.running {
            return;
        }
        let Some(head) = lane.items.front() else {
            self.lanes.remove(&id);
            return;
        };
        let due = if head.due == Timestamp::MAX { Timestamp::default() } else { head.due };
        let at = due.max(lane.held_until);
        if lane.queued_for != Some(at) {
            lane.queued_for = Some(at);
            self.push(at, Wake::Lane(id));
        }
    }

    fn push(&mut self, at: Timestamp, wake: Wake) {
        self.ticket += 1;
        self.heap.push(Reverse((at, self.ticket, wake)));
    }

    fn begin_outage(&mut self, connection: ConnectionId, not_before: Timestamp, now: Timestamp) {
        let outage = self.outages.entry(connection.clone()).or_insert_with(|| Outage {
            failures: 0,
            until: now,
            probing: false,
            lanes: Vec::new(),
        });
        // What was under way when the outage began says the same once more.
        if outage.probing || outage.failures == 0 {
            outage.failures = outage.failures.saturating_add(1);
            outage.probing = false;
        }
        outage.until = retry::probe_at(outage.failures - 1, now).max(not_before).max(outage.until);
        let until = outage.until;
        self.push(until, Wake::Probe(connection));
    }

    /// A probe came back without a result: the next lane that waits may try.
    fn wait_for_probe(&mut self, connection: &ConnectionId) {
        let Some(outage) = self.outages.get_mut(connection).filter(|outage| outage.probing) else { return };
        outage.probing = false;
        let until = outage.until;
        self.push(until, Wake::Probe(connection.clone()));
    }

    fn end_outage(&mut self, connection: &ConnectionId) {
        for id in self.outages.remove(connection).map(|outage| outage.lanes).unwrap_or_default() {
            self.queue(id);
        }
    }

    /// The lane that finds out whether a connection works again.
    fn probe(&mut self, connection: &ConnectionId, at: Timestamp) -> Option<LaneId> {
        let outage = self.outages.get_mut(connection)?;
        if outage.until != at || outage.probing {
            return None;
        }
        while let Some(id) = outage.lanes.pop() {
            if self.lanes.get(&id).is_some_and(|lane| !lane.running && !lane.items.is_empty()) {
                outage.probing = true;
                return Some(id);
            }
        }
        // Nothing waits for it: whatever comes next finds out.
        self.outages.remove(connection);
        None
    }
}

/// Deliveries keep the order of the log; signals go by when they fall due.
fn insert(kind: EntryKind, items: &mut VecDeque<Item>, item: Item) {
    let key = |item: &Item| match kind {
        EntryKind::Delivery => (Timestamp::default(), item.seq),
        _ => (item.due, item.seq),
    };
    let at = items.partition_point(|other| key(other) <= key(&item));
    items.insert(at, item);
}

/// Takes what may go together: the head, and what follows it without a gap. A parked item goes alone, as a probe.
fn pick(
    kind: EntryKind,
    items: &mut VecDeque<Item>,
    now: Timestamp,
    max: usize,
    ahead: Duration,
) -> Vec<Item> {
    let Some(head) = items.front().copied() else { return Vec::new() };
    let probe = head.due == Timestamp::MAX;
    if probe || kind == EntryKind::Delivery && head.uncertain {
        return if probe || head.due <= now { items.pop_front().into_iter().collect() } else { Vec::new() };
    }
    if head.due > now {
        return Vec::new();
    }
    if kind == EntryKind::Delivery {
        let count = items.iter().take(max).take_while(|item| item.due <= now && !item.uncertain).count();
        return items.drain(..count).collect();
    }
    // A read answers everything that was received before it, also what waits for its next try.
    let mut taken = Vec::new();
    items.retain(|item| {
        let joins = taken.len() < max && (item.due <= now + ahead || item.attempt > 0);
        if joins {
            taken.push(*item);
        }
        !joins
    });
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn pending(kind: EntryKind, connection: &str, lane: u64, seq: u64, due: i64) -> Pending {
        let due = if due == i64::MAX { Timestamp::MAX } else { at(due) };
        Pending {
            seq: Seq(seq),
            kind,
            connection: connection.into(),
            lane,
            due,
            attempt: 0,
            uncertain: false,
        }
    }

    fn lanes(entries: &[Pending]) -> Lanes {
        let mut lanes = Lanes::default();
        entries.iter().for_each(|entry| lanes.add(Partition::new(0), entry));
        lanes
    }

    fn take(lanes: &mut Lanes, now: i64) -> Option<(LaneId, Vec<u64>)> {
        let max = if lanes.lanes.keys().any(|id| id.kind == Signal) { 100 } else { 1 };
        let appetite = |_: &ConnectionId| Appetite { max, ahead: Duration::from_secs(2) };
        lanes.take(at(now), appetite).map(|b| (b.lane, b.items.iter().map(|item| item.seq.0).collect()))
    }

    use EntryKind::{Delivery, Signal};

    #[test]
    fn deliveries_of_a_lane_go_one_by_one_in_the_order_of_the_log() {
        let mut lanes = lanes(&[pending(Delivery, "slack", 7, 1, 0), pending(Delivery, "slack", 7, 2, 0)]);
        let (lane, first) = take(&mut lanes, 0).unwrap();
        assert_eq!(first, [1]);
        assert_eq!(take(&mut lanes, 0), None, "one is under way");
        let again = Item { seq: Seq(1), due: at(5), attempt: 1, uncertain: false };
        lanes.finish(lane, &[again], Hold::Blocked, at(0));
        assert_eq!(take(&mut lanes, 4), None, "the second waits behind the first");
        assert_eq!(take(&mut lanes, 5).unwrap().1, [1]);
        lanes.finish(lane, &[], Hold::None, at(5));
        assert_eq!(take(&mut lanes, 5).unwrap().1, [2]);
        lanes.finish(lane, &[], Hold::None, at(5));
        assert_eq!((lanes.waiting(), lanes.lanes.len()), (0, 0), "nothing is kept of an empty lane");
    }

    #[test]
    fn signals_of_a_record_are_taken_together_but_not_those_of_another_day() {
        let entries = [(1, 2), (2, 3), (3, 90_000), (4, 1)];
        let mut lanes = lanes(&entries.map(|(seq, due)| pending(Signal, "books", 7, seq, due)));
        assert_eq!(take(&mut lanes, 0), None);
        assert_eq!(lanes.next_at(), Some(at(0).max(at(1))));
        let (lane, together) = take(&mut lanes, 1).unwrap();
        assert_eq!(together, [4, 1, 2]);
        lanes.add(Partition::new(0), &pending(Signal, "books", 7, 5, 1));
        assert_eq!(take(&mut lanes, 2), None, "a read is under way");
        lanes.finish(lane, &[], Hold::None, at(2));
        assert_eq!(take(&mut lanes, 2).unwrap().1, [5]);
        lanes.finish(lane, &[], Hold::None, at(2));
        assert_eq!(lanes.next_at(), Some(at(90_000)));
    }

    #[test]
    fn a_signal_that_waits_for_its_next_try_is_answered_by_the_next_read_and_a_day_to_come_is_not() {
        let mut lanes = lanes(&[(1, 0), (2, 90_000)].map(|(seq, due)| pending(Signal, "books", 7, seq, due)));
        let (lane, first) = take(&mut lanes, 0).unwrap();
        assert_eq!(first, [1]);
        let again = Item { seq: Seq(1), due: at(900), attempt: 1, uncertain: false };
        lanes.finish(lane, &[again], Hold::None, at(0));
        assert_eq!(take(&mut lanes, 5), None);
        lanes.add(Partition::new(0), &pending(Signal, "books", 7, 3, 10));
        assert_eq!(take(&mut lanes, 10).unwrap().1, [3, 1]);
        lanes.finish(lane, &[], Hold::None, at(10));
        assert_eq!(take(&mut lanes, 900), None);
        assert_eq!(lanes.next_at(), Some(at(90_000)));
    }

    #[test]
    fn a_connection_that_does_not_work_is_tried_with_one_batch_and_then_goes_on_in_order() {
        let mut lanes = lanes(&[1, 2, 3].map(|n| pending(Delivery, "slack", n, n, 0)));
        let other = pending(Delivery, "other", 9, 9, 0);
        let (lane, first) = take(&mut lanes, 0).unwrap();
        let again = Item { seq: Seq(first[0]), due: at(0), attempt: 0, uncertain: false };
        let outage = Hold::Outage(at(0));
        lanes.finish(lane, &[again], outage, at(0));
        assert_eq!(take(&mut lanes, 30), None);
        lanes.add(Partition::new(0), &other);
        assert_eq!(take(&mut lanes, 30).unwrap().1, [9], "other connections go on");

        let (probe, items) = take(&mut lanes, 60).unwrap();
        assert_eq!(take(&mut lanes, 60), None, "one probe at a time");
        let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
        let outage = Hold::Outage(at(200));
        lanes.finish(probe, &[again], outage, at(60));
        assert_eq!(take(&mut lanes, 199), None, "not before the vendor said");

        let (probe, _) = take(&mut lanes, 200).unwrap();
        lanes.finish(probe, &[], Hold::None, at(200));
        assert_eq!(std::iter::from_fn(|| take(&mut lanes, 200)).count(), 2, "everything else is free again");
    }

    #[test]
    fn a_resumed_connection_is_tried_at_once() {
        let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Delivery, "slack", 2, 2, 0)]);
        let (lane, items) = take(&mut lanes, 0).unwrap();
        let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
        lanes.finish(lane, &[again], Hold::Outage(at(900)), at(0));
        assert_eq!(take(&mut lanes, 1), None);
        lanes.resume(&"slack".into());
        assert_eq!(std::iter::from_fn(|| take(&mut lanes, 1)).count(), 2);
    }

    #[test]
    fn a_parked_head_blocks_its_lane_and_goes_alone() {
        let mut lanes =
            lanes(&[pending(Delivery, "slack", 1, 1, i64::MAX), pending(Delivery, "slack", 1, 2, 0)]);
        let (lane, probe) = take(&mut lanes, 0).unwrap();
        assert_eq!(probe, [1], "after a restart it is tried once");
        let parked = Item { seq: Seq(1), due: Timestamp::MAX, attempt: 0, uncertain: false };
        lanes.finish(lane, &[parked], Hold::Parked, at(0));
        assert_eq!(take(&mut lanes, 59), None);
        assert_eq!(take(&mut lanes, 60).unwrap().1, [1]);
        lanes.finish(lane, &[], Hold::None, at(60));
        assert_eq!(take(&mut lanes, 60).unwrap().1, [2]);
    }

    #[test]
    fn a_partition_that_is_lost_leaves_nothing_behind() {
        let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Signal, "books", 1, 2, 0)]);
        let (lane, _) = take(&mut lanes, 0).unwrap();
        lanes.forget(Partition::new(0));
        lanes.finish(lane, &[], Hold::None, at(0));
        assert_eq!(take(&mut lanes, 0), None);
        assert_eq!(lanes.waiting(), 0);
    }
}
