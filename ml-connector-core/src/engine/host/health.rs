//! How the connector is doing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    ClockSetBack, ClockTrouble, Connector, Result, Timestamp,
    audit::{Entry, EntryKind, EntryState, Outcome, Query},
    auth::OAuth2,
    engine::{
        entries::UNROUTED,
        feeds::{self, FeedRemark, StoppedSweep, UnavailableFeed},
        hooks::{Seen, Whose},
        lanes::Backlog,
        log_gate::LogTrouble,
        notices::{Parked, standings},
        registry::Registry,
        upkeep,
    },
    model::{ConnectionId, EndpointId, Seq, Subscription},
    rate::Usage,
    token::{TokenHealth, health as token},
};

/// How many entries are counted per connection; more are reported as this many.
const MOST_COUNTED: usize = 1000;
/// So many entries that were given up are read instead of counted.
const FEW: usize = 200;
/// What to do about webhooks that are refused.
const REFUSED_REMEDY: &str = "webhooks are refused: check the secret, here and at the vendor";
/// How many parked deliveries are shown of each connection.
const PARKED_SHOWN: usize = 10;
/// Of how many lanes the head is looked up.
const HEADS_NAMED: usize = 500;
/// How many limits without room are shown.
const LIMITS_SHOWN: usize = 100;

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
    /// Since when the log takes no writes, and why: then nothing is read and nothing is sent, and webhooks are answered
    /// with 503.
    pub log: Option<LogTrouble>,
    /// By how much the host's clock is ahead, when it shows a time that is not believed.
    pub clock: Option<ClockTrouble>,
    /// When the host's clock was set back, if that is less than an hour ago: it had been ahead by so much. What waited for its
    /// time goes on by itself.
    pub clock_set_back: Option<ClockSetBack>,
    /// How long the log took to say what it knows, in milliseconds. When it says nothing, there is no health.
    pub log_answered_in_ms: u64,
    /// Every connection.
    pub connections: BTreeMap<ConnectionId, ConnectionHealth>,
    /// The webhooks of endpoints that several connections share, as far as nobody can say which of them was meant.
    pub endpoints: BTreeMap<EndpointId, WebhookHealth>,
    /// The limits that have no room now, and until when: the first 100 of them. This host's, where each counts by itself.
    pub full_limits: Vec<Usage>,
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
    /// What is on the work list of all hosts, as the log knows it: of signals and of deliveries.
    pub backlog: Vec<crate::audit::Backlog>,
    /// Webhooks that were accepted, and that were refused.
    pub hooks: WebhookHealth,
    /// Where it shares its endpoint with other connections: the webhooks of all of them, as far as nobody can say which was
    /// meant. A wrong secret that they share shows here, at each of them; health as a whole counts it once, by
    /// [`Health::endpoints`].
    pub shared_hooks: Option<WebhookHealth>,
    /// When the last event was found, and the last delivery appended.
    pub last_event: Option<Timestamp>,
    /// When the last delivery was appended.
    pub last_delivery: Option<Timestamp>,
    /// Entries that were given up, are still in the log and have not been acknowledged, up to 1,000.
    /// [`Connector::replay`] brings them back, [`Connector::act`] acknowledges or discards them.
    pub dead: usize,
    /// Webhooks for an account that no connection has, as far as they came by this one, are still in the log and have
    /// been neither replayed nor acknowledged, up to 1,000. [`Connector::replay`] takes them in once a connection has the account.
    pub unrouted: usize,
    /// Values of its records that could not be read since it was attached here: they are told without, and
    /// [`Connector::explain`] names each. No trouble that makes the health bad.
    pub left_out: u64,
    /// Sweeps that missed too many records to be believed. [`Connector::confirm_sweep`] says that it is true.
    pub stopped_sweeps: Vec<StoppedSweep>,
    /// Feeds that the plan or the granted scopes do not allow, and why. Each is asked for again after an hour, then after
    /// twice the time before, up to a day.
    pub unavailable_feeds: Vec<UnavailableFeed>,
    /// What there is to know of feeds that work, as their source says: no trouble.
    pub remarks: Vec<FeedRemark>,
    /// What there is to know of its sink although it works, as that says: no trouble.
    pub sink_remarks: Vec<Arc<str>>,
    /// Deliveries that wait for somebody to repair something, and why: the first of them.
    pub parked_deliveries: Vec<ParkedDelivery>,
    /// When each feed was read last; `None` = not yet.
    pub feeds: BTreeMap<&'static str, Option<Timestamp>>,
    /// When its webhook subscriptions are looked after next, where it has such.
    pub subscriptions_due: Option<Timestamp>,
    /// The webhooks that are registered at the vendor, by the last look after them.
    pub subscriptions: Vec<Subscription>,
    /// By how many milliseconds the vendor's clock is ahead of ours, by its last answer to this host.
    pub vendor_clock_ahead_ms: Option<i64>,
    /// Its token, where one is stored.
    pub token: Option<TokenHealth>,
    /// Why its webhooks do not come, as [`Source::upkeep`](crate::Source::upkeep) found: then it is polled, and news is
    /// as old as the interval. No trouble that makes the health bad.
    pub webhooks: Option<Arc<str>>,
}

