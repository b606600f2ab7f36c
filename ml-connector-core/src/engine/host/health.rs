//! How the connector is doing.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    Connector, Error, Result, Timestamp,
    audit::{Entry, EntryKind, EntryState, Outcome, Query},
    engine::{
        entries::UNROUTED,
        feeds::{self, StoppedSweep},
        lanes::Backlog,
        notices::{Parked, standings},
        upkeep,
    },
    model::{ConnectionId, Seq},
    token::{TokenHealth, health as token},
};

/// How many entries are counted per connection; more are reported as this many.
const MOST_COUNTED: usize = 1000;
/// How many parked deliveries are shown of each connection.
const PARKED_SHOWN: usize = 10;

/// How the connector is doing. Serialises for a host's health endpoint; holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether [`Connector::run`] runs in this process. The numbers of work that waits are known only then, and only
    /// for the partitions this host holds.
    pub running: bool,
    /// How many partitions this host holds. With none it stands by: another host holds all of them, or held them when
    /// it died and its lease goes on.
    pub partitions: usize,
    /// How long the log took to say what it knows, in milliseconds. When it says nothing, there is no health.
    pub log_answered_in_ms: u64,
    /// Why the log takes no writes, when it does not: then nothing is read and nothing is sent.
    pub log: Option<Parked>,
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
    /// Deliveries that wait for somebody to repair something, and why: the first of them.
    pub parked_deliveries: Vec<ParkedDelivery>,
    /// When each feed was read last; `None` = not yet.
    pub feeds: BTreeMap<&'static str, Option<Timestamp>>,
    /// When its webhook subscriptions are looked after next, where it has such.
    pub subscriptions_due: Option<Timestamp>,
    /// Its token, where one is stored.
    pub token: Option<TokenHealth>,
    /// Why its webhooks do not come, as [`Source::upkeep`](crate::Source::upkeep) found: then it is polled, and news is
    /// as old as the interval. No trouble that makes the health bad.
    pub webhooks: Option<Arc<str>>,
}

/// Why a delivery is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ParkedDelivery {
    /// Which.
    pub seq: Seq,
    /// Why, and since when.
    pub parked: Parked,
}

impl Health {
    /// Whether nothing waits for a person.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let good = |connection: &ConnectionHealth| {
            let lanes = connection.signals.parked_lanes + connection.deliveries.parked_lanes;
            connection.parked.is_none()
                && connection.dead + connection.unrouted + lanes + connection.stopped_sweeps.len() == 0
        };
        self.running && self.log.is_none() && self.connections.values().all(good)
    }
}

impl Connector {
    /// How the connector is doing.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read: then nothing works.
    pub async fn health(&self) -> Result<Health> {
        let (ask, answer) = oneshot::channel();
        let asked = self.shared.mailbox.ask(ask);
        let survey = if asked { answer.await.ok() } else { None };
        let registry = self.shared.registry();
        let ids: Vec<ConnectionId> = registry.connections().into_iter().collect();
        let asked_at = self.shared.clock.now();
        let standings = standings(&self.shared, &ids).await?;
        let now = self.shared.clock.now();
        let mut connections = BTreeMap::new();
        for (id, standing) in ids.into_iter().zip(standings) {
            let [mut signals, mut deliveries] =
                survey.as_ref().and_then(|survey| survey.backlogs.get(&id)).cloned().unwrap_or_default();
            for backlog in [&mut signals, &mut deliveries] {
                backlog.lag_s = backlog.oldest.map_or(0, |oldest| now.saturating_since(oldest).as_secs());
            }
            let unrouted = Query { name: Some(UNROUTED.into()), ..Query::of_kind(EntryKind::Note) };
            let mut health = ConnectionHealth {
                parked: standing.parked().cloned(),
                signals,
                deliveries,
                dead: self.dead(&id, EntryKind::Signal).await? + self.dead(&id, EntryKind::Delivery).await?,
                unrouted: self.count(unrouted.with_connection(id.clone())).await?,
                parked_deliveries: self.parked_deliveries(&id).await?,
                token: token(&self.shared.context, &id).await,
                ..ConnectionHealth::default()
            };
            if let Some(slot) = registry.source(&id) {
                health.stopped_sweeps = feeds::stopped_sweeps(&self.shared, slot).await?;
                let read = self.progress(&id).await?;
                health.feeds = read.iter().map(|feed| (feed.feed, feed.read_at.max(feed.baseline))).collect();
                health.subscriptions_due = upkeep::next_look(&self.shared, slot).await?;
                health.webhooks = upkeep::problem(&self.shared, slot).await?;
            }
            connections.insert(id, health);
        }
        let took = now.saturating_since(asked_at).as_millis();
        let log_answered_in_ms = u64::try_from(took).unwrap_or(u64::MAX);
        let partitions = survey.as_ref().map_or(0, |survey| survey.partitions);
        let log = self.shared.log_state.failing().map(|(since, reason)| Parked { since, reason });
        Ok(Health { running: survey.is_some(), partitions, log_answered_in_ms, log, connections })
    }

    /// The first deliveries that are parked, with what their last attempt met.
    async fn parked_deliveries(&self, connection: &ConnectionId) -> Result<Vec<ParkedDelivery>> {
        let query = Query::of_kind(EntryKind::Delivery)
            .with_connection(connection.clone())
            .with_state(EntryState::Parked)
            .with_limit(PARKED_SHOWN);
        let parked = |entry: Entry| {
            let last = entry.outcomes.last()?;
            let Outcome::Parked { error } = &last.outcome else { return None };
            let parked = Parked { since: last.at, reason: Arc::clone(error) };
            Some(ParkedDelivery { seq: entry.seq, parked })
        };
        Ok(self.search(&query).await?.into_iter().filter_map(parked).collect())
    }

    async fn dead(&self, connection: &ConnectionId, kind: EntryKind) -> Result<usize, Error> {
        self.count(Query::of_kind(kind).with_connection(connection.clone()).with_state(EntryState::Dead))
            .await
    }

    async fn count(&self, query: Query) -> Result<usize, Error> {
        Ok(self.search(&query.with_limit(MOST_COUNTED)).await?.len())
    }
}
