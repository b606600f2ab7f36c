//! The tiny system crate of the guide: proven by the suite, and at work in a connector.

mod defects;
#[allow(unreachable_pub)] // it is written as the crate that it would be
mod ledgerly;
mod proofs;
mod vendor;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, HttpTransport, Money, Secret, Timestamp, TokioClock,
    audit::{EntryKind, EntryState, MemoryLog, Query},
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
        source::{self, Handshake, Lists, Proof, SourceUnderTest, Webhook},
    },
    model::{AccountKey, EntityRef, Party, Record, RecordKind, Status},
    route::Route,
    token::MemoryTokenStore,
    webhook::{Encoding, HmacSha256},
};

use self::{ledgerly::Ledgerly, vendor::Vendor};

const SECRET: &str = "planted-webhook-secret";

fn ledgerly() -> Ledgerly {
    Ledgerly::builder("books", "acme").client("app", "planted-client-secret").build().unwrap()
}

/// A clock that runs with the test's paused one.
fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at(Timestamp::parse("2026-11-21T09:00:00Z").unwrap()))
}

/// A webhook with this body, signed now. The path is the endpoint's, which a source does not look at.
fn webhook(clock: &dyn Clock, body: &'static str) -> Request<Bytes> {
    let time = clock.now().as_secs().to_string();
    let signatures = HmacSha256::new([&Secret::from(SECRET)]).unwrap();
    Request::post("/ledgerly")
        .header("x-ledgerly-time", &time)
        .header(
            "x-ledgerly-signature",
            signatures.sign(&[time.as_bytes(), b".", body.as_bytes()], Encoding::Hex),
        )
        .body(Bytes::from(body))
        .unwrap()
}

/// Where webhooks go, and what proves them once the verifier was handed over.
fn state(verifier: Option<&str>) -> Bytes {
    serde_json::json!({"url": CALLBACK, "verifier": verifier}).to_string().into()
}

/// How Ledgerly hands its verifier over.
fn handshake() -> Request<Bytes> {
    let body = serde_json::json!({"event": "webhook.verify", "account": "acme", "verifier": SECRET});
    Request::post("/ledgerly").body(Bytes::from(body.to_string())).unwrap()
}

const CALLBACK: &str = "https://erp.example/hooks/ledgerly";
const CHANGED: &str = r#"{"event":"invoice.changed","account":"acme","invoice":"inv_2"}"#;

