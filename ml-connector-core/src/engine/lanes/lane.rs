//! One lane: its entries in order, and what goes next.

use std::collections::VecDeque;

use super::{
    survey::{LaneHealth, WaitReason},
    work::{Appetite, Hold, Item, LaneId},
};
use crate::{
    Timestamp,
    audit::EntryKind,
    engine::retry,
    model::{ConnectionId, QuotaKey, Seq},
};

/// How many deliveries of a lane are held at most.
pub(super) const MAX_WINDOW: usize = 512;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) connection: ConnectionId,
    pub(super) items: VecDeque<Item>,
    pub(super) held_until: Timestamp,
    /// The head that fails for reasons that pass, and since when.
    blocked: Option<(Seq, Timestamp)>,
    /// How often in a row the head was parked.
    parked: u32,
    /// How often in a row what came of the head could not be written down.
    unwritten: u32,
    /// While the head waits for others to go with: how many make a full batch. 0 = it does not.
    full_at: u16,
    /// How many may go together until the one is found that made a batch fail. 0 = as many as the sink takes.
    most: u16,
    /// What is under way.
    pub(super) running: Option<Box<[Seq]>>,
    /// The deliveries after this one are in the log only.
    pub(super) rest: Option<Seq>,
    pub(super) spot: Spot,
    /// The head that was refused for want of room in a quota.
    pub(super) ticket: Option<Ticket>,
}

/// A head that waits for room in a quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) head: Seq,
    /// Its place in the order of arrival.
    pub(super) number: u64,
    pub(super) since: Timestamp,
    /// Whether somebody was told that it waits for long.
    pub(super) is_told: bool,
}

