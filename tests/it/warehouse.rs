//! Zoho Books → Databricks: the tables are what the books are, whatever happens on the way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use ml_connector_core::{
    Clock, SourceMode,
    model::{Change, ColumnType, Columns, Event, Origin, Value},
};
use ml_connector_sim::{
    DatabricksSim, Fault,
    databricks::{DatabricksConfig, WarehouseState},
    zoho::Plan,
};
use ml_connector_zoho::ZohoBooks;

use crate::polling::books::Office;

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);

/// An office whose books go into a warehouse in California.
fn office(seed: u64) -> (Office, DatabricksSim) {
    let mut office = Office::new(seed, Plan::Elite, Duration::from_millis(200));
    let mut config = DatabricksConfig::default();
    config.session_zone = "America/Los_Angeles".to_owned();
    let lake = DatabricksSim::with_config(office.clock() as Arc<dyn Clock>, config);
    lake.sql("CREATE VOLUME landing").unwrap();
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

/// Whether every record of the books has its row.
async fn books_are_mirrored(office: &Office, lake: &DatabricksSim) -> usize {
    let source = ZohoBooks::builder("books")
        .organization_id("778812345")
        .data_center(ml_connector_zoho::DataCenter::Us)
        .client("id", "secret")
        .refresh_token("token")
        .webhook_secret("mirrorSecret2026")
        .time_zone("UTC")
        .build()
        .unwrap();
    let tables = &ml_connector_core::Source::info(&source).columns;
    mirrored(office.events().await, tables, "zoho_books", lake)
}

/// Whether every record has its row, as its latest event tells it, to the last digit. Returns how many there are.
pub(crate) fn mirrored(
    events: Vec<Event>,
    tables: &[Arc<Columns>],
    system: &str,
    lake: &DatabricksSim,
) -> usize {
    let mut latest: BTreeMap<String, Event> = BTreeMap::new();
    let mut known: BTreeMap<String, Event> = BTreeMap::new();
    let records = |event: Event| if event.is_page() { event.page } else { vec![event] };
    for event in events.into_iter().flat_map(records) {
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
        let scalars: Vec<_> = columns
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, column)| !matches!(column.kind, ColumnType::List(_) | ColumnType::Timestamp))
            .collect();
        let names: Vec<_> = scalars.iter().map(|(_, column)| format!("`{}`", column.name)).collect();
        let expected: BTreeMap<_, _> =
            latest.iter().filter(|(_, event)| *event.entity.kind == *columns.kind.as_str()).collect();
        if expected.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT _id, _n, _deleted, {} FROM main.ml_finance.{system}_{} WHERE _epoch = {}",
            names.join(", "),
            columns.table,
            expected.values().next().map_or(0, |event| event.epoch)
        );
        let table: BTreeMap<String, Vec<Option<String>>> = lake
            .sql(&sql)
            .unwrap()
            .into_iter()
            .map(|row| (format!("{}/{}", columns.kind, row[0].clone().unwrap()), row))
            .collect();
        assert_eq!(
            table.keys().collect::<Vec<_>>(),
            expected.keys().copied().collect::<Vec<_>>(),
            "{}",
            columns.kind
        );
        for (key, event) in expected {
            let row = &table[key];
            let deleted = event.changes.contains(&Change::Deleted);
            assert_eq!(row[1].as_deref(), Some(&*event.n.to_string()), "{key}");
            assert_eq!(row[2].as_deref(), Some(if deleted { "true" } else { "false" }), "{key}");
            let Some(shown) = known.get(key) else { continue };
            let raw = shown.raw.as_ref().unwrap();
            let values = columns.read(raw).unwrap();
            for ((place, column), cell) in scalars.iter().zip(&row[3..]) {
                // What the record no longer says keeps its place.
                if !column.listed && !columns.is_whole(raw) {
                    continue;
                }
                let same = match (&values[*place], cell) {
                    (Value::Null, cell) => cell.is_none(),
                    (Value::Decimal(digits), Some(cell)) => {
                        let parse =
                            |text: &str| ml_connector_core::model::Decimal::from_str_exact(text).unwrap();
                        parse(digits) == parse(cell)
                    }
                    (Value::String(text) | Value::Date(text), Some(cell)) => &**text == cell,
                    (Value::Boolean(yes), Some(cell)) => yes.to_string() == *cell,
                    (Value::BigInt(n), Some(cell)) => n.to_string() == *cell,
                    _ => false,
                };
                assert!(same, "{key} {}: {:?} became {cell:?}", column.name, values[*place]);
            }
            rows += 1;
        }
    }
    rows
}

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

    // The log is lost: the past is read again, and what the new log says wins.
    worker.stop().await;
    office.lose_log();
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(400)).await;
    for list in office.lists() {
        office.backfill(list).await;
    }
    tokio::time::sleep(DAY / 2).await;
    office.work(14, QUARTER * 3).await;
    tokio::time::sleep(DAY).await;
    assert!(books_are_mirrored(&office, &lake).await > 100);
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
