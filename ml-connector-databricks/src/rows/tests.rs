use std::collections::BTreeSet;

use ml_connector_core::{
    ErrorKind, Timestamp,
    model::{Change, Column, Columns, EntityRef, Event, Raw, RecordKind},
};
use serde_json::value::RawValue;

use super::*;
use crate::sql::{Layout, Wire};

const ORIGIN: Origin<'_> = Origin { system: "ledgerly", account: "org:7", change_log: false };

fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "")
        .whole_with("/lines")
        .with(Column::string("number", "/number"))
        .with(Column::decimal("total", "/total", 4))
        .with(Column::big_int("terms", "/terms"))
        .with(Column::boolean("open", "/open"))
        .with(Column::list(
            "lines",
            "/lines",
            [Column::string("item", "/item"), Column::decimal("rate", "/rate", 2)],
        ))
}

fn event(json: Option<&str>, change: Change) -> Event {
    let mut event = Event::new(
        "books".into(),
        EntityRef::new("invoice", "42"),
        7,
        BTreeSet::from([change, Change::Updated]),
        Timestamp::from_millis(1_773_324_300_123),
        None,
    );
    event.epoch = 3;
    event.raw = json.map(|json| Raw::new(RawValue::from_string(json.into()).unwrap()));
    event
}

fn row(json: &str) -> ml_connector_core::Result<String> {
    encode(&event(Some(json), Change::Paid), ORIGIN, &columns(), &Layout::whole(&columns(), false))
}

const META: &str = r#""_connection":"books","_system":"ledgerly","_account":"org:7","_id":"42","_event_id":"EVENT","_epoch":3,"_n":7,"_occurred_at":"2026-03-12T14:05:00.123Z","#;

#[test]
fn a_row_has_decimals_as_text_and_everything_else_as_json_has_it() {
    let id = event(None, Change::Paid).id();
    let meta = META.replace("EVENT", &id);
    let json = r#"{"number":"O'Brien \"`\n\u0000 é","total":12.50,"terms":30,"open":true,"lines":[{"item":"a","rate":0.10},{}]}"#;
    assert_eq!(
        row(json).unwrap(),
        format!(
            r#"{{{meta}"_deleted":false,"_detailed":true,"number":"O'Brien \"`\n\u0000 é","total":"12.50","terms":30,"open":true,"lines":[{{"item":"a","rate":"0.10"}},{{}}]}}"#
        )
    );
    assert_eq!(row("{}").unwrap(), format!(r#"{{{meta}"_deleted":false,"_detailed":false}}"#));
}

#[test]
fn what_is_gone_is_a_tombstone_and_what_comes_without_json_is_refused() {
    let layout = Layout::whole(&columns(), true);
    let gone =
        encode(&event(Some(r#"{"number":"1"}"#), Change::Deleted), ORIGIN, &columns(), &layout).unwrap();
    assert!(gone.ends_with(r#""_deleted":true,"_detailed":false}"#), "{gone}");
    let nothing = encode(&event(None, Change::Paid), ORIGIN, &columns(), &layout).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_value_that_does_not_fit_is_named_and_not_quoted() {
    for (json, column) in [
        (r#"{"total":"NaN"}"#, "total"),
        (r#"{"total":1234567890123456789012345678901234567890}"#, "total"),
        (r#"{"total":0.00001}"#, "total"),
        (r#"{"terms":"soon"}"#, "terms"),
        (r#"{"lines":[{"rate":"1,5"}]}"#, "rate"),
    ] {
        let error = row(json).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("column")),
            (ErrorKind::InvalidRequest, Some(column)),
            "{json}"
        );
    }
}

#[test]
fn rows_follow_the_table_and_the_change_log_gets_everything() {
    let mut layout = Layout::whole(&columns(), false);
    layout.columns.retain(|target| &*target.name != "terms");
    layout.columns[0].name = "Number".into();
    layout.columns[3].wire = Wire::Lines(vec![Some(("Item".into(), Wire::Plain)), None]);
    layout.detailed = false;
    let json = r#"{"number":"1","terms":30,"lines":[{"item":"a","rate":1}]}"#;
    let origin = Origin { change_log: true, ..ORIGIN };
    let row = encode(&event(Some(json), Change::Paid), origin, &columns(), &layout).unwrap();
    let raw = serde_json::to_string(json).unwrap();
    assert!(
        row.ends_with(&format!(
            r#""_deleted":false,"_raw":{raw},"_changes":"paid, updated","Number":"1","lines":[{{"Item":"a"}}]}}"#
        )),
        "{row}"
    );
    layout.refused.push(2);
    let refused = encode(&event(Some(json), Change::Paid), origin, &columns(), &layout).unwrap_err();
    assert_eq!(refused.context("column"), Some("terms"));
    encode(&event(Some(r#"{"number":"1"}"#), Change::Paid), origin, &columns(), &layout).unwrap();
}

fn plain(owner: usize, id: &str, n: u64, bytes: usize) -> Row {
    let json = "x".repeat(bytes);
    Row { owner, connection: "books".into(), entity: EntityRef::new("invoice", id), n, json }
}

#[test]
fn of_one_record_the_latest_is_sent_in_its_place() {
    let rows = [plain(0, "1", 2, 1), plain(1, "2", 1, 1), plain(2, "1", 3, 1), plain(3, "1", 1, 1)];
    let kept: Vec<_> = latest(&rows).iter().map(|row| (row.owner, row.n)).collect();
    assert_eq!(kept, [(2, 3), (1, 1)]);
    let two = [&rows[0], &rows[1]];
    assert_eq!((array(&two), lines(&two)), ("[x,x]".into(), "x\nx\n".into()));
    assert_eq!(array(&[]), "[]");
}

#[test]
fn parts_keep_rows_whole_and_within_the_limit() {
    let rows: Vec<Row> = [40, 40, 40, 200, 10].into_iter().map(|bytes| plain(0, "1", 1, bytes)).collect();
    assert_eq!(cuts(&rows, 100, 10), [0..2, 2..3, 3..4, 4..5]);
    assert_eq!(cuts(&rows, 1_000, 2), [0..2, 2..4, 4..5]);
    assert!(cuts(&[], 100, 10).is_empty());
}
