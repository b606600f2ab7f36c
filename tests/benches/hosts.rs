//! One, two and four processes on one Postgres: how many webhooks they take in a burst, against one INSERT for each request;
//! what of the processor each of these takes, in the server and in the process that asks (which makes up the requests, too); how many
//! deliveries they make; the write-ahead log of a delivery; and whether a settlement costs the same while somebody holds a snapshot
//! open, over a million of them.
//!
//! Needs an installed Postgres server, of which it starts one.
//! Ends with one line of `key=value`, the last of them `met`: whether the goals are.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a benchmark stops at anything odd, and reads the clock

#[path = "../../ml-connector-sql/tests/it/postgres/cluster.rs"]
#[allow(dead_code)] // of the helpers, the store's own tests use more
mod cluster;
mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use ml_connector_core::{
    AuditLog, Clock, Connector, Repeat, Secret, SystemClock, Timestamp,
    audit::{
        Committed, EntryKind, Index, Lease, LeaseRequest, NewEntry, Outcome, Parent, Pending, PendingRequest,
        PendingScope, Settlement, Transaction,
    },
    http::ReqwestTransport,
    model::{Change, DeliveryId, EntityRef, Event, LaneKey, Partition, Record, RecordKind, Seq, Status},
    webhook::{Encoding, HmacSha256},
};
use ml_connector_sql::{
    PostgresLog, PostgresOptions,
    deadpool_postgres::{Manager, Pool},
    tokio_postgres::{Config, NoTls},
};
use ml_connector_tests::{cpu_time, load_average, median, sized};
use ml_connector_zoho::{DataCenter, ZohoBooks};

use self::{cluster::Cluster, support::Board};

/// The goals: webhooks for each INSERT of the comparison, and the speed of the last settlements against the first.
const RATIO_GOAL: f64 = 3.0;
const FLAT_GOAL: f64 = 0.8;

const PROCESSES: [usize; 3] = [1, 2, 4];
/// Requests that wait at a process at the same time: a burst.
const REQUESTS: usize = 256;
const WARM_UP: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_secs(4);
/// Organizations that send webhooks: each has a partition of its own.
const TENANTS: u64 = 16;
const LANES: u64 = 2_000;
/// How long the processes have to share the partitions, and how long deliveries may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many settlements share a commit, and how many commits are under way.
const BATCH: usize = 64;
const AT_ONCE: usize = 4;
const SECRET: &str = "mlcBenchSecret2026";
const ORGANIZATION: &str = "778812345";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::var("HOSTS_ROLE").as_deref() {
        Ok("intake") => runtime.block_on(intake()),
        Ok("insert") => runtime.block_on(insert()),
        Ok("deliver") => runtime.block_on(deliver()),
        Ok(other) => panic!("no such role: {other}"),
        Err(_) => runtime.block_on(all()),
    }
}

