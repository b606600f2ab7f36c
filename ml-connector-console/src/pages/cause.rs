//! Causes: what groups entries that were given up or need repair.

use ml_connector_core::{
    audit::{Entry, EntryKind, EntryState, Outcome, Query},
    model::ConnectionId,
};

/// The longest reason that still makes a group of its own, in characters.
pub(super) const REASON: usize = 160;

/// What makes a group: whose, what, by which route, in which state, and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub(super) connection: ConnectionId,
    pub(super) kind: EntryKind,
    pub(super) name: String,
    pub(super) parked: bool,
    pub(super) reason: String,
}

impl Cause {
    pub(super) fn of(entry: &Entry) -> Self {
        let name = entry.index.name.as_deref().filter(|_| entry.kind != EntryKind::Signal);
        Self {
            connection: entry.connection.clone(),
            kind: entry.kind,
            name: name.unwrap_or_default().to_owned(),
            parked: entry.state == EntryState::Parked,
            reason: reason(entry),
        }
    }

    /// What may have this cause: in a state, and nobody has looked at it. [`is_of`](Self::is_of) decides.
    pub(super) fn selection(&self, state: EntryState) -> Query {
        let query = Query::of_kind(self.kind).with_connection(self.connection.clone());
        let mut query = query.with_state(state).with_acknowledged(false);
        query.name = Some(self.name.as_str()).filter(|name| !name.is_empty()).map(Into::into);
        query
    }

    /// Whether an entry has this cause, whatever state it is in. An encrypted log cannot be searched by reasons, so entries
    /// are asked one by one.
    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        Self { parked: self.parked, ..Self::of(entry) } == *self
    }
}

/// Why an entry stands where it does.
fn reason(entry: &Entry) -> String {
    let why = entry.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
        Outcome::Dead { error } | Outcome::Parked { error } => Some(error),
        _ => None,
    });
    // One line of it: the rest may differ, and what cannot stand in a line is no cause.
    why.map_or_else(String::new, |why| why.chars().take_while(|c| !c.is_control()).take(REASON).collect())
}
