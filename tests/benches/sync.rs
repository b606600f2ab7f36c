//! How long 100,000 list rows of Zoho Books take until they are rows of a Delta table: read from the vendor's JSON, staged,
//! merged. The workspace is simulated in a process of its own, so that its memory is not ours; its time is in the figures.
//! Then how many rows a second of live changes one table takes. Ends with one line of `key=value`, the last of them `met`.
#![allow(clippy::disallowed_methods)] // a benchmark reads the system's clock
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Clock, Context, Result, Sink, Source, SystemClock,
    http::ReqwestTransport,
    model::{Change, Columns, Delivery, DeliveryId, EntityRef, Event, Origin, Raw, RecordKind, Seq},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Databricks, tables};
use ml_connector_sim::{DatabricksSim, serve};
use ml_connector_tests::{load_average, memory_mib};
use ml_connector_zoho::{DataCenter, ZohoBooks};

const ROWS: usize = 100_000;
/// As many as Zoho lists on a page.
const PAGE: usize = 200;
const LIVE_BATCHES: usize = 20;
const LIVE_BATCH: usize = 512;
const STAGED_BYTES: usize = 8 << 20;
const SYNC_S_GOAL: f64 = 3.0;
const EXTRACT_S_GOAL: f64 = 1.0;
const PEAK_MIB_GOAL: u64 = 64;
/// Says that this process is the workspace.
const ROLE: &str = "ML_BENCH_WORKSPACE";

const ROW: &str = r#"{"ach_payment_initiated":false,"invoice_id":"ID","zcrm_potential_id":"","customer_id":"481500000000081001","zcrm_potential_name":"","customer_name":"Bluebird Logistics","company_name":"Bluebird Logistics Inc","status":"overdue","invoice_number":"INV-ID","reference_number":"PO-7731","date":"2026-02-02","due_date":"2026-03-04","issued_date":"2026-02-02","due_days":"Overdue by 8 days","email":"ap@bluebird.example","project_name":"","billing_address":{"address":"48 Quayside Walk","street2":"","city":"Portland","state":"ME","zipcode":"04101","country":"USA","phone":"","fax":"","attention":""},"country":"USA","phone":"","created_by":"Dana Whitlow","total":1250.5,"balance":1250.5,"payment_expected_date":"","custom_fields":[],"custom_field_hash":{},"tags":[],"salesperson_name":"","shipping_charge":0,"adjustment":0,"created_time":"2026-02-02T10:14:08-0500","last_modified_time":"2026-02-02T10:15:31-0500","updated_time":"2026-02-02T10:15:31-0500","is_viewed_by_client":false,"has_attachment":false,"client_viewed_time":"","is_emailed":true,"color_code":"","current_sub_status_id":"","current_sub_status":"overdue","currency_id":"481500000000000097","schedule_time":"","currency_code":"USD","currency_symbol":"$","template_type":"standard","invoice_source":"Api","sales_channel":"direct_sales","reminders_sent":1,"last_payment_date":"","template_id":"481500000000017001","documents":"","salesperson_id":"","write_off_amount":0,"exchange_rate":1,"unprocessed_payment_amount":0}"#;

