//! How long 100,000 list rows of Zoho Books take until they are rows of a Delta table: they wait in the log as pages of a
//! backfill, and go from there through the engine, a staged file and a MERGE. Measured with a log in memory and with SQLite,
//! each in a process of its own; the workspace is simulated in another, so that its memory is not ours, but its time is in
//! the figures: what each of the two used of the processor is told. Then how many rows a second of live changes two tables
//! take that are written at the same time, and how long it takes to read the lists: 500 different answers of Zoho through
//! the crate's own way of reading a list. Ends with one line of `key=value`, the last of them `met`; figures with SQLite
//! have no goal.
#![allow(clippy::disallowed_methods)] // a benchmark reads the system's clock
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::{
    AttemptNotes, AuditLog, Clock, Connector, Context, FeedInfo, HttpTransport, PollRequest, ReceiveRequest,
    Result, Sink, Source, SourceInfo, SourceMode, SystemClock, Timestamp, UpkeepRequest,
    audit::MemoryLog,
    http::{Limits, ReqwestTransport, TransportError},
    model::{
        AccountKey, Change, Columns, Delivery, DeliveryId, EntityRef, Event, Intake, Observation, Observed,
        Page, PollMode, Prompt, Raw, Record, RecordKind, Resolution, Revision, Seq, Signal, Status, Upkeep,
        Value,
    },
    rate::MemoryRateLimiter,
    route::Route,
    snapshot::Snapshot,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Databricks, tables};
use ml_connector_sim::{Conditions, DatabricksSim, serve};
use ml_connector_sql::SqliteLog;
use ml_connector_tests::{load_average, memory_mib, sized};
use ml_connector_zoho::{DataCenter, ZohoBooks};

/// As many as Zoho lists on a page.
const PAGE: usize = 200;
/// Of each of the two tables.
const LIVE_BATCHES: usize = 10;
const LIVE_BATCH: usize = 512;
const STAGED_BYTES: u64 = 8 << 20;
const SYNC_S_GOAL: f64 = 3.0;
const PEAK_MIB_GOAL: f64 = 64.0;
const EXTRACT_S_GOAL: f64 = 1.0;
const EXTRACT_MIB_GOAL: f64 = 32.0;
/// What this process is.
const ROLE: &str = "ML_BENCH_ROLE";

const ROW: &str = r#"{"ach_payment_initiated":false,"invoice_id":"ID","zcrm_potential_id":"","customer_id":"481500000000081001","zcrm_potential_name":"","customer_name":"Bluebird Logistics","company_name":"Bluebird Logistics Inc","status":"overdue","invoice_number":"INV-ID","reference_number":"PO-7731","date":"2026-02-02","due_date":"2026-03-04","issued_date":"2026-02-02","due_days":"Overdue by 8 days","email":"ap@bluebird.example","project_name":"","billing_address":{"address":"48 Quayside Walk","street2":"","city":"Portland","state":"ME","zipcode":"04101","country":"USA","phone":"","fax":"","attention":""},"country":"USA","phone":"","created_by":"Dana Whitlow","total":1250.5,"balance":1250.5,"payment_expected_date":"","custom_fields":[],"custom_field_hash":{},"tags":[],"salesperson_name":"","shipping_charge":0,"adjustment":0,"created_time":"2026-02-02T10:14:08-0500","last_modified_time":"2026-02-02T10:15:31-0500","updated_time":"2026-02-02T10:15:31-0500","is_viewed_by_client":false,"has_attachment":false,"client_viewed_time":"","is_emailed":true,"color_code":"","current_sub_status_id":"","current_sub_status":"overdue","currency_id":"481500000000000097","schedule_time":"","currency_code":"USD","currency_symbol":"$","template_type":"standard","invoice_source":"Api","sales_channel":"direct_sales","reminders_sent":1,"last_payment_date":"","template_id":"481500000000017001","documents":"","salesperson_id":"","write_off_amount":0,"exchange_rate":1,"unprocessed_payment_amount":0}"#;

/// How many rows the lists have: a multiple of a page.
fn all_rows() -> usize {
    sized(100_000, 4_000)
}

type Figures = BTreeMap<String, f64>;

