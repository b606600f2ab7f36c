//! What waits, in which order, and what may begin now: the scheduler's state, without I/O and without a clock.
//!
//! The log holds the whole work list; here is as much of it as is needed to go on. Of a lane of deliveries only the
//! first ones are held, of a connection's signals only so many, and none that falls due much later. What is not held
//! is remembered by its place in the log, and read again when its turn comes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use super::{
    held::{HeldSignals, Place},
    lane::{Lane, MAX_WINDOW, Spot, Ticket},
    outages::Outages,
    queues::{Gates, Ready, Turn},
    slots::{SlotClass, Slots},
    survey::LaneHealth,
    work::{Appetite, Batch, Evidence, Hold, Item, LaneId, PutOff},
};
use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    engine::retry,
    model::{ConnectionId, Partition, Seq},
    rate::QuotaKey,
};

/// How many deliveries of a lane are held, unless its sink takes more at once.
pub(super) const WINDOW: usize = 8;

/// What falls due at an instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lane(LaneId),
    Probe(ConnectionId),
    Gate(QuotaKey),
}

/// All lanes of one kind in the partitions this host holds.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(super) lanes: HashMap<LaneId, Lane>,
    held: HeldSignals,
    /// How many deliveries of a lane are held.
    window: usize,
    /// Lanes that should be refilled from the log.
    hungry: Vec<LaneId>,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Timer)>>,
    ready: Ready,
    gates: Gates,
    outages: Outages,
    slots: Slots,
    /// Breaks ties in the heap in the order of arrival.
    ticket: u64,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            held: HeldSignals::default(),
            window: WINDOW,
            hungry: Vec::new(),
            heap: BinaryHeap::new(),
            ready: Ready::default(),
            gates: Gates::default(),
            outages: Outages::default(),
            slots: Slots::default(),
            ticket: 0,
        }
    }
}

impl Lanes {
    /// With so many batches under way at most.
    pub(crate) fn with_slots(max: usize) -> Self {
        Self { slots: Slots::new(max), ..Self::default() }
    }

    /// Says which slots connections take from now on.
    pub(crate) fn classify(&mut self, classes: HashMap<ConnectionId, SlotClass>) {
        self.slots.classify(classes);
    }

    /// A batch of a connection begins.
    pub(crate) fn begin(&mut self, connection: &ConnectionId) {
        self.slots.take(connection);
    }

    /// A batch of a connection has ended, whatever became of it.
    pub(crate) fn end(&mut self, connection: &ConnectionId) {
        self.slots.give_back(connection);
    }

    /// Takes note of an unsettled entry, each once. Entries of a lane come in the order of the log.
    pub(crate) fn add(&mut self, partition: Partition, pending: &Pending, now: Timestamp) {
        match pending.kind {
            EntryKind::Delivery => self.add_delivery(partition, pending),
            _ => {
                if self.held.takes(partition, pending, now) {
                    self.insert(partition, pending);
                }
            }
        }
    }