/// The webhooks of a connection or an endpoint: on all hosts, up to about a minute ago, and on this host up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WebhookHealth {
    /// When the last one was accepted.
    pub accepted_at: Option<Timestamp>,
    /// How many were refused since, because they were not proven to come from the vendor.
    pub refused: u64,
    /// What to do, when it looks as if all of them were refused.
    pub remedy: Option<&'static str>,
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

/// What was given up of a connection, up to 1,000 of each.
struct Dead {
    dead: usize,
    unrouted: usize,
}

impl WebhookHealth {
    fn of(seen: Seen, now: Timestamp) -> Self {
        Self {
            accepted_at: seen.accepted_at,
            refused: seen.refused,
            remedy: seen.are_refused(now).then_some(REFUSED_REMEDY),
        }
    }
}

impl Health {
    /// Whether nothing waits for a person.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let good = |connection: &ConnectionHealth| {
            let parked: u64 = connection.backlog.iter().map(|backlog| backlog.parked).sum();
            connection.parked.is_none()
                && connection.hooks.remedy.is_none()
                && parked == 0
                && connection.dead + connection.unrouted + connection.stopped_sweeps.len() == 0
                && connection.unavailable_feeds.is_empty()
        };
        self.running
            && self.log.is_none()
            && self.clock.is_none()
            && self.connections.values().all(good)
            && self.endpoints.values().all(|hooks| hooks.remedy.is_none())
    }
}