/// Where a lane waits. What a queue says about a lane that is somewhere else is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
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
    pub(super) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            items: VecDeque::with_capacity(1),
            held_until: Timestamp::default(),
            blocked: None,
            parked: 0,
            unwritten: 0,
            full_at: 0,
            most: 0,
            running: None,
            rest: None,
            spot: Spot::Nowhere,
            ticket: None,
        }
    }

    pub(super) fn knows(&self, seq: Seq) -> bool {
        self.items.iter().any(|item| item.seq == seq)
            || self.running.as_ref().is_some_and(|running| running.contains(&seq))
    }

    /// Adds a new entry. A head that waited for others goes once the batch is full.
    pub(super) fn add(&mut self, kind: EntryKind, item: Item) {
        self.insert(kind, item);
        if self.full_at > 0 && self.items.len() >= usize::from(self.full_at) {
            (self.full_at, self.held_until) = (0, Timestamp::default());
        }
    }

    /// Deliveries keep the order of the log; signals go by when they fall due.
    fn insert(&mut self, kind: EntryKind, item: Item) {
        let key = |item: &Item| match kind {
            EntryKind::Delivery => (Timestamp::default(), item.seq),
            _ => (item.due, item.seq),
        };
        let at = self.items.partition_point(|other| key(other) <= key(&item));
        self.items.insert(at, item);
    }

    /// Since when an entry at the head has failed for reasons that pass.
    pub(super) fn blocked_since(&self, head: Seq) -> Option<Timestamp> {
        self.blocked.filter(|(seq, _)| *seq == head).map(|(_, since)| since)
    }

    /// When its head may begin; `None` = it is empty.
    pub(super) fn begins_at(&self) -> Option<Timestamp> {
        Some(self.items.front()?.not_before().max(self.held_until))
    }

    /// Takes deliveries that may go together: the head, and what follows it without a gap and is as certain. Takes
    /// nothing while the head waits for more.
    pub(super) fn take_deliveries(
        &mut self,
        now: Timestamp,
        Appetite { max, linger, .. }: Appetite,
    ) -> Vec<Item> {
        let most = if self.most > 0 { max.min(self.most.into()) } else { max }.clamp(1, MAX_WINDOW);
        let Some(head) = self.items.front().copied() else { return Vec::new() };
        // A lane that was parked is tried with its head alone.
        let most = if head.is_parked() && self.parked > 0 { 1 } else { most };
        let goes = |item: &&Item| item.not_before() <= now && item.uncertain == head.uncertain;
        let count = self.items.iter().take(most).take_while(goes).count();
        let goes_at = head.due.max(Timestamp::default()) + linger;
        let is_new = head.attempt == 0 && !head.uncertain && !head.is_parked();
        let is_all = count == self.items.len() && self.rest.is_none();
        if count > 0 && count < most && is_all && is_new && now < goes_at {
            self.held_until = goes_at;
            self.full_at = u16::try_from(most).unwrap_or(u16::MAX);
            return Vec::new();
        }
        self.full_at = 0;
        self.items.drain(..count).collect()
    }

    /// Takes the signals that one read answers: everything that was received before it, also what waits for its next
    /// try. A parked one goes alone, as a probe.
    pub(super) fn take_signals(
        &mut self,
        now: Timestamp,
        Appetite { max, ahead, .. }: Appetite,
    ) -> Vec<Item> {
        let Some(head) = self.items.front().copied() else { return Vec::new() };
        if head.is_parked() {
            return self.items.pop_front().into_iter().collect();
        }
        if head.due > now {
            return Vec::new();
        }
        let mut taken = Vec::new();
        self.items.retain(|item| {
            let joins = taken.len() < max.max(1) && (item.due <= now + ahead || item.attempt > 0);
            if joins {
                taken.push(*item);
            }
            !joins
        });
        taken
    }

    /// A batch of `size` came back: `waits` are those of its items that are not settled.
    pub(super) fn finish(
        &mut self,
        kind: EntryKind,
        size: usize,
        waits: &[Item],
        hold: &Hold,
        now: Timestamp,
    ) {
        self.running = None;
        waits.iter().for_each(|item| self.insert(kind, *item));
        self.learn(size, hold);
        // The next head has its own time.
        let head = self.items.front().map(|head| head.seq);
        let known = self.blocked.filter(|(seq, _)| head == Some(*seq));
        self.blocked = match hold {
            Hold::Blocked => known.or(head.map(|seq| (seq, now))),
            // Neither good news nor bad.
            Hold::Split(_) | Hold::Until(_) | Hold::Unwritten | Hold::Quota(..) => known,
            Hold::None | Hold::Parked | Hold::Outage(_) | Hold::Down(_) => None,
        };
        self.parked = if *hold == Hold::Parked { self.parked.saturating_add(1) } else { 0 };
        self.unwritten = if *hold == Hold::Unwritten { self.unwritten.saturating_add(1) } else { 0 };
        self.held_until = match hold {
            Hold::Until(at) => *at,
            Hold::Unwritten => retry::log_again_at(self.unwritten - 1, now),
            Hold::Parked => retry::probe_at(self.parked - 1, now),
            Hold::None
            | Hold::Blocked
            | Hold::Split(_)
            | Hold::Quota(..)
            | Hold::Outage(_)
            | Hold::Down(_) => Timestamp::default(),
        };
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

    /// What waits, batches under way not counted. `gate` is the quota before whose gate it waits, if it does, and when that
    /// opens; `outage` is when its connection is tried again, if that does not work.
    pub(super) fn health(
        &self,
        id: LaneId,
        gate: Option<(&QuotaKey, Timestamp)>,
        outage: Option<Timestamp>,
        now: Timestamp,
    ) -> LaneHealth {
        let running = self.running.as_ref().and_then(|running| running.first().copied());
        let head = self.items.front();
        let (reason, next) = match (self.spot, head) {
            _ if running.is_some() => (WaitReason::Work, None),
            (Spot::Outage, _) => (WaitReason::Outage, outage),
            (Spot::Gate, _) => match gate {
                Some((key, at)) => (WaitReason::Quota { key: key.clone() }, Some(at)),
                None => (WaitReason::Turn, None),
            },
            (Spot::Heap(at), Some(head)) if at > now => (self.waits_for(*head, now), Some(at)),
            (Spot::Ready, _) if self.parked > 0 => (WaitReason::Parked, None),
            _ => (WaitReason::Turn, None),
        };
        LaneHealth {
            lane: format!("{:016x}", id.lane),
            waiting: self.items.iter().filter(|item| item.not_before() <= now).count(),
            oldest: self.items.iter().map(|item| item.due).filter(|due| *due <= now).min(),
            parked: self.parked > 0,
            head: running.or(head.map(|head| head.seq)),
            attempt: head.map_or(0, |head| head.attempt),
            since: None,
            destination: None,
            reason,
            next: next.filter(|at| *at > now),
        }
    }

    /// What its head waits for that may not begin yet.
    fn waits_for(&self, head: Item, now: Timestamp) -> WaitReason {
        match () {
            () if self.parked > 0 || head.is_parked() => WaitReason::Parked,
            () if self.full_at > 0 => WaitReason::Window,
            () if self.held_until > now => WaitReason::Pause,
            () if self.blocked_since(head.seq).is_some() || head.attempt > 0 => WaitReason::Blocked,
            () => WaitReason::Window,
        }
    }
}