fn main() {
    if std::env::var_os(ROLE).is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(workspace());
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&line));
    // The workspace ends when nobody holds its input.
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Serves the workspace until its input ends.
async fn workspace() {
    let lake = DatabricksSim::new(Arc::new(SystemClock));
    lake.sql("CREATE VOLUME landing").unwrap();
    let served = serve(lake.router(), SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let credentials = lake.credentials();
    let (warehouse, client, secret) =
        (credentials.warehouse_id, credentials.client_id, credentials.client_secret);
    println!("{} {warehouse} {client} {secret}", served.url());
    std::io::stdout().flush().unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await.unwrap();
}

async fn measure(workspace: &str) {
    let [host, warehouse, client, secret] = workspace.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!()
    };
    let books = ZohoBooks::builder("books")
        .organization_id("778812345")
        .data_center(DataCenter::Us)
        .client("id", "secret")
        .refresh_token("token")
        .webhook_secret("benchSecret2026")
        .time_zone("America/New_York")
        .build()
        .unwrap();
    let columns =
        Source::info(&books).columns.iter().find(|columns| columns.kind == RecordKind::Invoice).unwrap();
    let extract_s = extract(columns);

    let lake = Databricks::builder("lake")
        .host(host)
        .warehouse(warehouse)
        .schema("main", "ml_finance")
        .volume("landing")
        .service_principal(client, secret)
        .tables_of(&books)
        .with(|config| config.max_bytes = STAGED_BYTES)
        .build()
        .unwrap();
    let ctx = Context::new(
        Arc::new(ReqwestTransport::new()),
        Arc::new(MemoryTokenStore::new()),
        Arc::new(MemoryRateLimiter::new()),
        Arc::new(SystemClock),
    );
    // The table, and the token.
    deliver(&lake, &ctx, &[delivery(single(0, 1))]).await;

    let (mut sync, mut next, mut events_bytes) = (Duration::ZERO, 1, 0);
    while next <= ROWS {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while next <= ROWS && bytes < STAGED_BYTES - (1 << 19) {
            let page = page(next);
            bytes += page.to_cloudevent().unwrap().len();
            next += PAGE;
            batch.push(delivery(page));
        }
        events_bytes += bytes;
        let began = Instant::now();
        deliver(&lake, &ctx, &batch).await;
        sync += began.elapsed();
    }
    let peak_mib = memory_mib(std::process::id(), "VmHWM").unwrap_or_default();

    let began = Instant::now();
    for round in 0..LIVE_BATCHES {
        let batch: Vec<Delivery> =
            (0..LIVE_BATCH).map(|n| delivery(single(round * LIVE_BATCH + n, 2))).collect();
        deliver(&lake, &ctx, &batch).await;
    }
    let live_s = began.elapsed().as_secs_f64();
    let rows = lake.query(&ctx, "SELECT count(*) FROM zoho_books_invoices", &[]).await.unwrap().rows;
    let merged: usize = rows[0][0].as_ref().unwrap().parse().unwrap();
    assert_eq!(merged, ROWS + 1);
    let sync_s = sync.as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let live = (LIVE_BATCHES * LIVE_BATCH) as f64 / live_s;
    println!(
        "bench=sync rows={ROWS} sync_s={sync_s:.2} sync_s_goal={SYNC_S_GOAL} peak_mib={peak_mib} \
         peak_mib_goal={PEAK_MIB_GOAL} event_mib={} extract_s={extract_s:.2} extract_s_goal={EXTRACT_S_GOAL} \
         live_rows_per_s={live:.0} profile={} load={} met={}",
        events_bytes >> 20,
        if cfg!(debug_assertions) { "debug" } else { "release" },
        load_average(),
        sync_s <= SYNC_S_GOAL && peak_mib <= PEAK_MIB_GOAL && extract_s <= EXTRACT_S_GOAL,
    );
}

/// How long it takes to read so many rows from the vendor's JSON.
fn extract(columns: &Columns) -> f64 {
    let rows: Vec<Raw> = (0..PAGE).map(raw).collect();
    let began = Instant::now();
    let mut values = 0;
    for _ in 0..ROWS / PAGE {
        for row in &rows {
            values += columns.read(row).unwrap().len();
        }
    }
    assert!(values > ROWS);
    began.elapsed().as_secs_f64()
}

fn raw(id: usize) -> Raw {
    serde_json::from_str(&ROW.replace("ID", &format!("{:018}", 481_500_000_000_000_000_usize + id))).unwrap()
}

fn single(id: usize, n: u64) -> Event {
    let entity = EntityRef::new("invoice", id.to_string());
    let mut event =
        Event::new("books".into(), entity, n, BTreeSet::from([Change::Updated]), SystemClock.now(), None);
    event.raw = Some(raw(id));
    event
}

/// The rows of a page that begins with this number.
fn page(first: usize) -> Event {
    let mut page = single(0, 1);
    (page.entity, page.raw, page.origin) =
        (EntityRef::new(Event::PAGE, "invoices-1"), None, Origin::Backfill);
    page.page = (first..first + PAGE).map(|id| single(id, 1)).collect();
    page
}

fn delivery(event: Event) -> Delivery {
    let now = event.at;
    Delivery::new(Seq(1), DeliveryId::generate(now), tables(), "warehouse", Arc::new(event), now)
}

async fn deliver(lake: &Databricks, ctx: &Context, batch: &[Delivery]) {
    for result in lake.deliver(&ctx.within(Duration::from_secs(60)), batch, &NoNotes).await {
        result.unwrap();
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
