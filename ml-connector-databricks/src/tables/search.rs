//! How far the search for rows that cannot be written got. A batch that is too slow for one attempt goes on from there.

use std::{collections::HashMap, sync::Arc};

use ml_connector_core::Error;

/// What became of a row.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It was written, by this statement.
    Written(Arc<str>),
    /// It was refused alone.
    Refused(Arc<Error>),
    /// It failed together with the others of this part, or was not tried yet.
    Open(usize),
}

/// The rows of an unfinished batch, by the digest of their change.
#[derive(Debug, Default)]
pub(crate) struct Search(HashMap<u64, Fate>);

impl Search {
    pub(crate) fn note(&mut self, change: u64, fate: Fate) {
        self.0.insert(change, fate);
    }

    pub(crate) fn of(&self, change: u64) -> Option<&Fate> {
        self.0.get(&change)
    }
}
