//! A SQLite file without room: the vendor is not asked again and again for what cannot be written down.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, Context, PollRequest, ReceiveRequest, Result, Source, SourceInfo, SourceMode,
    Timestamp, TokioClock, UpkeepRequest,
    audit::{EntryKind, Query},
    engine::{Settings, TroubleKind},
    model::{
        EntityRef, Intake, Observation, Observed, Page, Prompt, Record, RecordKind, Resolution, Revision,
        Signal, Status, Subject, Upkeep,
    },
    snapshot::Snapshot,
};
use ml_connector_sim::SimTransport;
use ml_connector_sql::{SqliteLog, SqliteOptions};
use tempfile::TempDir;

use crate::world::{Running, secs};

/// Records that wait.
const WAITING: usize = 5;
/// Less than one record takes, and enough for leases and states.
const ROOM: u64 = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// A vendor whose webhooks are the id of a record, and whose records are large. It counts how often it is read.
#[derive(Debug)]
struct Large {
    info: SourceInfo,
    reads: Arc<AtomicUsize>,
}

impl Large {
    fn new(reads: &Arc<AtomicUsize>, coalesce: Duration) -> Self {
        let mut info = SourceInfo::new("books".into(), "large");
        (info.mode, info.coalesce) = (SourceMode::Webhook, coalesce);
        Self { info, reads: Arc::clone(reads) }
    }
}

#[async_trait]
impl Source for Large {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let id = request.request.uri().path().trim_start_matches('/').to_owned();
        Ok(Intake::accepted(vec![Signal::entity(EntityRef::new("invoice", id))]))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let Subject::Entity(entity) = &signals[0].subject else {
            return Ok(Resolution::Observed(Vec::new()));
        };
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut record = Record::new(RecordKind::Invoice, Arc::clone(&entity.id), Status::Open);
        record.reference = Some("a long story ".repeat(3000));
        let state = Observed::present(Revision::of(entity.id.as_bytes()), record);
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at: ctx.now(), state }]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        unreachable!("it has no feeds")
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + secs(86_400)))
    }
}

fn connector(
    path: &Path,
    max: Option<u64>,
    clock: &Arc<TokioClock>,
    source: Large,
) -> (Connector, Arc<SqliteLog>) {
    let mut options = SqliteOptions::default();
    options.max_size_bytes = max;
    let log = Arc::new(SqliteLog::open_with(path, &options).unwrap());
    let mut settings = Settings::default();
    settings.lease = secs(3600);
    let connector = Connector::builder()
        .audit_log(Arc::clone(&log))
        .clock(Arc::clone(clock))
        .transport(SimTransport::new())
        .settings(settings)
        .source(source)
        .build()
        .unwrap();
    (connector, log)
}

/// Waits for as long as a busy machine may need.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Time passes for the connector, second by second, and the file has a moment of real time in each.
async fn pass(secs: u64) {
    tokio::time::pause();
    for _ in 0..secs {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2))).await.unwrap();
    }
    tokio::time::resume();
}

#[tokio::test]
async fn a_full_disk_costs_the_vendor_a_few_reads_an_hour_and_nothing_is_lost() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("connector.db");
    let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T12:00:00Z").unwrap()));
    let reads = Arc::<AtomicUsize>::default();
    // What comes in is to be read in half an hour.
    let (host, log) = connector(&path, None, &clock, Large::new(&reads, secs(1800)));
    let running = Running::start(&host);
    until("it works", async || host.health().await.unwrap().partitions > 0).await;
    for id in 0..WAITING {
        let webhook = Request::post(format!("/books/{id}")).body(Bytes::from_static(b"changed")).unwrap();
        assert_eq!(host.receive(webhook).await.status(), StatusCode::OK);
    }
    running.stop().await;
    drop((host, log));

    // Then there is no room any more for what is read.
    let full = std::fs::metadata(&path).unwrap().len() + ROOM;
    let (host, log) = connector(&path, Some(full), &clock, Large::new(&reads, secs(1800)));
    let mut troubles = host.troubles();
    let running = Running::start(&host);
    until("it works", async || host.health().await.unwrap().partitions > 0).await;
    pass(1800 + 120).await;
    let first = reads.load(Ordering::SeqCst);
    assert!(first >= 1, "the vendor is asked");
    let health = host.health().await.unwrap();
    assert!(health.log.is_some() && !health.is_good(), "{health:?}");
    let told: Vec<TroubleKind> =
        std::iter::from_fn(|| troubles.next().now_or_never().flatten()).map(|trouble| trouble.kind).collect();
    assert_eq!(told, [TroubleKind::LogDown], "it is told once");
    pass(3600).await;
    let asked = reads.load(Ordering::SeqCst) - first;
    println!("{first} reads at first, {asked} in the hour after that");
    assert!(first <= 2 * WAITING && asked <= WAITING, "{first} reads at first, then {asked} in an hour");
    assert!(!host.health().await.unwrap().is_good(), "it is as full as before");
    running.kill().await;
    drop((host, log));

    // With room, what waited is told.
    let (host, log) = connector(&path, None, &clock, Large::new(&reads, secs(1800)));
    let running = Running::start(&host);
    let events = Query::of_kind(EntryKind::Event);
    let began = clock.now();
    while log.count(&events, 100).await.unwrap() < WAITING {
        // The leases of the process that was killed end first.
        assert!(clock.now() < began + secs(3 * 3600), "what waited is not told");
        pass(60).await;
    }
    let health = host.health().await.unwrap();
    assert!(health.log.is_none(), "{health:?}");
    running.stop().await;
}
