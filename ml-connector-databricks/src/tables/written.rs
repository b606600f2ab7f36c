//! Which rows this process has written lately.

use std::collections::HashSet;

/// So many rows are remembered at least, and twice as many at most.
const REMEMBERED: usize = 50_000;

/// The keys of rows that this process has written to a table, the latest of them. None can be new to the table.
#[derive(Debug, Default)]
pub(crate) struct Written {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Written {
    pub(crate) fn has(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.young.is_empty()
    }

    pub(crate) fn add(&mut self, key: u64) {
        if self.young.len() == REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }
}
