//! The warehouse that mirrors tables, its troubles, and whether its tables are what was told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use ml_connector_core::{
    Clock, Context, Source, SourceInfo, Timestamp,
    model::{Change, ColumnType, Decimal, Event, Origin, Value},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_databricks::Databricks;
use ml_connector_sim::{
    DatabricksSim, Fault, SimTransport,
    databricks::{DatabricksConfig, WarehouseState},
};
use serde_json::value::RawValue;

use super::world::{Kept, Vendor, World};
use crate::proof::Dice;

/// A warehouse in California, with a place for files.
pub(crate) fn lake(clock: Arc<dyn Clock>) -> DatabricksSim {
    let mut config = DatabricksConfig::default();
    config.session_zone = "America/Los_Angeles".to_owned();
    let lake = DatabricksSim::with_config(clock, config);
    lake.sql("CREATE VOLUME landing").unwrap();
    lake
}

/// The sink for it. All that it knows of these sources is what they publish.
pub(super) fn sink<'a>(
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
async fn bury_lost(lake: &DatabricksSim, clock: Arc<dyn Clock>, source: &dyn Source) -> u64 {
    let transport = Arc::new(SimTransport::new().with_router(lake.host(), lake.router()));
    let limiter = Arc::new(MemoryRateLimiter::new());
    let ctx = Context::new(transport, Arc::new(MemoryTokenStore::new()), limiter, clock);
    let ctx = ctx.within(Duration::from_secs(60));
    sink(lake, [source]).bury_lost(&ctx, &source.info().connection).await.unwrap()
}

/// Makes something go wrong every few minutes, and never the same.
async fn trouble(lake: DatabricksSim) {
    let mut dice = Dice::new(11);
    let post = |fault: Fault| fault.on("/sql/statements").method(Method::POST);
    loop {
        tokio::time::sleep(Duration::from_secs(420)).await;
        match dice.below(10) {
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

/// How a story of tables goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// What is there before anybody is connected.
    pub(crate) documents: usize,
    /// After every second one the connector is killed.
    pub(crate) rounds: u32,
    /// What is done in a round, and how long it takes until all of it was read.
    pub(crate) acts: u32,
    pub(crate) round: Duration,
    /// How long it takes until whatever was in trouble is in the tables.
    pub(crate) calm: Duration,
    /// How many rows there are at least: what was told, and the past with it.
    pub(crate) rows: [usize; 2],
}

/// Lets people work while the warehouse is in trouble and the connector is killed. Then the log is lost: the past is read again,
/// what the new log says wins, and what no list shows any more is marked.
pub(crate) async fn tables_mirror_the_books<V: Vendor>(mut world: World<V>, mode: V::Mode, course: Course) {
    let Course { documents, rounds, acts, round, calm, rows } = course;
    let lake = lake(world.clock());
    world.lake = Some(lake.clone());
    world.furnish(documents).await;
    let mut running = world.connect(mode);
    let troubles = tokio::spawn(trouble(lake.clone()));
    world.settle(Duration::from_secs(3600)).await;
    for n in 0..rounds {
        world.work_and_settle(acts, round).await;
        if n % 2 == 1 {
            running.kill().await;
            running = world.connect(mode);
        }
    }
    troubles.abort();
    lake.tune(|tuning| tuning.execution = Duration::ZERO);
    world.settle(calm).await;
    let shown = world.are_mirrored(mode, &lake).await;
    assert!(shown > rows[0], "{shown}");
    assert_eq!(lake.limit_violations(), 0);

    running.stop().await;
    world.lose_log();
    running = world.connect(mode);
    world.settle(Duration::from_secs(3600)).await;
    for source in world.infos(mode) {
        for feed in source.feeds {
            world.backfill(source.connection.as_str(), feed.name).await;
        }
    }
    world.settle(calm).await;
    // A row of a list and its detail are one state of a record.
    let events = world.events().await.into_iter();
    let news: Vec<_> = events.filter(|event| event.origin == Origin::Live).collect();
    assert!(news.is_empty(), "{news:#?}");
    let mut buried = 0;
    for source in world.vendor.sources(mode) {
        buried += bury_lost(&lake, world.clock(), &source).await;
    }
    // Not all: what nobody had read before it was deleted has no row.
    assert!(buried > 0);
    world.tables_hold_what_the_books_hold(mode, &lake);
    world.work_and_settle(acts, round).await;
    world.settle(calm).await;
    let shown = world.are_mirrored(mode, &lake).await;
    assert!(shown > rows[1], "{shown}");
    world.tables_hold_what_the_books_hold(mode, &lake);
    assert_eq!(world.connector().stats().dead, 0);
    running.stop().await;
}

impl<V: Vendor> World<V> {
    /// Whether every record that was told has its row as it was told last. Returns how many there are.
    pub(crate) async fn are_mirrored(&self, mode: V::Mode, lake: &DatabricksSim) -> usize {
        let events = self.events().await;
        self.infos(mode).iter().map(|source| mirrored(events.clone(), source, lake)).sum()
    }

    /// Whether the rows that are no tombstones are the records that are in the books.
    fn tables_hold_what_the_books_hold(&self, mode: V::Mode, lake: &DatabricksSim) {
        let sources = self.infos(mode);
        for kept in self.vendor.records() {
            let Kept { connection, kind, id, exists } = &kept;
            let source = sources.iter().find(|source| source.connection.as_str() == *connection).unwrap();
            let columns = source.columns.iter().find(|columns| columns.kind.as_str() == *kind).unwrap();
            let (system, table) = (source.system, columns.table);
            let sql = format!(
                "SELECT _deleted FROM main.ml_finance.{system}_{table} WHERE _id = '{id}' AND _connection = '{connection}'"
            );
            let rows = lake.sql(&sql).unwrap();
            let is_there = rows.iter().any(|row| row[0].as_deref() == Some("false"));
            assert_eq!(is_there, *exists, "{kept:?}: {rows:?}");
        }
    }
}
