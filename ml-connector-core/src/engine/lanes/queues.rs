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

/// The lanes that may begin. Connections take turns, so that a backlog of one does not hold up the others.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queues: HashMap<ConnectionId, BinaryHeap<Reverse<Turn>>>,
    turns: VecDeque<ConnectionId>,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn push(&mut self, connection: &ConnectionId, turn: Turn) {
        let queue = self.queues.entry(connection.clone()).or_insert_with(|| {
            self.turns.push_back(connection.clone());
            BinaryHeap::new()
        });
        queue.push(Reverse(turn));
    }

    pub(super) fn pop(&mut self) -> Option<Turn> {
        let connection = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&connection)?;
        let turn = queue.pop();
        if queue.is_empty() {
            self.queues.remove(&connection);
        } else {
            self.turns.push_back(connection);
        }
        turn.map(|Reverse(turn)| turn)
    }
}

/// The lanes that wait for room in a quota, by key. One at a time tries; the next follows once it is admitted. So
/// however many wait, a window that opens costs as many tries as it has room for, and one.
#[derive(Debug, Default)]
pub(super) struct Gates(HashMap<QuotaKey, Gate>);

#[derive(Debug)]
struct Gate {
    /// There is no room before.
    at: Timestamp,
    trying: Option<LaneId>,
    waiting: BinaryHeap<Reverse<(Seq, LaneId)>>,
}

impl Gates {
    /// A lane was refused for this key until `at`: the latest answer holds.
    pub(super) fn wait(&mut self, key: &QuotaKey, at: Timestamp, head: Seq, id: LaneId) {
        let gate = self.0.entry(key.clone()).or_insert_with(|| Gate {
            at,
            trying: None,
            waiting: BinaryHeap::with_capacity(1),
        });
        gate.at = at;
        gate.waiting.push(Reverse((head, id)));
    }

    /// Takes the lane whose turn it is at a gate that opens at `at`. Nothing when the gate opens at another time, or
    /// somebody tries.
    pub(super) fn next(&mut self, key: &QuotaKey, at: Timestamp) -> Option<LaneId> {
        let gate = self.0.get_mut(key).filter(|gate| gate.at == at && gate.trying.is_none())?;
        let next = gate.waiting.pop();
        if next.is_none() {
            self.0.remove(key);
        }
        next.map(|Reverse((_, id))| id)
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

    /// Until when each lane waits that is before a gate.
    pub(super) fn times(&self) -> HashMap<LaneId, Timestamp> {
        let lanes = |gate: &Gate| {
            let at = gate.at;
            gate.waiting.iter().map(move |Reverse((_, id))| (*id, at)).collect::<Vec<_>>()
        };
        self.0.values().flat_map(lanes).collect()
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
