//! How much of the work list is held in memory: bounded, whatever waits in the log.

use std::{collections::HashMap, time::Duration};

use crate::{
    Timestamp,
    audit::Pending,
    model::{ConnectionId, Partition, Seq},
};

/// How many signals of a connection are held.
pub(crate) const HELD: usize = 50_000;
/// Signals that fall due later than this are left in the log until then.
const HORIZON: Duration = Duration::from_secs(15 * 60);

/// A place in the log from which a connection's signals are to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: Partition,
    pub(crate) connection: ConnectionId,
    pub(crate) from: Seq,
    /// Before this one; `None` = up to where the work list has been read.
    pub(crate) to: Option<Seq>,
}

/// What is held of every connection, and what is not.
#[derive(Debug, Default)]
pub(crate) struct HeldSignals(HashMap<(Partition, ConnectionId), Held>);

#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// There was no room for this signal, and those after it.
    behind: Option<Seq>,
    /// When the first of the signals falls due that were left for later, and where in the log the first of them is.
    later: Option<(Timestamp, Seq)>,
}

impl Held {
    fn takes(&mut self, pending: &Pending, now: Timestamp) -> bool {
        let Pending { seq, due, .. } = *pending;
        if due > now + HORIZON && !pending.is_parked() {
            let (at, from) = self.later.unwrap_or((due, seq));
            self.later = Some((at.min(due), from.min(seq)));
            return false;
        }
        if self.count >= HELD {
            self.behind = Some(self.behind.map_or(seq, |from| from.min(seq)));
            return false;
        }
        true
    }
}

impl HeldSignals {
    /// Whether there is room for a signal. If not, its place is remembered.
    pub(crate) fn takes(&mut self, partition: Partition, pending: &Pending, now: Timestamp) -> bool {
        let held = self.of(partition, &pending.connection);
        // In turn: those that were passed over come first.
        held.behind.is_none() && held.takes(pending, now)
    }

    /// The same for a signal that was passed over before.
    pub(crate) fn takes_again(&mut self, partition: Partition, pending: &Pending, now: Timestamp) -> bool {
        self.of(partition, &pending.connection).takes(pending, now)
    }

    /// One more is held. Returns the connection's name as all of its lanes share it.
    pub(crate) fn hold(&mut self, partition: Partition, connection: &ConnectionId) -> ConnectionId {
        self.of(partition, connection).count += 1;
        let key = (partition, connection.clone());
        self.0.get_key_value(&key).map_or(key.1, |((_, shared), _)| shared.clone())
    }

    /// `count` are under way.
    pub(crate) fn release(&mut self, partition: Partition, connection: &ConnectionId, count: usize) {
        let held = self.of(partition, connection);
        held.count = held.count.saturating_sub(count);
    }

    /// `count` came back.
    pub(crate) fn keep(&mut self, partition: Partition, connection: &ConnectionId, count: usize) {
        self.of(partition, connection).count += count;
    }

    pub(crate) fn is_full(&self, partition: Partition, connection: &ConnectionId) -> bool {
        self.0.get(&(partition, connection.clone())).is_some_and(|held| held.count >= HELD)
    }

    pub(crate) fn forget(&mut self, partition: Partition) {
        self.0.retain(|(of, _), _| *of != partition);
    }

    /// What should be read again now, because there is room or because it falls due.
    pub(crate) fn take_unread(&mut self, now: Timestamp) -> Vec<Place> {
        let mut places = Vec::new();
        for ((partition, connection), held) in &mut self.0 {
            let place = |from, to| Place { partition: *partition, connection: connection.clone(), from, to };
            if let Some((_, from)) = held.later.take_if(|(at, _)| *at <= now) {
                places.push(place(from, held.behind));
            }
            if held.count <= HELD / 2
                && let Some(from) = held.behind.take()
            {
                places.push(place(from, None));
            }
        }
        places
    }

    /// A connection's signals from `from` on have still to be read.
    pub(crate) fn still_unread(&mut self, partition: Partition, connection: &ConnectionId, from: Seq) {
        let held = self.of(partition, connection);
        held.behind = Some(held.behind.map_or(from, |behind| behind.min(from)));
    }

    /// When signals fall due that were left for later.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|held| held.later.map(|(at, _)| at)).min()
    }

    fn of(&mut self, partition: Partition, connection: &ConnectionId) -> &mut Held {
        self.0.entry((partition, connection.clone())).or_default()
    }
}
