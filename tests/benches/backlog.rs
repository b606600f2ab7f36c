//! A start behind a long queue: a million deliveries on 100,000 lanes, and a million signals of a million records.
//!
//! Every step is a process of its own, so that each has its own memory. The vendor answers at once. What an entry costs (bytes on
//! the disk once the write-ahead log is merged, processor time with that of making it up) is said first. Ends with one line of
//! `key=value`, the last of them `met`: whether the goals are.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a benchmark stops at anything odd, and reads the clock

mod support;

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AuditLog, Clock, Connector, Context, Error, ErrorKind, PollRequest, ReceiveRequest, Repeat, Result,
    Source, SourceInfo, SystemClock, Timestamp, UpkeepRequest,
    audit::{
        Committed, EntryKind, EntryState, Index, LeaseRequest, NewEntry, Outcome, Parent, PendingRequest,
        PendingScope, Query, Settlement, Transaction,
    },
    model::{
        Affinity, Change, DeliveryId, EntityRef, Event, Intake, LaneKey, Money, Observation, Observed, Page,
        Prompt, Record, RecordKind, Resolution, Revision, Seq, Signal, Status, Upkeep,
    },
    snapshot::Snapshot,
};
use ml_connector_sql::SqliteLog;
use ml_connector_tests::{cpu_time, load_average, memory_mib, sized};

use self::support::Board;

/// Deliveries of so many events.
const EVENTS: u64 = 1_000;
const CHUNK: u64 = 2_000;

/// The goals: of the memory of a whole process, and of a search once the log had the time to index.
const PEAK_MIB_GOAL: f64 = 100.0;
const SEARCH_MS_GOAL: f64 = 10.0;

fn entries() -> u64 {
    sized(1_000_000, 100_000)
}

fn lanes() -> u64 {
    entries() / 10
}

/// How long a start is watched.
fn run_for() -> Duration {
    Duration::from_secs(sized(10, 1))
}

fn main() {
    let database = std::env::var("BACKLOG_DATABASE").unwrap_or_default();
    let database = Path::new(&database);
    match std::env::var("BACKLOG_STEP").as_deref() {
        Ok("seed-deliveries") => seed_deliveries(database),
        Ok("seed-signals") => seed_signals(database),
        Ok("deliver") => run(database),
        Ok("resolve") => run(database),
        Ok("settle") => settle(database),
        Ok("search") => search(database),
        Ok("search-signals") => search_signals(database),
        Ok(other) => panic!("no such step: {other}"),
        Err(_) => all(),
    }
}

fn all() {
    let directory = tempfile::TempDir::new().unwrap();
    let step = |step: &str, database: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .env("BACKLOG_STEP", step)
            .env("BACKLOG_DATABASE", directory.path().join(database))
            .output()
            .unwrap();
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        println!("{step}: {said}");
        said
    };
    let parts = [
        step("seed-deliveries", "deliveries.db"),
        step("seed-signals", "signals.db"),
        step("deliver", "deliveries.db"),
        step("settle", "deliveries.db"),
        step("search", "deliveries.db"),
        step("search-signals", "signals.db"),
        step("resolve", "signals.db"),
    ];
    let line = parts.join(" ");
    println!(
        "bench=backlog {line} peak_mib_goal={PEAK_MIB_GOAL} search_ms_goal={SEARCH_MS_GOAL} load={} met={}",
        load_average(),
        met(&line)
    );
}

/// Whether every figure that has a goal reaches it.
fn met(line: &str) -> bool {
    let goal = |name: &str| match name {
        // Right after a million signals without a pause; its goal is that it passes.
        "search_signals_unindexed_ms" => None,
        name if name.starts_with("search_") && name.ends_with("_ms") => Some(SEARCH_MS_GOAL),
        name if name.ends_with("_peak_mib") => Some(PEAK_MIB_GOAL),
        _ => None,
    };
    let figures = line.split(' ').filter_map(|pair| pair.split_once('='));
    let reached: Vec<bool> =
        figures.filter_map(|(name, value)| Some(value.parse::<f64>().unwrap() <= goal(name)?)).collect();
    // Two processes, ten searches of deliveries and one of signals.
    assert_eq!(reached.len(), 13, "a figure is missing: {line}");
    !reached.contains(&false)
}

/// Appends entries in large transactions. Returns their places.
async fn append(log: &SqliteLog, count: u64, entry: impl Fn(u64) -> NewEntry) -> Vec<Seq> {
    let mut seqs = Vec::new();
    for chunk in 0..count.div_ceil(CHUNK) {
        let append = (chunk * CHUNK..count.min((chunk + 1) * CHUNK)).map(&entry).collect();
        let transaction = Transaction { append, ..Transaction::default() };
        let committed = log.commit(vec![transaction], SystemClock.now()).await.unwrap();
        let [Committed::Applied(appended)] = &committed[..] else { panic!("{committed:?}") };
        seqs.extend(appended.iter().map(|appended| appended.seq()));
    }
    seqs
}

