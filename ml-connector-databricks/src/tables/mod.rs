//! Tables: which record goes where, what the table has, and what it lacks.

mod inspect;
mod names;
mod search;
#[cfg(test)]
mod tests;
mod written;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

pub use inspect::{Difference, Drift};
pub(crate) use inspect::{inspect, inspect_change_log};
use ml_connector_core::{Timestamp, model::ConnectionId};
pub(crate) use names::{Feeding, Names};
pub(crate) use search::{Fate, Search};
pub(crate) use written::Written;

use crate::{
    config::{Config, DriftPolicy},
    sql::{Layout, TableName},
};

/// What is known of the tables, and who writes to one at present.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) names: Names,
    pub(crate) create: bool,
    pub(crate) policy: DriftPolicy,
    pub(crate) raw: bool,
    pub(crate) allow_row_filter: bool,
    known: Mutex<HashMap<TableName, Arc<tokio::sync::Mutex<Known>>>>,
    drift: Mutex<BTreeMap<TableName, Vec<Drift>>>,
}

/// What is known of one table. Whoever holds it is its one writer in this process.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By the place of the columns in memory: sources of one system share them.
    pub(crate) layouts: Vec<(Arc<ml_connector_core::model::Columns>, Arc<Layout>, Timestamp)>,
    /// When the change log was last seen.
    pub(crate) change_log: Option<Timestamp>,
    /// What was written lately.
    pub(crate) written: Written,
    /// A row that was inserted although it had been written before, and was not seen after that.
    pub(crate) suspect: Option<(ConnectionId, Arc<str>)>,
    /// Whether it was dropped and made anew under our hands.
    pub(crate) made_anew: bool,
    /// How far the search for rows that cannot be written got, where it was not finished.
    pub(crate) search: Search,
    /// How many rows were refused alone since one was written.
    pub(crate) refusals: usize,
    /// Since when statements have failed for what passes by itself.
    pub(crate) troubled: Option<Timestamp>,
}

impl Tables {
    pub(crate) fn new(names: Names, config: &Config) -> Self {
        Self {
            names,
            create: config.create_tables,
            policy: config.drift,
            raw: config.raw_column,
            allow_row_filter: config.allow_row_filter,
            known: Mutex::default(),
            drift: Mutex::default(),
        }
    }

    /// What is known of a table, behind a lock that makes one writer of many.
    pub(crate) fn of(&self, table: &TableName) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(table.clone()).or_default())
    }

    /// Keeps what differs, and says so once.
    pub(crate) fn report(&self, table: &TableName, found: Vec<Drift>) {
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        if drift.get(table).map(Vec::as_slice).unwrap_or_default() == found {
            return;
        }
        for one in &found {
            tracing::warn!(%table, column = &*one.column, difference = %one.difference, "a table differs from its source");
        }
        drift.insert(table.clone(), found);
    }

    /// Keeps one more thing that differs, until the table is looked at again, and says so once.
    pub(crate) fn add(&self, table: &TableName, difference: Difference) {
        let one = Drift { table: table.to_string().into(), column: "".into(), difference };
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        let of = drift.entry(table.clone()).or_default();
        if !of.contains(&one) {
            tracing::error!(%table, difference = %one.difference, "a table differs from its source");
            of.push(one);
        }
    }

    /// What differs at present.
    pub(crate) fn drift(&self) -> Vec<Drift> {
        let drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        drift.values().flatten().cloned().collect()
    }
}
