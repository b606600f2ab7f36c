//! Lists: what they refuse, pages, times, filters.

use std::time::Duration;

use ml_connector_sim::{
    Conditions,
    exact::{Kind, NewDocument},
};
use serde_json::Value;

use super::{BASE, DIVISION, amount, assert_recorded, at, fixture, rows, world};

#[tokio::test]
async fn lists_refuse_what_the_vendor_refuses() {
    let world = world().await;
    assert_recorded(
        &world.get("purchaseentry/PurchaseEntries?$filter=Status eq 20").await,
        "error_400_select_required",
    );
    assert_recorded(
        &world.get("salesinvoice/SalesInvoices?$select=InvoiceID").await,
        "error_400_mandatory_filter",
    );
    let url = "sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Status eq 20";
    assert_recorded(&world.get(url).await, "error_400_filter_not_supported");
    world.sim.refuse_scope("organization.administration", true);
    assert_recorded(&world.get("system/Divisions").await, "error_403_scope");
    for bad in [
        "$select=EntryID,Nonsense",
        "$select=EntryID&$filter=EntryID eq 'e17e06a3-9437-5710-9bf2-69f7e4d69ef6'",
        "$select=EntryID&$filter=Modified ge datetime'2026-03-12T10:00:00Z'",
        "$select=EntryID&$filter=Status eq",
        "$select=EntryID&$filter=PurchaseEntryLines/ID eq guid'e17e06a3-9437-5710-9bf2-69f7e4d69ef6'",
        "$select=EntryID&$expand=Lines",
    ] {
        assert_eq!(world.get(&format!("purchaseentry/PurchaseEntries?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(world.get("webhooks/WebhookTopics").await.status, 404);
    assert_eq!(
        world.get("salesinvoice/SalesInvoices(guid'e17e06a3-9437-5710-9bf2-69f7e4d69ef6')").await.status,
        404
    );
}

#[tokio::test]
async fn sixty_one_and_121_rows_are_paged_and_a_small_top_is_a_bare_array() {
    let world = world().await;
    let entry = NewDocument::new("Molen De Hoop B.V.", amount("412.36"));
    for _ in 0..121 {
        world.sim.create(Kind::CostTransactions, &entry);
        world.clock.advance(Duration::from_millis(17));
    }
    let url = "project/CostTransactions?$select=ID,EntryNumber,Modified";
    for (query, pages) in [
        ("&$orderby=Modified asc", vec![60, 60, 1]),
        ("", vec![60, 60, 1]),
        ("&$orderby=EntryNumber desc&$top=100", vec![60, 40]),
    ] {
        let (mut next, mut sizes, mut seen) = (Some(format!("{url}{query}")), Vec::new(), Vec::new());
        while let Some(url) = next {
            let answer = world.get(&url).await;
            let rows = rows(&answer);
            sizes.push(rows.len());
            seen.extend(rows.iter().map(|row| row["EntryNumber"].as_i64().unwrap()));
            next = answer.body["d"]["__next"].as_str().map(str::to_owned);
            assert!(
                next.as_deref()
                    .is_none_or(|next| next.starts_with(&format!("{BASE}/api/v1/{DIVISION}/project")))
            );
        }
        assert_eq!(sizes, pages, "{query}");
        if query.contains("Modified") {
            assert!(seen.is_sorted());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), pages.iter().sum::<usize>());
    }
    assert_eq!(world.get(&format!("{url}&$top=5")).await.body["d"].as_array().unwrap().len(), 5);
    let invoices =
        world.get("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20&$top=5").await;
    assert_eq!(invoices.body, fixture("list_empty_results"));
    world.sim.tune(|quirks| quirks.foreign_next = Some("evil.example.com".to_owned()));
    let answer = world.get(url).await;
    assert!(answer.body["d"]["__next"].as_str().unwrap().starts_with("https://evil.example.com/api/v1/"));
}

#[tokio::test]
async fn times_are_dutch_wall_time_on_both_sides_of_the_clock_changes() {
    let world = world().await;
    for (now, wall) in [
        ("2026-03-12T09:14:02.447Z", 1_773_310_442_447_i64),
        ("2026-06-25T14:17:09.433Z", 1_782_404_229_433),
        ("2026-10-25T00:30:00Z", 1_792_895_400_000),
        ("2026-10-25T01:30:00Z", 1_792_895_400_000),
    ] {
        world.clock.set(at(now));
        let id = world.invoice("10");
        assert_eq!(
            world.sim.field(Kind::SalesInvoices, &id, "Modified"),
            Some(format!("/Date({wall})/")),
            "{now}"
        );
    }
}

#[tokio::test]
async fn filters_compare_by_type() {
    let world = world().await;
    let id = world.sim.create(Kind::PurchaseEntries, &NewDocument::new("O'Neill & Zn", amount("412.36")));
    world.clock.advance(Duration::from_secs(60));
    world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    for (filter, found) in [
        (format!("EntryID eq guid'{id}'"), 1),
        ("SupplierName eq 'O''Neill %26 Zn'".to_owned(), 1),
        ("AmountDC gt 100".to_owned(), 1),
        ("AmountDC gt 50 and Status eq 20".to_owned(), 2),
        ("not (AmountDC gt 100) or Status eq 50".to_owned(), 1),
        ("Modified gt datetime'2026-03-12T10:15:19'".to_owned(), 1),
        ("Modified ge datetime'2026-03-12T10:15:19'".to_owned(), 2),
        ("Document eq null".to_owned(), 2),
        ("substringof('Hoop',SupplierName)".to_owned(), 1),
        ("startswith(SupplierName,'Molen') eq true".to_owned(), 1),
        ("tolower(SupplierName) eq 'molen de hoop b.v.'".to_owned(), 1),
    ] {
        let url = format!("purchaseentry/PurchaseEntries?%24select=EntryID&%24filter={filter}");
        assert_eq!(world.rows(&url).await.len(), found, "{filter}");
    }
    let accounts = world.rows("crm/Accounts?$select=ID,Code&$filter=trim(Code) eq '3000042'").await;
    assert_eq!(accounts[0]["Code"], "           3000042");
}

#[tokio::test]
async fn lists_lag_behind_but_never_forget() {
    let world = world().await;
    let id = world.invoice("10");
    world.clock.advance(Duration::from_secs(60));
    let mut late = Conditions::kind();
    late.list_lag = Duration::from_secs(2);
    world.sim.set_conditions(late);
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "A").unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "B").unwrap();
    let url = "salesinvoice/SalesInvoices?$select=YourRef&$filter=Status eq 20";
    for (wait, shown) in [(0, Value::Null), (1, "A".into()), (1, "B".into())] {
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(world.rows(url).await[0]["YourRef"], shown);
    }
}

#[tokio::test]
async fn short_pages_hold_every_row_once() {
    let world = world().await;
    for _ in 0..30 {
        let _ = world.invoice("10");
    }
    let mut short = Conditions::kind();
    short.short_pages = true;
    world.sim.set_conditions(short);
    for (url, expected) in [
        ("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20", 30),
        ("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20&$top=25", 25),
        ("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt 1L", 60),
    ] {
        let (mut next, mut found) = (Some(url.to_owned()), std::collections::BTreeSet::new());
        while let Some(url) = next {
            let answer = world.get(&url).await;
            for row in rows(&answer) {
                assert!(found.insert(row["__metadata"]["uri"].to_string()), "twice: {row}");
            }
            next = answer.body["d"]["__next"].as_str().map(str::to_owned);
        }
        assert_eq!(found.len(), expected, "{url}");
    }
}
