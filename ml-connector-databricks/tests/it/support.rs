//! What the tests share: a workspace that answers as it is told, a source of invoices, and deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    AttemptNotes, Clock, Context, Error, HttpTransport, PollRequest, ReceiveRequest, Result, Sink, Source,
    SourceInfo, Timestamp, TokioClock, UpkeepRequest,
    http::{Limits, TransportError},
    model::{
        AccountKey, Change, Column, Columns, Delivery, DeliveryId, EntityRef, Event, Intake, Lookup, Page,
        Prompt, Raw, Receipt, RecordKind, Resolution, Seq, Signal, Upkeep,
    },
    rate::MemoryRateLimiter,
    snapshot::Snapshot,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Builder, Databricks, tables};
use serde_json::{Value, json};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);
pub(crate) const WAREHOUSE: &str = "0a1b2c3d4e5f6071";
pub(crate) const HOST: &str = "https://acme.cloud.databricks.com";

/// A request as the workspace saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The statement that it submits.
    pub(crate) fn sql(&self) -> String {
        self.json()["statement"].as_str().unwrap().to_owned()
    }

    /// A parameter of that statement.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let body = self.json();
        let parameter = body["parameters"].as_array()?.iter().find(|parameter| parameter["name"] == name)?;
        Some(parameter["value"].as_str()?.to_owned())
    }
}

pub(crate) type Answer = (u16, Value);
type Rule = Box<dyn FnMut(&Seen) -> Option<Answer> + Send>;

/// A workspace that answers as it is told: the latest rule that has an answer gives it.
pub(crate) struct Workspace {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    pub(crate) clock: Arc<TokioClock>,
    tokens: Arc<MemoryTokenStore>,
    limiter: Arc<MemoryRateLimiter>,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workspace")
    }
}

impl Workspace {
    /// One with the table of invoices, in which every statement succeeds.
    pub(crate) fn new() -> Arc<Self> {
        let workspace = Self {
            rules: Mutex::default(),
            seen: Mutex::default(),
            clock: Arc::new(TokioClock::starting_at(NOW)),
            tokens: Arc::default(),
            limiter: Arc::new(MemoryRateLimiter::new()),
        };
        let statements = AtomicU64::new(0);
        workspace.on(move |seen| {
            Some(match (seen.method.as_str(), seen.path.as_str()) {
                ("POST", "/oidc/v1/token") => {
                    (200, json!({ "access_token": "t-1", "token_type": "Bearer", "expires_in": 3600 }))
                }
                ("GET", "/api/2.1/unity-catalog/tables/main.books.ledger_invoices") => (200, table()),
                ("POST", "/api/2.0/sql/statements") => {
                    let n = statements.fetch_add(1, Ordering::Relaxed);
                    (200, succeeded(&format!("01f0-{n}")))
                }
                ("PUT" | "DELETE", path)
                    if path.starts_with("/api/2.0/fs/files/Volumes/main/books/landing/") =>
                {
                    (204, Value::Null)
                }
                ("GET", path) if path.starts_with("/api/2.0/fs/directories/") => {
                    (200, json!({ "contents": [] }))
                }
                ("GET", path) if path.starts_with("/api/2.0/sql/warehouses/") => {
                    (200, json!({ "state": "RUNNING" }))
                }
                _ => (404, json!({ "error_code": "NOT_FOUND", "message": "nothing there" })),
            })
        });
        Arc::new(workspace)
    }

    pub(crate) fn on(&self, rule: impl FnMut(&Seen) -> Option<Answer> + Send + 'static) {
        self.rules.lock().unwrap().push(Box::new(rule));
    }

    /// The same answer for every request of a kind.
    pub(crate) fn always(&self, method: &'static str, path: impl Into<String>, answer: Answer) {
        let path = path.into();
        self.on(move |seen| (seen.method == method && seen.path == path).then(|| answer.clone()));
    }

    /// These answers for requests of a kind, one after another.
    pub(crate) fn answers(&self, method: &'static str, path: impl Into<String>, answers: Vec<Answer>) {
        let (path, mut answers) = (path.into(), answers.into_iter());
        self.on(move |seen| if seen.method == method && seen.path == path { answers.next() } else { None });
    }