fn refusals() -> Refusals {
    let answer = |status: u16, retry_after: &str, body: &'static str| {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        response.body(Bytes::from(body)).unwrap()
    };
    Refusals {
        token: answer(401, "", r#"{"error":"invalid_token"}"#),
        renews_tokens: true,
        too_often: vec![
            (Duration::from_secs(7), answer(429, "7", r#"{"error":"too_fast"}"#)),
            (Duration::from_secs(10), answer(200, "", r#"{"error":"too_fast"}"#)),
        ],
        refused: vec![answer(200, "", r#"{"error":"books_closed"}"#), answer(403, "", "no")],
    }
}

fn secrets() -> Vec<String> {
    ["planted-client-secret", SECRET, "planted-token", "Planted Customer", "1250.50"]
        .map(str::to_owned)
        .to_vec()
}

async fn source_under_test() -> SourceUnderTest {
    let clock = clock();
    SourceUnderTest {
        connect: Box::new(|| Arc::new(ledgerly())),
        vendor: Arc::new(Vendor::default()),
        reads: |request| request.uri().path().starts_with("/v1/"),
        entity: EntityRef::new("invoice", "inv_2"),
        another: Some(EntityRef::new("invoice", "inv_3")),
        handshake: Some(Handshake {
            waiting: Some(state(None)),
            request: handshake(),
            secrets: vec![SECRET.to_owned()],
        }),
        webhook: Webhook {
            proves: Proof::Body,
            state: Some(state(Some(SECRET))),
            request: webhook(&*clock, CHANGED),
            account: Some(AccountKey::from("account:acme")),
            signature: Some("x-ledgerly-signature"),
            tolerance: Some(Duration::from_secs(300)),
            forged: Vec::new(),
            misunderstood: vec![webhook(&*clock, ""), webhook(&*clock, r#"{"event":"invoice.changed"}"#)],
        },
        refusals: refusals(),
        lists: Lists::Rows,
        names_account: Some("acme".to_owned()),
        missing: vec![Response::new(Bytes::from(r#"{"error":"no_such_invoice"}"#))],
        secrets: secrets(),
        clock,
    }
}

async fn sink_under_test() -> SinkUnderTest {
    let vendor = Arc::new(Vendor::default());
    let mut record = Record::new(RecordKind::Invoice, "inv_2", Status::Paid);
    record.counterparty = Some(Party { id: Some("c1".into()), name: "Planted Customer".into() });
    record.total = Some(Money::parse("1250.50", "EUR").unwrap());
    SinkUnderTest {
        connect: Box::new(|| Arc::new(ledgerly())),
        vendor: Arc::clone(&vendor) as _,
        clock: clock(),
        writes: |request| request.method() == http::Method::POST && request.uri().path().ends_with("/notes"),
        written: Box::new(move || vendor.notes().len()),
        destination: ledgerly::notes(),
        brings: Box::new(move |_| (record.entity(), record.clone().into())),
        refusals: refusals(),
        secrets: secrets(),
    }
}

#[tokio::test(start_paused = true)]
async fn ledgerly_has_every_behavior_of_a_source() {
    source::all(source_under_test).await;
}

#[tokio::test(start_paused = true)]
async fn ledgerly_has_every_behavior_of_a_sink() {
    sink::all(sink_under_test).await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_becomes_a_note_at_the_invoice_however_often_it_comes() {
    let (vendor, clock, log) = (Arc::new(Vendor::default()), clock(), Arc::new(MemoryLog::new()));
    let connector = Connector::builder()
        .audit_log(Arc::clone(&log))
        .token_store(MemoryTokenStore::new())
        .transport(Arc::clone(&vendor) as Arc<dyn HttpTransport>)
        .clock(Arc::clone(&clock))
        .public_url("https://erp.example/hooks")
        .source(ledgerly())
        .sink(ledgerly())
        .route(Route::new("tell the clerk").on("invoice.paid").to("books", ledgerly::notes()))
        .build()
        .unwrap();
    let run = |secs| connector.run(tokio::time::sleep(Duration::from_secs(secs)));

    // Ledgerly is asked for webhooks, hands its verifier over, and hears it back.
    run(5).await;
    assert_eq!(vendor.webhook(), Some((1, false)));
    let before = connector.receive(webhook(&*clock, CHANGED)).await;
    assert_eq!(before.status(), StatusCode::UNAUTHORIZED, "nothing is believed before that");
    assert_eq!(connector.receive(handshake()).await.status(), StatusCode::OK);
    run(5).await;
    assert_eq!(vendor.webhook(), Some((1, true)));

    // Three webhooks each, and one of the two changes is what the route waits for.
    for status in ["sent", "paid"] {
        vendor.set_status("inv_2", status);
        for _ in 0..3 {
            let reply = connector.receive(webhook(&*clock, CHANGED)).await;
            assert_eq!(reply.status(), StatusCode::OK);
        }
        run(10).await;
    }

    assert_eq!(vendor.notes(), ["invoice.paid (books)"]);
    let mut everything = Query::default();
    everything.bodies = true;
    let entries = log.query(&everything).await.unwrap();
    let bodies = entries.iter().filter_map(|entry| entry.body.as_ref());
    let shown = bodies.filter(|body| String::from_utf8_lossy(body).contains(SECRET));
    assert_eq!(shown.count(), 0, "the verifier is in no entry");
    let deliveries = log.query(&Query::of_kind(EntryKind::Delivery)).await.unwrap();
    assert_eq!(deliveries.iter().map(|entry| entry.state).collect::<Vec<_>>(), [EntryState::Done]);
}
