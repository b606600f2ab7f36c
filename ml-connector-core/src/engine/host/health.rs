//! How the connector is doing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    ClockSetBack, ClockTrouble, Connector, Result, Timestamp,
    audit::{Backlog, Entry, EntryKind, EntryState, Outcome, Query},
    auth::OAuth2,
    engine::{
        entries::UNROUTED,
        feeds::{self, FeedRemark, StoppedSweep, UnavailableFeed},
        hooks::{HooksSeen, Whose},
        lanes::BacklogHealth,
        log_gate::LogTrouble,
        notices::{Parked, standings},
        registry::Registry,
        upkeep,
    },
    model::{ConnectionId, EndpointId, Seq, Subscription},
    rate::Usage,
    token::{TokenHealth, health as token},
};

/// How many entries that were given up, or that are parked, are read at once.
const READ: usize = 1000;
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
    /// How long the log took to answer, in milliseconds. Without its answer there is no health.
    pub log_answered_in_ms: u64,
    /// Every connection.
    pub connections: BTreeMap<ConnectionId, ConnectionHealth>,
    /// Webhooks of endpoints that several connections share, if it is not known which connection was meant.
    pub endpoints: BTreeMap<EndpointId, WebhookHealth>,
    /// The limits that have no room now, and until when: the first 100 of them. Where each host counts by itself, those
    /// of this host.
    pub full_limits: Vec<Usage>,
}

/// How one connection is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// Why it does not work, when it does not.
    pub parked: Option<Parked>,
    /// Signals that are due.
    pub signals: BacklogHealth,
    /// Deliveries that wait.
    pub deliveries: BacklogHealth,
    /// What is on the work list of all hosts, as the log knows it: of signals and of deliveries.
    pub backlog: Vec<Backlog>,
    /// Webhooks that were accepted, and that were refused.
    pub hooks: WebhookHealth,
    /// If it shares its endpoint with other connections: webhooks of which it is not known which connection was meant.
    /// A wrong secret that they share shows here at each of them. The whole health counts it once, by
    /// [`Health::endpoints`].
    pub shared_hooks: Option<WebhookHealth>,
    /// When the last event was found, to the minute: on all hosts, up to about a minute ago, and on this host up to now.
    pub last_event: Option<Timestamp>,
    /// When the last delivery was done, to the minute, in the same way.
    pub last_delivery: Option<Timestamp>,
    /// Entries that were given up, are still in the log and have not been acknowledged, up to 1,000. Where all connections
    /// have more than that together, those among the newest 1,000: perhaps fewer than there are, and never none.
    /// [`Connector::replay`] brings them back, [`Connector::act`] acknowledges or discards them.
    pub dead: usize,
    /// Webhooks for an account that no connection has, as far as they came by this one, are still in the log and have
    /// been neither replayed nor acknowledged, up to 1,000. [`Connector::replay`] takes them in once a connection has the account.
    pub unrouted: usize,
    /// Values of its records that could not be read since it was attached here. Events are told without them, and
    /// [`Connector::explain`] names each. Rows of lists that do not say which record they are count as well, each once,
    /// as notes of the name `lost_row`. They do not make the health bad.
    pub left_out: u64,
    /// Sweeps that missed too many records to be believed. [`Connector::confirm_sweep`] says that it is true.
    pub stopped_sweeps: Vec<StoppedSweep>,
    /// Feeds that the plan or the granted scopes do not allow, and why. Each is asked for again after an hour, then after
    /// twice the time before, up to a day.
    pub unavailable_feeds: Vec<UnavailableFeed>,
    /// Remarks of the source about feeds that work. They do not make the health bad.
    pub remarks: Vec<FeedRemark>,
    /// Remarks of the sink about itself, although it works. They do not make the health bad.
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
    /// Why its webhooks do not come, as [`Source::upkeep`](crate::Source::upkeep) found. The connection is polled, so
    /// changes are told up to one interval later. It does not make the health bad.
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

/// What was given up of a connection.
#[derive(Debug, Default)]
struct Dead {
    dead: usize,
    unrouted: usize,
}

