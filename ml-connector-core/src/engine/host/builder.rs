//! Puts a connector together.

use std::sync::{Arc, RwLock};

use url::Url;

use crate::engine::{Connector, Settings, Shared, mailbox::Wake, registry::Registry, stats::Counters};
use crate::{
    AuditLog, Clock, Context, Error, ErrorKind, HttpTransport, RateLimiter, Result, Sink, Source,
    SystemClock, TokenStore,
    approval::Approvals,
    audit::Lease,
    http::require_secure,
    rate::MemoryRateLimiter,
    route::{Route, RouteSet},
};

/// Puts a [`Connector`] together. Setters cannot fail; [`build`](Self::build) checks everything.
#[derive(Debug, Default)]
pub struct Builder {
    log: Option<Arc<dyn AuditLog>>,
    tokens: Option<Arc<dyn TokenStore>>,
    limiter: Option<Arc<dyn RateLimiter>>,
    transport: Option<Arc<dyn HttpTransport>>,
    clock: Option<Arc<dyn Clock>>,
    public_url: Option<String>,
    settings: Settings,
    sources: Vec<Arc<dyn Source>>,
    sinks: Vec<Arc<dyn Sink>>,
    routes: RouteSet,
    approvals: Vec<Approvals>,
}

impl Builder {
    /// Where everything is recorded. Required.
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

    /// How the engine works.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Connects a source.
    #[must_use]
    pub fn source(mut self, source: impl Source) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Connects a sink.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
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

    /// Connects approvals with all their [routes](Approvals::routes), which are added to those of the host, and
    /// stay when those are replaced.
    #[must_use]
    pub fn approvals(mut self, approvals: Approvals) -> Self {
        self.approvals.push(approvals.clone());
        self.source(approvals.clone()).sink(approvals)
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
        let transport = self.transport.or_else(default_transport).ok_or_else(|| {
            missing("a transport is required: enable feature `reqwest`, or give the builder one")
        })?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
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
        self.settings.retries.validate()?;
        let mut registry = Registry::default();
        self.sources.iter().try_for_each(|source| registry.add_source(source))?;
        self.sinks.iter().try_for_each(|sink| registry.add_sink(sink))?;
        registry.build_in(self.approvals.iter().flat_map(Approvals::routes));
        registry.set_routes(self.routes)?;
        Ok(Connector {
            shared: Arc::new(Shared {
                context: Context::new(transport, tokens, limiter, Arc::clone(&clock))
                    .with_log(Arc::clone(&log)),
                log,
                clock,
                public_url: public_url.transpose()?,
                settings: self.settings,
                registry: RwLock::new(Arc::new(registry)),
                wake: Wake::default(),
                stats: Counters::default(),
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
