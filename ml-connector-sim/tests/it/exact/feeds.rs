//! Feeds: row versions, deletions, and where to begin.

use std::time::Duration;

use ml_connector_sim::exact::{Kind, NewDocument, NewLine};
use serde_json::Value;

use super::{amount, differences, fixture, rows, world};

#[tokio::test]
async fn a_processed_invoice_is_a_flat_list_of_rows_with_new_versions() {
    let world = world().await;
    let new = NewDocument::empty("Bakkerij Linde V.O.F.")
        .line(NewLine::new("Patentbloem", amount("740")).for_cost_center("DC1", "Nijmegen"))
        .line(NewLine::new("Gist", amount("260")));
    let id = world.sim.create(Kind::SalesInvoices, &new);
    let select = "Timestamp,ID,InvoiceID,LineNumber,Division,Status,InvoiceNumber,OrderedByName,Currency,Modified,\
                  AmountDC,Description,CostCenter,CostCenterDescription";
    let url = |after: &str| {
        format!("sync/SalesInvoice/SalesInvoices?$select={select}&$filter=Timestamp gt {after}L")
    };
    let first = world.get(&url("1")).await;
    let mut told = Vec::new();
    differences("", &fixture("sync_sales_invoices_page"), &first.body, &mut told);
    assert!(told.iter().all(|it| !it.ends_with("is new") && !it.ends_with("is missing")), "{told:?}");
    let versions: Vec<String> =
        rows(&first).iter().map(|row| row["Timestamp"].as_str().unwrap().to_owned()).collect();
    assert_eq!((versions.len(), rows(&first)[0]["LineNumber"].as_i64()), (3, Some(0)));
    assert_eq!(rows(&first)[1]["CostCenter"], "DC1");
    assert!(world.rows(&url(versions.last().unwrap())).await.is_empty());
    world.sim.process(Kind::SalesInvoices, &id).unwrap();
    let again = world.rows(&url(versions.last().unwrap())).await;
    assert_eq!((again.len(), &again[2]["Status"]), (3, &Value::from(50)));
}

#[tokio::test]
async fn a_changed_line_comes_through_the_ledger_without_its_header() {
    let world = world().await;
    let id =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let select = "Timestamp,ID,EntryID,LineNumber,Type,AmountDC,JournalCode,AccountName,FinancialYear";
    let url = |after: i64| {
        format!("sync/Financial/TransactionLines?$select={select}&$filter=Timestamp gt {after}L")
    };
    let all = world.rows(&url(1)).await;
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[0]["Type"], &all[0]["JournalCode"], &all[0]["AccountName"], &all[0]["FinancialYear"]),
        (&Value::from(30), &Value::from("60"), &Value::from("Molen De Hoop B.V."), &Value::from(2026))
    );
    let version = world.sim.row_version();
    world.sim.set_line(Kind::PurchaseEntries, &id, 0, "Description", "Tarwe").unwrap();
    let changed = world.rows(&url(version)).await;
    assert_eq!(
        (changed.len(), &changed[0]["LineNumber"], &changed[0]["EntryID"]),
        (1, &Value::from(1), &Value::from(id.as_str()))
    );
    let version = world.sim.row_version();
    world.sim.tune(|quirks| quirks.ledger_rows_change_together = true);
    world.sim.set_line(Kind::PurchaseEntries, &id, 0, "Description", "Rogge").unwrap();
    assert_eq!(world.rows(&url(version)).await.len(), 2);
}

#[tokio::test]
async fn deletions_name_invoices_and_the_lines_of_entries() {
    let world = world().await;
    let invoice = world.invoice("10");
    let entry =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let lines = world.sim.line_ids(Kind::PurchaseEntries, &entry);
    world.sim.delete(Kind::SalesInvoices, &invoice).unwrap();
    world.sim.delete(Kind::PurchaseEntries, &entry).unwrap();
    let url = "sync/Deleted?$select=Timestamp,EntityKey,EntityType,DeletedDate,DeletedBy,Division,ID&$filter=Timestamp gt 1L";
    let answer = world.get(url).await;
    let mut told = Vec::new();
    differences("", &fixture("sync_deleted"), &answer.body, &mut told);
    assert!(!told.iter().any(|it| it.ends_with("is new") || it.ends_with("is missing")), "{told:?}");
    let rows = rows(&answer);
    let keys: Vec<(i64, &str)> = rows
        .iter()
        .map(|row| (row["EntityType"].as_i64().unwrap(), row["EntityKey"].as_str().unwrap()))
        .collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0], (13, invoice.as_str()));
    assert_eq!(keys[2], (1, lines[0].as_str()));
    world.clock.advance(Duration::from_secs(62 * 86_400));
    world.sim.delete(Kind::Accounts, &world.sim.ids(Kind::Accounts)[0]).unwrap();
    let version = world.sim.row_version();
    assert!(version > 0);
}

#[tokio::test]
async fn sync_timestamp_names_the_first_row_since_a_time_or_none() {
    let world = world().await;
    world.invoice("10");
    world.clock.advance(Duration::from_secs(500));
    let ask = |from: &str, name: &str| {
        format!("read/sync/Sync/SyncTimestamp?modified=datetime'{from}'&endPoint='{name}'")
    };
    assert_eq!(world.rows(&ask("2026-03-12T10:20:00", "SalesInvoices")).await, Vec::<Value>::new());
    let version = world.sim.row_version();
    world.invoice("20");
    let rows = world.rows(&ask("2026-03-12T10:20:00", "SalesInvoices")).await;
    let named: i64 = rows[0]["TimeStampAsBigInt"].as_str().unwrap().parse().unwrap();
    assert!(named > version && rows[0]["API"] == "SalesInvoices");
    let after = named - 1;
    let url = format!("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt {after}L");
    assert_eq!(world.rows(&url).await.len(), 2);
    assert_eq!(world.get(&ask("2026-03-12T10:20:00", "PaymentTerms")).await.status, 400);
}

#[tokio::test]
async fn a_move_gives_every_row_another_version_and_says_so() {
    let world = world().await;
    world.invoice("10");
    let before = world.sim.row_version();
    world.sim.move_division();
    assert!(world.sim.row_version() < before);
    let url = format!("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt {before}L");
    assert!(world.rows(&url).await.is_empty());
    let rows = world.rows("system/Divisions?$select=Code,DivisionMoveDate&$filter=Code eq 3141593").await;
    assert_eq!(rows[0]["DivisionMoveDate"], "/Date(1773310519000)/");
}