impl WebhookHealth {
    fn of(seen: HooksSeen, now: Timestamp) -> Self {
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
        let mut upkeep = upkeep::known(&self.shared, &slots).await?.into_iter();
        let latest = self.shared.latest(&ids, now).await?;
        let mut dead = self.dead(&ids).await?;
        // What is not on the work list is not looked for.
        let has_parked = |id: &&ConnectionId| {
            let parked = |row: &Backlog| {
                row.kind == EntryKind::Delivery && row.parked + row.acknowledged > 0 && row.connection == **id
            };
            backlogs.iter().any(parked)
        };
        let mut parked = self.parked_deliveries(ids.iter().filter(has_parked).cloned().collect()).await?;
        let mut connections = BTreeMap::new();
        for (((id, standing), hooks), latest) in ids.into_iter().zip(standings).zip(own).zip(latest) {
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
                last_event: latest.event(),
                last_delivery: latest.delivery(),
                parked_deliveries: parked.remove(&id).unwrap_or_default(),
                token: self.token_health(&registry, &id).await,
                ..ConnectionHealth::default()
            };
            Dead { dead: health.dead, unrouted: health.unrouted } = dead.remove(&id).unwrap_or_default();
            if let Some(slot) = registry.source(&id) {
                health.vendor_clock_ahead_ms = slot.vendor_clock.ahead_ms();
                health.left_out = slot.left_out.load(Ordering::Relaxed);
                let known = feeds.next().unwrap_or_default();
                health.stopped_sweeps = known.stopped;
                health.unavailable_feeds = known.unavailable;
                health.remarks = known.remarks;
                let read = known.progress.iter();
                health.feeds = read.map(|feed| (feed.feed, feed.read_at.max(feed.baseline))).collect();
                let upkeep::Known { due, problem, subscriptions } = upkeep.next().unwrap_or_default();
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

    /// The first deliveries of each connection that are parked, with what their last attempt met.
    async fn parked_deliveries(
        &self,
        of: Vec<ConnectionId>,
    ) -> Result<BTreeMap<ConnectionId, Vec<ParkedDelivery>>> {
        let query = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Parked);
        let parked = |entry: Entry| {
            let parked = entry.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
                Outcome::Parked { error } => Some(Parked { since: recorded.at, reason: Arc::clone(error) }),
                _ => None,
            })?;
            Some(ParkedDelivery { seq: entry.seq, parked })
        };
        let found = self.of_each(&query, of).await?.into_iter();
        Ok(found
            .map(|(id, entries)| (id, entries.into_iter().filter_map(parked).take(PARKED_SHOWN).collect()))
            .collect())
    }

    /// What was given up of each connection.
    async fn dead(&self, of: &[ConnectionId]) -> Result<BTreeMap<ConnectionId, Dead>> {
        let query =
            |kind| Query::of_kind(kind).with_state(EntryState::Dead).with_acknowledged(false).newest_first();
        let mut dead: BTreeMap<ConnectionId, Dead> = BTreeMap::new();
        for kind in [EntryKind::Signal, EntryKind::Delivery] {
            for (id, entries) in self.of_each(&query(kind), of.to_vec()).await? {
                dead.entry(id).or_default().dead += entries.len();
            }
        }
        let unrouted = query(EntryKind::Note).with_name(UNROUTED);
        for (id, entries) in self.of_each(&unrouted, of.to_vec()).await? {
            dead.entry(id).or_default().unrouted += entries.len();
        }
        Ok(dead)
    }

    /// What matches, by connection: some of each that has any. One look says it for all connections where that is little;
    /// where it is much, another is for those of which none was among it.
    async fn of_each(
        &self,
        query: &Query,
        mut left: Vec<ConnectionId>,
    ) -> Result<BTreeMap<ConnectionId, Vec<Entry>>> {
        let mut of: BTreeMap<ConnectionId, Vec<Entry>> = BTreeMap::new();
        let mut query = query.clone().with_limit(READ);
        while !left.is_empty() {
            let found = self.search(&query).await?;
            let is_all = found.len() < READ;
            for entry in found {
                of.entry(entry.connection.clone()).or_default().push(entry);
            }
            if is_all {
                break;
            }
            left.retain(|id| !of.contains_key(id));
            query = query.within(left.iter().cloned());
        }
        Ok(of)
    }
}