fn main() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var(ROLE).as_deref() {
        Ok("workspace") => runtime().block_on(workspace()),
        Ok("extract") => println!("{}", runtime().block_on(extract())),
        Ok(log) => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            println!("{}", runtime().block_on(measure(log, &line)));
        }
        Err(_) => report(&figures("extract"), &with_workspace("memory"), &with_workspace("sqlite")),
    }
}

#[allow(clippy::cast_precision_loss)]
fn report(extract: &Figures, memory: &Figures, sqlite: &Figures) {
    let met = memory["sync_s"] <= SYNC_S_GOAL
        && memory["peak_mib"] <= PEAK_MIB_GOAL
        // One more than needed: the last batch before the end of what is there may be small.
        && memory["merges"] <= memory["least_merges"] + 1.0
        && memory["ddl"] <= 1.0
        && extract["s"] <= EXTRACT_S_GOAL
        && extract["mib"] <= EXTRACT_MIB_GOAL;
    let figure = |of: &Figures, name: &str| format!("{:.2}", of[name]);
    println!(
        "bench=sync rows={} sync_s={} sync_s_goal={SYNC_S_GOAL} cpu_s={} workspace_cpu_s={} peak_mib={} \
         peak_mib_goal={PEAK_MIB_GOAL} log_mib={} process_mib={} merges={} ddl={} staged_mib={} least_merges={} fill_s={} \
         sqlite_sync_s={} sqlite_peak_mib={} sqlite_process_mib={} extract_s={} extract_s_goal={EXTRACT_S_GOAL} \
         extract_list_s={} extract_mib={} extract_mib_goal={EXTRACT_MIB_GOAL} live_rows_per_s={:.0} profile={} load={} met={met}",
        all_rows(),
        figure(memory, "sync_s"),
        figure(memory, "cpu_s"),
        figure(memory, "workspace_cpu_s"),
        figure(memory, "peak_mib"),
        figure(memory, "log_mib"),
        figure(memory, "process_mib"),
        memory["merges"],
        memory["ddl"],
        figure(memory, "staged_mib"),
        memory["least_merges"],
        figure(memory, "fill_s"),
        figure(sqlite, "sync_s"),
        figure(sqlite, "peak_mib"),
        figure(sqlite, "process_mib"),
        figure(extract, "s"),
        figure(extract, "list_s"),
        figure(extract, "mib"),
        memory["live_rows_per_s"],
        if cfg!(debug_assertions) { "debug" } else { "release" },
        load_average(),
    );
}

