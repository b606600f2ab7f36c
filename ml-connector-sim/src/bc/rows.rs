//! What one company holds, and what it was a moment ago.

use std::collections::BTreeMap;

use ml_connector_core::{Timestamp, model::Decimal};

use super::shapes::Set;
use crate::toolkit::json::Fields;

/// How many states of a record are kept, for a replica that lags behind.
const KEPT: usize = 4;

/// Where a document stands inside Business Central, which is more than its status shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    PendingApproval,
    Released,
    Posted,
    Paid,
    Canceled,
}

impl Stage {
    pub(super) fn is_posted(self) -> bool {
        matches!(self, Self::Posted | Self::Paid | Self::Canceled)
    }

    /// The word that the API shows: purchase invoices hide what happens before posting.
    pub(super) fn word(self, set: Set) -> &'static str {
        match (self, set) {
            (Self::Posted, _) => "Open",
            (Self::Paid, _) => "Paid",
            (Self::Canceled, _) => "Canceled",
            (Self::Open, _) | (_, Set::PurchaseInvoices) => "Draft",
            (Self::PendingApproval, _) => "In Review",
            (Self::Released, _) => "Open",
        }
    }
}

/// One state of a record.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) version: u64,
    pub(super) fields: Fields,
    pub(super) lines: Vec<Fields>,
    pub(super) stage: Stage,
    /// `None`: it was never modified.
    pub(super) modified: Option<Timestamp>,
    pub(super) total: Decimal,
}

impl Shown {
    /// The etag: opaque, and another one for every version.
    pub(super) fn etag(&self) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let inner = format!("'19;{};00;'", self.version);
        format!("W/\"{}\"", BASE64_STANDARD.encode(inner))
    }
}

/// The states of one record, the newest last; `None` = it is gone.
#[derive(Debug, Clone)]
pub(super) struct Row(Vec<(Timestamp, Option<Shown>)>);

impl Row {
    pub(super) fn now(&self) -> Option<&Shown> {
        self.0.last().and_then(|(_, shown)| shown.as_ref())
    }

    /// What was so at an instant.
    pub(super) fn at(&self, then: Timestamp) -> Option<&Shown> {
        self.0.iter().rev().find(|(at, _)| *at <= then).and_then(|(_, shown)| shown.as_ref())
    }

    fn push(&mut self, now: Timestamp, shown: Option<Shown>) {
        self.0.push((now, shown));
        if self.0.len() > KEPT {
            self.0.remove(0);
        }
    }
}

/// All records, by set and id.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: BTreeMap<(Set, String), Row>,
    versions: u64,
}

impl Rows {
    pub(super) fn get(&self, set: Set, id: &str) -> Option<&Shown> {
        self.rows.get(&(set, id.to_owned()))?.now()
    }

    /// As a replica sees it that is so far behind.
    pub(super) fn row(&self, set: Set, id: &str) -> Option<&Row> {
        self.rows.get(&(set, id.to_owned()))
    }

    /// The records of a set in the order of their ids.
    pub(super) fn of(&self, set: Set) -> impl Iterator<Item = (&str, &Row)> {
        let range = (set, String::new())..;
        let rows = self.rows.range(range).take_while(move |((of, _), _)| *of == set);
        rows.map(|((_, id), row)| (id.as_str(), row))
    }

    pub(super) fn version(&mut self) -> u64 {
        // Row versions grow by steps that say nothing.
        self.versions += 7 + self.versions % 5;
        1_150_243_398_000_000 + self.versions
    }

    /// Writes a state.
    pub(super) fn put(&mut self, set: Set, id: &str, mut shown: Shown, now: Timestamp) {
        shown.version = self.version();
        self.rows.entry((set, id.to_owned())).or_insert(Row(Vec::new())).push(now, Some(shown));
    }

    /// Writes a value without a new version, stamp or notice, as computed fields change.
    pub(super) fn touch_up(&mut self, set: Set, id: &str, now: Timestamp, change: impl FnOnce(&mut Fields)) {
        let Some(row) = self.rows.get_mut(&(set, id.to_owned())) else { return };
        let Some(mut shown) = row.now().cloned() else { return };
        change(&mut shown.fields);
        row.push(now, Some(shown));
    }

    pub(super) fn delete(&mut self, set: Set, id: &str, now: Timestamp) -> bool {
        let Some(row) = self.rows.get_mut(&(set, id.to_owned())) else { return false };
        let was_there = row.now().is_some();
        row.push(now, None);
        was_there
    }

    pub(super) fn ids(&self, set: Set) -> Vec<String> {
        self.of(set).filter(|(_, row)| row.now().is_some()).map(|(id, _)| id.to_owned()).collect()
    }
}
