//! What is sent again: a request, how, and what came of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dry_run::Way;
use crate::audit::Query;

/// A request to send entries again.
///
/// ```
/// use ml_connector_core::{audit::{EntryKind, EntryState, Query}, engine::{Replay, ReplayMode}};
///
/// let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
/// let replay = Replay::new("2026-03-12 after the outage", dead).dry_run();
/// assert_eq!(replay.mode, ReplayMode::SameDestination);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Replay {
    /// Names the request: the same request, made again, adds nothing. The log keeps it.
    pub nonce: Arc<str>,
    /// Deliveries, signals, unrouted webhooks or events to send again; its limit is the most that are.
    pub selection: Query,
    /// How.
    pub mode: ReplayMode,
    /// Only counts.
    pub dry_run: bool,
}

/// Where a replay sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayMode {
    /// Deliveries go where they went; signals are resolved again, webhooks without a connection by the one that has their
    /// account now.
    SameDestination,
    /// Events go where the routes send them now, with [`Origin::Replay`](crate::model::Origin::Replay): a route has to take that origin.
    Reroute,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Entries of the selection that can be replayed in this mode.
    pub selected: usize,
    /// Entries that were appended; 0 in a dry run.
    pub appended: usize,
    /// What the same nonce had appended before.
    pub repeated: usize,
    /// Entries of the selection that cannot be read, and were left as they are. A log line at level `error` names each. A
    /// dry run reads no deliveries, and counts them as selected.
    pub unreadable: usize,
    /// In a dry run of [`Reroute`](ReplayMode::Reroute): where the events would go, and how many of them to each place.
    pub would_go: Vec<(Way, usize)>,
}

impl Replay {
    /// Sends everything in `selection` again, where it went.
    pub fn new(nonce: impl Into<Arc<str>>, selection: Query) -> Self {
        Self { nonce: nonce.into(), selection, mode: ReplayMode::SameDestination, dry_run: false }
    }

    /// Sends events where the routes send them now.
    #[must_use]
    pub fn reroute(mut self) -> Self {
        self.mode = ReplayMode::Reroute;
        self
    }

    /// Only counts.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}