fn child(role: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let command = &mut Command::new(program);
    command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn line_of(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

/// What a process of this role has found.
fn figures(role: &str) -> Figures {
    let mut child = child(role);
    let line = line_of(&mut child);
    assert!(child.wait().unwrap().success());
    read(&line)
}

/// The same, beside a workspace of its own.
fn with_workspace(role: &str) -> Figures {
    let (mut lake, mut measured) = (child("workspace"), child(role));
    let line = line_of(&mut lake);
    measured.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let line = line_of(&mut measured);
    assert!(measured.wait().unwrap().success());
    // The workspace ends when nobody holds its input.
    drop(lake.stdin.take());
    lake.wait().unwrap();
    read(&line)
}

fn read(line: &str) -> Figures {
    let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Serves the workspace until its input ends.
async fn workspace() {
    let lake = DatabricksSim::new(Arc::new(SystemClock));
    lake.set_conditions(Conditions::kind());
    lake.sql("CREATE VOLUME landing").unwrap();
    let served = serve(lake.router(), SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let credentials = lake.credentials();
    let (warehouse, client, secret) =
        (credentials.warehouse_id, credentials.client_id, credentials.client_secret);
    println!("{} {warehouse} {client} {secret} {}", served.url(), std::process::id());
    std::io::stdout().flush().unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await.unwrap();
}

/// How long it takes to read so many rows from Zoho's lists, from the bytes of each answer to the values of each row, and
/// what the process needs for it.
async fn extract() -> String {
    let books = zoho();
    let columns = invoices(&books);
    let lists = Arc::new(Answers::default());
    let ctx = Context::new(
        Arc::clone(&lists) as Arc<dyn HttpTransport>,
        Arc::new(MemoryTokenStore::new()),
        Arc::new(MemoryRateLimiter::new()),
        Arc::new(Leaping::default()),
    );
    let (mut took, mut list, mut checkpoint) = (Duration::ZERO, Duration::ZERO, None);
    let (mut rows, mut values) = (0, 0);
    loop {
        // The vendor's part.
        lists.prepare(rows / PAGE);
        let began = Instant::now();
        let mut request = PollRequest::new("invoices", PollMode::Backfill { since: None });
        request.checkpoint = checkpoint.as_ref();
        let page = books.poll(&ctx.within(Duration::from_secs(86_400)), request).await.unwrap();
        list += began.elapsed();
        let read = page.rows.iter().chain(&page.observations);
        for observed in read {
            let Observed::Present { raw: Some(raw), .. } = &observed.state else { panic!("a row is there") };
            values += columns.read(raw).unwrap().iter().filter(|value| **value != Value::Null).count();
            rows += 1;
        }
        took += began.elapsed();
        checkpoint = Some(page.checkpoint);
        if !page.more {
            break;
        }
    }
    assert_eq!(rows, all_rows());
    assert!(values > all_rows() * 10, "{values}");
    let mib = memory_mib(std::process::id(), "VmHWM").unwrap_or_default();
    format!("s={} list_s={} mib={mib}", took.as_secs_f64(), list.as_secs_f64())
}

async fn measure(log: &str, workspace: &str) -> String {
    let [host, warehouse, client, secret, process] = workspace.split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    let books = zoho();
    let wire = Arc::new(Counting::default());
    let lake = Databricks::builder("lake")
        .host(host)
        .warehouse(warehouse)
        .schema("main", "ml_finance")
        .volume("landing")
        .service_principal(client, secret)
        .tables_of(&books)
        .linger(Duration::ZERO)
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn AuditLog> = match log {
        "memory" => Arc::new(MemoryLog::new()),
        _ => Arc::new(SqliteLog::open(folder.path().join("log.db")).unwrap()),
    };
    let before = resident();
    let fill_s = fill(&log, &books, &lake, &wire).await.as_secs_f64();
    let filled = resident();
    let processor = || {
        let of = |process: u32| ml_connector_tests::cpu_time(process).unwrap_or_default().as_secs_f64();
        (of(std::process::id()), of(process.parse().unwrap()))
    };

    let connector = connector(&log, &wire, &books).sink(lake.clone()).build().unwrap();
    connector.set_routes(vec![warehouse_route()]).unwrap();
    reset_peak();
    let used = processor();
    let began = Instant::now();
    let sync = until(&connector, || connector.stats().delivered >= (all_rows() / PAGE) as u64, began).await;
    let uses = processor();
    let process_mib = memory_mib(std::process::id(), "VmHWM").unwrap_or_default();
    let peak = process_mib.saturating_sub(filled);
    let staged = wire.staged.load(Ordering::Relaxed);
    let (merges, ddl) = (wire.merges.load(Ordering::Relaxed), wire.other.load(Ordering::Relaxed));

    let ctx = Context::new(
        Arc::clone(&wire) as Arc<dyn HttpTransport>,
        Arc::new(MemoryTokenStore::new()),
        Arc::new(MemoryRateLimiter::new()),
        Arc::new(SystemClock),
    );
    let began = Instant::now();
    let changes = async |kind: &'static str| {
        for round in 0..LIVE_BATCHES {
            let of = |n: usize| live(kind, round * LIVE_BATCH + n);
            let batch: Vec<Delivery> = (0..LIVE_BATCH).map(of).collect();
            for result in lake.deliver(&ctx.within(Duration::from_secs(60)), &batch, &NoNotes).await {
                result.unwrap();
            }
        }
    };
    tokio::join!(changes("invoice"), changes("bill"));
    #[allow(clippy::cast_precision_loss)]
    let per_s = (2 * LIVE_BATCHES * LIVE_BATCH) as f64 / began.elapsed().as_secs_f64();
    let rows = lake.query(&ctx, "SELECT count(*) FROM zoho_books_invoices", &[]).await.unwrap().rows;
    assert_eq!(rows[0][0].as_deref(), Some(&*all_rows().to_string()));
    #[allow(clippy::cast_precision_loss)]
    let staged_mib = staged as f64 / f64::from(1 << 20);
    format!(
        "sync_s={} cpu_s={} workspace_cpu_s={} peak_mib={peak} process_mib={process_mib} log_mib={} merges={merges} \
         ddl={ddl} staged_mib={staged_mib} least_merges={} fill_s={fill_s} live_rows_per_s={per_s}",
        sync.as_secs_f64(),
        uses.0 - used.0,
        uses.1 - used.1,
        filled.saturating_sub(before),
        staged.div_ceil(STAGED_BYTES),
    )
}

fn connector(
    log: &Arc<dyn AuditLog>,
    wire: &Arc<Counting>,
    books: &ZohoBooks,
) -> ml_connector_core::engine::ConnectorBuilder {
    Connector::builder()
        .audit_log(Arc::clone(log))
        .token_store(MemoryTokenStore::new())
        .transport(Arc::clone(wire))
        .source(Lists::new(books))
}

fn warehouse_route() -> Route {
    Route::new("warehouse").with_pages().to("lake", tables())
}

/// Reads the past into the log, while nobody takes it from there.
async fn fill(
    log: &Arc<dyn AuditLog>,
    books: &ZohoBooks,
    lake: &Databricks,
    wire: &Arc<Counting>,
) -> Duration {
    let connector = connector(log, wire, books).sink(lake.clone()).build().unwrap();
    connector.set_routes(vec![warehouse_route()]).unwrap();
    connector.remove(&"lake".into());
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    let pages = (all_rows() / PAGE) as u64;
    until(&connector, || connector.stats().deliveries >= pages, Instant::now()).await
}

/// Runs the connector until something holds; returns how long that took.
async fn until(connector: &Connector, holds: impl Fn() -> bool, began: Instant) -> Duration {
    let mut took = Duration::ZERO;
    let watched = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took = began.elapsed();
    };
    connector.run(watched).await;
    took
}

fn resident() -> u64 {
    memory_mib(std::process::id(), "VmRSS").unwrap_or_default()
}

/// The most that was resident is measured from now on.
fn reset_peak() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        eprintln!("the peak cannot be reset ({error}): it holds what came before");
    }
}

