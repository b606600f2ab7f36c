use std::collections::BTreeMap;

use ml_connector_core::model::{ColumnType, Raw, Value};
use serde_json::value::RawValue;

use super::*;
use crate::models::{Resource, by_kind};

const DETAILS: [(RecordKind, &str); 7] = [
    (RecordKind::Invoice, include_str!("../../../tests/fixtures/invoice-detail.json")),
    (RecordKind::Bill, include_str!("../../../tests/fixtures/bill-detail.json")),
    (RecordKind::PurchaseOrder, include_str!("../../../tests/fixtures/purchase-order-detail.json")),
    (RecordKind::Expense, include_str!("../../../tests/fixtures/expense-detail.json")),
    (RecordKind::CustomerPayment, include_str!("../../../tests/fixtures/customer-payment-detail.json")),
    (RecordKind::VendorPayment, include_str!("../../../tests/fixtures/vendor-payment-detail.json")),
    (RecordKind::Contact, include_str!("../../../tests/fixtures/contact-detail.json")),
];
const LISTS: [(RecordKind, &str); 10] = [
    (RecordKind::Invoice, include_str!("../../../tests/fixtures/invoices-list-page1.json")),
    (RecordKind::Bill, include_str!("../../../tests/fixtures/bills-list.json")),
    (RecordKind::PurchaseOrder, include_str!("../../../tests/fixtures/purchase-orders-list.json")),
    (RecordKind::Expense, include_str!("../../../tests/fixtures/expenses-list.json")),
    (RecordKind::CustomerPayment, include_str!("../../../tests/fixtures/customer-payments-list.json")),
    (RecordKind::VendorPayment, include_str!("../../../tests/fixtures/vendor-payments-list.json")),
    (RecordKind::Contact, include_str!("../../../tests/fixtures/contacts-list.json")),
    (RecordKind::Item, include_str!("../../../tests/fixtures/items-list.json")),
    (RecordKind::Account, include_str!("../../../tests/fixtures/chart-of-accounts-list.json")),
    (RecordKind::Currency, include_str!("../../../tests/fixtures/currencies-list.json")),
];

const KNOWN_ABSENT: [&str; 0] = [];

fn member(fixture: &str, key: &str) -> Box<RawValue> {
    serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(fixture).unwrap().remove(key).unwrap()
}

fn detail(kind: &RecordKind, fixture: &str) -> Raw {
    Raw::new(by_kind!(kind, T => member(fixture, T::DETAIL_KEY), unreachable!()))
}

fn rows(kind: &RecordKind, fixture: &str) -> Vec<Raw> {
    let list = by_kind!(kind, T => member(fixture, T::LIST_KEY), unreachable!());
    serde_json::from_str(list.get()).unwrap()
}

#[test]
fn every_kind_that_is_read_has_a_table() {
    let all = columns();
    assert_eq!(all.iter().map(|columns| columns.kind.clone()).collect::<Vec<_>>(), KINDS);
    all.iter().for_each(|columns| columns.validate().unwrap());
}

#[test]
fn recorded_details_are_whole_and_have_every_column() {
    let mut absent = Vec::new();
    for (kind, fixture) in DETAILS {
        let (columns, raw) = (of(&kind).unwrap(), detail(&kind, fixture));
        assert!(columns.is_whole(&raw), "{kind}");
        columns.read(&raw).unwrap();
        for column in columns.columns() {
            if raw.at(column.pointer).is_none() {
                absent.push(format!("{kind}.{}", column.name));
            }
            let first = format!("{}/0", column.pointer);
            let ColumnType::List(lines) = &column.kind else { continue };
            for line in lines.columns().iter().filter(|_| raw.at(&first).is_some()) {
                if raw.at(&format!("{first}{}", line.pointer)).is_none() {
                    absent.push(format!("{kind}.{}.{}", column.name, line.name));
                }
            }
        }
    }
    // Documented, and not in what was recorded.
    assert_eq!(absent, KNOWN_ABSENT);
}

#[test]
fn rows_of_recorded_lists_are_told_from_details_and_have_the_listed_columns() {
    let mut wrong = std::collections::BTreeSet::new();
    for (kind, fixture) in LISTS {
        let columns = of(&kind).unwrap();
        for raw in rows(&kind, fixture) {
            assert_eq!(columns.is_whole(&raw), columns.whole().is_none(), "{kind}");
            let row = columns.read(&raw).unwrap();
            for (column, value) in columns.columns().iter().zip(row) {
                let is_there = raw.at(column.pointer).is_some();
                // What the list has and the table does not take from there would be lost until the first detail.
                let left_out = !column.listed && is_there && value != Value::Null && !differs(column);
                // Only what is kept in stock has a stock.
                let missing = column.listed && !is_there && column.name != "stock_on_hand";
                if missing || left_out {
                    wrong.insert(format!("{kind}.{}", column.name));
                }
            }
        }
    }
    assert_eq!(wrong.into_iter().collect::<Vec<_>>(), [""; 0]);
}

/// Lists show some members of details in another form, or always empty.
fn differs(column: &Column) -> bool {
    matches!(column.name, "custom_fields" | "tags" | "adjustment") || column.name.contains("_address_")
}

#[test]
fn amounts_are_zohos_digits() {
    let columns = of(&RecordKind::Invoice).unwrap();
    let raw = detail(&RecordKind::Invoice, DETAILS[0].1);
    let row = columns.read(&raw).unwrap();
    let of = |name| &row[columns.columns().iter().position(|column| column.name == name).unwrap()];
    assert_eq!(of("total"), &Value::Decimal("1250.5".into()));
    assert_eq!(of("created_time"), &Value::Timestamp("2026-02-02T15:14:08Z".into()));
    assert_eq!(of("payment_terms"), &Value::BigInt(30));
    let Value::List(lines) = of("line_items") else { panic!() };
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_is_no_change_says_what_reads_it_anew() {
    // What never changes; what is in the revision in our words; what a payment settles.
    const SEEN: [&str; 8] = [
        "created_time",
        "status",
        "payment_status",
        "current_sub_status",
        "invoices",
        "bills",
        "is_active",
        "taxes",
    ];
    let mut wrong = Vec::new();
    for columns in columns() {
        let meaningful: &[&str] = by_kind!(columns.kind, T => T::MEANINGFUL, unreachable!());
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
