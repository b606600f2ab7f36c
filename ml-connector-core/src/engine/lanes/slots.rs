//! How many batches may be under way, and of which connections: one whose other side hangs must not take the slots that
//! others need.

use std::collections::HashMap;

use crate::model::ConnectionId;

/// A connection has at most half of the slots. The last quarter is kept for connections that have nothing under way.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    taken: usize,
    by_connection: HashMap<ConnectionId, usize>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { max: usize::MAX, taken: 0, by_connection: HashMap::new() }
    }
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Whether a connection may begin a batch.
    pub(super) fn has_one_for(&self, connection: &ConnectionId) -> bool {
        let free = self.max.saturating_sub(self.taken);
        match self.by_connection.get(connection).copied().unwrap_or(0) {
            0 => free > 0,
            taken => taken < self.max.div_ceil(2) && free > self.max / 4,
        }
    }

    pub(super) fn take(&mut self, connection: &ConnectionId) {
        self.taken += 1;
        *self.by_connection.entry(connection.clone()).or_default() += 1;
    }

    pub(super) fn give_back(&mut self, connection: &ConnectionId) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(taken) = self.by_connection.get_mut(connection) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.by_connection.remove(connection);
            }
        }
    }
}
