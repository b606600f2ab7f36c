use ml_connector_core::{
    ErrorKind, Scope,
    model::{Column, Columns, RecordKind},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    config::Config,
    models::Table,
    sql::{TableName, Wire},
};

fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "")
        .whole_with("/lines")
        .with(Column::string("number", "/number"))
        .with(Column::decimal("total", "/total", 4))
        .with(Column::list(
            "lines",
            "/lines",
            [Column::string("item", "/item"), Column::string("unit", "/unit")],
        ))
}

/// The table as the connector made it, changed.
fn table(change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let layout = Layout::whole(&columns(), false);
    let own = layout.meta().map(|(name, kind, _)| json!({ "name": name, "type_text": kind.to_lowercase() }));
    let mut all: Vec<Value> = own
        .chain(layout.columns.iter().map(|column| json!({ "name": &*column.name, "type_text": column.kind.to_string().to_lowercase().replace(['`', ' '], "") })))
        .collect();
    change(&mut all);
    json!({ "table_type": "MANAGED", "data_source_format": "DELTA", "columns": all })
}

fn set(columns: &mut [Value], name: &str, key: &str, value: Value) {
    columns.iter_mut().find(|column| column["name"] == name).unwrap()[key] = value;
}

fn tables(policy: DriftPolicy) -> Tables {
    let names = Names { catalog: "main".into(), schema: "f".into(), prefix: None, tables: BTreeMap::new() };
    Tables::new(names, &Config { drift: policy, ..Config::default() })
}

fn seen(tables: &Tables, table: Value) -> ml_connector_core::Result<inspect::Found> {
    let table: Table = serde_json::from_value(table).unwrap();
    inspect(tables, &name(), &table, &columns())
}

fn name() -> TableName {
    TableName { catalog: "main".into(), schema: "f".into(), table: "t".into() }
}

#[test]
fn a_table_that_the_connector_made_has_no_drift() {
    let found = seen(&tables(DriftPolicy::Evolve), table(|_| ())).unwrap();
    assert_eq!((found.drift, found.missing.len()), (Vec::new(), 0));
    assert_eq!(found.layout, Layout::whole(&columns(), false));
}

#[test]
fn what_is_missing_is_added_left_out_or_makes_rows_wait() {
    let lacking = || {
        table(|columns| {
            columns.retain(|column| column["name"] != "total");
            set(columns, "lines", "type_text", json!("array<struct<Item:string>>"));
        })
    };
    for (policy, refused) in
        [(DriftPolicy::Evolve, 0), (DriftPolicy::Freeze, 0), (DriftPolicy::Quarantine, 1)]
    {
        let found = seen(&tables(policy), lacking()).unwrap();
        let paths: Vec<_> = found.missing.iter().map(|(path, ..)| path.join(".")).collect();
        assert_eq!(paths, ["total", "lines.element.unit"]);
        let differ: Vec<_> = found.drift.iter().map(|drift| (&*drift.column, &drift.difference)).collect();
        assert_eq!(differ, [("total", &Difference::Missing), ("lines.unit", &Difference::Missing)]);
        assert_eq!(found.layout.refused.len(), refused, "{policy:?}");
        let written: Vec<_> = found.layout.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(written, ["number", "lines"]);
        assert_eq!(
            found.layout.columns[1].wire,
            Wire::Lines(vec![Ok(("Item".into(), Wire::Plain)), Err("unit")])
        );
        assert_eq!(found.layout.strict, policy == DriftPolicy::Quarantine);
    }
}

#[test]
fn members_of_lists_in_lines_are_missed_too() {
    let taxes =
        Column::list("taxes", "/taxes", [Column::string("name", "/name"), Column::string("kind", "/kind")]);
    let columns =
        Columns::new(RecordKind::Invoice, "invoices", "").with(Column::list("lines", "/lines", [taxes]));
    let mut of = table(|_| ());
    let all = of["columns"].as_array_mut().unwrap();
    set(all, "lines", "type_text", json!("array<struct<taxes:array<struct<name:string>>>>"));
    let of: Table = serde_json::from_value(of).unwrap();
    let found = inspect(&tables(DriftPolicy::Evolve), &name(), &of, &columns).unwrap();
    assert_eq!(found.missing[0].0.join("."), "lines.element.taxes.element.kind");
    assert_eq!(&*found.drift[0].column, "lines.taxes.kind");
}

