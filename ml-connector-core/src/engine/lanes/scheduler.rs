//! What waits, in which order, and what may begin now: the scheduler's state, without I/O and without a clock.
//!
//! The log holds the whole work list; here is as much of it as is needed to go on. Of a lane of deliveries only the
//! first ones are held, of a connection's signals only so many, and none that falls due much later. What is not held
//! is remembered by its place in the log, and read again when its turn comes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::queues::{Gates, Ready, Turn};

use crate::engine::{
    host::health::LaneHealth,
    lanes::held::{Backlogs, Place},
    retry,
};
use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    model::{ConnectionId, Partition, Seq},
    rate::QuotaKey,
};

/// A lane: what keeps order among its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId {
    pub(crate) kind: EntryKind,
    pub(crate) partition: Partition,
    pub(crate) lane: u64,
}

/// An entry of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: Seq,
    /// [`Timestamp::MAX`] when it is parked.
    pub(crate) due: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) uncertain: bool,
}

/// What may be taken from a lane at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite {
    pub(crate) max: usize,
    /// Signals that fall due within this time are answered by the same read.
    pub(crate) ahead: Duration,
    /// How long a delivery waits for others to go with.
    pub(crate) linger: Duration,
}

/// Work that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) lane: LaneId,
    pub(crate) connection: ConnectionId,
    pub(crate) items: Vec<Item>,
    /// Since when the lane's head has failed for reasons that pass.
    pub(crate) blocked_since: Option<Timestamp>,
    /// The quota whose gate it came through: the next lane may follow once this one is admitted.
    pub(crate) gate: Option<QuotaKey>,
}

/// What the lane has to wait for apart from its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    #[default]
    None,
    /// The head failed for a reason that passes.
    Blocked,
    /// One of the batch made all of it fail: at most so many go together next.
    Split(usize),
    /// Something else than the lane is not ready before.
    Until(Timestamp),
    /// There is no room in a quota before.
    Quota(QuotaKey, Timestamp),
    /// Somebody has to repair something. The head is tried again from time to time.
    Parked,
    /// Nothing of the connection works, at least until then. One batch is tried from time to time.
    Outage(Timestamp),
}

/// How many deliveries of a lane are held, unless its sink takes more at once, and at most.
pub(super) const WINDOW: usize = 8;
const MAX_WINDOW: usize = 512;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) connection: ConnectionId,
    items: VecDeque<Item>,
    held_until: Timestamp,
    blocked_since: Option<Timestamp>,
    /// How often in a row the head was parked.
    parked: u32,
    /// While the head waits for others to go with: how many make a full batch. 0 = it does not.
    full_at: u16,
    /// How many may go together until the one is found that made a batch fail. 0 = as many as the sink takes.
    most: u16,
    /// What is under way.
    running: Option<Box<[Seq]>>,
    /// The deliveries after this one are in the log only.
    rest: Option<Seq>,
    spot: Spot,
}

/// Where a lane waits. What a queue says about a lane that is somewhere else is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    Nowhere,
    /// In the heap, for this instant.
    Heap(Timestamp),
    /// Among those that may begin.
    Ready,
    /// Before the gate of a quota.
    Gate,
    /// Behind an outage.
    Outage,
}

impl Lane {
    fn knows(&self, seq: Seq) -> bool {
        self.items.iter().any(|item| item.seq == seq)
            || self.running.as_ref().is_some_and(|running| running.contains(&seq))
    }

