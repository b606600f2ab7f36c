use std::collections::BTreeSet;

use ml_connector_core::{
    decode,
    model::{ColumnType, Raw, Value},
};

use super::*;
use crate::models::{OWN_KINDS, Payment, Resource, Site, by_kind, tests::member};

const DETAILS: [(&str, &str); 9] = [
    ("invoice", include_str!("../../../tests/fixtures/invoice_get_partial.json")),
    ("customer_payment", include_str!("../../../tests/fixtures/payment_get.json")),
    (CREDIT, include_str!("../../../tests/fixtures/payment_get.json")),
    ("bill", include_str!("../../../tests/fixtures/bill_get_partial.json")),
    ("bill_payment", include_str!("../../../tests/fixtures/bill_payment_get.json")),
    ("expense", include_str!("../../../tests/fixtures/expense_get.json")),
    ("contact", include_str!("../../../tests/fixtures/client_get.json")),
    (BILL_VENDOR, include_str!("../../../tests/fixtures/bill_vendor_get.json")),
    ("item", include_str!("../../../tests/fixtures/item_get.json")),
];

fn detail(kind: &str, fixture: &str) -> Raw {
    Raw::new(by_kind!(kind, T => member(fixture, T::DETAIL_KEY), unreachable!()))
}

/// A warehouse would refuse the rows of a kind that has none.
#[test]
fn every_kind_that_can_be_told_has_a_table_of_its_own() {
    let all = columns();
    all.iter().for_each(|columns| columns.validate().unwrap());
    let kinds: BTreeSet<&str> = all.iter().map(|columns| columns.kind.as_str()).collect();
    let told: BTreeSet<&str> = KINDS.into_iter().chain(OWN_KINDS).collect();
    assert_eq!(kinds, told);
    let tables: BTreeSet<&str> = all.iter().map(|columns| columns.table).collect();
    assert_eq!(tables.len(), all.len(), "no two kinds share a table");
    // What is listed among the payments.
    let site = Site::new(&"https://my.freshbooks.com".parse().unwrap(), "a1b2c3", false);
    for fixture in ["payment_get.json", "payments_list.json"] {
        let path = format!("{}/tests/fixtures/{fixture}", env!("CARGO_MANIFEST_DIR"));
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let result = &json["response"]["result"];
        let rows = match result[Payment::LIST_KEY].as_array() {
            Some(rows) => rows.clone(),
            None => vec![result[Payment::DETAIL_KEY].clone()],
        };
        for row in rows {
            let raw = serde_json::value::to_raw_value(&row).unwrap();
            let kind = decode::object(&raw, |row| Payment::read(row, &site)).unwrap().value.kind;
            assert!(kinds.contains(kind.as_str()), "{kind}");
        }
    }
}

#[test]
fn recorded_details_are_whole_and_have_every_column() {
    for (kind, fixture) in DETAILS {
        let (columns, raw) = (of(kind).unwrap(), detail(kind, fixture));
        assert!(columns.is_whole(&raw), "{kind}");
        columns.read(&raw).unwrap();
        for column in columns.columns() {
            // An amount that is null has no digits.
            let parent = column.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            let is_there =
                raw.at(column.pointer).is_some() || raw.at(parent).is_some_and(|at| at.get() == "null");
            assert!(is_there, "{kind}.{}", column.name);
            let first = format!("{}/0", column.pointer);
            let ColumnType::List(lines) = &column.kind else { continue };
            for line in lines.columns().iter().filter(|line| line.pointer.matches('/').count() == 1) {
                assert!(raw.at(&format!("{first}{}", line.pointer)).is_some(), "{kind}.{}", line.name);
            }
        }
    }
}

#[test]
fn a_row_without_lines_is_told_from_an_invoice_and_digits_are_freshbooks_own() {
    let columns = of("invoice").unwrap();
    let without = include_str!("../../../tests/fixtures/invoice_get_without_include.json");
    assert!(!columns.is_whole(&detail("invoice", without)));
    let raw = detail("invoice", DETAILS[0].1);
    let row = columns.read(&raw).unwrap();
    let of = |name| &row[columns.columns().iter().position(|column| column.name == name).unwrap()];
    assert_eq!(of("amount"), &Value::Decimal("6328.00".into()));
    let Value::List(lines) = of("lines") else { panic!() };
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_is_no_change_says_what_reads_it_anew() {
    // What never changes; what is in the revision in our words or as an id.
    const SEEN: [&str; 4] = ["id", "status", "state", "currency_code"];
    let mut wrong = Vec::new();
    for columns in columns() {
        let meaningful: &[&str] = by_kind!(columns.kind.as_str(), T => T::MEANINGFUL, unreachable!());
        for column in
            columns.columns().iter().filter(|column| column.nullable && column.refreshed_by.is_none())
        {
            let path = column.pointer.trim_start_matches('/').replace('/', ".");
            let is_seen = |name: &&str| {
                let name = name.trim_end_matches('#');
                *name == *path || name.strip_prefix(&*path).is_some_and(|rest| rest.starts_with('.'))
            };
            if !SEEN.contains(&column.name) && !meaningful.iter().any(is_seen) {
                wrong.push(format!("{}.{}", columns.kind, column.name));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}
