use std::collections::BTreeSet;

use ml_connector_core::{
    ErrorKind, Timestamp,
    model::{Change, Column, Columns, EntityRef, Event, Raw, RecordKind},
};
use serde_json::value::RawValue;

use super::{row::Form, *};
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

fn encode(
    event: &Event,
    origin: Origin<'_>,
    columns: &Columns,
    layout: &Layout,
) -> ml_connector_core::Result<String> {
    let mut encoder = Encoder::new(columns, layout, 10_000, (1, 0));
    encoder.add(0, event, origin)?;
    let rows = encoder.finish();
    Ok(rows.json(&rows.rows[0]).to_owned())
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
    layout.columns[3].wire = Wire::Lines(vec![Ok(("Item".into(), Wire::Plain)), Err("rate")]);
    (layout.detailed, layout.says_detailed) = (false, false);
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
    let one = |json: &str| encode(&event(Some(json), Change::Paid), origin, &columns(), &layout);
    one(r#"{"number":"1"}"#).unwrap();
    layout.strict = true;
    let one = |json: &str| encode(&event(Some(json), Change::Paid), origin, &columns(), &layout);
    one(r#"{"lines":[{"item":"a"}]}"#).unwrap();
    assert_eq!(one(r#"{"lines":[{},{"rate":1}]}"#).unwrap_err().context("column"), Some("lines.rate"));
}

fn rows(of: &[(&str, u64, Form, usize)]) -> Rows {
    let (mut rows, mut text) = (Vec::new(), String::new());
    for (owner, (id, n, form, bytes)) in of.iter().enumerate() {
        let start = text.len();
        text += &format!("{}\n", owner.to_string().repeat(bytes - 1));
        rows.push(Row {
            owner,
            connection: "books".into(),
            entity: EntityRef::new("invoice", *id),
            epoch: 0,
            n: *n,
            form: *form,
            text: start..text.len(),
        });
    }
    Rows { rows, text: text.into() }
}

fn layered(rows: &Rows) -> Vec<Vec<usize>> {
    let all: Vec<&Row> = rows.rows.iter().collect();
    layers(&all).iter().map(|layer| layer.iter().map(|row| row.owner).collect()).collect()
}

#[test]
fn of_one_record_the_latest_is_sent_in_its_place() {
    use Form::Whole;
    let mut of = rows(&[("1", 2, Whole, 2), ("2", 1, Whole, 2), ("1", 3, Whole, 2), ("1", 1, Whole, 2)]);
    assert_eq!(layered(&of), [[2, 1]]);
    // A later log begins with small numbers.
    of.rows[3].epoch = 1;
    assert_eq!(layered(&of), [[3, 1]]);
}

#[test]
fn what_says_less_comes_after_what_says_more() {
    use Form::{Gone, Listed, Whole};
    let of = rows(&[
        ("1", 4, Whole, 2),
        ("1", 5, Gone, 2),
        ("2", 1, Whole, 2),
        ("2", 2, Whole, 2),
        ("2", 3, Listed, 2),
        ("2", 4, Listed, 2),
        ("2", 5, Gone, 2),
        ("3", 1, Gone, 2),
        ("3", 2, Whole, 2),
        ("4", 1, Listed, 2),
    ]);
    assert_eq!(layered(&of), [vec![0, 3, 8, 9], vec![1, 5], vec![6]]);
}

#[test]
fn rows_are_sent_as_an_array_or_as_lines_without_a_copy_where_they_adjoin() {
    let of = rows(&[("1", 1, Form::Whole, 3), ("2", 1, Form::Whole, 2), ("3", 1, Form::Whole, 2)]);
    let [a, b, c] = &of.rows[..] else { panic!() };
    assert_eq!((of.array(&[a, b]), of.array(&[])), ("[00,1]".to_owned(), "[]".to_owned()));
    assert_eq!((&of.lines(&[a, b])[..], &of.lines(&[c, a])[..]), (&b"00\n1\n"[..], &b"2\n00\n"[..]));
    assert_eq!(of.lines(&[b, c]).as_ptr(), of.text[3..].as_ptr());
    assert!(of.lines(&[]).is_empty());
}

#[test]
fn parts_keep_rows_whole_and_within_the_limit() {
    let of = rows(&[40, 40, 40, 200, 10].map(|bytes| ("1", 1, Form::Whole, bytes)));
    let all: Vec<&Row> = of.rows.iter().collect();
    assert_eq!(cuts(&all, 100, 10), [0..2, 2..3, 3..4, 4..5]);
    assert_eq!(cuts(&all, 1_000, 2), [0..2, 2..4, 4..5]);
    assert!(cuts(&[], 100, 10).is_empty());
}
