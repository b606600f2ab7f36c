//! The engine: what turns signals into events and events into deliveries, and keeps every promise on the way.
//!
//! ```text
//! request ─► receive ─► signal (durable) ─► 2xx
//!                          │ resolve: one read for all signals of a record
//!                          ▼
//!                       snapshot step ─► event ─► routes ─► deliveries (one transaction)
//!                                                              │ one under way per lane, admitted by quotas
//!                                                              ▼
//!                                                        Sink::deliver ─► outcome
//! ```
//!
//! # What routes ask for
//!
//! - *At once*: a delivery waits in the lane that its sink plans, and goes when those before it have gone.
//! - *Later* ([`Schedule`](crate::route::Schedule)): it waits in a lane of its schedule, so that it keeps nobody waiting.
//!   A digest is what waits in such a lane, sent as one; each of its deliveries is settled by itself.
//! - *Going on* ([`Follow`](crate::model::Follow)): a document per destination and record says which message came first
//!   and what it shows. Its writer is the transaction that settles a delivery, so it is as true as the log. A delivery
//!   that was made before the first was told, and would rewrite it, moves to the lane of that message: whatever rewrites
//!   one message does so in the order of the record's changes, and what is older than what it shows is superseded.
//! - *Pages* ([`Route::pages`](crate::route::Route::pages)): a page of a backfill is one event and one delivery, written
//!   with the snapshots of its records and the checkpoint behind it.
//!
//! # What it tells
//!
//! - [`Connector::health`] and [`Connector::stats`] say how it is doing; [`Connector::explain`] tells the story of one
//!   entry.
//! - *Events* about its own work, routed like any other, if a route names them: `delivery.dead`, `delivery.parked`,
//!   `signal.dead`, `webhook.unrouted`, `connection.parked`, `connection.resumed`. One lane tells once in ten minutes, and what becomes of
//!   such an event's own deliveries is not told.
//! - *Spans* of `tracing`, at level `debug`: `receive` (`endpoint`), `resolve` (`connection`, `seq`, `signals`),
//!   `deliver` (`connection`, `seq`, `attempt`), and `http_call` (`system`, `operation`) inside the latter two.
//!   `seq` is the entry's number in the log. `error` means that somebody has to act, `warn` that the engine goes on
//!   regardless. No field ever holds a secret, a name, an amount or a body.
//! - *Counters*, with feature `metrics`, without labels: `ml_connector_signals_received_total`,
//!   `ml_connector_signals_unrouted_total`, `ml_connector_webhooks_{forged,rejected,refused}_total`,
//!   `ml_connector_reads_unchanged_total`, `ml_connector_events_total`, `ml_connector_deliveries_total`,
//!   `ml_connector_deliveries_{done,parked}_total`, `ml_connector_attempts_{retried,looked_up}_total`,
//!   `ml_connector_entries_dead_total`. [`Stats`] says what each counts.

#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod benchmark;
mod deliver;
mod fan_out;
mod feeds;
mod guard;
mod host;
mod intake;
mod lanes;
mod mailbox;
mod notices;
mod registry;
mod resolve;
mod retry;
mod run;
mod stats;
mod stored;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

pub use feeds::{FeedProgress, RunProgress, StoppedSweep};
pub use host::{
    builder::Builder,
    dry_run::{DryRun, Way},
    explain::Explanation,
    health::{Backlog, ConnectionHealth, Health, LaneHealth, ParkedDelivery},
    progress::Progress,
    replay::{Replay, ReplayMode, Replayed},
    service::WebhookService,
};
pub use notices::Parked;
pub use retry::{Jitter, Retries, RetryPolicy};
pub use stats::Stats;
use url::Url;

use self::{
    mailbox::Wake,
    registry::{Registry, SourceSlot},
    stats::{Counters, Stat},
};
use crate::{
    AuditLog, Clock, Context, Error, ErrorKind, Result, Sink, Source, Timestamp,
    audit::{Committed, DocKey, DocumentWrite, Entry, Expected, Query, Transaction},
    model::{ConnectionId, EndpointId},
    route::RouteSet,
};

/// The connector: connections, routes and a log, embedded in a host. Cheap to clone; all clones are one connector.
///
/// Any number of hosts may share one log. Every host takes webhooks; [`run`](Self::run) does the work of the
/// partitions that the host holds.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    log: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    context: Context,
    public_url: Option<Url>,
    settings: Settings,
    registry: RwLock<Arc<Registry>>,
    wake: Wake,
    stats: Counters,
}

