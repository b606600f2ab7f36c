//! What the tests share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Context, HttpTransport, PollRequest, ReceiveRequest, Source, Timestamp, TokioClock, UpkeepRequest,
    audit::MemoryLog,
    model::{EntityRef, Intake, Observation, Observed, Page, PollMode, Resolution, Signal, Upkeep},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_freshbooks::{Builder, FreshBooks};
use ml_connector_sim::{
    FreshBooksSim, SimTransport,
    freshbooks::{Client, FreshBooksConfig, Invoice, WebhookDelivery},
};

/// 2026-06-29, 12:52 in New York.
pub(crate) const NOW: &str = "2026-06-29T16:52:44Z";
pub(crate) const CALLBACK: &str = "https://erp.example.com/hooks/books-3f2a";
pub(crate) const CLIENT: &str = "Larkspur Dental Group";

pub(crate) fn fixture(name: &str) -> Bytes {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

pub(crate) fn cents(cents: i64) -> ml_connector_core::model::Decimal {
    ml_connector_core::model::Decimal::new(cents, 2)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Everything that a connection to a simulated login needs.
pub(crate) fn builder(sim: &FreshBooksSim) -> Builder {
    let credentials = sim.credentials();
    FreshBooks::builder("books")
        .account_id(credentials.account_id)
        .client(credentials.client_id, credentials.client_secret.as_str())
        .redirect_uri(credentials.redirect_uri)
        .refresh_token(credentials.refresh_token.as_str())
        .endpoint("books-3f2a")
        .time_zone("America/Toronto")
}

/// A simulated login and everything around a source, in virtual time.
pub(crate) struct Lab {
    pub(crate) sim: FreshBooksSim,
    pub(crate) ctx: Context,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) transport: Arc<dyn HttpTransport>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(FreshBooksConfig::default())
    }

    pub(crate) fn with(config: FreshBooksConfig) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse(NOW).unwrap()));
        let sim = FreshBooksSim::with_config(Arc::clone(&clock) as _, config);
        let transport: Arc<dyn HttpTransport> = Arc::new(SimTransport::new().with_freshbooks(&sim));
        let limiter = Arc::new(MemoryRateLimiter::new());
        let tokens = Arc::new(MemoryTokenStore::new());
        let ctx = Context::new(Arc::clone(&transport), tokens, limiter, Arc::clone(&clock) as _)
            .with_log(Arc::new(MemoryLog::new()));
        Self { sim, ctx, clock, transport }
    }

    pub(crate) fn source(&self) -> FreshBooks {
        builder(&self.sim).build().unwrap()
    }

    /// An invoice that was sent to the client.
    pub(crate) fn invoice(&self, amount: i64) -> u64 {
        let client = self.sim.create(Client::new(CLIENT)).unwrap();
        self.sim.create(Invoice::new(client, cents(amount)).sent()).unwrap()
    }

    /// Looks after the callbacks once, with what was kept before.
    pub(crate) async fn look(&self, source: &FreshBooks, state: Option<&Bytes>) -> Upkeep {
        let request = UpkeepRequest::new().callback(Some(CALLBACK)).state(state);
        source.upkeep(&self.ctx, request).await.unwrap()
    }

    /// Receives a delivery, as the engine hands it on.
    pub(crate) fn receive(
        &self,
        source: &FreshBooks,
        delivery: &WebhookDelivery,
        state: &Bytes,
    ) -> ml_connector_core::Result<Intake> {
        source.receive(ReceiveRequest::new(&below(&delivery.request), self.ctx.now()).state(Some(state)))
    }

    /// Looks and hands handshakes over until every callback is proven. Returns what is kept then.
    pub(crate) async fn register(&self, source: &FreshBooks) -> Bytes {
        let mut state = self.look(source, None).await.state;
        state = self.look(source, Some(&state)).await.state;
        state = self.hand_over(source, state);
        let upkeep = self.look(source, Some(&state)).await;
        assert!(self.sim.callbacks().iter().all(|callback| callback.verified), "{:?}", upkeep.problem);
        upkeep.state
    }

    /// Hands over the handshakes that wait.
    pub(crate) fn hand_over(&self, source: &FreshBooks, mut state: Bytes) -> Bytes {
        for delivery in self.sim.take_webhooks() {
            let intake = self.receive(source, &delivery, &state).unwrap();
            state = intake.state.unwrap_or(state);
        }
        state
    }

    /// Reads one record.
    pub(crate) async fn read(&self, source: &FreshBooks, kind: &str, id: u64) -> Vec<Observation> {
        let signal = Signal::entity(EntityRef::new(kind, id.to_string()));
        match source.resolve(&self.ctx, &[signal], None).await.unwrap() {
            Resolution::Observed(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    /// A whole run through a feed: what it shows, and where the next one begins.
    pub(crate) async fn run(
        &self,
        source: &FreshBooks,
        feed: &str,
        mode: PollMode,
        mut checkpoint: Option<Bytes>,
    ) -> (Vec<Page>, Bytes) {
        let mut pages = Vec::new();
        for _ in 0..100 {
            let request = PollRequest::new(feed, mode).checkpoint(checkpoint.as_ref());
            let page = source.poll(&self.ctx, request).await.unwrap();
            checkpoint = Some(page.checkpoint.clone());
            let more = page.more;
            pages.push(page);
            if !more {
                return (pages, checkpoint.unwrap());
            }
        }
        panic!("feed {feed} does not end");
    }
}

/// A request with the path below the endpoint, as the engine hands it on.
pub(crate) fn below(request: &Request<Bytes>) -> Request<Bytes> {
    let mut request = request.clone();
    let path = request.uri().path().rsplit('/').next().unwrap_or_default();
    *request.uri_mut() = format!("/{path}").parse().unwrap();
    request
}

/// What pages show, as `kind/id` with the status, or `gone`.
pub(crate) fn shown(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.observations).map(told).collect()
}

pub(crate) fn told(seen: &Observation) -> String {
    match &seen.state {
        Observed::Present { content, .. } => {
            format!("{} {}", seen.entity, content.record().unwrap().status)
        }
        _ => format!("{} gone", seen.entity),
    }
}

pub(crate) fn signals(pages: &[Page]) -> Vec<String> {
    pages
        .iter()
        .flat_map(|page| &page.signals)
        .map(|signal| match &signal.subject {
            ml_connector_core::model::Subject::Entity(entity) => entity.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