fn zoho() -> ZohoBooks {
    ZohoBooks::builder("books")
        .organization_id("778812345")
        .data_center(DataCenter::Us)
        .client("id", "secret")
        .refresh_token("token")
        .webhook_secret("benchSecret2026")
        .time_zone("America/New_York")
        .build()
        .unwrap()
}

fn invoices(books: &ZohoBooks) -> Arc<Columns> {
    let all = &Source::info(books).columns;
    Arc::clone(all.iter().find(|columns| columns.kind == RecordKind::Invoice).unwrap())
}

fn id(of: usize) -> String {
    format!("{:018}", 481_500_000_000_000_000_usize + of)
}

fn json(of: usize) -> String {
    ROW.replace("ID", &id(of))
}

fn live(kind: &'static str, of: usize) -> Delivery {
    let now = SystemClock.now();
    let entity = EntityRef::new(kind, id(of));
    let mut event = Event::new("books".into(), entity, 2, BTreeSet::from([Change::Updated]), now, None);
    event.epoch = u64::MAX >> 1;
    let json = json(of).replacen("invoice_id", &format!("{kind}_id"), 1);
    event.raw = serde_json::from_str(&json).unwrap();
    Delivery::new(Seq(1), DeliveryId::generate(now), tables(), "warehouse", Arc::new(event), now)
}

/// The lists of Zoho Books without Zoho's limits of calls.
#[derive(Debug)]
struct Lists(SourceInfo);

impl Lists {
    fn new(books: &ZohoBooks) -> Self {
        let of = Source::info(books);
        let mut info = SourceInfo::new("books".into(), of.system);
        info.accounts = vec![AccountKey::from("org:778812345")];
        info.columns.clone_from(&of.columns);
        info.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(86_400))];
        info.mode = SourceMode::Poll;
        Self(info)
    }
}