    /// Takes note of a signal that was passed over when it was met first. It may be known all the same.
    pub(crate) fn add_again(&mut self, partition: Partition, pending: &Pending, now: Timestamp) {
        let id = LaneId { kind: pending.kind, partition, lane: pending.lane };
        let is_known = self.lanes.get(&id).is_some_and(|lane| lane.knows(pending.seq));
        if !is_known && self.held.takes_again(partition, pending, now) {
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
        let connection = self.held.hold(partition, &pending.connection);
        let lane = self.lanes.entry(id).or_insert_with(|| Lane::new(connection));
        lane.add(id.kind, Item::from(pending));
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
        self.held.take_unread(now)
    }

    /// Whether no more signals of a connection are held at present.
    pub(crate) fn is_full(&self, partition: Partition, connection: &ConnectionId) -> bool {
        self.held.is_full(partition, connection)
    }

    /// A connection's signals from `from` on have still to be read.
    pub(crate) fn still_unread(&mut self, partition: Partition, connection: &ConnectionId, from: Seq) {
        self.held.still_unread(partition, connection, from);
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
        self.held.forget(partition);
        for (key, at) in self.gates.abandon(|id| id.partition == partition) {
            self.push(at, Timer::Gate(key));
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
            let Turn { id, gate, probe, .. } =
                self.ready.pop(|connection| self.slots.has_one_for(connection))?;
            let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.spot == Spot::Ready) else {
                self.pass(gate.as_ref(), id);
                continue;
            };
            if !probe && self.outages.includes(&lane.connection) {
                self.wait_for_the_end_of_the_outage(id);
                self.pass(gate.as_ref(), id);
                continue;
            }
            let appetite = appetite(&lane.connection, id);
            let items = if id.kind == EntryKind::Delivery {
                lane.take_deliveries(now, appetite)
            } else {
                lane.take_signals(now, appetite)
            };
            let connection = lane.connection.clone();
            let Some(head) = items.first() else {
                lane.spot = Spot::Nowhere;
                self.queue(id);
                self.pass(gate.as_ref(), id);
                self.probe_again(&connection);
                continue;
            };
            let blocked_since = lane.blocked_since(head.seq);
            lane.spot = Spot::Nowhere;
            lane.running = Some(items.iter().map(|item| item.seq).collect());
            self.held.release(id.partition, &connection, items.len());
            return Some(Batch { lane: id, connection, items, blocked_since, gate });
        }
    }

    /// A batch was admitted: the next lane before the same gate may try.
    pub(crate) fn pass(&mut self, gate: Option<&QuotaKey>, id: LaneId) {
        if let Some((key, at)) = gate.and_then(|key| Some((key, self.gates.pass(key, id)?))) {
            self.push(at, Timer::Gate(key.clone()));
        }
    }

