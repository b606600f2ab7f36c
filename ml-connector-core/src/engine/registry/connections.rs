//! The connections and routes of a running connector. Replaced as a whole, so that readers never wait.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    pulse::Pulse,
    reads::Reads,
    slots::{SinkSlot, SourceSlot, UpkeepCache},
};
use crate::{
    Connection, Error, ErrorKind, Result, Sink, Source, Timestamp,
    auth::OAuth2,
    model::{AccountKey, Affinity, ConnectionId, Destination, EndpointId, LaneKey, Partition},
    route::{Digest, Route, RouteMode, RouteSet},
    token::TokenKey,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    pub(super) sources: BTreeMap<ConnectionId, Arc<SourceSlot>>,
    pub(super) sinks: BTreeMap<ConnectionId, Arc<SinkSlot>>,
    endpoints: HashMap<EndpointId, Vec<Arc<SourceSlot>>>,
    /// The most deliveries that any sink has taken at once.
    max_batch: usize,
    /// The routes in force: the host's, and those that connections bring.
    routes: Arc<RouteSet>,
    host_routes: RouteSet,
    brought_routes: BTreeMap<ConnectionId, Vec<Arc<Route>>>,
    /// How the lanes of digests are gathered. Those of routes that were replaced stay: something may wait in them.
    digests: HashMap<u64, Digest>,
    /// Whether connections are still to come that webhooks may be for.
    loading: bool,
    /// Connections that were forgotten, and when: work that still turns up for them is dropped.
    forgotten: BTreeMap<ConnectionId, Timestamp>,
    /// Since when each connection has been attached.
    attached: BTreeMap<ConnectionId, Timestamp>,
}

impl Registry {
    /// Attaches connections, and puts the routes that they bring into force.
    pub(crate) fn connect(&mut self, connections: Vec<Connection>) -> Result<Vec<ConnectionId>> {
        let brings_routes = connections.iter().any(|connection| !connection.routes.is_empty());
        let ids = connections.into_iter().map(|connection| self.add(connection)).collect::<Result<_>>()?;
        if brings_routes {
            self.set_routes(self.host_routes.clone())?;
        }
        Ok(ids)
    }

    /// Whether a connection is attached.
    fn has(&self, connection: &ConnectionId) -> bool {
        self.sources.contains_key(connection) || self.sinks.contains_key(connection)
    }

    /// Attaches a connection. The routes that it brings come into force with [`set_routes`](Self::set_routes).
    pub(crate) fn add(&mut self, connection: Connection) -> Result<ConnectionId> {
        let id = connection.id()?;
        let Connection { source, sink, routes } = connection;
        source.iter().try_for_each(|source| self.add_source(source))?;
        sink.iter().try_for_each(|sink| self.add_sink(sink))?;
        if !routes.is_empty() {
            self.brought_routes.insert(id.clone(), routes.into_iter().map(Arc::new).collect());
        }
        Ok(id)
    }