    /// Takes deliveries that may go together: the head, and what follows it without a gap and is as certain. Nothing
    /// while the head waits for more.
    fn collect(&mut self, now: Timestamp, Appetite { max, linger, .. }: Appetite) -> Vec<Item> {
        let most = if self.most > 0 { max.min(self.most.into()) } else { max }.clamp(1, MAX_WINDOW);
        let Some(head) = self.items.front().copied() else { return Vec::new() };
        // A lane that was parked is tried with its head alone.
        let most = if head.due == Timestamp::MAX && self.parked > 0 { 1 } else { most };
        let goes = |item: &&Item| {
            (item.due <= now || item.due == Timestamp::MAX) && item.uncertain == head.uncertain
        };
        let count = self.items.iter().take(most).take_while(goes).count();
        let goes_at = head.due.max(Timestamp::default()) + linger;
        let is_new = head.attempt == 0 && !head.uncertain && head.due != Timestamp::MAX;
        let is_all = count == self.items.len() && self.rest.is_none();
        if count > 0 && count < most && is_all && is_new && now < goes_at {
            self.held_until = goes_at;
            self.full_at = u16::try_from(most).unwrap_or(u16::MAX);
            return Vec::new();
        }
        self.full_at = 0;
        self.items.drain(..count).collect()
    }

    /// Learns from a batch how many may go together.
    fn learn(&mut self, batch: usize, hold: &Hold) {
        let most = match hold {
            Hold::Split(half) => *half,
            // Alone, it was the one or it was not: either way the search is over.
            Hold::None if self.most > 0 && batch > 1 => batch * 2,
            Hold::None => 0,
            _ => return,
        };
        self.most = u16::try_from(most).unwrap_or(u16::MAX);
    }
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
    Gate(QuotaKey),
}

/// All lanes of one kind in the partitions this host holds.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(super) lanes: HashMap<LaneId, Lane>,
    backlogs: Backlogs,
    /// How many deliveries of a lane are held.
    window: usize,
    /// Lanes that should be refilled from the log.
    hungry: Vec<LaneId>,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Wake)>>,
    ready: Ready,
    gates: Gates,
    outages: HashMap<ConnectionId, Outage>,
    /// Breaks ties in the heap in the order of arrival.
    ticket: u64,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            backlogs: Backlogs::default(),
            window: WINDOW,
            hungry: Vec::new(),
            heap: BinaryHeap::new(),
            ready: Ready::default(),
            gates: Gates::default(),
            outages: HashMap::new(),
            ticket: 0,
        }
    }
}

impl Lanes {
    /// Takes note of an unsettled entry, each once. Entries of a lane come in the order of the log.
    pub(crate) fn add(&mut self, partition: Partition, pending: &Pending, now: Timestamp) {
        match pending.kind {
            EntryKind::Delivery => self.add_delivery(partition, pending),
            _ => {
                if self.backlogs.takes(partition, pending, now) {
                    self.insert(partition, pending);
                }
            }
        }
    }

    /// Takes note of a signal that was passed over when it was met first. It may be known all the same.
    pub(crate) fn add_again(&mut self, partition: Partition, pending: &Pending, now: Timestamp) {
        let id = LaneId { kind: pending.kind, partition, lane: pending.lane };
        let is_known = self.lanes.get(&id).is_some_and(|lane| lane.knows(pending.seq));
        if !is_known && self.backlogs.takes_again(partition, pending, now) {
            self.insert(partition, pending);
        }
    }

    fn add_delivery(&mut self, partition: Partition, pending: &Pending) {
        let id = LaneId { kind: pending.kind, partition, lane: pending.lane };
        if let Some(lane) = self.lanes.get_mut(&id) {
            if lane.rest.is_none() && lane.items.len() >= self.window {
                lane.rest = lane.items.back().map(|last| last.seq);
            }
            if lane.rest.is_some() {
                return;
            }
        }
        self.insert(partition, pending);
    }

    fn insert(&mut self, partition: Partition, pending: &Pending) {
        let id = LaneId { kind: pending.kind, partition, lane: pending.lane };
        let connection = self.backlogs.hold(partition, &pending.connection);
        let lane = self.lanes.entry(id).or_insert_with(|| Lane {
            connection,
            items: VecDeque::with_capacity(1),
            held_until: Timestamp::default(),
            blocked_since: None,
            parked: 0,
            full_at: 0,
            most: 0,
            running: None,
            rest: None,
            spot: Spot::Nowhere,
        });
        let Pending { seq, due, attempt, uncertain, .. } = *pending;
        insert(id.kind, &mut lane.items, Item { seq, due, attempt, uncertain });
        if lane.full_at > 0 && lane.items.len() >= usize::from(lane.full_at) {
            (lane.full_at, lane.held_until) = (0, Timestamp::default());
        }
        self.queue(id);
    }