fn new_entry(kind: EntryKind, connection: &str, lane: Option<u64>, index: Index, body: Bytes) -> NewEntry {
    let partition = Affinity::from(connection).partition();
    NewEntry {
        lane,
        index,
        body: Some(body),
        ..NewEntry::new(partition, kind, connection.into(), Timestamp::default())
    }
}

fn entity(nth: u64) -> EntityRef {
    EntityRef::new("invoice", format!("4815000000{nth:09}"))
}

/// Some amount with cents.
fn amount(id: &str) -> Money {
    Money::parse(&format!("{}.{}", &id[12..17], &id[17..]), "EUR").unwrap()
}

fn record(id: &EntityRef) -> Record {
    let mut record = Record::new(RecordKind::Invoice, Arc::clone(&id.id), Status::Open);
    record.number = Some(format!("INV-{}", &id.id[10..]));
    record.total = Some(amount(&id.id));
    record
}

#[tokio::main(flavor = "current_thread")]
async fn seed_deliveries(database: &Path) {
    let (log, begun) = (SqliteLog::open(database).unwrap(), Instant::now());
    let now = SystemClock.now();
    let events = append(&log, EVENTS, |nth| {
        let entity = entity(nth);
        let record = record(&entity);
        let number = record.number.as_deref().map(Arc::from);
        let event =
            Event::new("books".into(), entity.clone(), 1, [Change::Created].into(), now, Some(record.into()));
        let amount = Some(amount(&entity.id));
        let name = Some("invoice.created".into());
        let index = Index { entity: Some(entity), number, name, amount, destination: None };
        new_entry(EntryKind::Event, "books", None, index, event.to_cloudevent().unwrap())
    })
    .await;
    let lanes = lanes();
    append(&log, entries(), |nth| {
        let lane = LaneKey::from(format!("corner/{}", nth % lanes)).number(&"board".into());
        // As the engine writes it.
        let body =
            format!(r#"{{"id":"{}","destination":"corner/{}"}}"#, DeliveryId::generate(now), nth % lanes);
        let entity = entity(nth % EVENTS);
        let index = Index {
            number: None,
            name: Some("all".into()),
            amount: Some(amount(&entity.id)),
            destination: Some(format!("corner/{}", nth % lanes).into()),
            entity: Some(entity),
        };
        let event = events[usize::try_from(nth % EVENTS).unwrap()];
        NewEntry {
            parent: Parent::Entry(event),
            ..new_entry(EntryKind::Delivery, "board", Some(lane), index, body.into())
        }
    })
    .await;
    drop(log);
    println!("{}", cost("deliveries", database, begun));
}

#[tokio::main(flavor = "current_thread")]
async fn seed_signals(database: &Path) {
    let (log, begun) = (SqliteLog::open(database).unwrap(), Instant::now());
    append(&log, entries(), |nth| {
        let entity = entity(nth);
        let lane = entity.lane().number(&"books".into());
        let body = format!(
            "{{\"signal\":{{\"subject\":{{\"entity\":{{\"kind\":\"invoice\",\"id\":\"{}\"}}}}}}}}\n",
            entity.id
        );
        new_entry(
            EntryKind::Signal,
            "books",
            Some(lane),
            Index { entity: Some(entity), ..Index::default() },
            body.into(),
        )
    })
    .await;
    drop(log);
    println!("{}", cost("signals", database, begun));
}

/// What it cost this process to fill a log that it has closed.
fn cost(what: &str, database: &Path, begun: Instant) -> String {
    let cpu = cpu_time(std::process::id()).unwrap_or_default();
    format!(
        "{what}_bytes_per_entry={:.0} {what}_cpu_us_per_entry={:.1} {what}_seed_s={:.0}",
        bytes_per_entry(database),
        cpu.as_secs_f64() * 1e6 / entries() as f64,
        begun.elapsed().as_secs_f64()
    )
}

/// The size of the file, and of what of its write-ahead log is not merged into it.
fn bytes_per_entry(database: &Path) -> f64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    (size(database) + size(&database.with_extension("db-wal"))) as f64 / entries() as f64
}

/// What the vendor was asked to do.
#[derive(Debug, Default)]
struct Vendor {
    calls: AtomicU64,
    first: std::sync::OnceLock<Instant>,
}