    pub(crate) fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.method == method && seen.path.starts_with(path)).cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The statements that were submitted.
    pub(crate) fn statements(&self) -> Vec<Seen> {
        self.seen("POST", "/api/2.0/sql/statements")
            .into_iter()
            .filter(|seen| !seen.path.ends_with("/cancel"))
            .collect()
    }

    /// A call as the engine makes it, within a minute.
    pub(crate) fn ctx(self: &Arc<Self>) -> Context {
        let transport = Arc::new(Wire(Arc::clone(self)));
        let clock: Arc<dyn Clock> = self.clock.clone();
        Context::new(transport, self.tokens.clone(), self.limiter.clone(), clock)
            .within(Duration::from_secs(60))
    }

    pub(crate) async fn deliver(
        self: &Arc<Self>,
        sink: &Databricks,
        batch: &[Delivery],
    ) -> Vec<Result<Receipt>> {
        attempt(sink, &self.ctx(), batch, &Kept::default()).await
    }
}

/// One attempt as the engine makes it: what an earlier one noted is looked up first, once for all that it carried, and
/// while that is open, nothing is sent.
pub(crate) async fn attempt(
    sink: &Databricks,
    ctx: &Context,
    batch: &[Delivery],
    notes: &Kept,
) -> Vec<Result<Receipt>> {
    let mut looked_up: BTreeMap<Bytes, Lookup> = BTreeMap::new();
    for delivery in batch {
        let Some(note) = delivery.note.clone().filter(|note| !looked_up.contains_key(note)) else { continue };
        match sink.look_up(ctx, delivery).await {
            Ok(told) => drop(looked_up.insert(note, told)),
            Err(error) => return vec![Err(error)],
        }
    }
    let happened = |delivery: &Delivery| match looked_up.get(delivery.note.as_ref()?)? {
        Lookup::Happened(receipt) => Some(Receipt::new(receipt.reference.clone())),
        _ => None,
    };
    let open: Vec<Delivery> = batch.iter().filter(|one| happened(one).is_none()).cloned().collect();
    let mut sent = match open.is_empty() {
        true => Vec::new(),
        false => sink.deliver(ctx, &open, notes).await,
    }
    .into_iter();
    batch.iter().map(|delivery| happened(delivery).map_or_else(|| sent.next().unwrap(), Ok)).collect()
}

#[derive(Debug)]
struct Wire(Arc<Workspace>);

#[async_trait]
impl HttpTransport for Wire {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let seen = Seen { method: parts.method.to_string(), path, headers: parts.headers, body };
        self.0.seen.lock().unwrap().push(seen.clone());
        let (status, body) = {
            let mut rules = self.0.rules.lock().unwrap();
            rules.iter_mut().rev().find_map(|rule| rule(&seen)).expect("the first rule answers everything")
        };
        let body = match body {
            Value::Null => Bytes::new(),
            Value::String(text) => Bytes::from(text),
            body => Bytes::from(body.to_string()),
        };
        Ok(Response::builder().status(status).body(body).unwrap())
    }
}

/// Keeps notes with the deliveries they belong to.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<(Vec<Seq>, Bytes)>>);

#[async_trait]
impl AttemptNotes for Kept {
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()> {
        self.0.lock().unwrap().push((deliveries.to_vec(), note));
        Ok(())
    }
}

impl Kept {
    /// The deliveries as they come again.
    pub(crate) fn again(&self, batch: &[Delivery]) -> Vec<Delivery> {
        let kept = self.0.lock().unwrap();
        let again = |delivery: &Delivery| {
            let mut again = delivery.clone();
            let note = kept.iter().rev().find(|(seqs, _)| seqs.contains(&delivery.seq));
            again.note = note.map(|(_, note)| note.clone());
            again
        };
        batch.iter().map(again).collect()
    }
}

pub(crate) fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "Sales invoices")
        .with(Column::string("number", "/number"))
        .with(Column::decimal("total", "/total", 4))
}

/// What Unity Catalog says of the table of invoices.
pub(crate) fn table() -> Value {
    let columns = [
        ("_connection", "string"),
        ("_system", "string"),
        ("_account", "string"),
        ("_id", "string"),
        ("_event_id", "string"),
        ("_epoch", "bigint"),
        ("_n", "bigint"),
        ("_occurred_at", "timestamp"),
        ("_ingested_at", "timestamp"),
        ("_deleted", "boolean"),
        ("number", "string"),
        ("total", "decimal(38,4)"),
    ];
    let columns: Vec<Value> = columns
        .into_iter()
        .map(|(name, kind)| json!({ "name": name, "type_text": kind, "nullable": true }))
        .collect();
    json!({ "name": "ledger_invoices", "table_type": "MANAGED", "data_source_format": "DELTA", "columns": columns })
}