    fn add_source(&mut self, source: &Arc<dyn Source>) -> Result<()> {
        let info = source.info();
        info.connection.validate()?;
        info.endpoint.validate()?;
        if self.sources.contains_key(&info.connection) {
            return Err(taken("source", &info.connection));
        }
        self.one_owner(&info.connection, &info.affinity, info.tokens.as_ref())?;
        let neighbors = self.endpoints.entry(info.endpoint.clone()).or_default();
        let shared = neighbors
            .iter()
            .flat_map(|slot| &slot.source.info().accounts)
            .find(|a| info.accounts.contains(a));
        if let Some(account) = shared {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "two connections of one endpoint have the same account",
            )
            .with_context("endpoint", &info.endpoint)
            .with_context("account", account));
        }
        if !info.answers.is_repeated() {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the answer while webhooks cannot be stored has to make the vendor send them again",
            )
            .with_context("connection", &info.connection)
            .with_context("status", info.answers.unavailable.as_u16()));
        }
        let slot = Arc::new(SourceSlot {
            partition: info.affinity.partition(),
            watched_since: OnceCell::new(),
            watched_edge: OnceCell::new(),
            moved_at: OnceCell::new(),
            vendor_clock: Arc::default(),
            upkeep_state: UpkeepCache::default(),
            left_out: AtomicU64::new(0),
            pulse: Pulse::default(),
            reads: Reads::default(),
            source: Arc::clone(source),
        });
        neighbors.push(Arc::clone(&slot));
        self.sources.insert(info.connection.clone(), slot);
        Ok(())
    }

    fn add_sink(&mut self, sink: &Arc<dyn Sink>) -> Result<()> {
        let info = sink.info();
        info.connection.validate()?;
        if self.sinks.contains_key(&info.connection) {
            return Err(taken("sink", &info.connection));
        }
        self.one_owner(&info.connection, &info.affinity, info.tokens.as_ref())?;
        self.max_batch = self.max_batch.max(info.max_batch);
        let slot = SinkSlot {
            partition: info.affinity.partition(),
            sink: Arc::clone(sink),
            pulse: Pulse::default(),
            begun: AtomicBool::default(),
        };
        self.sinks.insert(info.connection.clone(), Arc::new(slot));
        Ok(())
    }

    /// Checks that whoever uses the same tokens, as a source or as a sink, has the same affinity: one host renews them for all.
    fn one_owner(&self, id: &ConnectionId, affinity: &Affinity, tokens: Option<&OAuth2>) -> Result<()> {
        let Some(key) = tokens.map(OAuth2::key) else { return Ok(()) };
        let sources = self.sources.values().map(|slot| slot.source.info());
        let sources = sources.map(|info| (&info.connection, &info.affinity, &info.tokens));
        let sinks = self.sinks.values().map(|slot| slot.sink.info());
        let sinks = sinks.map(|info| (&info.connection, &info.affinity, &info.tokens));
        let shares = |tokens: &Option<OAuth2>| tokens.as_ref().is_some_and(|tokens| tokens.key() == key);
        let mut others = sources.chain(sinks).filter(|(_, _, tokens)| shares(tokens));
        match others.find(|(_, other, _)| *other != affinity) {
            None => Ok(()),
            Some((other, ..)) => {
                Err(Error::new(ErrorKind::ConfigInvalid, "connections with one token need one affinity")
                    .with_context("connection", id)
                    .with_context("other", other))
            }
        }
    }

    /// Removes the connection's source and sink; its entries stay and wait.
    pub(crate) fn remove(&mut self, connection: &ConnectionId) -> bool {
        for slots in self.endpoints.values_mut() {
            slots.retain(|slot| slot.connection() != connection);
        }
        self.endpoints.retain(|_, slots| !slots.is_empty());
        let source = self.sources.remove(connection).is_some();
        self.sinks.remove(connection).is_some() || source
    }

    /// Removes connections with the routes that they brought, and takes them out of all others.
    pub(crate) fn forget(&mut self, connections: &[ConnectionId], at: Timestamp) -> Result<()> {
        for connection in connections {
            self.remove(connection);
            self.brought_routes.remove(connection);
            self.forgotten.insert(connection.clone(), at);
        }
        let without = |route: &Arc<Route>| {
            let mut left = Route::clone(route);
            left.from.retain(|from| !connections.contains(from));
            left.to.retain(|target| !connections.contains(&target.sink));
            let is_empty = left.to.is_empty() || left.from.is_empty() && !route.from.is_empty();
            (!is_empty).then(|| Arc::new(left))
        };
        for routes in self.brought_routes.values_mut() {
            *routes = routes.iter().filter_map(without).collect();
        }
        let routes = self.host_routes.routes.iter().filter_map(without).collect();
        self.set_routes(RouteSet { routes, ..self.host_routes.clone() })
    }

    /// Whether a connection was forgotten.
    pub(crate) fn is_forgotten(&self, connection: &ConnectionId) -> bool {
        self.forgotten.contains_key(connection) && !self.has(connection)
    }

    /// Whether a connection was forgotten at `at`, on whichever host, and this one has it still. One that was attached later
    /// begins anew.
    pub(crate) fn has_still(&self, connection: &ConnectionId, at: Timestamp) -> bool {
        self.has(connection)
            && self.attached.get(connection).is_none_or(|attached| *attached <= at)
            && self.forgotten.get(connection).is_none_or(|forgotten| *forgotten < at)
    }

    /// Whether a connection was attached after this instant.
    pub(crate) fn is_attached_after(&self, connection: &ConnectionId, at: Timestamp) -> bool {
        self.has(connection) && self.attached.get(connection).is_some_and(|attached| *attached > at)
    }

    /// Takes note of what is attached since it was asked last.
    pub(crate) fn note_attached(&mut self, now: Timestamp) {
        let ids = self.connections();
        self.attached.retain(|id, _| ids.contains(id));
        for id in ids {
            self.attached.entry(id).or_insert(now);
        }
    }

    /// Replaces the routes of the host.
    pub(crate) fn set_routes(&mut self, host_routes: RouteSet) -> Result<()> {
        let routes = self.complete(host_routes.clone())?;
        for target in routes.routes.iter().flat_map(|route| &route.to) {
            let schedule = target.schedule.as_ref();
            let Some((schedule, digest)) = schedule.and_then(|schedule| Some((schedule, schedule.digest?)))
            else {
                continue;
            };
            let lane = digest_lane(&target.destination, target.template.as_deref(), &schedule.to_string());
            let lane = lane.number(&target.sink);
            self.digests.insert(lane, digest);
            let most = self.digest(&target.sink, lane).map_or(0, |(most, _)| most);
            self.max_batch = self.max_batch.max(most);
        }
        let mut brought_routes = std::mem::take(&mut self.brought_routes);
        brought_routes.retain(|id, _| self.has(id));
        self.brought_routes = brought_routes;
        self.host_routes = host_routes;
        self.routes = Arc::new(routes);
        Ok(())
    }

    /// The host's routes with those that attached connections bring, checked.
    pub(crate) fn complete(&self, mut routes: RouteSet) -> Result<RouteSet> {
        let attached = self.brought_routes.iter().filter(|(id, _)| self.has(id));
        let brought: Vec<_> = attached.flat_map(|(_, routes)| routes.iter().cloned()).collect();
        if routes.mode == RouteMode::FirstMatch && !brought.is_empty() {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "approvals need a set of routes in which every match counts",
            )
            .with_context("field", "mode"));
        }
        routes.routes.extend(brought);
        self.check_routes(&routes)?;
        Ok(routes)
    }

    /// Whether connections are still to come that webhooks may be for.
    pub(crate) fn is_loading(&self) -> bool {
        self.loading
    }

    pub(crate) fn set_loading(&mut self, loading: bool) {
        self.loading = loading;
    }

    pub(crate) fn source(&self, connection: &ConnectionId) -> Option<&Arc<SourceSlot>> {
        self.sources.get(connection)
    }

    /// Every source.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<SourceSlot>> {
        self.sources.values()
    }

    /// Every connection, in order.
    pub(crate) fn connections(&self) -> BTreeSet<ConnectionId> {
        self.sources.keys().chain(self.sinks.keys()).cloned().collect()
    }

    pub(crate) fn sinks(&self) -> impl Iterator<Item = (&ConnectionId, &Arc<SinkSlot>)> {
        self.sinks.iter()
    }

    pub(crate) fn sink(&self, connection: &ConnectionId) -> Option<&Arc<SinkSlot>> {
        self.sinks.get(connection)
    }

    /// The most deliveries that a sink takes at once.
    pub(crate) fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// How deliveries of a lane are gathered into one, if they are: how many, and how long the first one waits.
    pub(crate) fn digest(&self, connection: &ConnectionId, lane: u64) -> Option<(usize, Duration)> {
        let digest = self.digests.get(&lane)?;
        let most = self.sinks.get(connection)?.sink.info().max_digest;
        let events = digest.events.and_then(|events| usize::try_from(events).ok()).unwrap_or(most);
        Some((events.min(most), Duration::from_secs(digest.seconds.unwrap_or(0).into())))
    }

    /// The tokens that are to be kept alive, with whom they are of and who owns that.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (Partition, &ConnectionId, &OAuth2)> {
        let sources = self.sources.values().map(|slot| {
            let info = slot.source.info();
            (slot.partition, &info.connection, info.tokens.as_ref())
        });
        let sinks = self.sinks.values().map(|slot| {
            let info = slot.sink.info();
            (slot.partition, &info.connection, info.tokens.as_ref())
        });
        sources.chain(sinks).filter_map(|(partition, id, tokens)| Some((partition, id, tokens?)))
    }

    /// Where a connection's token is kept: its own place, unless it says otherwise.
    pub(crate) fn token_key(&self, id: &ConnectionId) -> TokenKey {
        self.tokens_of(id).map_or_else(|| TokenKey::new(id), |tokens| tokens.key().clone())
    }

    /// The tokens of a connection that are to be kept alive.
    pub(crate) fn tokens_of(&self, id: &ConnectionId) -> Option<&OAuth2> {
        let source = self.sources.get(id).and_then(|slot| slot.source.info().tokens.as_ref());
        source.or_else(|| self.sinks.get(id).and_then(|slot| slot.sink.info().tokens.as_ref()))
    }

    pub(crate) fn routes(&self) -> &Arc<RouteSet> {
        &self.routes
    }

    /// Whether routes tell a place of the records of several accounts. What comes of a document without feeds, such as a
    /// request for approval, is counted by itself: it is about records of accounts that have some.
    pub(crate) fn tells_of_several(&self, sink: &ConnectionId, destination: &Destination) -> bool {
        let leads_there = |route: &&Arc<Route>| {
            route.to.iter().any(|target| target.sink == *sink && target.destination == *destination)
        };
        let (mut accounts, mut others) = (BTreeSet::new(), BTreeSet::new());
        for route in self.routes.routes.iter().filter(leads_there) {
            let has_feeds = |slot: &&Arc<SourceSlot>| !slot.source.info().feeds.is_empty();
            if route.from.is_empty() {
                accounts.extend(self.sources().filter(has_feeds).map(|slot| slot.connection()));
            }
            for slot in route.from.iter().filter_map(|from| self.source(from)) {
                let known = if has_feeds(&slot) { &mut accounts } else { &mut others };
                known.insert(slot.connection());
            }
            if accounts.len() > 1 || others.len() > 1 {
                return true;
            }
        }
        false
    }

    /// The sources behind an endpoint.
    pub(crate) fn endpoint(&self, endpoint: &EndpointId) -> &[Arc<SourceSlot>] {
        self.endpoints.get(endpoint).map_or(&[], Vec::as_slice)
    }

    /// The source behind an endpoint that is meant by `account`; the one that verified the request where the
    /// signal names none.
    pub(crate) fn account<'a>(
        &'a self,
        endpoint: &EndpointId,
        account: Option<&AccountKey>,
        verified_by: &'a Arc<SourceSlot>,
    ) -> Option<&'a Arc<SourceSlot>> {
        let Some(account) = account else { return Some(verified_by) };
        self.endpoint(endpoint).iter().find(|slot| slot.source.info().accounts.contains(account))
    }
}

fn taken(what: &'static str, connection: &ConnectionId) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("a {what} with this connection id exists"))
        .with_context("connection", connection)
}

/// The lane of what is gathered into one message, whichever routes ask for it.
pub(crate) fn digest_lane(destination: &Destination, template: Option<&str>, schedule: &str) -> LaneKey {
    LaneKey::new(format!("digest\n{destination}\n{}\n{schedule}", template.unwrap_or_default()))
}