    /// Moves what has fallen due to where it may begin.
    fn ripen(&mut self, now: Timestamp) {
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, _, wake))) = self.heap.pop() else { return };
            match wake {
                Timer::Lane(id) => {
                    let Some(lane) = self.lanes.get(&id).filter(|lane| lane.spot == Spot::Heap(at)) else {
                        continue;
                    };
                    if self.outages.includes(&lane.connection) {
                        self.wait_for_the_end_of_the_outage(id);
                    } else {
                        self.make_ready(id, None, false);
                    }
                }
                Timer::Gate(key) => self.open(&key, at),
                Timer::Probe(connection) => {
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
            if self.outages.includes(&lane.connection) {
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
        if self.outages.wait(&lane.connection, id) {
            lane.spot = Spot::Outage;
        }
    }

    /// Takes note of what became of a batch that came through to the other side: `waits` are those of its items that are
    /// not settled.
    #[cfg(test)]
    pub(crate) fn finish(&mut self, batch: &Batch, waits: &[Item], hold: Hold, now: Timestamp) {
        self.take_back(batch, waits, hold, Evidence::Works, now);
    }

    /// Takes note of what became of a batch: `waits` are those of its items that are not settled.
    pub(crate) fn take_back(
        &mut self,
        batch: &Batch,
        waits: &[Item],
        hold: Hold,
        proof: Evidence,
        now: Timestamp,
    ) {
        let id = batch.lane;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.finish(id.kind, batch.items.len(), waits, &hold, now);
        let connection = lane.connection.clone();
        self.held.keep(id.partition, &connection, waits.len());
        match hold {
            Hold::Outage(not_before) => {
                let until = self.outages.begin(&connection, retry::probe_at, not_before, now);
                self.push(until, Timer::Probe(connection));
            }
            Hold::Down(not_before) => {
                let until = self.outages.begin(&connection, retry::back_at, not_before, now);
                self.push(until, Timer::Probe(connection));
            }
            Hold::Quota(key, at) => self.wait_for_room(id, &key, at, now),
            Hold::Until(_) | Hold::Unwritten => {}
            Hold::None | Hold::Blocked | Hold::Split(_) | Hold::Parked => {
                if proof != Evidence::Nothing {
                    self.end_outage(&connection);
                }
            }
        }
        // Waiting for room or for the log proves nothing about the connection.
        self.probe_again(&batch.connection);
        self.pass(batch.gate.as_ref(), id);
        self.queue(id);
    }

    /// Puts a lane before the gate of a quota.
    fn wait_for_room(&mut self, id: LaneId, key: &QuotaKey, at: Timestamp, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some(head) = lane.items.front() else { return };
        lane.spot = Spot::Gate;
        // A head that is refused again keeps its place.
        let known = lane.ticket.filter(|ticket| ticket.head == head.seq);
        let fresh = Ticket { head: head.seq, number: self.ticket + 1, since: now, is_told: false };
        let ticket = known.unwrap_or(fresh);
        self.ticket = self.ticket.max(ticket.number);
        lane.ticket = Some(ticket);
        self.gates.wait(key, at, ticket.number, id, &lane.connection);
        self.push(at, Timer::Gate(key.clone()));
    }

    /// The heads that have waited for room in a quota since before `since`, each once.
    pub(crate) fn take_put_off(&mut self, since: Timestamp) -> Vec<PutOff> {
        let mut put_off = Vec::new();
        let gates = self.gates.times();
        for (id, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.spot == Spot::Gate) {
            let Some(ticket) = lane.ticket.as_mut().filter(|ticket| !ticket.is_told && ticket.since < since)
            else {
                continue;
            };
            let Some((key, until)) = gates.get(id) else { continue };
            ticket.is_told = true;
            let (connection, key) = (lane.connection.clone(), (*key).clone());
            put_off.push(PutOff { connection, head: ticket.head, key, since: ticket.since, until: *until });
        }
        put_off
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
        if self.ready.has_one(|connection| self.slots.has_one_for(connection)) {
            return Some(Timestamp::default());
        }
        let first = self.heap.peek().map(|Reverse((at, _, _))| *at);
        first.into_iter().chain(self.held.next_at()).min()
    }

    /// What waits in each lane, batches under way not counted. Looks at every lane.
    pub(crate) fn survey(&self, now: Timestamp, mut see: impl FnMut(&ConnectionId, LaneHealth)) {
        let gates = self.gates.times();
        for (id, lane) in &self.lanes {
            let outage = self.outages.until(&lane.connection);
            see(&lane.connection, lane.health(*id, gates.get(id).copied(), outage, now));
        }
    }

    /// Since when a connection has not worked; `None` = it does.
    pub(crate) fn out_since(&self, connection: &ConnectionId) -> Option<Timestamp> {
        self.outages.since(connection)
    }

    /// Which connections do not work, and when each is tried again.
    pub(crate) fn outages(&self) -> impl Iterator<Item = (&ConnectionId, Timestamp)> {
        self.outages.iter()
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
        let Some(at) = lane.begins_at() else {
            if lane.rest.is_none() {
                self.lanes.remove(&id);
            }
            return;
        };
        if lane.spot != Spot::Heap(at) {
            lane.spot = Spot::Heap(at);
            self.push(at, Timer::Lane(id));
        }
    }

    fn push(&mut self, at: Timestamp, wake: Timer) {
        self.ticket += 1;
        self.heap.push(Reverse((at, self.ticket, wake)));
    }

    /// A probe came back without a result: the next lane that waits may try.
    fn probe_again(&mut self, connection: &ConnectionId) {
        if let Some(until) = self.outages.probe_again(connection) {
            self.push(until, Timer::Probe(connection.clone()));
        }
    }

    fn end_outage(&mut self, connection: &ConnectionId) {
        for id in self.outages.end(connection) {
            if let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.spot == Spot::Outage) {
                lane.spot = Spot::Nowhere;
                self.queue(id);
            }
        }
    }

    /// The lane that finds out whether a connection works again.
    fn probe(&mut self, connection: &ConnectionId, at: Timestamp) -> Option<LaneId> {
        let lanes = &self.lanes;
        let waits = |id: &LaneId| {
            lanes.get(id).is_some_and(|lane| lane.spot == Spot::Outage && !lane.items.is_empty())
        };
        self.outages.probe(connection, at, waits)
    }
}
