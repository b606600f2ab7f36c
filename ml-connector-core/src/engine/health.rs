//! How the connector is doing.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    Connector, StoppedSweep, feeds,
    intake::UNROUTED,
    outcome::{Parked, standing, standing_key},
    upkeep,
};
use crate::{
    Error, Result, Timestamp,
    audit::{EntryKind, Query, State},
    model::ConnectionId,
};

/// How many entries are counted per connection; more are reported as this many.
const MOST_COUNTED: usize = 1000;

/// How the connector is doing. Serialises for a host's health endpoint; holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether [`Connector::run`] runs in this process. The numbers of work that waits are known only then, and only
    /// for the partitions this host holds.
    pub running: bool,
    /// Every connection.
    pub connections: BTreeMap<ConnectionId, ConnectionHealth>,
}

/// How one connection is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// Why it does not work, when it does not.
    pub parked: Option<Parked>,
    /// Signals that are due.
    pub signals: Backlog,
    /// Deliveries that wait.
    pub deliveries: Backlog,
    /// Entries that were given up and are still in the log, up to 1,000. [`Connector::replay`] brings them back.
    pub dead: usize,
    /// Webhooks for an account that no connection has, as far as they came by this one and are still in the log, up to
    /// 1,000. [`Connector::replay`] takes them in once a connection has the account.
    pub unrouted: usize,
    /// Sweeps that missed too many records to be believed. [`Connector::confirm_sweep`] says that it is true.
    pub stopped_sweeps: Vec<StoppedSweep>,
    /// Why its webhooks do not come, as [`Source::upkeep`](crate::Source::upkeep) found: then it is polled, and news is
    /// as old as the interval. No trouble that makes the health bad.
    pub webhooks: Option<Arc<str>>,
}

/// What waits of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// How many entries are held in memory, in turn: of a long lane the first ones only, so there are at least so many.
    pub waiting: usize,
    /// Since when the oldest has been due.
    pub oldest: Option<Timestamp>,
    /// How many lanes wait for somebody to repair something.
    pub parked_lanes: usize,
}

/// What the run loop knows about each connection: of signals, and of deliveries.
pub(super) type Survey = BTreeMap<ConnectionId, [Backlog; 2]>;

impl Health {
    /// Whether nothing waits for a person.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let good = |connection: &ConnectionHealth| {
            let lanes = connection.signals.parked_lanes + connection.deliveries.parked_lanes;
            connection.parked.is_none()
                && connection.dead + connection.unrouted + lanes + connection.stopped_sweeps.len() == 0
        };
        self.running && self.connections.values().all(good)
    }
}

impl Connector {
    /// How the connector is doing.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read: then nothing works.
    pub async fn health(&self) -> Result<Health> {
        let (ask, answer) = oneshot::channel();
        let asked = self.shared.wake.ask(ask);
        let survey = if asked { answer.await.ok() } else { None };
        let registry = self.shared.registry();
        let ids: Vec<ConnectionId> = registry.connections().into_iter().collect();
        let keys: Vec<_> = ids.iter().map(standing_key).collect();
        let standings = self.shared.log.documents(&keys).await?;
        let mut connections = BTreeMap::new();
        for (id, document) in ids.into_iter().zip(standings) {
            let [signals, deliveries] =
                survey.as_ref().and_then(|survey| survey.get(&id)).cloned().unwrap_or_default();
            let parked = standing(document.as_ref()).and_then(|standing| standing.parked);
            let dead = self.dead(&id, EntryKind::Signal).await? + self.dead(&id, EntryKind::Delivery).await?;
            let unrouted = Query { name: Some(UNROUTED.into()), ..Query::of_kind(EntryKind::Note) };
            let unrouted = self.count(unrouted.with_connection(id.clone())).await?;
            let (stopped_sweeps, webhooks) = match registry.source(&id) {
                Some(slot) => (
                    feeds::stopped_sweeps(&self.shared, slot).await?,
                    upkeep::problem(&self.shared, slot).await?,
                ),
                None => (Vec::new(), None),
            };
            let health =
                ConnectionHealth { parked, signals, deliveries, dead, unrouted, stopped_sweeps, webhooks };
            connections.insert(id, health);
        }
        Ok(Health { running: survey.is_some(), connections })
    }

    async fn dead(&self, connection: &ConnectionId, kind: EntryKind) -> Result<usize, Error> {
        self.count(Query::of_kind(kind).with_connection(connection.clone()).with_state(State::Dead)).await
    }

    async fn count(&self, query: Query) -> Result<usize, Error> {
        Ok(self.search(&query.with_limit(MOST_COUNTED)).await?.len())
    }
}
