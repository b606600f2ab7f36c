//! Zoho Books → Databricks: the tables are what the books are, whatever happens on the way. The other systems' mirrors are
//! beside their stories, and have the warehouse, its troubles and the comparison from here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use http::{Method, StatusCode};
use ml_connector_core::{
    Clock, Context, Source, SourceInfo, SourceMode, Timestamp,
    audit::{EntryKind, EntryState, Query},
    engine::{Progress, Replay},
    model::{Change, ColumnType, Decimal, Event, Origin, Value},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_databricks::Databricks;
use ml_connector_sim::{
    DatabricksSim, Fault, SimTransport,
    databricks::{DatabricksConfig, StatementFailure, WarehouseState},
    zoho::{Entity, Plan},
};
use ml_connector_zoho::ZohoBooks;
use serde_json::value::RawValue;

use crate::polling::books::Office;

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);

/// A warehouse in California, with a place for files.
pub(crate) fn lake(clock: Arc<dyn Clock>) -> DatabricksSim {
    let mut config = DatabricksConfig::default();
    config.session_zone = "America/Los_Angeles".to_owned();
    let lake = DatabricksSim::with_config(clock, config);
    lake.sql("CREATE VOLUME landing").unwrap();
    lake
}

/// The sink for it. All that it knows of these sources is what they publish.
pub(crate) fn sink<'a>(
    lake: &DatabricksSim,
    sources: impl IntoIterator<Item = &'a dyn Source>,
) -> Databricks {
    let credentials = lake.credentials();
    let mut builder = Databricks::builder("lake")
        .host(lake.host())
        .warehouse(credentials.warehouse_id)
        .schema("main", "ml_finance")
        .volume("landing")
        .service_principal(credentials.client_id, credentials.client_secret);
    for source in sources {
        builder = builder.tables_of(source);
    }
    builder.with(|config| config.max_parameter_bytes = 20_000).build().unwrap()
}

/// Marks what only a lost log knew.
pub(crate) async fn bury_lost(lake: &DatabricksSim, clock: Arc<dyn Clock>, source: &dyn Source) -> u64 {
    let transport = Arc::new(SimTransport::new().with_router(lake.host(), lake.router()));
    let limiter = Arc::new(MemoryRateLimiter::new());
    let ctx = Context::new(transport, Arc::new(MemoryTokenStore::new()), limiter, clock);
    let ctx = ctx.within(Duration::from_secs(60));
    sink(lake, [source]).bury_lost(&ctx, &source.info().connection).await.unwrap()
}

/// An office whose books go into the warehouse.
fn office(seed: u64) -> (Office, DatabricksSim) {
    let mut office = Office::new(seed, Plan::Elite, Duration::from_millis(200));
    let lake = lake(office.clock() as Arc<dyn Clock>);
    office.lake = Some(lake.clone());
    (office, lake)
}

/// Makes something go wrong every few minutes, and never the same.
pub(crate) async fn trouble(lake: DatabricksSim, mut dice: u64) {
    let post = |fault: Fault| fault.on("/sql/statements").method(Method::POST);
    loop {
        tokio::time::sleep(Duration::from_secs(420)).await;
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (dice >> 33) % 10 {
            0 => lake.plant(post(Fault::reset().having_acted())),
            1 => lake.plant(post(Fault::reset())),
            2 => lake.plant(post(Fault::status(StatusCode::BAD_GATEWAY).having_acted())),
            3 => lake.plant(post(Fault::truncated().having_acted())),
            4 => lake.plant(post(Fault::too_many_requests(20))),
            5 => lake.expire_tokens(),
            6 => lake.tune(|tuning| tuning.conflicts = 2),
            7 => lake.warehouse(|warehouse| warehouse.state = WarehouseState::Stopped),
            8 => lake.tune(|tuning| tuning.execution = Duration::from_secs(40)),
            _ => lake.tune(|tuning| (tuning.execution, tuning.closed_at_once) = (Duration::ZERO, true)),
        }
    }
}

/// What the tables of the books look like.
fn books() -> SourceInfo {
    let source = ZohoBooks::builder("books")
        .organization_id("778812345")
        .data_center(ml_connector_zoho::DataCenter::Us)
        .client("id", "secret")
        .refresh_token("token")
        .webhook_secret("mirrorSecret2026")
        .time_zone("UTC")
        .build()
        .unwrap();
    source.info().clone()
}

