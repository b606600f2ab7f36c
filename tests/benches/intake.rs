//! How many webhooks a second are verified, made durable and answered, over HTTP.
//!
//! A server process takes Zoho Books webhooks of about 1 kB into a SQLite log; a load process sends them over 64
//! connections. The comparison is a server that does nothing but read the body, with the same load on the same
//! machine, in alternating rounds. Deliveries of FreshBooks, which hold ids only, are compared with those of Zoho Books.
//! The engine does not run meanwhile: what is measured is what a vendor waits for.
//! Ends with one line of `key=value`, the last of them `met`: whether the goals are.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a benchmark stops at anything odd, and reads the clock

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, routing::post};
use ml_connector_core::webhook::{Encoding, HmacSha256};
use ml_connector_core::{
    AuditLog, Connector, Secret, SystemClock, engine::Settings, http::ReqwestTransport, model::Partition,
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{Conditions, FreshBooksSim, SimTransport};
use ml_connector_sql::SqliteLog;
use ml_connector_tests::{cpu_time, load_average, median, percentile, sized};
use ml_connector_zoho::{DataCenter, ZohoBooks};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The goals: this many of the webhooks that the bare endpoint takes, and at most so much processor time for each. Of
/// FreshBooks' deliveries, this many of Zoho Books'.
const RATIO_GOAL: f64 = 0.55;
const CPU_US_GOAL: f64 = 20.0;
const FRESHBOOKS_RATIO_GOAL: f64 = 0.9;

const CONNECTIONS: usize = 64;
const ROUND: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
const SECRET: &str = "mlcBenchSecret2026";
const ORGANIZATION: &str = "778812345";
const TARGET: &str = "/hooks/books?mlc_event=invoice.changed&mlc_org=778812345";
/// Where FreshBooks sends what it says about invoices.
const CALLBACK: &str = "/hooks/books/invoice";

fn main() {
    match std::env::var("INTAKE_ROLE").as_deref() {
        Ok(role @ (BARE | ZOHO | FRESHBOOKS)) => serve(role),
        Ok(server) => load(server),
        Err(_) => compare(),
    }
}

/// What a server process does.
const BARE: &str = "bare";
const ZOHO: &str = "zoho_books";
const FRESHBOOKS: &str = "freshbooks";

/// What one round showed.
struct Round {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    group: f64,
}

fn compare() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut syncs = sync_times(directory.path());
    let (mut bare, mut ours, mut freshbooks) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..sized(7, 1) {
        let database = |role| directory.path().join(format!("{role}-{nth}.db"));
        bare.push(round(BARE, Path::new("")));
        ours.push(round(ZOHO, &database(ZOHO)));
        freshbooks.push(round(FRESHBOOKS, &database(FRESHBOOKS)));
    }
    syncs.extend(sync_times(directory.path()));
    let of = |rounds: &[Round], value: fn(&Round) -> f64| {
        median(&mut rounds.iter().map(value).collect::<Vec<_>>())
    };
    let per_second = of(&ours, |round| round.per_second);
    let bare_per_second = of(&bare, |round| round.per_second);
    // Pairs are next to each other in time: what else the machine did hit both.
    let ratios = |of: &[Round], to: &[Round]| -> Vec<f64> {
        of.iter().zip(to).map(|(of, to)| of.per_second / to.per_second).collect()
    };
    let mut freshbooks_ratios = ratios(&freshbooks, &ours);
    let freshbooks_ratio = median(&mut freshbooks_ratios);
    let mut ratios = ratios(&ours, &bare);
    let ratio = median(&mut ratios);
    let cpu_us = of(&ours, |round| round.cpu_us);
    println!(
        "bench=intake webhooks_per_second={per_second:.0} bare_per_second={bare_per_second:.0} ratio={ratio:.2} ratio_best={:.2} \
         ratio_goal={RATIO_GOAL} cpu_us={cpu_us:.1} cpu_us_goal={CPU_US_GOAL} bare_cpu_us={:.1} p50_us={:.0} p99_us={:.0} \
         bare_p50_us={:.0} bare_p99_us={:.0} group={:.1} freshbooks_per_second={:.0} freshbooks_cpu_us={:.1} \
         freshbooks_ratio={freshbooks_ratio:.2} freshbooks_ratio_goal={FRESHBOOKS_RATIO_GOAL} fdatasync_p50_us={} \
         fdatasync_p99_us={} connections={CONNECTIONS} load={} met={}",
        ratios.last().copied().unwrap_or_default(),
        of(&bare, |round| round.cpu_us),
        of(&ours, |round| round.p50_us),
        of(&ours, |round| round.p99_us),
        of(&bare, |round| round.p50_us),
        of(&bare, |round| round.p99_us),
        of(&ours, |round| round.group),
        of(&freshbooks, |round| round.per_second),
        of(&freshbooks, |round| round.cpu_us),
        percentile(&mut syncs, 0.5).as_micros(),
        percentile(&mut syncs, 0.99).as_micros(),
        load_average(),
        ratio >= RATIO_GOAL && cpu_us <= CPU_US_GOAL && freshbooks_ratio >= FRESHBOOKS_RATIO_GOAL,
    );
}