#[test]
fn a_table_that_does_not_say_which_rows_are_whole_still_tells_them_apart() {
    let lacking = table(|columns| columns.retain(|column| column["name"] != "_detailed"));
    for policy in [DriftPolicy::Freeze, DriftPolicy::Quarantine] {
        let found = seen(&tables(policy), lacking.clone()).unwrap();
        assert!(found.layout.detailed && !found.layout.says_detailed);
        assert_eq!(&*found.drift[0].column, "_detailed");
        let sql = crate::sql::merge(&name(), &found.layout, &crate::sql::Source::Parameter);
        assert!(sql.contains("AND NOT s.`_detailed`") && !sql.contains("`_detailed` = "), "{sql}");
    }
}

#[test]
fn a_column_of_others_that_must_have_a_value_is_seen() {
    let theirs = |nullable: bool| {
        table(move |columns| {
            columns.push(json!({ "name": "region", "type_text": "string", "nullable": nullable }));
        })
    };
    let demands = |table| seen(&tables(DriftPolicy::Evolve), table).unwrap().layout.demands;
    assert_eq!(demands(theirs(false)).as_deref(), Some("region"));
    assert_eq!((demands(theirs(true)), demands(table(|_| ()))), (None, None));
}

#[test]
fn names_differ_in_case_and_types_may_be_wider() {
    let found = seen(
        &tables(DriftPolicy::Evolve),
        table(|columns| {
            set(columns, "number", "name", json!("Number"));
            set(columns, "total", "type_text", json!("string"));
            columns.push(json!({ "name": "their_own", "type_text": "date" }));
        }),
    )
    .unwrap();
    assert_eq!(&*found.layout.columns[0].name, "Number");
    assert_eq!(found.drift.len(), 1);
    assert_eq!(found.drift[0].difference, Difference::OtherType("STRING".into()));
}

#[test]
fn a_table_that_would_double_rows_or_lose_digits_is_not_written_to() {
    let tables_of = tables(DriftPolicy::Evolve);
    let mut filtered = table(|_| ());
    filtered["row_filter"] = json!({ "function_name": "main.sec.f" });
    let mut view = table(|_| ());
    view["table_type"] = json!("VIEW");
    let mut iceberg = table(|_| ());
    iceberg["data_source_format"] = json!("ICEBERG");
    let masked = table(|columns| set(columns, "_id", "mask", json!({ "function_name": "m" })));
    let double = table(|columns| set(columns, "total", "type_text", json!("double")));
    let foreign = table(|columns| columns.retain(|column| column["name"] != "_epoch"));
    for wrong in [filtered.clone(), view, iceberg, masked, double, foreign] {
        let error = seen(&tables_of, wrong).unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane), "{error}");
        assert_eq!(error.context("table"), Some("main.f.t"));
    }
    let allowed = Tables { allow_row_filter: true, ..tables(DriftPolicy::Evolve) };
    assert_eq!(seen(&allowed, filtered).unwrap().drift[0].difference, Difference::RowFilter);
    let harmless = table(|columns| set(columns, "number", "mask", json!({ "function_name": "m" })));
    assert_eq!(seen(&tables_of, harmless).unwrap().drift[0].difference, Difference::Masked);
}

#[test]
fn a_table_is_called_after_its_system_unless_the_host_says_otherwise() {
    let mut names =
        Names { catalog: "main".into(), schema: "f".into(), prefix: None, tables: BTreeMap::new() };
    assert_eq!(names.table("books", &columns()).unwrap().to_string(), "main.f.books_invoices");
    names.prefix = Some(String::new());
    assert_eq!(names.table("books", &columns()).unwrap().to_string(), "main.f.invoices");
    names.tables.insert("books/invoice".into(), "AR_Invoices".into());
    assert_eq!(names.table("books", &columns()).unwrap().to_string(), "main.f.ar_invoices");
    assert_eq!(names.table("other", &columns()).unwrap().to_string(), "main.f.invoices");
    names.tables.insert("books/invoice".into(), "ar.invoices".into());
    assert_eq!(names.table("books", &columns()).unwrap_err().kind(), ErrorKind::ConfigInvalid);
}