/// Whether every record of the books has its row.
async fn books_are_mirrored(office: &Office, lake: &DatabricksSim) -> usize {
    mirrored(office.events().await, &books(), lake)
}

/// Whether every record of a connection has its row, as its latest event tells it, to the last digit and with its lines, and no
/// other row is a record. Returns how many there are.
pub(crate) fn mirrored(events: Vec<Event>, source: &SourceInfo, lake: &DatabricksSim) -> usize {
    let SourceInfo { connection, system, columns: tables, .. } = source;
    let events = events.into_iter().filter(|event| event.connection == *connection);
    let mut latest: BTreeMap<String, Event> = BTreeMap::new();
    let mut known: BTreeMap<String, Event> = BTreeMap::new();
    let records = |event: Event| if event.is_page() { event.page } else { vec![event] };
    for event in events.flat_map(records) {
        let key = event.entity.to_string();
        if event.raw.is_some() && known.get(&key).is_none_or(|before| before.n < event.n) {
            known.insert(key.clone(), event.clone());
        }
        if latest.get(&key).is_none_or(|before| before.n < event.n) {
            latest.insert(key, event);
        }
    }
    let mut rows = 0;
    for columns in tables {
        let names: Vec<_> = columns.columns().iter().map(|column| format!("`{}`", column.name)).collect();
        let expected: BTreeMap<_, _> =
            latest.iter().filter(|(_, event)| *event.entity.kind == *columns.kind.as_str()).collect();
        if expected.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT _id, _epoch, _n, _deleted, {} FROM main.ml_finance.{system}_{} WHERE _connection = '{connection}'",
            names.join(", "),
            columns.table,
        );
        let mut table: BTreeMap<String, Vec<Option<String>>> = lake
            .sql(&sql)
            .unwrap()
            .into_iter()
            .map(|row| (format!("{}/{}", columns.kind, row[0].clone().unwrap()), row))
            .collect();
        for (key, event) in expected {
            let row = table.remove(key).unwrap_or_else(|| panic!("{key} has no row"));
            let deleted = event.changes.contains(&Change::Deleted);
            let own = [&row[1], &row[2], &row[3]].map(|cell| cell.clone().unwrap());
            assert_eq!(own, [event.epoch.to_string(), event.n.to_string(), deleted.to_string()], "{key}");
            let Some(shown) = known.get(key) else { continue };
            let raw = shown.raw.as_ref().unwrap();
            let values = columns.read(raw).unwrap();
            for ((value, column), cell) in values.iter().zip(columns.columns()).zip(&row[4..]) {
                // What the record no longer says keeps its place.
                if !column.listed && !columns.is_whole(raw) {
                    continue;
                }
                let same = is_same(value, &column.kind, cell.as_deref());
                assert!(same, "{key} {}: {value:?} became {cell:?}", column.name);
            }
            rows += 1;
        }
        for (key, row) in table {
            assert_eq!(row[3].as_deref(), Some("true"), "{key} is in no event, and its row is no tombstone");
        }
    }
    rows
}

/// Whether a cell is the value: numbers and instants by what they are, lines member by member.
fn is_same(value: &Value<'_>, kind: &ColumnType, cell: Option<&str>) -> bool {
    match (value, cell) {
        (Value::Null, cell) => cell.is_none(),
        (Value::Decimal(digits), Some(cell)) => {
            let parse = |text: &str| Decimal::from_str_exact(text).unwrap();
            parse(digits) == parse(cell)
        }
        (Value::Timestamp(text), Some(cell)) => {
            let [said, shown] = [&**text, cell].map(|text| Timestamp::parse(text).unwrap().as_millis());
            // Before 1900 offsets have seconds, which a cell does not show.
            said == shown || text.starts_with("0001-") && said.abs_diff(shown) < 60_000
        }
        (Value::String(text) | Value::Date(text), Some(cell)) => &**text == cell,
        (Value::Boolean(yes), Some(cell)) => yes.to_string() == cell,
        (Value::BigInt(n), Some(cell)) => n.to_string() == cell,
        (Value::List(lines), Some(cell)) => {
            let ColumnType::List(fields) = kind else { return false };
            let there: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(cell).unwrap();
            there.len() == lines.len()
                && lines.iter().zip(&there).all(|(line, there)| {
                    line.iter().zip(fields.columns()).all(|(value, column)| {
                        let member = there.get(column.name).map(|raw| raw.get()).filter(|raw| *raw != "null");
                        let text = member.map(|raw| match raw.starts_with('"') {
                            true => serde_json::from_str::<String>(raw).unwrap(),
                            false => raw.to_owned(),
                        });
                        is_same(value, &column.kind, text.as_deref())
                    })
                })
        }
        _ => false,
    }
}

