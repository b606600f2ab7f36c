//! What the tests share.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, ManualClock, RateLimiter, Result, Sink, Timestamp,
    http::ReqwestTransport,
    model::{
        Change, Date, Delivery, DeliveryId, Destination, EntityRef, Event, Interaction, Money, Party,
        Receipt, Record, RecordKind, Seq, Status,
    },
    rate::{Admission, Cost, Feedback, Permit, QuotaKey, TakeOver, Usage},
    token::MemoryTokenStore,
};
use ml_connector_slack::{Builder, Slack};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

pub(crate) const TOKEN: &str = "xoxb-planted-secret";
pub(crate) const DELIVERY_ID: &str = "0197f3c2-7a1e-7c55-9b0e-6d4f2a8c1e90";
/// The instant around which the fixtures play: 2026-01-01T00:00:04Z.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_767_225_604);

/// A Slack that answers what a test says.
pub(crate) struct World {
    pub(crate) server: MockServer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) limiter: Arc<Ledger>,
    pub(crate) ctx: Context,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let limiter = Arc::new(Ledger::default());
        let ctx = Context::new(
            Arc::new(ReqwestTransport::new()),
            Arc::new(MemoryTokenStore::default()),
            Arc::clone(&limiter) as _,
            Arc::clone(&clock) as _,
        );
        Self { server: MockServer::start().await, clock, limiter, ctx }
    }

    pub(crate) fn builder(&self) -> Builder {
        Slack::builder("slack").token(TOKEN).base_url(self.server.uri()).workspace("T07LEDGER1")
    }

    pub(crate) fn slack(&self) -> Slack {
        self.builder().build().unwrap()
    }

    /// Answers a method, as long as nothing answers it with a more recent word.
    pub(crate) async fn answer(&self, method: &str, response: impl wiremock::Respond + 'static) {
        let path = format!("/api/{method}");
        Mock::given(matchers::method("POST"))
            .and(matchers::path(path))
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    /// Answers a method once, before what was said with [`answer`](Self::answer).
    pub(crate) async fn answer_once(&self, method: &str, response: ResponseTemplate) {
        let path = format!("/api/{method}");
        Mock::given(matchers::method("POST"))
            .and(matchers::path(path))
            .respond_with(response)
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&self.server)
            .await;
    }

    /// The requests for a method, in order.
    pub(crate) async fn requests(&self, method: &str) -> Vec<Request> {
        let path = format!("/api/{method}");
        let all = self.server.received_requests().await.unwrap();
        all.into_iter().filter(|request| request.url.path() == path).collect()
    }

    pub(crate) async fn deliver(&self, slack: &Slack, delivery: &Delivery) -> Result<Receipt> {
        let mut results = slack.deliver(&self.ctx, std::slice::from_ref(delivery), &NoNotes).await;
        assert_eq!(results.len(), 1);
        results.remove(0)
    }
}

pub(crate) fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn ok(name: &str) -> ResponseTemplate {
    json(200, &fixture(name))
}

pub(crate) fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json; charset=utf-8")
}

pub(crate) fn error(code: &str) -> ResponseTemplate {
    json(200, &format!(r#"{{"ok":false,"error":"{code}"}}"#))
}

/// An answer stored as `{status, headers, body or body_text}`.
pub(crate) fn http(name: &str) -> ResponseTemplate {
    let stored: serde_json::Value = serde_json::from_str(&fixture(name)).unwrap();
    let headers = stored["headers"].as_object().unwrap();
    let text = stored["body_text"].as_str().map_or_else(|| stored["body"].to_string(), str::to_owned);
    let status = u16::try_from(stored["status"].as_u64().unwrap()).unwrap();
    let kind = headers["content-type"].as_str().unwrap();
    let response = ResponseTemplate::new(status).set_body_raw(text, kind);
    let others = headers.iter().filter(|(name, _)| *name != "content-type");
    others.fold(response, |response, (name, value)| response.insert_header(name, value.as_str().unwrap()))
}

pub(crate) fn invoice() -> Record {
    let mut record = Record::new(RecordKind::Invoice, "481500000000103001", Status::Open);
    record.number = Some("INV-000101".into());
    record.counterparty = Some(Party { id: Some("481500000000101001".into()), name: "Acme & Sons".into() });
    record.total = Some(Money::parse("1250.5", "USD").unwrap());
    record.balance = Some(Money::parse("1250.5", "USD").unwrap());
    record.due_date = Some(Date::parse("2026-03-04").unwrap());
    record.url = Some("https://books.example/app#/invoices/1?a=1&b=2".into());
    record
}

pub(crate) fn event(record: Record, changes: &[Change]) -> Event {
    let changes: BTreeSet<_> = changes.iter().copied().collect();
    Event::new("books".into(), record.entity(), 3, changes, NOW, Some(record.into()))
}

/// What somebody did, or is told.
pub(crate) fn interacted(id: &str, interaction: Interaction) -> Event {
    let entity = EntityRef::new(interaction.kind(), id);
    Event::new("books".into(), entity, 3, [interaction.change()].into(), NOW, Some(interaction.into()))
}

pub(crate) fn delivery(to: Destination) -> Delivery {
    let event = Arc::new(event(invoice(), &[Change::Sent]));
    Delivery::new(Seq(7), DeliveryId::parse(DELIVERY_ID).unwrap(), to, "route", event, NOW)
}

#[derive(Debug)]
pub(crate) struct NoNotes;

#[async_trait]
impl AttemptNotes for NoNotes {
    async fn keep(&self, _: &[Seq], _: Bytes) -> Result<()> {
        panic!("the sink keeps no notes")
    }
}

/// Remembers what was kept, or refuses to.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    pub(crate) kept: Mutex<Vec<(Vec<Seq>, Bytes)>>,
    pub(crate) full: bool,
}

#[async_trait]
impl AttemptNotes for Notebook {
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()> {
        if self.full {
            return Err(Error::new(ErrorKind::Unavailable, "the log is full").with_effect(Effect::Unknown));
        }
        self.kept.lock().unwrap().push((deliveries.to_vec(), note));
        Ok(())
    }
}

/// A limiter that admits everything and remembers what was asked and told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) admitted: Mutex<Vec<Cost>>,
    pub(crate) told: Mutex<Vec<(QuotaKey, Feedback)>>,
}

#[async_trait]
impl RateLimiter for Ledger {
    async fn admit(&self, costs: &[Cost], _: Timestamp) -> Result<Admission> {
        self.admitted.lock().unwrap().extend_from_slice(costs);
        Ok(Admission::Admitted(Permit { id: 1 }))
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, _: Timestamp) -> Result<()> {
        self.told.lock().unwrap().push((key.clone(), feedback));
        Ok(())
    }

    async fn counts(&self, _: Duration, _: Timestamp) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn take_over(&self, _: &TakeOver, _: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn usage(&self, _: Timestamp) -> Result<Vec<Usage>> {
        Ok(Vec::new())
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
