//! The engine against a tiny vendor, in virtual time.

mod asked;
mod attach;
mod batches;
mod checks;
mod clock;
mod conversations;
mod digests;
mod failures;
mod fairness;
mod feeds;
mod flow;
mod follow_ups;
mod hosts;
mod idle;
mod intake;
mod leases;
mod long_attempts;
mod notices;
mod operations;
mod outages;
mod pages;
mod progress;
mod read_back;
mod reads_in_vain;
mod refused_feeds;
mod replays;
mod stories;
mod sweeps;
mod tenants;
mod unwritten;
mod vendor;
mod visible;
mod wall;

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;
use vendor::{Board, BoardSink, Ledger, LedgerSource};

use super::{Connector, Retries, Settings};
use crate::{
    HttpTransport, OnUnknown, Repeat, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog, Query},
    http::{Limits, Phase, TransportError},
    model::Destination,
    rate::MemoryRateLimiter,
    route::Route,
};

#[derive(Debug)]
struct NoNetwork;

#[async_trait::async_trait]
impl HttpTransport for NoNetwork {
    async fn send(
        &self,
        _: http::Request<bytes::Bytes>,
        _: Limits,
    ) -> Result<http::Response<bytes::Bytes>, TransportError> {
        Err(TransportError::new(Phase::NotWritten, "there is no network"))
    }
}

/// A ledger, a board and a log that outlive the connectors between them.
struct World {
    ledger: Arc<Ledger>,
    board: Arc<Board>,
    log: Arc<MemoryLog>,
    limiter: Arc<MemoryRateLimiter>,
    clock: Arc<TokioClock>,
    repeat: Repeat,
    on_unknown: OnUnknown,
    retention: Option<Duration>,
    lease: Duration,
    grace: Duration,
    retries: Retries,
}

impl World {
    /// 2026-03-01, noon.
    fn new() -> Self {
        Self {
            ledger: Arc::default(),
            board: Arc::default(),
            log: Arc::new(MemoryLog::new()),
            limiter: Arc::new(MemoryRateLimiter::new()),
            clock: Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap())),
            repeat: Repeat::AfterLookup,
            on_unknown: OnUnknown::Park,
            retention: None,
            lease: secs(600),
            grace: secs(5),
            retries: Retries::default(),
        }
    }

    /// A connector that writes every event into corner `a`.
    fn connector(&self) -> Connector {
        self.connector_with(vec![Route::new("all").to("board", Destination::from("a"))])
    }

    fn connector_with(&self, routes: Vec<Route>) -> Connector {
        let settings = Settings {
            grace: self.grace,
            lease: self.lease,
            retention: self.retention,
            retries: self.retries.clone(),
            ..Settings::default()
        };
        let connector = Connector::builder()
            .audit_log(Arc::clone(&self.log))
            .rate_limiter(Arc::clone(&self.limiter))
            .clock(Arc::clone(&self.clock))
            .transport(NoNetwork)
            .public_url("https://erp.example/hooks")
            .settings(settings)
            .source(LedgerSource::new("books", &self.ledger))
            .sink(BoardSink::new(&self.board, self.repeat, self.on_unknown))
            .build()
            .unwrap();
        connector.set_routes(routes).unwrap();
        connector
    }

    /// Runs a connector for a time, and shuts it down.
    async fn run(&self, connector: &Connector, time: Duration) {
        connector.run(tokio::time::sleep(time)).await;
    }

    async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        let mut query = Query::of_kind(kind).with_limit(10_000);
        query.bodies = true;
        crate::AuditLog::query(&*self.log, &query).await.unwrap()
    }

    /// The last outcome of every entry of a kind, as text.
    async fn outcomes(&self, kind: EntryKind) -> Vec<String> {
        let outcome = |entry: &Entry| {
            entry.outcomes.last().map_or("-".to_owned(), |last| format!("{:?}", last.outcome))
        };
        self.entries(kind).await.iter().map(outcome).collect()
    }
}

/// Starts a connector; the sender stops it.
fn start(connector: &Connector) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let connector = connector.clone();
    let running = tokio::spawn(async move {
        connector.run(async { drop(stopped.await) }).await;
    });
    (stop, running)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