/// Whether the rows that are no tombstones are the records that are in the books.
fn holds_what_the_books_hold(office: &Office, lake: &DatabricksSim) {
    let books = books();
    for (kind, id, exists) in office.records() {
        let columns = books.columns.iter().find(|columns| columns.kind.as_str() == kind).unwrap();
        let table = columns.table;
        let sql = format!("SELECT _deleted FROM main.ml_finance.zoho_books_{table} WHERE _id = '{id}'");
        let rows = lake.sql(&sql).unwrap();
        let is_there = rows.iter().any(|row| row[0].as_deref() == Some("false"));
        assert_eq!(is_there, exists, "{kind} {id}: {rows:?}");
    }
}

// Proves: tables, limits_of_databricks.
#[tokio::test(start_paused = true)]
async fn tables_mirror_the_books_through_faults_kills_and_a_lost_log() {
    let (mut office, lake) = office(5);
    office.furnish(120).await;
    let mut worker = office.connect(SourceMode::Both);
    let troubles = tokio::spawn(trouble(lake.clone(), 11));
    tokio::time::sleep(Duration::from_secs(400)).await;
    for round in 0..10 {
        office.work(14, QUARTER * 3).await;
        if round % 3 == 2 {
            worker.kill().await;
            worker = office.connect(SourceMode::Both);
        }
    }
    troubles.abort();
    lake.tune(|tuning| tuning.execution = Duration::ZERO);
    tokio::time::sleep(DAY).await;
    assert!(books_are_mirrored(&office, &lake).await > 60);
    assert_eq!(lake.limit_violations(), 0);

    // The log is lost, and records are deleted before there is another: the past is read again, what the new log says wins,
    // and what no list shows any more is marked.
    worker.stop().await;
    office.lose_log();
    let gone = office.delete_unseen(4);
    assert_eq!(gone, 4);
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(400)).await;
    for list in office.lists() {
        office.backfill(list).await;
    }
    tokio::time::sleep(DAY / 2).await;
    let buried = office.bury_lost().await;
    // Not all of the four: what nobody had read before it was deleted has no row.
    assert!(buried > 0, "{buried}");
    holds_what_the_books_hold(&office, &lake);
    office.work(14, QUARTER * 3).await;
    tokio::time::sleep(DAY).await;
    assert!(books_are_mirrored(&office, &lake).await > 100);
    holds_what_the_books_hold(&office, &lake);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_whose_statements_are_always_cancelled_keeps_no_other_waiting() {
    let (mut office, lake) = office(6);
    office.furnish(60).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(400)).await;
    for _ in 0..60 {
        lake.fail_statement(StatementFailure {
            error_code: "CANCELLED".to_owned(),
            message: "the statement was cancelled: it ran for longer than 60 s".to_owned(),
            sql_state: Some("57014".to_owned()),
            after_commit: false,
            statement: "zoho_books_invoices`".to_owned(),
        });
    }
    office.work(20, QUARTER * 3).await;
    tokio::time::sleep(QUARTER).await;
    let mut others = books();
    others.columns.retain(|columns| columns.table != "invoices");
    assert!(mirrored(office.events().await, &others, &lake) > 0, "the others go on");
    tokio::time::sleep(DAY).await;
    assert_eq!(office.connector().stats().dead, 0);
    assert!(books_are_mirrored(&office, &lake).await > 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_past_comes_at_the_speed_of_lists_and_a_column_says_which_rows_have_their_details() {
    let (mut office, lake) = office(8);
    office.furnish(450).await;
    let worker = office.connect(SourceMode::Poll);
    tokio::time::sleep(Duration::from_secs(400)).await;
    let count = |what: &str| {
        let sql = format!("SELECT count(*) FROM main.ml_finance.zoho_books_invoices WHERE {what}");
        let count = lake.sql(&sql).ok().and_then(|rows| rows[0][0].clone());
        count.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    office.backfill("invoices").await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    let (all, detailed) = (count("true"), count("_detailed"));
    assert!(all > 400 && detailed < 100, "{detailed} of {all} have their details");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((count("true"), count("_detailed")), (all, all));
    assert!(books_are_mirrored(&office, &lake).await >= all);
    assert_eq!(office.events().await.iter().filter(|event| event.origin == Origin::Live).count(), 0);
    worker.stop().await;
}

/// Zoho counts its invoices, so that a backfill says how long it takes. What it does not count ends without a guess.
#[tokio::test(start_paused = true)]
async fn a_backfill_of_invoices_says_how_long_it_takes_and_others_do_not_guess() {
    let mut office = Office::new(9, Plan::Elite, Duration::from_secs(3));
    office.furnish(450).await;
    let worker = office.connect(SourceMode::Poll);
    tokio::time::sleep(DAY / 24).await;
    let (books, connector) = ("books".into(), office.connector());
    let seen = async |feed: &str| {
        let past = connector.backfill(&books, feed, None).await.unwrap();
        let all: Vec<Progress> =
            connector.watch_backfill(&books, feed, past).map(|progress| progress.unwrap()).collect().await;
        all
    };
    let invoices = seen("invoices").await;
    let end = invoices.last().unwrap();
    assert!(end.ended && end.done > 200 && end.total == Some(end.done), "{end:?}");
    let middle = invoices.iter().find(|progress| progress.time_left.is_some()).unwrap();
    assert!(!middle.ended && middle.per_minute > 0 && middle.total == Some(end.done), "{middle:?}");
    let left = middle.time_left.unwrap();
    assert!(left > Duration::ZERO && left < Duration::from_secs(120), "{middle:?}");
    let bills = seen("bills").await;
    let (end, before) = bills.split_last().unwrap();
    assert!(end.ended && end.done > 0 && end.total == Some(end.done), "{end:?}");
    assert!(!before.is_empty());
    assert!(
        before.iter().all(|progress| progress.total.is_none() && progress.time_left.is_none()),
        "{before:?}"
    );
    worker.stop().await;
}

/// What one row breaks is that row's: it is given up with its name, the others are written, and a replay after the repair writes
/// it.
#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_stored_is_given_up_with_its_name_and_written_when_it_is_replayed() {
    const TABLE: &str = "main.ml_finance.zoho_books_invoices";
    let (mut office, lake) = office(10);
    office.furnish(30).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(400)).await;
    office.backfill("invoices").await;
    tokio::time::sleep(DAY / 4).await;
    lake.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT known CHECK (reference_number <> 'unheard of')"))
        .unwrap();
    let invoices = office.records().into_iter().filter(|(kind, ..)| *kind == "invoice");
    let invoices: Vec<String> = invoices.map(|(_, id, _)| id).take(5).collect();
    for (n, id) in invoices.iter().enumerate() {
        let reference = if n == 2 { "unheard of".to_owned() } else { format!("PO {n}") };
        office.books.set_reference(Entity::Invoice, id, &reference).unwrap();
    }
    tokio::time::sleep(DAY / 4).await;
    let reference = |id: &str| {
        let rows = lake.sql(&format!("SELECT reference_number FROM {TABLE} WHERE _id = '{id}'")).unwrap();
        rows[0][0].clone().unwrap_or_default()
    };
    let written: Vec<String> = invoices.iter().map(|id| reference(id)).collect();
    assert_eq!([0, 1, 3, 4].map(|n| &*written[n]), ["PO 0", "PO 1", "PO 3", "PO 4"]);
    assert_ne!(written[2], "unheard of");

    let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    let given_up = office.connector().search(&dead).await.unwrap();
    let [given_up] = &given_up[..] else { panic!("{given_up:#?}") };
    let said = format!("{:?}", given_up.outcomes);
    assert!(said.contains(&format!("invoice/{}", invoices[2])) && said.contains("constraint"), "{said}");

    lake.sql(&format!("ALTER TABLE {TABLE} DROP CONSTRAINT known")).unwrap();
    let replay = Replay::new("after the repair", dead);
    assert_eq!(office.connector().replay(&replay).await.unwrap().appended, 1);
    tokio::time::sleep(QUARTER).await;
    assert_eq!(reference(&invoices[2]), "unheard of");
    assert!(books_are_mirrored(&office, &lake).await > 20);
    worker.stop().await;
}