async fn all() {
    let Some(cluster) = Cluster::start(&["shared_buffers = 256MB", "max_wal_size = 4GB"]) else {
        println!("bench=hosts skipped=there_is_no_postgres_server met=false");
        return;
    };
    let (mut taken, mut inserted, mut ratios, mut delivered) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut wal, mut costs) = (0.0, String::new());
    for processes in PROCESSES {
        let insert = together(&cluster, "insert", &format!("insert_{processes}"), processes).await;
        let intake = together(&cluster, "intake", &format!("intake_{processes}"), processes).await;
        println!(
            "{processes} processes: {:.0} webhooks/s, {:.0} INSERTs/s",
            intake.per_second, insert.per_second
        );
        costs = format!("{} {}", intake.costs("webhook"), insert.costs("insert"));
        println!("{processes} processes: {costs}");
        ratios.push(intake.per_second / insert.per_second);
        taken.push(intake.per_second);
        inserted.push(insert.per_second);
        let (deliveries, bytes) = deliveries(&cluster, &format!("deliver_{processes}"), processes).await;
        println!("{processes} processes: {deliveries:.0} deliveries/s, {bytes:.0} bytes of WAL each");
        delivered.push(deliveries);
        wal = bytes;
    }
    let flat = settlements(&cluster).await;
    let each = |name: &str, values: &[f64], digits: usize| {
        let pairs = PROCESSES.iter().zip(values);
        pairs
            .map(|(processes, value)| format!("{name}_{processes}={value:.digits$}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let ratio = ratios.iter().copied().fold(f64::MAX, f64::min);
    println!(
        "bench=hosts {} {} {} ratio={ratio:.2} ratio_goal={RATIO_GOAL} {costs} {} wal_bytes_per_delivery={wal:.0} {} flat_goal={FLAT_GOAL} \
         profile={} load={} met={}",
        each("webhooks_per_second", &taken, 0),
        each("inserts_per_second", &inserted, 0),
        each("ratio", &ratios, 2),
        each("deliveries_per_second", &delivered, 0),
        flat.text,
        if cfg!(debug_assertions) { "debug" } else { "release" },
        load_average(),
        ratio >= RATIO_GOAL && flat.ratio >= FLAT_GOAL,
    );
}

/// Starts this program in a role.
fn start(cluster: &Cluster, role: &str, schema: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env("HOSTS_ROLE", role)
        .env("HOSTS_SOCKET", cluster.socket())
        .env("HOSTS_SCHEMA", schema)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What processes did: all of them together.
#[derive(Default)]
struct Done {
    per_second: f64,
    /// In all, also while it was not counted.
    count: f64,
    /// Processor time of the processes and of the server, for all of that.
    own_s: f64,
    server_s: f64,
}

impl Done {
    fn costs(&self, one: &str) -> String {
        let us = |seconds: f64| seconds * 1e6 / self.count;
        format!("{one}_us_server={:.1} {one}_us_process={:.1}", us(self.server_s), us(self.own_s))
    }
}

/// What so many processes do a second, all of them together.
async fn together(cluster: &Cluster, role: &str, schema: &str, processes: usize) -> Done {
    drop(open(cluster, schema).await);
    for table in ["entry", "work"] {
        let sql = format!("CREATE TABLE {schema}.naive_{table} (LIKE {schema}.{table} INCLUDING ALL)");
        cluster.execute(&sql).await;
    }
    cluster.execute("CHECKPOINT").await;
    let before = server_cpu_s(cluster);
    let children: Vec<Child> = (0..processes).map(|_| start(cluster, role, schema)).collect();
    let mut done = Done::default();
    for child in children {
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let [per_second, count, own_s] =
            said.split_whitespace().map(|word| word.parse::<f64>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{said}")
        };
        done.per_second += per_second;
        done.count += count;
        done.own_s += own_s;
    }
    done.server_s = server_cpu_s(cluster) - before;
    done
}

/// The processor time of the server so far, with that of its sessions that have ended.
fn server_cpu_s(cluster: &Cluster) -> f64 {
    let id = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    let server: u32 = id.lines().next().unwrap().trim().parse().unwrap();
    let fields = |process: u32| -> Option<Vec<i64>> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name in parentheses may hold anything; what follows begins with field 3.
        let rest = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
        Some(rest.map(|field| field.parse().unwrap_or_default()).collect())
    };
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let living = processes.filter(|process| fields(*process).is_some_and(|of| of[0] == i64::from(server)));
    let living: f64 = living.filter_map(cpu_time).map(|time| time.as_secs_f64()).sum();
    let own = fields(server).unwrap();
    // Fields 14 to 17: its own time, and that of the processes that it has waited for.
    living + own[10..14].iter().sum::<i64>() as f64 / 100.0
}

async fn open(cluster: &Cluster, schema: &str) -> PostgresLog {
    // More patience than a host has: what is measured is how long it takes.
    cluster.open(&PostgresOptions::default().with_schema(schema).with_deadline(PATIENCE)).await
}

fn config() -> Config {
    let mut config = Config::new();
    config.host_path(std::env::var("HOSTS_SOCKET").unwrap()).user("postgres").dbname("postgres");
    config
}

fn schema() -> String {
    std::env::var("HOSTS_SCHEMA").unwrap()
}

async fn own_log() -> PostgresLog {
    PostgresLog::connect(&config(), NoTls, &PostgresOptions::default().with_schema(schema())).await.unwrap()
}

/// Does something again and again, by many at the same time, and says how often a second.
async fn again_and_again(once: impl AsyncFn(u64)) {
    let (from, until) = (Instant::now() + WARM_UP, Instant::now() + WARM_UP + ROUND);
    let (next, counted) = (AtomicU64::new(0), AtomicU64::new(0));
    join_all((0..REQUESTS).map(async |_| {
        while Instant::now() < until {
            once(next.fetch_add(1, Ordering::Relaxed)).await;
            let now = Instant::now();
            counted.fetch_add(u64::from(now >= from && now < until), Ordering::Relaxed);
        }
    }))
    .await;
    let cpu = cpu_time(std::process::id()).unwrap_or_default();
    println!(
        "{:.0} {} {:.2}",
        counted.load(Ordering::Relaxed) as f64 / ROUND.as_secs_f64(),
        next.load(Ordering::Relaxed),
        cpu.as_secs_f64()
    );
}

/// Takes webhooks: verified, decoded, stored.
async fn intake() {
    let log = own_log().await;
    let tokens = log.token_store();
    let mut builder =
        Connector::builder().audit_log(log).token_store(tokens).transport(ReqwestTransport::new());
    for tenant in 0..TENANTS {
        let books = ZohoBooks::builder(format!("books-{tenant}"))
            .endpoint(format!("books-{tenant}"))
            .organization_id(ORGANIZATION)
            .data_center(DataCenter::Us)
            .client("1000.CLIENT", "a client secret")
            .refresh_token("a refresh token")
            .webhook_secret(SECRET)
            .time_zone("Europe/Berlin");
        builder = builder.source(books.build().unwrap());
    }
    let connector = builder.build().unwrap();
    let of_this = u64::from(std::process::id()) << 32;
    again_and_again(async |nth| {
        let answer = connector.receive(webhook(of_this + nth)).await;
        assert!(answer.status().is_success(), "{}", answer.status());
    })
    .await;
}

/// A signed webhook of about 1 kB.
fn webhook(nth: u64) -> http::Request<Bytes> {
    let body = body(nth);
    let signatures = HmacSha256::new([&Secret::from(SECRET)]).unwrap();
    let signed = format!("mlc_eventinvoice.changedmlc_org{ORGANIZATION}");
    let tenant = nth % TENANTS;
    http::Request::post(format!("/books-{tenant}?mlc_event=invoice.changed&mlc_org={ORGANIZATION}"))
        .header("content-type", "application/json;charset=UTF-8")
        .header(
            "x-zoho-webhook-signature",
            signatures.sign(&[signed.as_bytes(), body.as_bytes()], Encoding::Hex),
        )
        .body(body.into())
        .unwrap()
}

fn body(nth: u64) -> String {
    let line = r#"{"line_item_id":"481500000001","name":"Consulting","quantity":1.0,"rate":125.50,"item_total":125.50,"tax_name":"VAT 19%"}"#;
    let lines = [line; 6].join(",");
    format!(
        r#"{{"invoice":{{"invoice_id":"{nth:019}","invoice_number":"INV-{nth}","status":"sent","customer_id":"481500000000099001","total":1882.50,"line_items":[{lines}]}}}}"#
    )
}

/// What a host does without us: one INSERT for each request, of the entry and its row on the work list, into tables with the
/// same columns and indexes, over a pool of as many connections as a log of ours has.
async fn insert() {
    let connections = PostgresOptions::default().connections;
    let pool = Pool::builder(Manager::new(config(), NoTls)).max_size(connections).build().unwrap();
    let schema = schema();
    let sql = format!(
        "WITH e AS (
             INSERT INTO {schema}.naive_entry (seq, root, part, kind, connection, at, entity_kind, entity_id, dedupe, body)
             SELECT n, n, $1, 1, 'books', 0, 'invoice', $2, $3, $4 FROM nextval('{schema}.entry_seq') n
             RETURNING seq, part, kind, connection)
         INSERT INTO {schema}.naive_work (seq, part, kind, connection, lane, due, attempt, uncertain, acknowledged)
         SELECT seq, part, kind, connection, hashtext($2), 0, 0, false, false FROM e"
    );
    let of_this = u64::from(std::process::id()) << 32;
    again_and_again(async |nth| {
        let (id, body) = ((of_this + nth).to_string(), body(of_this + nth));
        let part = i16::try_from(nth % 64).unwrap();
        let client = pool.get().await.unwrap();
        let statement = client.prepare_cached(&sql).await.unwrap();
        client.execute(&statement, &[&part, &id, &id, &body.as_bytes()]).await.unwrap();
    })
    .await;
}

/// Lets processes share the partitions, gives them deliveries that fall due together, and waits until they are done.
/// Returns how many a second, and the bytes of write-ahead log for each.
async fn deliveries(cluster: &Cluster, schema: &str, processes: usize) -> (f64, f64) {
    let count = sized(30_000, 1_000);
    let log = open(cluster, schema).await;
    let mut hosts: Vec<Child> = (0..processes).map(|_| start(cluster, "deliver", schema)).collect();
    let most = usize::from(Partition::COUNT).div_ceil(processes);
    let shared = format!(
        "SELECT count(*) FILTER (WHERE held <= {most}) = {processes}
         FROM (SELECT count(*) AS held FROM {schema}.partition WHERE owner IS NOT NULL GROUP BY owner) AS shares"
    );
    let begun = Instant::now();
    while one_value::<bool>(cluster, &shared).await != Some(true) {
        assert!(begun.elapsed() < PATIENCE, "the processes do not share the partitions");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let due = SystemClock.now() + Duration::from_secs(10) + Duration::from_micros(600 * count);
    seed(&log, count, due).await;
    assert!(SystemClock.now() < due, "the deliveries are there before they are due");
    cluster.execute("CHECKPOINT").await;
    tokio::time::sleep(due.saturating_since(SystemClock.now())).await;
    let (begun, before) = (Instant::now(), written(cluster).await);
    while !log.backlog(SystemClock.now()).await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the deliveries are not made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (took, after) = (begun.elapsed(), written(cluster).await);
    for host in &mut hosts {
        drop(host.stdin.take());
    }
    // One whose lease ended meanwhile left deliveries in doubt, and the board does not say what was made: they are made again.
    let mut made = 0;
    for host in &mut hosts {
        let line = BufReader::new(host.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        made += line.parse::<u64>().unwrap();
        assert!(host.wait().unwrap().success());
    }
    assert!(made >= count, "only {made} of {count} deliveries were made");
    if made > count {
        println!(
            "{processes} processes: {} deliveries were made again, as leases ended under load",
            made - count
        );
    }
    (count as f64 / took.as_secs_f64(), (after - before) / count as f64)
}

async fn one_value<T>(cluster: &Cluster, sql: &str) -> Option<T>
where
    T: for<'a> ml_connector_sql::tokio_postgres::types::FromSql<'a>,
{
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let row = client.query_one(sql, &[]).await.unwrap();
    drop(client);
    drop(connection.await);
    row.get(0)
}

/// How many bytes of write-ahead log there are so far.
async fn written(cluster: &Cluster) -> f64 {
    one_value(cluster, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8").await.unwrap()
}

/// Events, and deliveries that wait in many lanes of every partition.
async fn seed(log: &PostgresLog, count: u64, due: Timestamp) {
    let append = async |append: Vec<NewEntry>| -> Vec<Seq> {
        let transaction = Transaction { append, ..Transaction::default() };
        match log.commit(vec![transaction], SystemClock.now()).await.unwrap().remove(0) {
            Committed::Applied(appended) => appended.into_iter().map(|appended| appended.seq()).collect(),
            refused => panic!("{refused:?}"),
        }
    };
    let event = |part| {
        let entity = EntityRef::new("invoice", format!("48150000000000{part:05}"));
        let record = Record::new(RecordKind::Invoice, Arc::clone(&entity.id), Status::Open);
        let now = SystemClock.now();
        let event =
            Event::new("books".into(), entity.clone(), 1, [Change::Created].into(), now, Some(record.into()));
        NewEntry {
            body: Some(event.to_cloudevent().unwrap()),
            index: Index { entity: Some(entity), name: Some("invoice.created".into()), ..Index::default() },
            ..NewEntry::new(Partition::new(part), EntryKind::Event, "books".into(), now)
        }
    };
    let events = append((0..Partition::COUNT).map(event).collect()).await;
    let numbers: Vec<u64> = (0..count).collect();
    for chunk in numbers.chunks(2_000) {
        let delivery = |nth: &u64| {
            let part = u8::try_from(nth % 64).unwrap();
            let destination = format!("corner/{}", nth % LANES);
            // As the engine writes it.
            let body = format!(
                r#"{{"id":"{}","destination":"{destination}"}}"#,
                DeliveryId::generate(SystemClock.now())
            );
            NewEntry {
                lane: Some(LaneKey::from(&*destination).number(&"board".into())),
                parent: Parent::Entry(events[usize::from(part)]),
                index: Index {
                    name: Some("all".into()),
                    destination: Some(destination.into()),
                    ..Index::default()
                },
                body: Some(body.into()),
                ..NewEntry::new(Partition::new(part), EntryKind::Delivery, "board".into(), due)
            }
        };
        append(chunk.iter().map(delivery).collect()).await;
    }
}

/// Works until its input is closed, and says how many deliveries it has made.
async fn deliver() {
    let made = Arc::new(AtomicU64::new(0));
    let took = Arc::clone(&made);
    let took = move |deliveries: usize| _ = took.fetch_add(deliveries as u64, Ordering::SeqCst);
    let connector = Connector::builder()
        .audit_log(own_log().await)
        .transport(ReqwestTransport::new())
        .sink(Board::new(Repeat::AfterLookup, took))
        .build()
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = stop.send(());
    });
    connector.run(async { drop(stopped.await) }).await;
    println!("{}", made.load(Ordering::SeqCst));
}

/// What the settlements showed: the speed of the last quarter against the first, and all figures.
struct Flat {
    ratio: f64,
    text: String,
}

/// Settles deliveries while a snapshot is held open, so that nothing that is deleted can go from the tables.
async fn settlements(cluster: &Cluster) -> Flat {
    const STEPS: u64 = 20;
    let count = sized(1_000_000, STEPS * 64);
    let log = open(cluster, "settled").await;
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM settled.work")
        .await
        .unwrap();
    let now = SystemClock.now();
    let until = now + Duration::from_secs(3_600);
    let leases = log.lease(LeaseRequest::Hold { owner: "bench".into(), want: 64, until, now }).await.unwrap();
    let mut read_to = vec![Seq(0); leases.len()];
    let (mut speeds, mut bytes, mut settled) = (Vec::new(), 0.0, 0);
    for _ in 0..STEPS {
        seed(&log, count / STEPS, now).await;
        let (begun, before, mut in_step) = (Instant::now(), written(cluster).await, 0);
        loop {
            let pages = page(&log, &leases, &mut read_to).await;
            let found: usize = pages.iter().map(|(_, page)| page.len()).sum();
            if found == 0 {
                break;
            }
            in_step += found;
            settle(&log, &pages).await;
        }
        speeds.push(in_step as f64 / begun.elapsed().as_secs_f64());
        (bytes, settled) = (bytes + written(cluster).await - before, settled + in_step);
        println!("{settled} settled: {:.0}/s", speeds.last().unwrap());
    }
    let quarter = speeds.len() / 4;
    let (first, last) =
        (median(&mut speeds[..quarter].to_vec()), median(&mut speeds[speeds.len() - quarter..].to_vec()));
    let begun = Instant::now();
    log.backlog(now).await.unwrap();
    let backlog_ms = begun.elapsed().as_secs_f64() * 1e3;
    client.batch_execute("COMMIT").await.unwrap();
    drop(client);
    drop(connection.await);
    let ratio = last / first;
    let text = format!(
        "settlements={settled} settled_per_second_first={first:.0} settled_per_second_last={last:.0} flat={ratio:.2} \
         wal_bytes_per_settlement={:.0} backlog_ms={backlog_ms:.1}",
        bytes / settled as f64
    );
    Flat { ratio, text }
}

/// The next deliveries of every partition, as a host reads them.
async fn page(log: &PostgresLog, leases: &[Lease], read_to: &mut [Seq]) -> Vec<(Lease, Vec<Pending>)> {
    let request = |(lease, after): (&Lease, &Seq)| PendingRequest {
        lease: *lease,
        scope: PendingScope::Partition,
        after: *after,
    };
    let wanted: Vec<PendingRequest> = leases.iter().zip(&*read_to).map(request).collect();
    let pages = log.pending(&wanted, 500).await.unwrap();
    let mut all = Vec::with_capacity(pages.len());
    for ((lease, read_to), page) in leases.iter().zip(read_to).zip(pages) {
        let page = page.expect("the lease is held");
        *read_to = page.last().map_or(*read_to, |last| last.seq);
        all.push((*lease, page));
    }
    all
}

async fn settle(log: &PostgresLog, pages: &[(Lease, Vec<Pending>)]) {
    let chunks = pages.iter().flat_map(|(lease, page)| page.chunks(BATCH).map(move |chunk| (*lease, chunk)));
    let transactions: Vec<Transaction> = chunks
        .map(|(lease, chunk)| {
            let done = |seq: Seq| Outcome::Done { receipt: Some(format!("receipt-{seq}").into()) };
            let settle =
                chunk.iter().map(|pending| Settlement::new(pending.seq, done(pending.seq))).collect();
            Transaction { fence: Some(lease), settle, ..Transaction::default() }
        })
        .collect();
    for together in transactions.chunks(AT_ONCE) {
        let commits =
            together.iter().map(|transaction| log.commit(vec![transaction.clone()], SystemClock.now()));
        for committed in join_all(commits).await {
            assert!(matches!(committed.unwrap()[..], [Committed::Applied(_)]));
        }
    }
}