impl Connector {
    /// How the connector is doing.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read, or a shared limiter not be asked: then
    /// nothing works.
    pub async fn health(&self) -> Result<Health> {
        let (ask, answer) = oneshot::channel();
        let asked = self.shared.mailbox.ask(ask);
        let survey = if asked { answer.await.ok() } else { None };
        let registry = self.shared.registry();
        let ids: Vec<ConnectionId> = registry.connections().into_iter().collect();
        let asked_at = self.shared.clock.now();
        let standings = standings(&self.shared, &ids).await?;
        let mut backlogs = self.shared.log.backlog(asked_at).await?;
        backlogs.retain(|row| matches!(row.kind, EntryKind::Signal | EntryKind::Delivery));
        let (own, endpoints) = self.hooks(&registry, &ids, asked_at).await?;
        let now = self.shared.clock.now();
        let slots: Vec<_> = ids.iter().filter_map(|id| registry.source(id)).map(|slot| &**slot).collect();
        let mut feeds = feeds::feeds_known(&self.shared, &slots).await?.into_iter();
        let dead = self.dead(&registry, &ids).await?;
        let mut connections = BTreeMap::new();
        for (((id, standing), hooks), dead) in ids.into_iter().zip(standings).zip(own).zip(dead) {
            let [mut signals, mut deliveries] =
                survey.as_ref().and_then(|survey| survey.backlogs.get(&id)).cloned().unwrap_or_default();
            for backlog in [&mut signals, &mut deliveries] {
                backlog.lag_s = backlog.oldest.map_or(0, |oldest| now.saturating_since(oldest).as_secs());
            }
            let endpoint = registry.source(&id).map(|slot| &slot.source.info().endpoint);
            let mut health = ConnectionHealth {
                parked: standing.parked().cloned(),
                signals,
                deliveries,
                backlog: backlogs.extract_if(.., |row| row.connection == id).collect(),
                hooks,
                shared_hooks: endpoint.and_then(|endpoint| endpoints.get(endpoint)).cloned(),
                dead: dead.dead,
                unrouted: dead.unrouted,
                token: self.token_health(&registry, &id).await,
                ..ConnectionHealth::default()
            };
            if registry.sink(&id).is_some() {
                health.last_delivery = self.last(&id, EntryKind::Delivery).await?;
            }
            // What is not on the work list is not looked for.
            let parked = |row: &crate::audit::Backlog| {
                row.kind == EntryKind::Delivery && row.parked + row.acknowledged > 0
            };
            if health.backlog.iter().any(parked) {
                health.parked_deliveries = self.parked_deliveries(&id).await?;
            }
            if let Some(slot) = registry.source(&id) {
                health.last_event = self.last(&id, EntryKind::Event).await?;
                health.vendor_clock_ahead_ms = slot.vendor_clock.ahead_ms();
                health.left_out = slot.left_out.load(Ordering::Relaxed);
                let known = feeds.next().unwrap_or_default();
                health.stopped_sweeps = known.stopped;
                health.unavailable_feeds = known.unavailable;
                health.remarks = known.remarks;
                let read = known.progress.iter();
                health.feeds = read.map(|feed| (feed.feed, feed.read_at.max(feed.baseline))).collect();
                let upkeep::Known { due, problem, subscriptions } = upkeep::known(&self.shared, slot).await?;
                (health.subscriptions_due, health.webhooks, health.subscriptions) =
                    (due, problem, subscriptions);
            }
            health.sink_remarks = registry.sink(&id).map(|slot| slot.sink.remarks()).unwrap_or_default();
            connections.insert(id, health);
        }
        self.name_heads(&mut connections).await?;
        let took = now.saturating_since(asked_at).as_millis();
        let log_answered_in_ms = u64::try_from(took).unwrap_or(u64::MAX);
        let partitions = survey.as_ref().map_or(0, |survey| survey.partitions);
        let log = self.shared.log_gate.known();
        let usage = self.shared.context.limiter().usage(now).await?;
        let full = usage.into_iter().filter(|usage| usage.full_until().is_some());
        let full_limits = full.take(LIMITS_SHOWN).collect();
        Ok(Health {
            running: survey.is_some(),
            partitions,
            log,
            clock: self.shared.steady_clock.trouble(),
            clock_set_back: self.shared.steady_clock.set_back(),
            log_answered_in_ms,
            connections,
            endpoints,
            full_limits,
        })
    }

    /// What is known of the webhooks of each connection, and of those for endpoints that several connections share.
    async fn hooks(
        &self,
        registry: &Registry,
        ids: &[ConnectionId],
        now: Timestamp,
    ) -> Result<(Vec<WebhookHealth>, BTreeMap<EndpointId, WebhookHealth>)> {
        let endpoints: BTreeSet<_> = registry.sources().map(|slot| &slot.source.info().endpoint).collect();
        let shared: Vec<EndpointId> =
            endpoints.into_iter().filter(|id| registry.endpoint(id).len() > 1).cloned().collect();
        let whose = ids.iter().cloned().map(Whose::Connection);
        let whose: Vec<_> = whose.chain(shared.iter().cloned().map(Whose::Endpoint)).collect();
        let mut seen =
            self.shared.seen_hooks(&whose).await?.into_iter().map(|seen| WebhookHealth::of(seen, now));
        let own = seen.by_ref().take(ids.len()).collect();
        Ok((own, shared.into_iter().zip(seen).collect()))
    }

