//! Whose turn it is: among lanes that may begin, and among lanes that wait for the same quota.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap, VecDeque},
};

use super::work::LaneId;
use crate::{
    Timestamp,
    model::{ConnectionId, Seq},
    rate::QuotaKey,
};

/// A lane whose turn may come: the one whose head was promised first comes first.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) head: Seq,
    pub(super) id: LaneId,
    /// The quota whose gate it came through.
    pub(super) gate: Option<QuotaKey>,
    /// Whether it finds out if an outage is over.
    pub(super) probe: bool,
}

impl Turn {
    fn key(&self) -> (Seq, LaneId) {
        (self.head, self.id)
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// What waits, by connection. Connections take turns, so that a backlog of one does not hold up the others; of each the
/// least comes first.
#[derive(Debug)]
pub(super) struct Rota<T> {
    queues: HashMap<ConnectionId, BinaryHeap<Reverse<T>>>,
    turns: VecDeque<ConnectionId>,
}

/// The lanes that may begin.
pub(super) type Ready = Rota<Turn>;

impl<T: Ord> Default for Rota<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T: Ord> Rota<T> {
    /// Whether one waits whose connection `may` go on.
    pub(super) fn has_one(&self, may: impl Fn(&ConnectionId) -> bool) -> bool {
        self.turns.iter().any(may)
    }

    pub(super) fn push(&mut self, connection: &ConnectionId, waits: T) {
        let queue = self.queues.entry(connection.clone()).or_insert_with(|| {
            self.turns.push_back(connection.clone());
            BinaryHeap::new()
        });
        queue.push(Reverse(waits));
    }

    /// Puts back what had its turn in vain: it is the next again.
    pub(super) fn push_first(&mut self, connection: &ConnectionId, waits: T) {
        self.push(connection, waits);
        if let Some(at) = self.turns.iter().position(|other| other == connection)
            && let Some(connection) = self.turns.remove(at)
        {
            self.turns.push_front(connection);
        }
    }

    /// Takes the next of the first connection that `may` go on.
    pub(super) fn pop(&mut self, may: impl Fn(&ConnectionId) -> bool) -> Option<T> {
        let at = self.turns.iter().position(may)?;
        let connection = self.turns.remove(at)?;
        let queue = self.queues.get_mut(&connection)?;
        let next = queue.pop();
        if queue.is_empty() {
            self.queues.remove(&connection);
        } else {
            self.turns.push_back(connection);
        }
        next.map(|Reverse(next)| next)
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.queues.values().flatten().map(|Reverse(waits)| waits)
    }
}

/// The lanes that wait for room in a quota, by key. One at a time tries; the next follows once it is admitted. So
/// however many wait, a window that opens costs as many tries as it has room for, and one. Connections take turns, and so
/// do the lanes of each: a long backlog in one does not hold up the news in another.
#[derive(Debug, Default)]
pub(super) struct Gates(HashMap<QuotaKey, Gate>);

#[derive(Debug)]
struct Gate {
    /// There is no room before.
    at: Timestamp,
    trying: Option<LaneId>,
    waiting: Rota<(u64, LaneId)>,
}

impl Gates {
    /// A lane was refused for this key until `at`: the latest answer holds. `ticket` says when it began to wait.
    pub(super) fn wait(
        &mut self,
        key: &QuotaKey,
        at: Timestamp,
        ticket: u64,
        id: LaneId,
        connection: &ConnectionId,
    ) {
        let new = || Gate { at, trying: None, waiting: Rota::default() };
        let gate = self.0.entry(key.clone()).or_insert_with(new);
        gate.at = at;
        if gate.trying == Some(id) {
            gate.waiting.push_first(connection, (ticket, id));
        } else {
            gate.waiting.push(connection, (ticket, id));
        }
    }

    /// Takes the lane whose turn it is at a gate that opens at `at`. Nothing when the gate opens at another time, or
    /// somebody tries.
    pub(super) fn next(&mut self, key: &QuotaKey, at: Timestamp) -> Option<LaneId> {
        let gate = self.0.get_mut(key).filter(|gate| gate.at == at && gate.trying.is_none())?;
        let next = gate.waiting.pop(|_| true);
        if next.is_none() {
            self.0.remove(key);
        }
        next.map(|(_, id)| id)
    }

    /// A lane tries.
    pub(super) fn try_with(&mut self, key: &QuotaKey, id: LaneId) {
        if let Some(gate) = self.0.get_mut(key) {
            gate.trying = Some(id);
        }
    }

    /// The lane that tries has its answer. Tells when the next may try, if it was this lane.
    pub(super) fn pass(&mut self, key: &QuotaKey, id: LaneId) -> Option<Timestamp> {
        let gate = self.0.get_mut(key).filter(|gate| gate.trying == Some(id))?;
        gate.trying = None;
        Some(gate.at)
    }

    /// The gates before which lanes wait, and when each opens.
    pub(super) fn times(&self) -> HashMap<LaneId, (&QuotaKey, Timestamp)> {
        let lanes = |(key, gate): (_, &'_ Gate)| {
            let at = gate.at;
            gate.waiting.iter().map(move |(_, id)| (*id, (key, at))).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(lanes).collect()
    }

    /// Lanes that will never answer do not try any more. Tells which gates open therefore, and when.
    pub(super) fn abandon(&mut self, gone: impl Fn(LaneId) -> bool) -> Vec<(QuotaKey, Timestamp)> {
        let stuck = self.0.iter_mut().filter(|(_, gate)| gate.trying.is_some_and(&gone));
        stuck
            .map(|(key, gate)| {
                gate.trying = None;
                (key.clone(), gate.at)
            })
            .collect()
    }
}