/// One server process under one load process.
fn round(role: &str, database: &Path) -> Round {
    let mut server = start(role, database, Stdio::piped());
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let listens = said.next().unwrap().unwrap();
    let mut client = start(&listens, database, Stdio::piped());
    let mut heard = BufReader::new(client.stdout.take().unwrap()).lines();
    // The load says when it begins to count and when it ends.
    assert_eq!(heard.next().unwrap().unwrap(), "begin");
    let before = cpu_time(server.id()).unwrap_or_default();
    let result = heard.next().unwrap().unwrap();
    let used = cpu_time(server.id()).unwrap_or_default() - before;
    assert!(client.wait().unwrap().success());
    drop(server.stdin.take());
    let commits: f64 = said.next().unwrap().unwrap().parse().unwrap();
    assert!(server.wait().unwrap().success());

    let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().unwrap()).collect();
    let [requests, seconds, p50_us, p99_us, all_requests] = numbers[..] else { panic!("{result}") };
    let round = Round {
        per_second: requests / seconds,
        cpu_us: used.as_secs_f64() * 1e6 / requests,
        p50_us,
        p99_us,
        group: all_requests / commits,
    };
    println!(
        "{role}: {:.0}/s, {:.1} us of processor each, p50 {p50_us:.0} us, p99 {p99_us:.0} us",
        round.per_second, round.cpu_us
    );
    round
}

fn start(role: &str, database: &Path, stdout: Stdio) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env("INTAKE_ROLE", role)
        .env("INTAKE_DATABASE", database)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .spawn()
        .unwrap()
}

/// Says where it listens and what FreshBooks would sign with, serves until its input is closed, and says how many groups
/// were committed.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn serve(role: &str) {
    let log = (role != BARE).then(|| SqliteLog::open(std::env::var("INTAKE_DATABASE").unwrap()).unwrap());
    let (mut router, mut verifier) = (Router::new(), String::new());
    router = match log.clone() {
        None => router.route("/hooks/books", post(|_: Bytes| async {})),
        Some(log) if role == ZOHO => router.nest_service("/hooks", zoho_books(log).service()),
        Some(log) => {
            verifier = proven(&log).await;
            router.nest_service("/hooks", freshbooks(&log, &new_freshbooks()).service())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {verifier}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let commits = tokio::spawn(count_commits(log));
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await
        .unwrap()
        .unwrap();
    commits.abort();
    println!("{}", COMMITS.load(std::sync::atomic::Ordering::SeqCst).max(1));
}

static COMMITS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// A log tells those who wait once per group. One that ends before the next wait begins is not seen, but that takes
/// a sync of the disk.
async fn count_commits(log: Option<SqliteLog>) {
    let Some(log) = log else { return };
    let all: Vec<Partition> = Partition::all().collect();
    while log.wait(&all, Duration::from_secs(60)).await.is_ok() {
        COMMITS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

fn zoho_books(log: SqliteLog) -> Connector {
    let books = ZohoBooks::builder("books")
        .organization_id(ORGANIZATION)
        .data_center(DataCenter::Us)
        .client("1000.CLIENT", "a client secret")
        .refresh_token("a refresh token")
        .webhook_secret(SECRET)
        .time_zone("Europe/Berlin")
        .build()
        .unwrap();
    let tokens = log.token_store();
    Connector::builder()
        .audit_log(log)
        .token_store(tokens)
        .transport(ReqwestTransport::new())
        .source(books)
        .build()
        .unwrap()
}

fn new_freshbooks() -> FreshBooksSim {
    let sim = FreshBooksSim::new(Arc::new(SystemClock));
    sim.set_conditions(Conditions::kind());
    sim
}

fn freshbooks(log: &SqliteLog, sim: &FreshBooksSim) -> Connector {
    let credentials = sim.credentials();
    let books = FreshBooks::builder("books")
        .account_id(credentials.account_id)
        .client(credentials.client_id, credentials.client_secret.as_str())
        .redirect_uri(credentials.redirect_uri)
        .refresh_token(credentials.refresh_token.as_str())
        .time_zone("America/Toronto")
        .endpoint("books")
        .build()
        .unwrap();
    let mut settings = Settings::default();
    settings.lease = Duration::from_secs(3);
    Connector::builder()
        .audit_log(log.clone())
        .token_store(log.token_store())
        .transport(SimTransport::new().with_freshbooks(sim))
        .public_url("https://books.example.com")
        .settings(settings)
        .source(books)
        .build()
        .unwrap()
}

/// Lets an engine set the callbacks up until each is proven, and end. Returns the verifier of that for invoices.
async fn proven(log: &SqliteLog) -> String {
    let sim = new_freshbooks();
    let connector = freshbooks(log, &sim);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let connector = connector.clone();
        async move { connector.run(async { drop(stopped.await) }).await }
    });
    let mut verifier = String::new();
    while sim.callbacks().len() < 4 || sim.callbacks().iter().any(|callback| !callback.verified) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for delivery in sim.take_webhooks() {
            let fields = url::form_urlencoded::parse(delivery.request.body());
            let handed_over = fields.into_owned().find(|(name, _)| name == "verifier");
            if let Some((_, handed_over)) =
                handed_over.filter(|_| delivery.request.uri().path() == "/books/invoice")
            {
                verifier = handed_over;
            }
            assert!(connector.receive(delivery.request).await.status().is_success());
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    verifier
}

/// Sends webhooks over all connections, and says how many were answered in the counted time, and how fast.
#[tokio::main(flavor = "current_thread")]
async fn load(server: &str) {
    let (address, verifier) = server.split_once(' ').unwrap();
    let request = |nth| if verifier.is_empty() { request(nth) } else { delivery(nth, verifier) };
    let requests: Arc<Vec<Vec<u8>>> = Arc::new((0..4096).map(request).collect());
    let (from, until) = (Instant::now() + WARM_UP, Instant::now() + WARM_UP + ROUND);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (requests, stream) = (Arc::clone(&requests), TcpStream::connect(address).await.unwrap());
        stream.set_nodelay(true).unwrap();
        tasks.spawn(connection_load(stream, requests, connection, from, until));
    }
    tokio::time::sleep_until(from.into()).await;
    println!("begin");
    std::io::stdout().flush().unwrap();
    let (mut times, mut all) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (counted, sent) = done.unwrap();
        times.extend(counted);
        all += sent;
    }
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    println!("{} {} {} {} {all}", times.len(), ROUND.as_secs_f64(), p50.as_micros(), p99.as_micros());
}

