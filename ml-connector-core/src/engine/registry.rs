//! The connections and routes of a running connector. Replaced as a whole, so that readers never wait.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::OnceCell;

use super::upkeep::StateCache;
use crate::{
    Error, ErrorKind, Result, Sink, Source, Timestamp,
    auth::OAuth2,
    model::{AccountKey, ConnectionId, EndpointId, Partition},
    route::RouteSet,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    sources: BTreeMap<ConnectionId, Arc<SourceSlot>>,
    sinks: BTreeMap<ConnectionId, Arc<SinkSlot>>,
    endpoints: HashMap<EndpointId, Vec<Arc<SourceSlot>>>,
    /// The most deliveries that any sink has taken at once.
    max_batch: usize,
    routes: Arc<RouteSet>,
}

#[derive(Debug)]
pub(super) struct SourceSlot {
    pub(super) source: Arc<dyn Source>,
    pub(super) partition: Partition,
    /// Since when the connection is watched, once it has been asked for.
    pub(super) watched_since: OnceCell<Timestamp>,
    /// What the source verifies requests with.
    pub(super) upkeep_state: StateCache,
}

#[derive(Debug)]
pub(super) struct SinkSlot {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) partition: Partition,
}

impl SourceSlot {
    pub(super) fn connection(&self) -> &ConnectionId {
        &self.source.info().connection
    }
}

impl Registry {
    pub(super) fn add_source(&mut self, source: &Arc<dyn Source>) -> Result<()> {
        let info = source.info();
        info.connection.validate()?;
        info.endpoint.validate()?;
        if self.sources.contains_key(&info.connection) {
            return Err(taken("source", &info.connection));
        }
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
        let slot = Arc::new(SourceSlot {
            partition: info.affinity.partition(),
            watched_since: OnceCell::new(),
            upkeep_state: StateCache::default(),
            source: Arc::clone(source),
        });
        neighbors.push(Arc::clone(&slot));
        self.sources.insert(info.connection.clone(), slot);
        Ok(())
    }

    pub(super) fn add_sink(&mut self, sink: &Arc<dyn Sink>) -> Result<()> {
        let info = sink.info();
        info.connection.validate()?;
        if self.sinks.contains_key(&info.connection) {
            return Err(taken("sink", &info.connection));
        }
        self.max_batch = self.max_batch.max(info.max_batch);
        let slot = SinkSlot { partition: info.affinity.partition(), sink: Arc::clone(sink) };
        self.sinks.insert(info.connection.clone(), Arc::new(slot));
        Ok(())
    }

    /// Removes the connection's source and sink; its entries stay and wait.
    pub(super) fn remove(&mut self, connection: &ConnectionId) -> bool {
        for slots in self.endpoints.values_mut() {
            slots.retain(|slot| slot.connection() != connection);
        }
        self.endpoints.retain(|_, slots| !slots.is_empty());
        let source = self.sources.remove(connection).is_some();
        self.sinks.remove(connection).is_some() || source
    }

    pub(super) fn set_routes(&mut self, routes: RouteSet) -> Result<()> {
        self.check_routes(&routes)?;
        self.routes = Arc::new(routes);
        Ok(())
    }

    /// Whether routes make sense, and name connections that exist.
    pub(super) fn check_routes(&self, routes: &RouteSet) -> Result<()> {
        routes.validate()?;
        for route in &routes.routes {
            let invalid = |field, message| {
                Error::new(ErrorKind::ConfigInvalid, message)
                    .with_context("route", &route.name)
                    .with_context("field", field)
            };
            if let Some(target) = route.to.iter().find(|target| !self.sinks.contains_key(&target.sink)) {
                return Err(invalid("to", "the route delivers to a sink that is not connected")
                    .with_context("sink", &target.sink));
            }
            if let Some(from) = route.from.iter().find(|from| !self.sources.contains_key(from)) {
                return Err(invalid("from", "the route takes from a source that is not connected")
                    .with_context("source", from));
            }
        }
        Ok(())
    }

    pub(super) fn source(&self, connection: &ConnectionId) -> Option<&Arc<SourceSlot>> {
        self.sources.get(connection)
    }

    /// Every source.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Arc<SourceSlot>> {
        self.sources.values()
    }

    /// Every connection, in order.
    pub(super) fn connections(&self) -> BTreeSet<ConnectionId> {
        self.sources.keys().chain(self.sinks.keys()).cloned().collect()
    }

    pub(super) fn sink(&self, connection: &ConnectionId) -> Option<&Arc<SinkSlot>> {
        self.sinks.get(connection)
    }

    /// The most deliveries that a sink takes at once.
    pub(super) fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The tokens that are to be kept alive, with whom they are of and who owns that.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (Partition, &ConnectionId, &OAuth2)> {
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

    pub(super) fn routes(&self) -> &Arc<RouteSet> {
        &self.routes
    }

    /// The sources behind an endpoint.
    pub(super) fn endpoint(&self, endpoint: &EndpointId) -> &[Arc<SourceSlot>] {
        self.endpoints.get(endpoint).map_or(&[], Vec::as_slice)
    }

    /// The source behind an endpoint that is meant by `account`; the one that verified the request where the
    /// signal names none.
    pub(super) fn account<'a>(
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