/// A statement that wrote. It does not say how many rows.
pub(crate) fn succeeded(id: &str) -> Value {
    json!({ "statement_id": id, "status": { "state": "SUCCEEDED" } })
}

/// A statement that failed.
pub(crate) fn failed(class: &str, sql_state: &str) -> Value {
    let message = format!("[{class}] planted text 'Bluebird' SQLSTATE: {sql_state}");
    json!({
        "statement_id": "01f0-failed",
        "status": { "state": "FAILED", "error": { "error_code": "BAD_REQUEST", "message": message }, "sql_state": sql_state }
    })
}

pub(crate) fn builder() -> Builder {
    Databricks::builder("lake")
        .host(HOST)
        .warehouse(WAREHOUSE)
        .schema("main", "books")
        .service_principal("8c1f5a7e-0000-4000-8000-000000000001", "dose-planted-secret")
        .tables_of(&Ledger::new())
}

pub(crate) fn sink() -> Databricks {
    builder().build().unwrap()
}

/// The `n`th change of an invoice.
pub(crate) fn event(id: &str, n: u64, json: &str) -> Event {
    let mut event = Event::new(
        "books".into(),
        EntityRef::new("invoice", id),
        n,
        BTreeSet::from([Change::Updated]),
        NOW,
        None,
    );
    event.raw = Some(serde_json::from_str::<Raw>(json).unwrap());
    event
}

pub(crate) fn delivery(seq: u64, event: Event) -> Delivery {
    let mut delivery =
        Delivery::new(Seq(seq), DeliveryId::generate(NOW), tables(), "warehouse", Arc::new(event), NOW);
    delivery.attempt = 1;
    delivery
}

/// Deliveries of so many invoices.
pub(crate) fn batch(count: u64) -> Vec<Delivery> {
    let one =
        |n: u64| delivery(n, event(&n.to_string(), 1, &format!(r#"{{"number":"INV-{n}","total":{n}.50}}"#)));
    (1..=count).map(one).collect()
}

/// The one error of a batch, which all its deliveries have.
pub(crate) fn error(results: Vec<Result<Receipt>>) -> Error {
    let mut errors: Vec<Error> = results.into_iter().map(|result| result.expect_err("it fails")).collect();
    let texts: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    errors.remove(0)
}

/// A source that has nothing but a form.
#[derive(Debug)]
pub(crate) struct Ledger(SourceInfo);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::of(columns())
    }

    pub(crate) fn of(columns: Columns) -> Self {
        let mut info = SourceInfo::new("books".into(), "ledger");
        info.accounts = vec![AccountKey::new("org:7")];
        info.columns = vec![Arc::new(columns)];
        Self(info)
    }
}

#[async_trait]
impl Source for Ledger {
    fn info(&self) -> &SourceInfo {
        &self.0
    }

    fn receive(&self, _: ReceiveRequest<'_>) -> Result<Intake> {
        unreachable!("only its form is asked for")
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        unreachable!("only its form is asked for")
    }

    async fn resolve(&self, _: &Context, _: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        unreachable!("only its form is asked for")
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        unreachable!("only its form is asked for")
    }

    async fn upkeep(&self, _: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        unreachable!("only its form is asked for")
    }
}

pub(crate) fn good(results: Vec<ml_connector_core::Result<ml_connector_core::model::Receipt>>) {
    results.into_iter().for_each(|result| drop(result.unwrap()));
}

pub(crate) fn gone(id: &str, n: u64) -> ml_connector_core::model::Event {
    let mut event = event(id, n, "{}");
    (event.changes, event.raw) = ([Change::Deleted].into(), None);
    event
}

/// Records whose lists do not show their lines.
pub(crate) fn detailed() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "")
        .whole_with("/lines")
        .with(Column::string("number", "/number"))
        .with(Column::list("lines", "/lines", [Column::decimal("rate", "/rate", 2)]).in_detail())
}