/// How the engine works. The defaults suit most hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The largest webhook that is taken. Default: 2 MiB, above the largest batch a vendor documents.
    pub max_webhook_bytes: usize,
    /// How many records are read at the same time. Default: 32.
    pub max_resolving: usize,
    /// How many deliveries are under way at the same time. Default: 256.
    pub max_delivering: usize,
    /// How long one read or one delivery may take. Default: 60 s.
    pub call: Duration,
    /// How long a partition is leased: how long the work of a host that died lies still. It is renewed three times as
    /// often. An hour at most. Default: 15 s.
    pub lease: Duration,
    /// How long [`Connector::run`] lets work under way finish after the shutdown; partitions stay its own meanwhile.
    /// Default: 10 s.
    pub grace: Duration,
    /// How long the head of a lane may fail for reasons that pass before it is dead and the lane goes on.
    /// Default: 15 min.
    pub max_block: Duration,
    /// What is tried again, when, and how often.
    pub retries: Retries,
    /// How long signals of a record are tried before they are dead. Default: 24 h.
    pub max_signal_age: Duration,
    /// How long settled entries are kept, with the bodies of requests; `None` = for ever. Default: 30 days. What
    /// waits, and what is known of records, is kept regardless.
    pub retention: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_webhook_bytes: 2 << 20,
            max_resolving: 32,
            max_delivering: 256,
            call: Duration::from_secs(60),
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            max_block: Duration::from_secs(15 * 60),
            retries: Retries::default(),
            max_signal_age: Duration::from_secs(24 * 3600),
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

impl Connector {
    /// Begins a connector.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects a source while the connector runs.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the id is taken or malformed, or an account of its endpoint is.
    pub fn add_source(&self, source: impl Source) -> Result<()> {
        let source: Arc<dyn Source> = Arc::new(source);
        self.change(|registry| registry.add_source(&source))?;
        self.resume(&source.info().connection);
        Ok(())
    }

    /// Connects a sink while the connector runs. Deliveries that waited for it go on.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the id is taken or malformed.
    pub fn add_sink(&self, sink: impl Sink) -> Result<()> {
        let sink: Arc<dyn Sink> = Arc::new(sink);
        self.change(|registry| registry.add_sink(&sink))?;
        self.resume(&sink.info().connection);
        Ok(())
    }

    /// Disconnects a connection. What waits for it stays in the log, and goes on when it is connected again.
    /// Returns whether there was one.
    pub fn remove(&self, connection: &ConnectionId) -> bool {
        let mut removed = false;
        let change = self.change(|registry| {
            removed = registry.remove(connection);
            Ok(())
        });
        change.is_ok() && removed
    }

    /// Replaces all routes at once, but those of approvals. Deliveries that exist keep their destinations and times.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the route, the field and what is wrong with it; then the old routes stay.
    pub fn set_routes(&self, routes: impl Into<RouteSet>) -> Result<()> {
        self.change(|registry| registry.set_routes(routes.into()))
    }

    /// Tries a connection again at once, and the lanes that were parked behind it. Call it when credentials were
    /// renewed or a channel was repaired; without the call the engine tries by itself from time to time.
    pub fn resume(&self, connection: &ConnectionId) {
        self.shared.wake.resume(connection.clone());
    }

    /// What sources and sinks work with, for what a host does on their behalf, such as an
    /// [`Authorizer`](crate::auth::Authorizer).
    #[must_use]
    pub fn context(&self) -> Context {
        self.shared.context.clone()
    }

    /// Where the vendor has to send a connection's webhooks; `None` without a public URL or such a source.
    #[must_use]
    pub fn webhook_url(&self, connection: &ConnectionId) -> Option<Url> {
        let registry = self.shared.registry();
        self.shared.url_of(&registry.source(connection)?.source.info().endpoint)
    }

    /// What was counted since this connector was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats.read()
    }

    /// Searches the log.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the log cannot be read.
    pub async fn search(&self, query: &Query) -> Result<Vec<Entry>> {
        self.shared.log.query(query).await
    }

    /// The largest webhook that is taken, in bytes.
    #[must_use]
    pub fn max_webhook_bytes(&self) -> usize {
        self.shared.settings.max_webhook_bytes
    }

    fn change(&self, change: impl FnOnce(&mut Registry) -> Result<()>) -> Result<()> {
        let mut current = self.shared.registry.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Registry::clone(&current);
        change(&mut next)?;
        *current = Arc::new(next);
        Ok(())
    }
}

impl Shared {
    fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where webhooks of an endpoint have to go.
    fn url_of(&self, endpoint: &EndpointId) -> Option<Url> {
        let mut url = self.public_url.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().push(endpoint.as_str());
        Some(url)
    }

    /// Since when a connection is watched: the instant at which any host saw it first.
    async fn watched_since(&self, slot: &SourceSlot) -> Result<Timestamp> {
        match slot.watched_since.get() {
            Some(watched) => Ok(*watched),
            None => Box::pin(slot.watched_since.get_or_try_init(|| self.watch(slot))).await.copied(),
        }
    }

    /// Writes that a connection is watched from now on, unless a host wrote that before.
    async fn watch(&self, slot: &SourceSlot) -> Result<Timestamp> {
        let key = DocKey::new("watched", slot.connection(), "since");
        let now = self.clock.now();
        let write = DocumentWrite {
            key: key.clone(),
            expected: Expected::Absent,
            value: Some(now.as_millis().to_string().into()),
        };
        let first = Transaction { documents: vec![write], ..Transaction::default() };
        if let [Committed::Applied(_)] = self.log.commit(vec![first], now).await?[..] {
            return Ok(now);
        }
        let stored = self.log.documents(&[key]).await?.pop().flatten();
        let millis = stored.and_then(|document| std::str::from_utf8(&document.bytes).ok()?.parse().ok());
        millis.map(Timestamp::from_millis).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the log does not say since when a connection is watched")
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("registry", &self.shared.registry()).finish_non_exhaustive()
    }
}