#[async_trait]
impl Source for Lists {
    fn info(&self) -> &SourceInfo {
        &self.0
    }

    fn receive(&self, _: ReceiveRequest<'_>) -> Result<Intake> {
        unreachable!("there are no webhooks")
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, _: &Context, _: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        unreachable!("rows are all there is")
    }

    /// The checkpoint is the first row of the next page.
    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let first: usize =
            request.checkpoint.map_or(0, |at| std::str::from_utf8(at).unwrap().parse().unwrap());
        if !matches!(request.mode, PollMode::Backfill { .. }) {
            return Ok(Page::new(Bytes::from_static(b"0")));
        }
        let row = |of: usize| {
            let record = Record::new(RecordKind::Invoice, id(of), Status::Open);
            let raw: Option<Raw> = serde_json::from_str(&json(of)).unwrap();
            let (revision, entity) = (Revision::of(&of.to_be_bytes()), record.entity());
            let mut state = Observed::present(revision, record);
            if let Observed::Present { raw: kept, .. } = &mut state {
                *kept = raw;
            }
            Observation { entity, read_at: ctx.now(), state }
        };
        let next = first + PAGE;
        let page = Page::new(Bytes::from(next.to_string())).observations((first..next).map(row).collect());
        Ok(page.more(next < all_rows()))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + Duration::from_secs(86_400)))
    }
}

/// What Zoho answers: a token, the organization, and the page that was prepared.
#[derive(Debug, Default)]
struct Answers(Mutex<Bytes>);

impl Answers {
    fn prepare(&self, page: usize) {
        let rows: Vec<String> = (page * PAGE..(page + 1) * PAGE).map(json).collect();
        let more = (page + 1) * PAGE < all_rows();
        let list = format!(
            r#"{{"code":0,"message":"success","invoices":[{}],"page_context":{{"page":{},"per_page":{PAGE},"has_more_page":{more},"report_name":"Invoices","applied_filter":"Status.All","sort_column":"created_time","sort_order":"A"}}}}"#,
            rows.join(","),
            page + 1,
        );
        *self.0.lock().unwrap() = list.into();
    }
}

#[async_trait]
impl HttpTransport for Answers {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let token = r#"{"access_token":"1000.a.b","api_domain":"https://www.zohoapis.com","token_type":"Bearer","expires_in":86400}"#;
        let organizations = r#"{"code":0,"message":"success","organizations":[{"organization_id":"778812345","name":"Bench","time_zone":"America/New_York","currency_code":"USD","plan_name":"Premium","is_default_org":true}]}"#;
        let body = match request.uri().path().rsplit('/').next() {
            Some("token") => Bytes::from_static(token.as_bytes()),
            Some("organizations") => Bytes::from_static(organizations.as_bytes()),
            _ => self.0.lock().unwrap().clone(),
        };
        let answer = Response::builder().header("content-type", "application/json").body(body);
        Ok(answer.unwrap())
    }
}

/// Two seconds later whenever it is looked at: no limit of calls is waited for.
#[derive(Debug, Default)]
struct Leaping(AtomicI64);

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_772_000_000 + self.0.fetch_add(2, Ordering::Relaxed))
    }
}

/// The network, and what went over it.
#[derive(Debug, Default)]
struct Counting {
    transport: ReqwestTransport,
    merges: AtomicU64,
    other: AtomicU64,
    staged: AtomicU64,
}

#[async_trait]
impl HttpTransport for Counting {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let (path, body) = (request.uri().path(), request.body());
        if request.method() == Method::POST && path.ends_with("/sql/statements") {
            let is_merge = body.windows(10).take(200).any(|part| part == b"MERGE INTO");
            let counter = if is_merge { &self.merges } else { &self.other };
            counter.fetch_add(1, Ordering::Relaxed);
        } else if request.method() == Method::PUT && path.contains("/fs/files/") {
            self.staged.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
        self.transport.send(request, limits).await
    }
}

#[derive(Debug)]
struct NoNotes;

#[async_trait]
impl AttemptNotes for NoNotes {
    async fn keep(&self, _: &[Seq], _: Bytes) -> Result<()> {
        Ok(())
    }
}
