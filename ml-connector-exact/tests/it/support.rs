//! What the tests share.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    AuditLog, Context, HttpTransport, PollRequest, ReceiveRequest, Result, Source, Timestamp, TokioClock,
    UpkeepRequest,
    audit::{Committed, DocumentWrite, Expected, MemoryLog, Transaction},
    http::{Limits, TransportError},
    model::{
        Decimal, EntityRef, Intake, Observation, Observed, Page, PollMode, Resolution, Signal, Subject,
        Upkeep,
    },
    rate::MemoryRateLimiter,
    snapshot::Snapshot,
    token::{MemoryTokenStore, TokenStore},
};
use ml_connector_exact::{Builder, ExactOnline};
use ml_connector_sim::{
    Conditions, ExactOnlineSim, SimTransport,
    exact::{ExactOnlineConfig, Kind, NewDocument, NewLine, WebhookDelivery},
};

/// 2026-03-12, 10:15:19 in Amsterdam.
pub(crate) const NOW: &str = "2026-03-12T09:15:19Z";
pub(crate) const CUSTOMER: &str = "Bakkerij Linde V.O.F.";

pub(crate) fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Everything that a connection to a simulated company needs.
pub(crate) fn builder(sim: &ExactOnlineSim) -> Builder {
    let credentials = sim.credentials();
    ExactOnline::builder("books")
        .division(credentials.division)
        .client(credentials.client_id, credentials.client_secret.as_str())
        .webhook_secret(credentials.webhook_secret)
        .redirect_uri(credentials.redirect_uri)
        .refresh_token(credentials.refresh_token.as_str())
}

/// A host whose endpoint is there.
#[derive(Debug)]
struct Endpoint;

#[async_trait]
impl HttpTransport for Endpoint {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        assert!(request.body().is_empty(), "Exact Online looks with nothing in its hands");
        Ok(Response::new(Bytes::new()))
    }
}

/// The regions that are there.
#[derive(Debug, Default)]
struct Regions(Mutex<SimTransport>);

impl Regions {
    fn serve(&self, region: &ExactOnlineSim) {
        let mut all = self.0.lock().unwrap();
        *all = std::mem::take(&mut *all).with_exact_online(region);
    }
}

#[async_trait]
impl HttpTransport for Regions {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let all = self.0.lock().unwrap().clone();
        all.send(request, limits).await
    }
}