/// One request after the other. Returns how long those in the counted time took, and how many there were in all.
async fn connection_load(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    from: Instant,
    until: Instant,
) -> (Vec<Duration>, u64) {
    let (mut times, mut sent, mut answer) = (Vec::with_capacity(1 << 14), 0, [0; 4096]);
    for nth in (first..).step_by(CONNECTIONS) {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        stream.write_all(&requests[nth % requests.len()]).await.unwrap();
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut answer[length..]).await.unwrap();
            assert!(read > 0, "the server hung up");
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..length]));
        sent += 1;
        if begun >= from {
            times.push(begun.elapsed());
        }
    }
    (times, sent)
}

/// A signed webhook of Zoho Books about invoice number `nth`, as it goes over the wire.
fn request(nth: usize) -> Vec<u8> {
    let line = |n| {
        format!(
            r#"{{"line_item_id":"48150000000{n}","name":"Consulting, phase {n}","quantity":{n}.0,"rate":125.50,"item_total":{}.50,"tax_name":"VAT 19%"}}"#,
            n * 125
        )
    };
    let lines: Vec<String> = (1..=5).map(line).collect();
    let body = format!(
        r#"{{"invoice":{{"invoice_id":"4815000000{nth:09}","invoice_number":"INV-{nth:06}","status":"sent","customer_id":"481500000000099001","customer_name":"Bluebird Logistics Ltd.","date":"2026-03-01","due_date":"2026-03-31","currency_code":"EUR","total":1882.50,"balance":1882.50,"line_items":[{}]}}}}"#,
        lines.join(",")
    );
    let signatures = HmacSha256::new([&Secret::from(SECRET)]).unwrap();
    let signed = format!("mlc_eventinvoice.changedmlc_org{ORGANIZATION}");
    let signature = signatures.sign(&[signed.as_bytes(), body.as_bytes()], Encoding::Hex);
    format!(
        "POST {TARGET} HTTP/1.1\r\nhost: localhost\r\nuser-agent: ZohoBooks\r\ncontent-type: application/json;charset=UTF-8\r\n\
         x-zoho-webhook-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A signed delivery of FreshBooks about invoice number `nth`, as it goes over the wire.
fn delivery(nth: usize, verifier: &str) -> Vec<u8> {
    let id = (502_000 + nth).to_string();
    let fields = [
        ("name", "invoice.update"),
        ("object_id", &*id),
        ("account_id", "Zq84Xk"),
        ("business_id", "7310042"),
        ("identity_id", "4820017"),
        ("user_id", "1"),
    ];
    let uri = format!("https://books.example.com{CALLBACK}");
    let (parts, body) =
        FreshBooksSim::forge(&uri, &fields, Some(&Secret::from(verifier))).unwrap().into_parts();
    let mut request = format!("POST {CALLBACK} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in &parts.headers {
        request.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [request.as_bytes(), &body].concat()
}

/// How long the disk takes to make 4 KiB durable.
fn sync_times(directory: &Path) -> Vec<Duration> {
    let file = File::create(directory.join("sync")).unwrap();
    file.write_all_at(&[1; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let sync = |nth: u64| {
        let begun = Instant::now();
        file.write_all_at(&[2; 4096], nth % 256 * 4096).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    (0..300).map(sync).collect()
}
