//! Statements and the tables they made, for a classify that knows nothing of this program: `tests/oracle/replay.py` runs the
//! statements on another engine and compares. The simulator executes them, too, but it is ours.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, HttpTransport, Sink,
    http::{Limits, TransportError},
    model::{Change, Column, Columns, Delivery, Event, RecordKind},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Builder, Config, Databricks};
use serde_json::{Value, json};

use crate::{
    lake::{Lake, TABLE},
    support::{Kept, Ledger, delivery, event},
};

/// Where the statements go.
const OUT: &str = "ML_CONNECTOR_ORACLE";

/// Notes what is submitted and staged on its way.
#[derive(Debug)]
struct Recorder {
    to: Arc<dyn HttpTransport>,
    /// Statements with their parameters, and files by their path.
    seen: Mutex<Vec<Value>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let path = request.uri().path();
        if request.method() == "PUT" && path.contains("/fs/files/") {
            let path = path.replace("/api/2.0/fs/files", "");
            let lines = String::from_utf8(request.body().to_vec()).unwrap();
            self.seen.lock().unwrap().push(json!({ "file": path, "lines": lines }));
        }
        if request.method() == "POST" && path == "/api/2.0/sql/statements" {
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let statement = json!({ "statement": body["statement"], "parameters": body["parameters"] });
            self.seen.lock().unwrap().push(statement);
        }
        self.to.send(request, limits).await
    }
}

struct Scene {
    lake: Lake,
    recorder: Arc<Recorder>,
    tokens: Arc<MemoryTokenStore>,
    next: u64,
}

impl Scene {
    async fn send(&mut self, sink: &Databricks, events: Vec<Event>) {
        let seq = self.next;
        self.next += events.len() as u64;
        let batch: Vec<Delivery> = (seq..).zip(events).map(|(seq, event)| delivery(seq, event)).collect();
        let recorder: Arc<dyn HttpTransport> = self.recorder.clone();
        let clock = Arc::clone(&self.lake.clock);
        let ctx = Context::new(recorder, self.tokens.clone(), Arc::new(MemoryRateLimiter::new()), clock)
            .within(Duration::from_secs(60));
        for result in sink.deliver(&ctx, &batch, &Kept::default()).await {
            result.unwrap();
        }
    }
}

fn form(with_more: bool) -> Columns {
    let lines =
        [Column::string("item", "/item"), Column::decimal("rate", "/rate", 9), Column::date("on", "/on")];
    let columns = Columns::new(RecordKind::Invoice, "invoices", "What isn't paid yet; it's owed")
        .whole_with("/lines")
        .with(Column::string("number", "/number").commented("What people call it"))
        .with(Column::decimal("total", "/total", 9))
        .with(Column::big_int("terms", "/terms"))
        .with(Column::boolean("open", "/open"))
        .with(Column::date("due", "/due"))
        .with(Column::timestamp("at", "/at"))
        .with(Column::list("lines", "/lines", lines).in_detail());
    if with_more { columns.with(Column::decimal("rate", "/rate", 4)) } else { columns }
}

fn gone(id: &str, n: u64) -> Event {
    let mut event = event(id, n, "{}");
    (event.changes, event.raw) = ([Change::Deleted].into(), None);
    event
}

fn whole(id: &str, n: u64, cents: u64) -> Event {
    let json = format!(
        r#"{{"number":"it's {id} \"\\\n","total":-{}.{:02},"terms":{n},"open":{},"due":"2026-02-28","at":"2026-03-12T10:05:00.123456-04:00","rate":"{cents}.0001","lines":[{{"item":"a","rate":{cents}e-7,"on":"2024-02-29"}},{{}}]}}"#,
        cents / 100,
        cents % 100,
        n.is_multiple_of(2),
    );
    event(id, n, &json)
}

#[tokio::test(start_paused = true)]
async fn statements_and_tables_are_exported_for_another_engine() {
    let lake = Lake::with(|config| config.session_zone = "America/Los_Angeles".to_owned());
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let recorder = Arc::new(Recorder { to: lake.transport(), seen: Mutex::default() });
    let mut scene = Scene { lake, recorder, tokens: Arc::default(), next: 1 };
    let small = |config: &mut Config| config.max_parameter_bytes = 6_000;
    let connect = |lake: &Lake, more: bool| -> Builder {
        lake.builder()
            .volume("landing")
            .change_log()
            .raw_column()
            .with(small)
            .tables_of(&Ledger::of(form(more)))
    };
    let sink = connect(&scene.lake, false).build().unwrap();
    scene.send(&sink, (0..5).map(|n| whole(&n.to_string(), 1, n * 1_234_567)).collect()).await;
    // Older, the same, newer, gone, back again; twice in one batch.
    scene
        .send(
            &sink,
            vec![whole("0", 3, 5), whole("1", 1, 9), gone("2", 2), whole("3", 2, 7), whole("3", 3, 8)],
        )
        .await;
    scene.send(&sink, vec![whole("0", 2, 6), gone("9", 4), event("4", 2, r#"{"number":"of a list"}"#)]).await;
    scene.send(&sink, vec![whole("2", 3, 99), event("7", 1, r#"{"total":1}"#)]).await;
    // A staged file.
    scene.send(&sink, (100..160).map(|n| whole(&n.to_string(), 1, n * 7)).collect()).await;
    // Another log, and a table that gets a column.
    let sink = connect(&scene.lake, true).build().unwrap();
    let mut later = vec![whole("0", 1, 77), gone("100", 1)];
    later.iter_mut().for_each(|event| event.epoch = 1);
    scene.send(&sink, later).await;
    let sent = scene.recorder.seen.lock().unwrap().clone();
    // What was sent is sent once more, out of order: nothing may change.
    let before = scene.lake.rows(&format!("SELECT * FROM {TABLE} ORDER BY _id"));
    let sink = connect(&scene.lake, true).build().unwrap();
    scene.send(&sink, vec![whole("3", 2, 7), whole("0", 3, 5), gone("2", 2)]).await;
    assert_eq!(scene.lake.rows(&format!("SELECT * FROM {TABLE} ORDER BY _id")), before);

    let count = |part: &str| {
        sent.iter().filter(|one| one["statement"].as_str().is_some_and(|sql| sql.contains(part))).count()
    };
    assert_eq!((count("CREATE TABLE"), count("ADD COLUMNS"), count("read_files")), (2, 1, 2));
    let Ok(path) = std::env::var(OUT) else { return };
    let mut tables = BTreeMap::new();
    for (name, order) in [(TABLE.to_owned(), "_id"), (format!("{TABLE}_changes"), "_event_id")] {
        let shown = [
            "_connection",
            "_id",
            "_event_id",
            "_epoch",
            "_n",
            "_deleted",
            "_raw",
            "_occurred_at",
            "_ingested_at",
        ];
        let own = if name == TABLE {
            &["_detailed", "number", "total", "terms", "open", "due", "at", "rate", "lines"][..]
        } else {
            &["_changes"]
        };
        let columns: Vec<&str> = shown.iter().chain(own).copied().collect();
        let names: Vec<String> = columns.iter().map(|name| format!("`{name}`")).collect();
        let rows =
            scene.lake.rows(&format!("SELECT {} FROM {name} ORDER BY {order}, _epoch", names.join(", ")));
        tables.insert(name.clone(), json!({ "columns": columns, "order": order, "rows": rows }));
    }
    std::fs::write(&path, serde_json::to_vec_pretty(&json!({ "sent": sent, "tables": tables })).unwrap())
        .unwrap();
}