/// A simulated company and everything around a source, in virtual time.
pub(crate) struct Lab {
    pub(crate) sim: ExactOnlineSim,
    pub(crate) ctx: Context,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) transport: Arc<dyn HttpTransport>,
    others: Arc<Regions>,
    tokens: Arc<dyn TokenStore>,
    log: Arc<MemoryLog>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::at(NOW)
    }

    pub(crate) fn at(now: &str) -> Self {
        Self::with(now, ExactOnlineConfig::default())
    }

    /// At the other end of a line without jitter, for who counts seconds.
    pub(crate) fn punctual() -> Self {
        let mut config = ExactOnlineConfig::default();
        config.conditions = Conditions::kind();
        Self::with(NOW, config)
    }

    pub(crate) fn with(now: &str, config: ExactOnlineConfig) -> Self {
        Self::storing(now, config, Arc::new(MemoryTokenStore::new()))
    }

    /// With a store for tokens of the test's own.
    pub(crate) fn storing(now: &str, config: ExactOnlineConfig, tokens: Arc<dyn TokenStore>) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse(now).unwrap()));
        let sim = ExactOnlineSim::with_config(Arc::clone(&clock) as _, config);
        sim.set_hooks(Arc::new(Endpoint));
        let others = Arc::new(Regions::default());
        others.serve(&sim);
        let transport = Arc::clone(&others) as Arc<dyn HttpTransport>;
        let limiter = Arc::new(MemoryRateLimiter::new());
        let log = Arc::new(MemoryLog::new());
        let ctx = Context::new(Arc::clone(&transport), Arc::clone(&tokens), limiter, Arc::clone(&clock) as _)
            .with_log(Arc::clone(&log) as _);
        Self { sim, ctx, clock, transport, others, tokens, log }
    }

    /// Keeps what was seen of a record, as the engine does.
    pub(crate) async fn remember(&self, seen: &Observation) {
        let write = DocumentWrite {
            key: Snapshot::key(&"books".into(), &seen.entity),
            expected: Expected::Absent,
            value: Some(known(seen).to_bytes().unwrap()),
        };
        let transaction = Transaction { documents: vec![write], ..Transaction::default() };
        let committed = self.log.commit(vec![transaction], self.ctx.now()).await.unwrap();
        assert!(matches!(committed[..], [Committed::Applied(_)]), "{committed:?}");
    }

    /// What another host has, which shares the store of tokens; or this one after a restart.
    pub(crate) fn another_host(&self) -> Context {
        self.through(Arc::clone(&self.transport))
    }

    /// The same, with something between it and Exact Online.
    pub(crate) fn through(&self, transport: Arc<dyn HttpTransport>) -> Context {
        let limiter = Arc::new(MemoryRateLimiter::new());
        Context::new(transport, Arc::clone(&self.tokens), limiter, Arc::clone(&self.clock) as _)
            .with_log(Arc::new(MemoryLog::new()))
    }

    /// Serves another region, too.
    pub(crate) fn answer_for(&self, region: &ExactOnlineSim) {
        region.set_hooks(Arc::new(Endpoint));
        self.others.serve(region);
    }

    pub(crate) async fn pass_minutes(&self, minutes: u64) {
        pass(Duration::from_secs(minutes * 60)).await;
    }

    /// How many calls went to a path below the company.
    pub(crate) fn calls(&self, path: &str) -> usize {
        self.sim.received().iter().filter(|call| call.path.ends_with(path)).count()
    }

    pub(crate) fn source(&self) -> ExactOnline {
        builder(&self.sim).build().unwrap()
    }

    /// Where webhooks come to: on the host of the app's redirect URI.
    pub(crate) fn callback(&self) -> String {
        let redirect = self.sim.credentials().redirect_uri;
        let origin: Vec<&str> = redirect.split('/').take(3).collect();
        format!("{}/hooks/exact", origin.join("/"))
    }

    pub(crate) fn invoice(&self, total: &str) -> String {
        self.sim.create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount(total)))
    }

    /// A document with so many lines.
    pub(crate) fn with_lines(&self, kind: Kind, lines: usize) -> String {
        let new = (0..lines).fold(NewDocument::empty(CUSTOMER), |new, n| {
            new.line(NewLine::new(&format!("line {n}"), Decimal::from(10)).for_cost_center("DC1", "Nijmegen"))
        });
        self.sim.create(kind, &new)
    }

    pub(crate) async fn look(&self, source: &ExactOnline, state: Option<&Bytes>) -> Upkeep {
        let callback = self.callback();
        let request = UpkeepRequest::new().callback(Some(&callback)).state(state);
        source.upkeep(&self.ctx, request).await.unwrap()
    }

    /// Receives a delivery, as the engine hands it on.
    pub(crate) fn receive(&self, source: &ExactOnline, delivery: &WebhookDelivery) -> Result<Intake> {
        source.receive(ReceiveRequest::new(&below(&delivery.request), self.ctx.now()))
    }

    pub(crate) async fn resolve(
        &self,
        source: &ExactOnline,
        kind: &str,
        id: &str,
        hint: Option<&str>,
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let signal = Signal { hint: hint.map(Into::into), ..Signal::entity(EntityRef::new(kind, id)) };
        source.resolve(&self.ctx, &[signal], last).await
    }

    /// Reads a record that is there.
    pub(crate) async fn read(&self, source: &ExactOnline, kind: &str, id: &str) -> Observation {
        match self.resolve(source, kind, id, None, None).await.unwrap() {
            Resolution::Observed(mut seen) => seen.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// A whole run through a feed: what it shows, and where the next one begins.
    pub(crate) async fn run(
        &self,
        source: &ExactOnline,
        feed: &str,
        mode: PollMode,
        mut checkpoint: Option<Bytes>,
    ) -> Result<(Vec<Page>, Bytes)> {
        let mut pages = Vec::new();
        for _ in 0..200 {
            let request = PollRequest::new(feed, mode).checkpoint(checkpoint.as_ref());
            let page = source.poll(&self.ctx, request).await?;
            checkpoint = Some(page.checkpoint.clone());
            let more = page.more;
            pages.push(page);
            if !more {
                return Ok((pages, checkpoint.unwrap()));
            }
        }
        panic!("feed {feed} does not end");
    }
}

/// A request with the path below the endpoint, as the engine hands it on.
pub(crate) fn below(request: &Request<Bytes>) -> Request<Bytes> {
    let mut request = request.clone();
    *request.uri_mut() = "/".parse().unwrap();
    request
}

/// What pages show, as `kind/id status` or `kind/id gone`.
pub(crate) fn shown(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.observations).map(told).collect()
}

pub(crate) fn told(seen: &Observation) -> String {
    match &seen.state {
        Observed::Present { content, .. } => format!("{} {}", seen.entity, content.record().unwrap().status),
        _ => format!("{} gone", seen.entity),
    }
}

pub(crate) fn signals(pages: &[Page]) -> Vec<String> {
    let names = pages.iter().flat_map(|page| &page.signals).map(|signal| match &signal.subject {
        Subject::Entity(entity) => entity.to_string(),
        other => format!("{other:?}"),
    });
    names.collect()
}

/// What is known of a record after it was seen.
pub(crate) fn known(seen: &Observation) -> Snapshot {
    use ml_connector_core::{
        model::Zone,
        snapshot::{ChangeRules, SnapshotStep, step},
    };
    let today = seen.read_at.date_in(&Zone::UTC);
    let policy = ChangeRules { today, overdue_after: &[], watched_since: Timestamp::default() };
    match step(None, seen, &policy) {
        SnapshotStep::Changed { snapshot, .. } => *snapshot,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
