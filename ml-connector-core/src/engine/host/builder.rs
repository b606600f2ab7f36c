//! Puts a connector together.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, AtomicI64},
};

use url::Url;

use crate::{
    AuditLog, Clock, Connection, Connector, Context, Error, ErrorKind, HttpTransport, IntoConnection,
    RateLimiter, Result, Sink, Source, SystemClock, TokenStore,
    audit::{Lease, sealed::CheckedLog},
    engine::{
        hooks::Hooks, log_gate::LogGate, mailbox::Mailbox, recent::Recent, registry::Registry,
        settings::Settings, shared::Shared, stats::Counters, tally::Tallies, trace::NamedRoutes,
        trouble::Troubles,
    },
    http::require_secure,
    rate::MemoryRateLimiter,
    route::{Route, RouteSet},
    steady_clock::SteadyClock,
};

/// Puts a [`Connector`] together. Setters cannot fail; [`build`](Self::build) checks everything.
#[derive(Debug, Default)]
pub struct ConnectorBuilder {
    log: Option<Arc<dyn AuditLog>>,
    tokens: Option<Arc<dyn TokenStore>>,
    limiter: Option<Arc<dyn RateLimiter>>,
    transport: Option<Arc<dyn HttpTransport>>,
    clock: Option<Arc<dyn Clock>>,
    public_url: Option<String>,
    reconnect: Option<Arc<str>>,
    settings: Settings,
    connections: Vec<Result<Connection>>,
    loads_connections: bool,
    routes: RouteSet,
}

impl Connector {
    /// Begins a connector.
    #[must_use]
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder::default()
    }
}

impl ConnectorBuilder {
    /// Where everything is recorded. Required. A log that is encrypted, but was opened without its key ring, is refused
    /// with [`ErrorKind::ConfigInvalid`] and the key's id by whatever uses it first.
    #[must_use]
    pub fn audit_log(self, log: impl AuditLog) -> Self {
        Self { log: Some(Arc::new(log)), ..self }
    }

    /// Where tokens are kept. Required when a connection uses OAuth.
    #[must_use]
    pub fn token_store(self, tokens: impl TokenStore) -> Self {
        Self { tokens: Some(Arc::new(tokens)), ..self }
    }

    /// What admits calls. Default: in memory, which is enough as long as nobody else spends the same quotas.
    #[must_use]
    pub fn rate_limiter(self, limiter: impl RateLimiter) -> Self {
        Self { limiter: Some(Arc::new(limiter)), ..self }
    }

    /// The way to the network. Default, with feature `reqwest`: a client of our own.
    #[must_use]
    pub fn transport(self, transport: impl HttpTransport) -> Self {
        Self { transport: Some(Arc::new(transport)), ..self }
    }