impl Vendor {
    fn call(&self) {
        self.first.get_or_init(Instant::now);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// A restart: how long until the first is done, how many a second then, and the memory of the whole process.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn run(database: &Path) {
    let begun = Instant::now();
    let vendor = Arc::new(Vendor::default());
    let mut source = SourceInfo::new("books".into(), "books");
    source.coalesce = Duration::ZERO;
    let called = Arc::clone(&vendor);
    let connector = Connector::builder()
        .audit_log(SqliteLog::open(database).unwrap())
        .source(Books { info: source, vendor: Arc::clone(&vendor) })
        .sink(Board::new(Repeat::AfterLookup, move |_| called.call()))
        .build()
        .unwrap();
    connector.run(tokio::time::sleep(run_for())).await;
    let what = std::env::var("BACKLOG_STEP").unwrap();
    let calls = vendor.calls.load(Ordering::Relaxed);
    let first = vendor.first.get().map(|first| first.duration_since(begun)).unwrap_or_default();
    println!(
        "{what}_peak_mib={} {what}_first_ms={} {what}_per_second={:.0}",
        memory_mib(std::process::id(), "VmHWM").unwrap_or_default(),
        first.as_millis(),
        calls as f64 / run_for().saturating_sub(first).as_secs_f64(),
    );
}

/// How many deliveries a second can be settled, one or 64 with each commit, by one caller.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn settle(database: &Path) {
    let log = SqliteLog::open(database).unwrap();
    let now = SystemClock.now();
    let request =
        LeaseRequest::Hold { owner: "bench".into(), want: 64, until: now + Duration::from_secs(60), now };
    let leases = log.lease(request).await.unwrap();
    let partition = Affinity::from("board").partition();
    let lease = *leases.iter().find(|lease| lease.partition == partition).unwrap();
    let mut after = Seq(0);
    for (name, batch, batches) in [("single", 1, 1_500), ("batched", 64, 300)] {
        let wanted = PendingRequest { lease, scope: PendingScope::Partition, after };
        let pending = log.pending(&[wanted], batch * batches).await.unwrap().remove(0).unwrap();
        after = pending.last().unwrap().seq;
        let begun = Instant::now();
        for chunk in pending.chunks(batch) {
            let done = |seq: Seq| Outcome::Done { receipt: Some(format!("receipt-{seq}").into()) };
            let settle = chunk.iter().map(|p| Settlement::new(p.seq, done(p.seq))).collect();
            let transaction = Transaction { fence: Some(lease), settle, ..Transaction::default() };
            log.commit(vec![transaction], now).await.unwrap();
        }
        print!("settle_{name}_per_second={:.0} ", pending.len() as f64 / begun.elapsed().as_secs_f64());
    }
    log.lease(LeaseRequest::Release { owner: "bench".into() }).await.unwrap();
}

/// How long one search takes, the middle of several.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn search(database: &Path) {
    let log = SqliteLog::open(database).unwrap();
    let any = log
        .query(&Query::of_kind(EntryKind::Delivery).with_state(EntryState::Done).with_limit(1))
        .await
        .unwrap();
    let receipt = any[0].receipt().unwrap().to_owned();
    let at = any[0].at;
    let limited = || Query::default().with_limit(20);
    let mut number = limited();
    number.number = Some("INV-000000500".into());
    let mut time = limited();
    (time.from, time.to) = (Some(at), Some(at + Duration::from_secs(1)));
    let mut newest = limited().with_state(EntryState::Done);
    newest.newest_first = true;
    let mut newest_of = limited().with_connection("board".into()).with_entity(entity(500));
    newest_of.newest_first = true;
    let mut pending = limited().with_state(EntryState::Pending);
    pending.newest_first = true;
    let searches = [
        ("entity", limited().with_entity(entity(500))),
        ("entity_events", Query::of_kind(EntryKind::Event).with_entity(entity(500)).with_limit(20)),
        ("entity_newest", newest_of),
        ("number", number),
        ("receipt", limited().with_receipt(receipt)),
        ("time", time),
        ("dead", limited().with_state(EntryState::Dead)),
        ("parked", limited().with_state(EntryState::Parked)),
        ("pending", pending),
        ("done", newest),
    ];
    // The log was filled without a pause, which is when it indexes what can wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (name, query) in searches {
        print!("search_{name}_ms={:.1} ", search_ms(&log, &query).await);
    }
}

/// How long the search for the signals of one record takes while all of them wait: right after they came without a
/// pause, and once the log had the time to index them, and how much that was.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn search_signals(database: &Path) {
    let (log, begun) = (SqliteLog::open(database).unwrap(), Instant::now());
    let query = Query::default().with_entity(entity(entries() - 1));
    let first = search_ms(&log, &query).await;
    let indexed = loop {
        match search_ms(&log, &query).await {
            at_last if at_last <= 10.0 || begun.elapsed() > Duration::from_secs(120) => break at_last,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    print!(
        "search_signals_unindexed_ms={first:.0} search_signals_ms={indexed:.1} index_signals_s={:.0}",
        begun.elapsed().as_secs_f64()
    );
    drop(log);
    print!(" signals_indexed_bytes_per_entry={:.0}", bytes_per_entry(database));
}

/// The middle of several.
async fn search_ms(log: &SqliteLog, query: &Query) -> f64 {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        log.query(query).await.unwrap();
        times.push(begun.elapsed());
    }
    ml_connector_tests::percentile(&mut times, 0.5).as_secs_f64() * 1e3
}

#[derive(Debug)]
struct Books {
    info: SourceInfo,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl Source for Books {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, _: ReceiveRequest<'_>) -> Result<Intake> {
        Err(Error::new(ErrorKind::SignatureInvalid, "there are no webhooks"))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        self.vendor.call();
        let ml_connector_core::model::Subject::Entity(entity) = &signals[0].subject else {
            return Ok(Resolution::Done { note: "no record" });
        };
        let state = Observed::present(Revision::of(entity.id.as_bytes()), record(entity));
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at: ctx.now(), state }]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "there are no feeds"))
    }

    async fn upkeep(&self, _: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(Timestamp::MAX))
    }
}
