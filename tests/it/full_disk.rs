//! A real SQLite file without room: the vendor is not asked again and again for what cannot be written down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use ml_connector_core::{
    AuditLog, Clock, Connector, Context, PollRequest, ReceiveRequest, Result, Source, SourceInfo, SourceMode,
    Timestamp, TokioClock, UpkeepRequest,
    audit::{EntryKind, Query},
    engine::Settings,
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

/// A vendor whose webhooks are the id of a record, and whose records are large.
#[derive(Debug)]
struct Large {
    info: SourceInfo,
    reads: Arc<AtomicUsize>,
}

impl Large {
    fn new(reads: &Arc<AtomicUsize>) -> Self {
        let mut info = SourceInfo::new("books".into(), "large");
        (info.mode, info.coalesce) = (SourceMode::Poll, secs(60));
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
        self.reads.fetch_add(1, Ordering::SeqCst);
        let Subject::Entity(entity) = &signals[0].subject else {
            return Ok(Resolution::Observed(Vec::new()));
        };
        let mut record = Record::new(RecordKind::Invoice, Arc::clone(&entity.id), Status::Open);
        record.reference = Some("a long story ".repeat(3000));
        let state = Observed::present(Revision::of(entity.id.as_bytes()), record);
        let seen = Observation { entity: entity.clone(), read_at: ctx.now(), state };
        Ok(Resolution::Observed(vec![seen]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        unreachable!("it has no feeds")
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + secs(86_400)))
    }
}

fn connector(log: &Arc<SqliteLog>, clock: &Arc<TokioClock>, reads: &Arc<AtomicUsize>) -> Connector {
    let mut settings = Settings::default();
    settings.lease = secs(3600);
    Connector::builder()
        .audit_log(Arc::clone(log))
        .clock(Arc::clone(clock))
        .transport(SimTransport::new())
        .settings(settings)
        .source(Large::new(reads))
        .build()
        .unwrap()
}

/// Sends webhooks with bodies of this size until one is refused. Returns how many were taken.
async fn fill(connector: &Connector, from: usize, bytes: usize) -> usize {
    for taken in 0.. {
        let body = Bytes::from(vec![b'x'; bytes]);
        let request = http::Request::post(format!("/books/{}", from + taken)).body(body).unwrap();
        match connector.receive(request).await.status() {
            StatusCode::OK => assert!(taken < 10_000, "the disk is never full"),
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                return taken;
            }
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_full_disk_costs_the_vendor_a_few_reads_an_hour_and_nothing_is_lost() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("connector.db");
    let (clock, reads) = (
        Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T12:00:00Z").unwrap())),
        Arc::default(),
    );
    let options = SqliteOptions::default().with_max_size_bytes(512 << 10);
    let log = Arc::new(SqliteLog::open_with(&path, &options).unwrap());
    let host = connector(&log, &clock, &reads);
    let running = Running::start(&host);
    // It has its partitions before there is no room to write that down.
    while host.health().await.unwrap().partitions == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut waiting = 0;
    for bytes in [20_000, 2_000, 0] {
        waiting += fill(&host, waiting, bytes).await;
    }
    assert!(waiting > 10 && reads.load(Ordering::SeqCst) == 0, "{waiting}");

    // An hour goes by at once.
    tokio::time::pause();
    tokio::time::sleep(secs(3600)).await;
    tokio::time::resume();
    let asked = reads.load(Ordering::SeqCst);
    assert!(asked >= 1 && asked <= waiting + 70, "{asked} reads in an hour, for {waiting} signals");
    let health = host.health().await.unwrap();
    assert!(health.log.is_some() && !health.is_good(), "{health:?}");
    running.kill().await;
    drop((host, log));

    let log = Arc::new(SqliteLog::open(&path).unwrap());
    let host = connector(&log, &clock, &reads);
    let running = Running::start(&host);
    let events = Query::of_kind(EntryKind::Event);
    let began = clock.now();
    while log.count(&events, 10_000).await.unwrap() < waiting {
        assert!(clock.now() < began + secs(120), "what waited is not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(host.health().await.unwrap().log.is_none());
    running.stop().await;
}