    /// Where time comes from. Default: the system's clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Arc::new(clock)), ..self }
    }

    /// Where vendors reach [`Connector::service`], such as `https://erp.example.com/hooks`.
    #[must_use]
    pub fn public_url(self, url: impl Into<String>) -> Self {
        Self { public_url: Some(url.into()), ..self }
    }

    /// How a person connects an account again: a link, such as to the page at which the host begins with
    /// [`Authorizer::begin`](crate::auth::Authorizer::begin), or a command. `{connection}` stands for the connection's id.
    /// A connection whose credentials are dead says it, in health, notices and [`check`](Connector::check).
    ///
    /// ```
    /// # use ml_connector_core::Connector;
    /// let builder = Connector::builder().reconnect_with("https://erp.example.com/connect/{connection}");
    /// ```
    #[must_use]
    pub fn reconnect_with(self, how: impl Into<Arc<str>>) -> Self {
        Self { reconnect: Some(how.into()), ..self }
    }

    /// How the engine works.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Attaches a connection: a system, approvals, or a [`Connection`] of the host's own.
    ///
    /// Approvals bring their [routes](crate::approval::Approvals::routes), which are added to those of the host and stay
    /// when the host replaces its own.
    #[must_use]
    pub fn connect(mut self, connection: impl IntoConnection) -> Self {
        self.connections.push(connection.into_connection());
        self
    }

    /// Attaches a source without a sink.
    #[must_use]
    pub fn source(self, source: impl Source) -> Self {
        self.connect(Connection::new().source(source))
    }

    /// Attaches a sink without a source.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        self.connect(Connection::new().sink(sink))
    }

    /// More connections are attached after [`build`](Self::build), until the host calls [`Connector::loaded`]. Meanwhile a
    /// webhook that no connection knows is answered with 503, so that its vendor sends it again; some vendors delete a
    /// subscription that is answered with 404.
    #[must_use]
    pub fn loads_connections(self) -> Self {
        Self { loads_connections: true, ..self }
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.routes.push(Arc::new(route));
        self
    }

    /// The routes, in place of those before: a [`RouteSet`] from a file, or a list.
    #[must_use]
    pub fn routes(self, routes: impl Into<RouteSet>) -> Self {
        Self { routes: routes.into(), ..self }
    }

    /// Checks everything and builds the connector. Nothing runs yet, and nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names what is missing or contradictory.
    pub fn build(self) -> Result<Connector> {
        let missing = |message| Error::new(ErrorKind::ConfigInvalid, message);
        let log = self
            .log
            .ok_or_else(|| missing("an audit log is required: give the builder one with `audit_log`"))?;
        let log: Arc<dyn AuditLog> = Arc::new(CheckedLog::new(log));
        let transport = self.transport.or_else(default_transport).ok_or_else(|| {
            missing("a transport is required: enable feature `reqwest`, or give the builder one")
        })?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let steady_clock = Arc::new(SteadyClock::new(clock));
        let clock: Arc<dyn Clock> = steady_clock.clone();
        let limiter = self.limiter.unwrap_or_else(|| Arc::new(MemoryRateLimiter::new()));
        let tokens = self.tokens.unwrap_or_else(|| Arc::new(NoTokens));
        let public_url = self.public_url.map(|text| {
            let url = Url::parse(&text)
                .map_err(|source| missing("`public_url` is not a valid URL").with_source(source))?;
            require_secure(&url).map(|()| url).map_err(|error| error.with_context("field", "public_url"))
        });

        if self.settings.lease > Lease::LONGEST / 2 {
            // The rest is for clocks that differ.
            return Err(missing("`lease` is longer than an hour: give a shorter one"));
        }
        if let Some(deadline) = log.deadline().filter(|deadline| *deadline > self.settings.lease / 2) {
            let message = "a call of the log may take longer than half of `lease`, so that its partitions are lost before it ends: \
                           give the log a shorter deadline, or a longer `lease`";
            return Err(missing(message)
                .with_context("deadline_ms", deadline.as_millis())
                .with_context("lease_ms", self.settings.lease.as_millis()));
        }
        self.settings.retries.validate()?;
        let mut registry = Registry::default();
        for connection in self.connections {
            registry.add(connection?)?;
        }
        registry.set_loading(self.loads_connections);
        registry.set_routes(self.routes)?;
        registry.note_attached(clock.now());
        Ok(Connector {
            shared: Arc::new(Shared {
                context: Context::new(transport, tokens, limiter, Arc::clone(&clock))
                    .with_log(Arc::clone(&log)),
                log,
                clock,
                steady_clock,
                public_url: public_url.transpose()?,
                reconnect: self.reconnect,
                settings: self.settings,
                registry: RwLock::new(Arc::new(registry)),
                mailbox: Mailbox::default(),
                stats: Counters::default(),
                tallies: Tallies::default(),
                named_routes: NamedRoutes::default(),
                hooks: Hooks::default(),
                recent: Recent::default(),
                log_gate: LogGate::default(),
                troubles: Troubles::default(),
                lease: Arc::default(),
                forgotten_at: AtomicI64::default(),
                acts_open: AtomicBool::default(),
            }),
        })
    }
}

#[cfg(feature = "reqwest")]
#[allow(clippy::unnecessary_wraps)] // without the feature there is none
fn default_transport() -> Option<Arc<dyn HttpTransport>> {
    Some(Arc::new(crate::http::ReqwestTransport::new()))
}

#[cfg(not(feature = "reqwest"))]
fn default_transport() -> Option<Arc<dyn HttpTransport>> {
    None
}

/// Stands in for a token store that the host did not give: whoever needs one says so.
#[derive(Debug)]
struct NoTokens;

#[async_trait::async_trait]
impl TokenStore for NoTokens {
    async fn load(&self, _: &crate::token::TokenKey) -> Result<Option<crate::token::Stored>> {
        Err(no_token_store())
    }

    async fn swap(
        &self,
        _: &crate::token::TokenKey,
        _: Option<u64>,
        _: Option<bytes::Bytes>,
    ) -> Result<crate::token::Swap> {
        Err(no_token_store())
    }
}

fn no_token_store() -> Error {
    Error::new(
        ErrorKind::ConfigInvalid,
        "a connection needs a token store: give the builder one with `token_store`",
    )
    .with_scope(crate::Scope::Connection)
}