    /// Holds at least so many deliveries of a lane, as far as memory may go, so that a batch of them can be full.
    pub(crate) fn widen(&mut self, batch: usize) {
        self.window = self.window.max(batch.min(MAX_WINDOW));
    }

    /// Lanes of deliveries that go on in the log, each with the last delivery that is held or was, and how many to
    /// read after it. [`refill`](Self::refill) brings them.
    pub(crate) fn take_hungry(&mut self) -> Vec<(LaneId, Seq)> {
        let lanes = &self.lanes;
        let mut hungry: Vec<_> =
            self.hungry.drain(..).filter_map(|id| Some((id, lanes.get(&id)?.rest?))).collect();
        hungry.sort_unstable();
        hungry.dedup();
        hungry
    }

    /// How many deliveries of a lane to read.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// The next deliveries of a hungry lane; `more` when there may be others behind them.
    pub(crate) fn refill(&mut self, id: LaneId, page: &[Pending], more: bool) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.rest = page.last().map(|last| last.seq).filter(|_| more);
        for pending in page {
            self.insert(id.partition, pending);
        }
        self.queue(id);
    }

    /// The lane could not be refilled.
    pub(crate) fn stay_hungry(&mut self, id: LaneId) {
        self.hungry.push(id);
    }

    /// Where in the log signals were passed over that are wanted now.
    pub(crate) fn take_unread(&mut self, now: Timestamp) -> Vec<Place> {
        self.backlogs.take_unread(now)
    }

    /// Whether no more signals of a connection are held at present.
    pub(crate) fn is_full(&self, partition: Partition, connection: &ConnectionId) -> bool {
        self.backlogs.is_full(partition, connection)
    }

    /// A connection's signals from `from` on have still to be read.
    pub(crate) fn still_unread(&mut self, partition: Partition, connection: &ConnectionId, from: Seq) {
        self.backlogs.still_unread(partition, connection, from);
    }

    /// Forgets a partition that is not held any more. Batches that are under way find out by their fence.
    pub(crate) fn forget(&mut self, partition: Partition) {
        // Whoever was to find out whether a connection works again is gone: if it is held anew, anybody may.
        let gone: HashSet<ConnectionId> = self
            .lanes
            .extract_if(|id, _| id.partition == partition)
            .map(|(_, lane)| lane.connection)
            .collect();
        gone.iter().for_each(|connection| self.end_outage(connection));
        self.backlogs.forget(partition);
        for (key, at) in self.gates.abandon(|id| id.partition == partition) {
            self.push(at, Wake::Gate(key));
        }
    }

    /// The next batch that may begin, if any: connections take turns, and of each the lane whose head has waited
    /// longest comes first. `appetite` says how much a connection takes at once of a lane.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        appetite: impl Fn(&ConnectionId, LaneId) -> Appetite,
    ) -> Option<Batch> {
        loop {
            self.ripen(now);
            let Turn { id, gate, probe, .. } = self.ready.pop()?;
            let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.spot == Spot::Ready) else {
                self.pass(gate.as_ref(), id);
                continue;
            };
            if !probe && self.outages.contains_key(&lane.connection) {
                self.wait_for_the_end_of_the_outage(id);
                self.pass(gate.as_ref(), id);
                continue;
            }
            let appetite = appetite(&lane.connection, id);
            let items = if id.kind == EntryKind::Delivery {
                lane.collect(now, appetite)
            } else {
                pick_signals(&mut lane.items, now, appetite)
            };
            let (connection, blocked_since) = (lane.connection.clone(), lane.blocked_since);
            if items.is_empty() {
                lane.spot = Spot::Nowhere;
                self.queue(id);
                self.pass(gate.as_ref(), id);
                self.wait_for_probe(&connection);
                continue;
            }
            lane.spot = Spot::Nowhere;
            lane.running = Some(items.iter().map(|item| item.seq).collect());
            self.backlogs.release(id.partition, &connection, items.len());
            return Some(Batch { lane: id, connection, items, blocked_since, gate });
        }
    }

    /// A batch was admitted: the next lane before the same gate may try.
    pub(crate) fn pass(&mut self, gate: Option<&QuotaKey>, id: LaneId) {
        if let Some((key, at)) = gate.and_then(|key| Some((key, self.gates.pass(key, id)?))) {
            self.push(at, Wake::Gate(key.clone()));
        }
    }

    /// Moves what has fallen due to where it may begin.
    fn ripen(&mut self, now: Timestamp) {
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, _, wake))) = self.heap.pop() else { return };
            match wake {
                Wake::Lane(id) => {
                    let Some(lane) = self.lanes.get(&id).filter(|lane| lane.spot == Spot::Heap(at)) else {
                        continue;
                    };
                    if self.outages.contains_key(&lane.connection) {
                        self.wait_for_the_end_of_the_outage(id);
                    } else {
                        self.make_ready(id, None, false);
                    }
                }
                Wake::Gate(key) => self.open(&key, at),
                Wake::Probe(connection) => {
                    if let Some(id) = self.probe(&connection, at) {
                        self.make_ready(id, None, true);
                    }
                }
            }
        }
    }

    /// Lets the lane that has waited longest before a gate try.
    fn open(&mut self, key: &QuotaKey, at: Timestamp) {
        while let Some(id) = self.gates.next(key, at) {
            let Some(lane) = self.lanes.get(&id).filter(|lane| lane.spot == Spot::Gate) else { continue };
            if self.outages.contains_key(&lane.connection) {
                self.wait_for_the_end_of_the_outage(id);
                continue;
            }
            self.gates.try_with(key, id);
            return self.make_ready(id, Some(key.clone()), false);
        }
    }

    fn make_ready(&mut self, id: LaneId, gate: Option<QuotaKey>, probe: bool) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some(head) = lane.items.front() else { return };
        lane.spot = Spot::Ready;
        self.ready.push(&lane.connection, Turn { head: head.seq, id, gate, probe });
    }

    fn wait_for_the_end_of_the_outage(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if let Some(outage) = self.outages.get_mut(&lane.connection) {
            lane.spot = Spot::Outage;
            outage.lanes.push(id);
        }
    }

    /// Takes note of what became of a batch: `waits` are those of its items that are not settled.
    pub(crate) fn finish(&mut self, batch: &Batch, waits: &[Item], hold: Hold, now: Timestamp) {
        let id = batch.lane;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.running = None;
        waits.iter().for_each(|item| insert(id.kind, &mut lane.items, *item));
        lane.learn(batch.items.len(), &hold);
        lane.blocked_since = match hold {
            Hold::Blocked => lane.blocked_since.or(Some(now)),
            // Neither good news nor bad.
            Hold::Split(_) | Hold::Until(_) | Hold::Quota(..) => lane.blocked_since,
            Hold::None | Hold::Parked | Hold::Outage(_) => None,
        };
        lane.parked = if hold == Hold::Parked { lane.parked.saturating_add(1) } else { 0 };
        lane.held_until = match hold {
            Hold::Until(at) => at,
            Hold::Parked => retry::probe_at(lane.parked - 1, now),
            Hold::None | Hold::Blocked | Hold::Split(_) | Hold::Quota(..) | Hold::Outage(_) => {
                Timestamp::default()
            }
        };
        let connection = lane.connection.clone();
        self.backlogs.keep(id.partition, &connection, waits.len());
        match hold {
            Hold::Outage(not_before) => self.begin_outage(connection, not_before, now),
            Hold::Quota(key, at) => self.wait_for_room(id, &key, at),
            Hold::Until(_) => {}
            Hold::None | Hold::Blocked | Hold::Split(_) | Hold::Parked => self.end_outage(&connection),
        }
        // Waiting for room or for the log proves nothing about the connection.
        self.wait_for_probe(&batch.connection);
        self.pass(batch.gate.as_ref(), id);
        self.queue(id);
    }

    /// Puts a lane before the gate of a quota.
    fn wait_for_room(&mut self, id: LaneId, key: &QuotaKey, at: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some(head) = lane.items.front() else { return };
        lane.spot = Spot::Gate;
        self.gates.wait(key, at, head.seq, id);
        self.push(at, Wake::Gate(key.clone()));
    }

    /// Lets a connection that does not work be tried at once.
    pub(crate) fn resume(&mut self, connection: &ConnectionId) {
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
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        if !self.ready.is_empty() {
            return Some(Timestamp::default());
        }
        let first = self.heap.peek().map(|Reverse((at, _, _))| *at);
        first.into_iter().chain(self.backlogs.next_at()).min()
    }

    /// What waits in each lane, batches under way not counted. Looks at every lane.
    pub(crate) fn survey(&self, now: Timestamp, mut see: impl FnMut(&ConnectionId, LaneHealth)) {
        let gates = self.gates.times();
        for (id, lane) in &self.lanes {
            let due = lane.items.iter().filter(|item| item.due <= now || item.due == Timestamp::MAX);
            let at = match lane.spot {
                Spot::Heap(at) => Some(at),
                Spot::Gate => gates.get(id).copied(),
                Spot::Nowhere | Spot::Ready | Spot::Outage => None,
            };
            let health = LaneHealth {
                lane: id.lane,
                waiting: due.count(),
                oldest: lane.items.iter().map(|item| item.due).filter(|due| *due <= now).min(),
                parked: lane.parked > 0,
                paused_until: at.filter(|at| *at > now),
            };
            see(&lane.connection, health);
        }
    }

    /// Which connections do not work, and when each is tried again.
    pub(crate) fn outages(&self) -> impl Iterator<Item = (&ConnectionId, Timestamp)> {
        self.outages.iter().map(|(connection, outage)| (connection, outage.until))
    }

    /// How many entries wait, those of batches under way not counted.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.items.len()).sum()
    }

    /// Puts a lane into the heap for the time at which it may begin, or drops it when it is empty. One that waits
    /// elsewhere already stays there.
    fn queue(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.rest.is_some() && lane.items.len() <= self.window / 2 {
            self.hungry.push(id);
        }
        if lane.running.is_some() || !matches!(lane.spot, Spot::Nowhere | Spot::Heap(_)) {
            return;
        }
        let Some(head) = lane.items.front() else {
            if lane.rest.is_none() {
                self.lanes.remove(&id);
            }
            return;
        };
        let due = if head.due == Timestamp::MAX { Timestamp::default() } else { head.due };
        let at = due.max(lane.held_until);
        if lane.spot != Spot::Heap(at) {
            lane.spot = Spot::Heap(at);
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
            if let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.spot == Spot::Outage) {
                lane.spot = Spot::Nowhere;
                self.queue(id);
            }
        }
    }

    /// The lane that finds out whether a connection works again.
    fn probe(&mut self, connection: &ConnectionId, at: Timestamp) -> Option<LaneId> {
        let outage = self.outages.get_mut(connection)?;
        if outage.until != at || outage.probing {
            return None;
        }
        while let Some(id) = outage.lanes.pop() {
            if self.lanes.get(&id).is_some_and(|lane| lane.spot == Spot::Outage && !lane.items.is_empty()) {
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

/// Takes the signals that one read answers: everything that was received before it, also what waits for its next try.
/// A parked one goes alone, as a probe.
fn pick_signals(
    items: &mut VecDeque<Item>,
    now: Timestamp,
    Appetite { max, ahead, .. }: Appetite,
) -> Vec<Item> {
    let Some(head) = items.front().copied() else { return Vec::new() };
    if head.due == Timestamp::MAX {
        return items.pop_front().into_iter().collect();
    }
    if head.due > now {
        return Vec::new();
    }
    let mut taken = Vec::new();
    items.retain(|item| {
        let joins = taken.len() < max.max(1) && (item.due <= now + ahead || item.attempt > 0);
        if joins {
            taken.push(*item);
        }
        !joins
    });
    taken
}
