use ml_connector_core::model::{ColumnType, Raw, Value};

use super::*;
use crate::models::meaningful;

const ALL: [Set; 11] = Set::ALL;

#[test]
fn every_set_that_is_read_has_a_table_of_its_own_kind() {
    for set in ALL {
        let columns = of(set);
        columns.validate().unwrap();
        assert_eq!(columns.kind, set.kind());
    }
}

/// A table that is not told of a change of one of its columns would be wrong and say nothing.
#[test]
fn every_column_makes_a_revision_or_says_what_reads_it_anew() {
    for set in ALL {
        let meaningful = meaningful::of(set);
        let told = |member: String| meaningful.iter().any(|name| *name == member);
        for column in of(set).columns() {
            let member = column.pointer.trim_start_matches('/').to_owned();
            match &column.kind {
                ColumnType::List(lines) => {
                    for line in lines.columns() {
                        let name = line.pointer.trim_start_matches('/');
                        // A document's lines are replaced, not put in another order.
                        assert!(
                            told(format!("{member}.{name}")) || name == "sequence",
                            "{set:?} {member}.{name}"
                        );
                    }
                }
                // The id is the record's own; the status is in every revision.
                _ if ["id", "status"].contains(&&*member) => {}
                _ => assert!(told(member) || column.refreshed_by.is_some(), "{set:?} {}", column.name),
            }
        }
    }
}

#[test]
fn a_recorded_invoice_has_every_column_digit_by_digit() {
    let fixture = include_str!("../../../tests/fixtures/purchaseInvoice_draft_with_lines.json");
    let raw: Raw = serde_json::from_str(fixture).unwrap();
    let columns = of(Set::PurchaseInvoices);
    let row = columns.read(&raw).unwrap();
    let at = |name: &str| {
        let place = columns.columns().iter().position(|column| column.name == name).unwrap();
        &row[place]
    };
    assert!(columns.columns().iter().all(|column| *at(column.name) != Value::Null));
    assert_eq!(*at("total_amount_excluding_tax"), Value::Decimal("898.4".into()));
    assert_eq!(*at("due_date"), Value::Date("2026-04-11".into()));
    let Value::List(lines) = at("lines") else { panic!("lines") };
    assert_eq!(lines.len(), 3);
    assert!(lines[0].iter().all(|value| *value != Value::Null));
}