    async fn token_health(&self, registry: &Registry, id: &ConnectionId) -> Option<TokenHealth> {
        let known = token(&self.shared.context, &registry.token_key(id)).await?;
        Some(known.dying_after(registry.tokens_of(id).and_then(OAuth2::idle_life)))
    }

    /// Adds what the log knows of the entries that lanes wait for.
    async fn name_heads(&self, connections: &mut BTreeMap<ConnectionId, ConnectionHealth>) -> Result<()> {
        let lanes =
            || connections.values().flat_map(|one| one.signals.lanes.iter().chain(&one.deliveries.lanes));
        let heads: Vec<Seq> = lanes().filter_map(|lane| lane.head).take(HEADS_NAMED).collect();
        let found = self.search(&Query { bodies: false, ..Query::entries(heads) }).await?;
        let known: BTreeMap<Seq, &Entry> = found.iter().map(|entry| (entry.seq, entry)).collect();
        for connection in connections.values_mut() {
            let ConnectionHealth { signals, deliveries, .. } = connection;
            for lane in signals.lanes.iter_mut().chain(&mut deliveries.lanes) {
                let Some(entry) = lane.head.and_then(|head| known.get(&head)) else { continue };
                lane.since = Some(entry.at);
                lane.destination.clone_from(&entry.index.destination);
            }
        }
        Ok(())
    }

    /// The first deliveries that are parked, with what their last attempt met.
    async fn parked_deliveries(&self, connection: &ConnectionId) -> Result<Vec<ParkedDelivery>> {
        let query = Query::of_kind(EntryKind::Delivery)
            .with_connection(connection.clone())
            .with_state(EntryState::Parked)
            .with_limit(PARKED_SHOWN);
        let parked = |entry: Entry| {
            let parked = entry.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
                Outcome::Parked { error } => Some(Parked { since: recorded.at, reason: Arc::clone(error) }),
                _ => None,
            })?;
            Some(ParkedDelivery { seq: entry.seq, parked })
        };
        Ok(self.search(&query).await?.into_iter().filter_map(parked).collect())
    }

    /// What was given up of each connection. Where that is little, one look into the log says it for all of them.
    async fn dead(&self, registry: &Registry, ids: &[ConnectionId]) -> Result<Vec<Dead>> {
        let all = Query::default().with_state(EntryState::Dead).with_acknowledged(false).with_limit(FEW + 1);
        let found = self.search(&all).await?;
        if found.len() <= FEW {
            let of = |id: &ConnectionId| {
                let own = || found.iter().filter(|entry| entry.connection == *id);
                let is_work = |entry: &&Entry| matches!(entry.kind, EntryKind::Signal | EntryKind::Delivery);
                let is_unrouted = |entry: &&Entry| {
                    entry.kind == EntryKind::Note && entry.index.name.as_deref() == Some(UNROUTED)
                };
                Dead { dead: own().filter(is_work).count(), unrouted: own().filter(is_unrouted).count() }
            };
            return Ok(ids.iter().map(of).collect());
        }
        let mut dead = Vec::with_capacity(ids.len());
        for id in ids {
            let counted = async |kind, is_possible: bool, name: Option<&str>| {
                let mut query = all.clone().with_kind(kind).with_connection(id.clone());
                query.name = name.map(Into::into);
                if is_possible { self.count(&query, MOST_COUNTED).await } else { Ok(0) }
            };
            let (is_source, is_sink) = (registry.source(id).is_some(), registry.sink(id).is_some());
            dead.push(Dead {
                dead: counted(EntryKind::Signal, is_source, None).await?
                    + counted(EntryKind::Delivery, is_sink, None).await?,
                unrouted: counted(EntryKind::Note, is_source, Some(UNROUTED)).await?,
            });
        }
        Ok(dead)
    }

    /// When the latest entry of a kind was appended.
    async fn last(&self, connection: &ConnectionId, kind: EntryKind) -> Result<Option<Timestamp>> {
        let latest = Query::of_kind(kind).with_connection(connection.clone()).newest_first().with_limit(1);
        Ok(self.search(&latest).await?.pop().map(|entry| entry.at))
    }
}
