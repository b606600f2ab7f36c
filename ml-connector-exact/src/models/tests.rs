use ml_connector_core::{
    decode::{self, Decoded},
    model::{Currency, Raw, Side, Status, Zone},
};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/", $name, ".json"))
    };
}

fn site() -> Site {
    Site {
        base: "https://start.exactonline.nl".parse().unwrap(),
        division: 3_141_593,
        currency: std::sync::Arc::new(Currency::parse("EUR").unwrap().into()),
        zone: Zone::named("Europe/Amsterdam").unwrap(),
    }
}

fn at(json: &str, pointer: &str) -> Box<RawValue> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    RawValue::from_string(value.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).to_string()).unwrap()
}

fn read_raw(resource: &Resource, raw: &RawValue) -> Decoded<Record> {
    decode::object(raw, |object| {
        site().require_own(object)?;
        (resource.read)(object, &site())
    })
    .unwrap()
}

fn read(resource: &Resource, fixture: &str) -> Record {
    let Decoded { value, left_out } = read_raw(resource, &at(fixture, "/d"));
    assert!(left_out.is_empty(), "{left_out:?}");
    value
}

fn shown(money: Option<ml_connector_core::Money>) -> String {
    money.map(|money| money.to_string()).unwrap_or_default()
}

/// A long document is read as completely as a short one.
#[test]
fn lines_that_are_listed_apart_have_all_that_means_something() {
    for (resource, fixture) in [
        (&SALES_INVOICES, fixture!("sales_invoice_expanded")),
        (&PURCHASE_ENTRIES, fixture!("purchase_entry_expanded")),
        (&PURCHASE_ORDERS, fixture!("purchase_order_expanded")),
        (&JOURNAL_ENTRIES, fixture!("general_journal_entry_expanded")),
        (&BANK_ENTRIES, fixture!("bank_entry_expanded")),
    ] {
        let lines = resource.lines.unwrap();
        let asked: Vec<&str> = lines.select.split(',').collect();
        let value: serde_json::Value = serde_json::from_str(fixture).unwrap();
        let shown =
            value.pointer(&format!("/d/{}/results/0", lines.navigation)).unwrap().as_object().unwrap();
        for (name, _) in shown.iter().filter(|(name, _)| Lines::MEANINGFUL.contains(&name.as_str())) {
            assert!(asked.contains(&name.as_str()), "{}: {name}", lines.path);
        }
        for name in &asked {
            assert!(shown.contains_key(*name) || !Lines::MEANINGFUL.contains(name), "{}: {name}", lines.path);
        }
    }
}

#[test]
fn a_sales_invoice_is_read_with_its_lines_and_cost_centres() {
    let invoice = read(&SALES_INVOICES, fixture!("sales_invoice_expanded"));
    assert_eq!(
        (&*invoice.id, invoice.number.as_deref()),
        ("a8e5638f-5fb2-56bf-b895-bb18600e3c6a", Some("26700113"))
    );
    assert_eq!((&invoice.status, &*invoice.vendor_status), (&Status::Open, "processed"));
    assert_eq!(
        (shown(invoice.total), shown(invoice.tax), invoice.base_total),
        ("1210.00 EUR".into(), "210.00 EUR".into(), None)
    );
    assert_eq!(shown(invoice.sub_total), "1000.00 EUR");
    assert_eq!(invoice.date.unwrap().to_string(), "2026-03-12");
    assert_eq!(invoice.due_date.unwrap().to_string(), "2026-04-11");
    assert_eq!(invoice.modified_at.unwrap().to_string(), "2026-03-12T09:14:02.447Z");
    assert_eq!(invoice.counterparty.unwrap().name, "Bakkerij Linde V.O.F.");
    assert_eq!(invoice.reference.as_deref(), Some("PO-8842"));
    let centers: Vec<_> = invoice
        .lines
        .iter()
        .map(|line| (line.cost_center.as_ref().unwrap().label().unwrap(), shown(line.amount)))
        .collect();
    assert_eq!(
        centers,
        [
            ("DC1 Distributiecentrum Nijmegen".to_owned(), "740.00 EUR".to_owned()),
            ("DC2 Distributiecentrum Venlo".to_owned(), "260.00 EUR".to_owned())
        ]
    );
    assert_eq!(invoice.lines[0].item.as_ref().unwrap().code.as_deref(), Some("BLM-25"));
    assert_eq!(shown(invoice.lines[0].tax), "155.40 EUR");
}

#[test]
fn a_purchase_entry_is_a_bill_and_an_order_keeps_its_approval() {
    let entry = read(&PURCHASE_ENTRIES, fixture!("purchase_entry_expanded"));
    assert_eq!((&entry.status, &*entry.vendor_status), (&Status::Open, "open"));
    assert_eq!((shown(entry.total), entry.reference.as_deref()), ("6553.62 EUR".into(), Some("F-2026-0311")));
    assert_eq!(
        entry.lines[0].account.as_ref().unwrap().label().as_deref(),
        Some("7000 Inkoopwaarde grondstoffen")
    );
    assert_eq!(entry.lines[0].cost_unit.as_ref().unwrap().code.as_deref(), Some("GRAAN"));
    assert_eq!(entry.journal.unwrap().code.as_deref(), Some("60"));
    let order = read(&PURCHASE_ORDERS, fixture!("purchase_order_expanded"));
    assert_eq!((order.status.as_str(), order.lines.len()), ("partial", 2));
    assert_eq!((shown(order.total), shown(order.tax)), ("3736.52 EUR".into(), "308.52 EUR".into()));
    for (order, approval, expected) in [
        (Some(10), Some(0), "pending_approval"),
        (Some(10), Some(2), "approved"),
        (Some(10), Some(1), "approved"),
        (Some(40), Some(0), "void"),
        (Some(30), Some(2), "complete"),
        (None, None, "unknown"),
    ] {
        assert_eq!(status::of_order(order, approval).0.as_str(), expected);
    }
}

#[test]
fn a_journal_entry_has_two_sides_and_a_bank_entry_signs() {
    let entry = read(&JOURNAL_ENTRIES, fixture!("general_journal_entry_expanded"));
    assert_eq!(shown(entry.total), "4500.00 EUR");
    let sides: Vec<_> = entry.lines.iter().map(|line| (line.side.unwrap(), shown(line.amount))).collect();
    assert_eq!(
        sides,
        [
            (Side::Debit, "3000.00 EUR".to_owned()),
            (Side::Debit, "1500.00 EUR".to_owned()),
            (Side::Credit, "4500.00 EUR".to_owned())
        ]
    );
    assert_eq!(entry.date.unwrap().to_string(), "2026-03-31");
    let bank = read(&BANK_ENTRIES, fixture!("bank_entry_expanded"));
    assert_eq!((shown(bank.total), bank.kind.as_str()), ("-5343.62 EUR".into(), "bank_entry"));
    assert_eq!(bank.lines[0].description, "Bakkerij Linde V.O.F.: 26700113");
    assert_eq!(shown(bank.lines[1].amount), "-6553.62 EUR");
}

#[test]
fn terms_are_payments_when_they_are_paid_and_only_then() {
    let open = read(&PAYMENTS, fixture!("payment"));
    assert_eq!(open.status, Status::Open);
    let paid = read(&RECEIVABLES, fixture!("receivable"));
    assert_eq!((&paid.status, shown(paid.total)), (&Status::Paid, "1210.00 EUR".into()));
    assert_eq!(paid.date.unwrap().to_string(), "2026-04-08");
    assert_eq!(paid.allocations[0].document.kind.as_ref(), "sales_entry");
    let page = fixture!("sync_payment_terms_page");
    for (row, kind, number) in [(0, "vendor_payment", "26600087"), (1, "customer_payment", "26700113")] {
        let raw = at(page, &format!("/d/results/{row}"));
        let of_side = decode::object(&raw, |term| Ok((side(term).unwrap(), settlement(term)))).unwrap().value;
        assert_eq!((of_side.0.kind, of_side.1), (kind, Settlement::Paid));
        assert_eq!(read_raw(of_side.0, &raw).value.number.as_deref(), Some(number));
    }
}

/// A receipt that waits to be matched is a term, too; the sign of an amount decides nothing.
#[test]
fn one_euro_is_told_once() {
    let case = include_str!("../../tests/cases/g2-receipt-is-a-term-too.json");
    let read = |row: usize| {
        let raw = at(case, &format!("/page of sync~1Cashflow~1PaymentTerms on 9 April/d/results/{row}"));
        decode::object(&raw, |term| Ok((settlement(term), (RECEIVABLES.read)(term, &site())?))).unwrap().value
    };
    let (became, payment) = read(0);
    assert_eq!((became, shown(payment.total)), (Settlement::Paid, "1210.00 EUR".into()));
    assert_eq!((read(1).0, read(2).0), (Settlement::Otherwise, Settlement::Otherwise));
}

#[test]
fn what_a_credit_note_or_a_write_off_settles_was_not_paid() {
    let of = |json: &str| {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        decode::object(&raw, |term| Ok(settlement(term))).unwrap().value
    };
    for (json, expected) in [
        (
            r#"{"Status":50,"TransactionType":20,"LastPaymentDate":null,"EndDate":"/Date(1775606400000)/"}"#,
            Settlement::Otherwise,
        ),
        (r#"{"Status":50,"TransactionType":20,"LastPaymentDate":"/Date(1775606400000)/"}"#, Settlement::Paid),
        (
            r#"{"Status":50,"TransactionType":21,"LastPaymentDate":"/Date(1775606400000)/"}"#,
            Settlement::Otherwise,
        ),
        // A supplier's term, too: nobody can tell a payment from a credit note then, and the bank entry tells the money.
        (
            r#"{"Status":50,"TransactionType":30,"LastPaymentDate":null,"EndDate":"/Date(1775606400000)/"}"#,
            Settlement::Otherwise,
        ),
        (r#"{"Status":50,"TransactionType":30,"EndDate":"/Date(1775606400000)/"}"#, Settlement::Paid),
        (r#"{"Status":40,"TransactionType":30}"#, Settlement::Paid),
        (r#"{"Status":30,"TransactionType":30}"#, Settlement::Open),
        (r#"{"Status":20}"#, Settlement::Open),
    ] {
        assert_eq!(of(json), expected, "{json}");
    }
}

#[test]
fn forty_to_fifty_is_no_change_of_a_payment() {
    let revision_of = |status: &str| {
        let json = fixture!("receivable").replace("\"Status\": 50", &format!("\"Status\": {status}"));
        let raw = at(&json, "/d");
        revision(&RECEIVABLES, &raw, &read_raw(&RECEIVABLES, &raw).value).unwrap()
    };
    assert_eq!(revision_of("40"), revision_of("50"));
    assert_ne!(revision_of("20"), revision_of("50"));
}

#[test]
fn a_cost_transaction_and_both_shapes_of_lists_are_read() {
    let cost = read(&COST_TRANSACTIONS, fixture!("cost_transaction"));
    assert_eq!((&cost.status, &*cost.vendor_status), (&Status::PendingApproval, "submitted"));
    assert_eq!(shown(cost.lines[0].amount), "84.00 EUR");
    let bare = read_raw(&PURCHASE_ENTRIES, &at(fixture!("list_bare_array"), "/d/0"));
    assert_eq!(shown(bare.value.total), "412.36 EUR");
}

#[test]
fn a_foreign_currency_has_a_base_total() {
    let json = fixture!("purchase_entry_expanded")
        .replace("\"Currency\": \"EUR\"", "\"Currency\": \"USD\"")
        .replace("\"AmountFC\": 6553.62", "\"AmountFC\": -7000.005");
    let entry = read(&PURCHASE_ENTRIES, &json);
    assert_eq!((shown(entry.total), shown(entry.base_total)), ("-7000.00 USD".into(), "6553.62 EUR".into()));
    assert_eq!(entry.exchange_rate.unwrap().to_string(), "1");
}

#[test]
fn a_row_of_another_company_stops_the_connection() {
    use ml_connector_core::Scope;
    let own = fixture!("sales_invoice_expanded");
    for json in [
        own.replacen("\"Division\": 3141593", "\"Division\": 3141594", 1),
        own.replacen("/api/v1/3141593/salesinvoice", "/api/v1/3141594/salesinvoice", 1),
    ] {
        let error = decode::object(&at(&json, "/d"), |row| site().require_own(row)).unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    }
    let nowhere = RawValue::from_string("{\"ID\":\"1\"}".into()).unwrap();
    let error = decode::object(&nowhere, |row| site().require_own(row)).unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::InvalidResponse, &Scope::Entry));
}

#[test]
fn divisions_show_what_to_beware_of() {
    let case = include_str!("../../tests/cases/g8-practice-division.json");
    let body = "/GET ~1api~1v1~13141593~1system~1Divisions?$select=…/d/results";
    let zone = site().zone;
    let read = |row: usize| {
        let raw = at(case, &format!("{body}/{row}"));
        decode::object(&raw, |object| Division::read(object, &zone)).unwrap().value
    };
    let cautions: Vec<_> = (0..4).map(|row| read(row).caution).collect();
    assert_eq!(cautions, [None, Some(Caution::Practice), Some(Caution::Dossier), Some(Caution::Archived)]);
    assert_eq!((read(0).code, read(1).code), (3_141_593, 3_141_601));
    assert!(!format!("{:?}", read(0)).contains("Noordpool"));
    let moved = at(fixture!("divisions"), "/d/results/1");
    let moved = decode::object(&moved, |object| Division::read(object, &zone)).unwrap().value;
    assert_eq!(moved.moved.unwrap().to_string(), "2025-11-08T01:00:00Z");
}

#[test]
fn every_kind_has_a_table_and_asks_for_its_key_and_company() {
    for resource in RESOURCES {
        for needed in [resource.key, "Division"] {
            assert!(resource.select.contains(&needed), "{resource:?} {needed}");
        }
        let unknown: Vec<_> =
            resource.meaningful.iter().filter(|name| !resource.select.contains(*name)).collect();
        assert!(unknown.is_empty(), "{resource:?} {unknown:?}");
        let tables = columns(&[resource]);
        tables[0].validate().unwrap();
        assert_eq!(tables[0].kind.as_str(), resource.kind);
    }
    for (resource, json) in [
        (&SALES_INVOICES, fixture!("sales_invoice_expanded")),
        (&PURCHASE_ENTRIES, fixture!("purchase_entry_expanded")),
        (&PURCHASE_ORDERS, fixture!("purchase_order_expanded")),
        (&JOURNAL_ENTRIES, fixture!("general_journal_entry_expanded")),
        (&BANK_ENTRIES, fixture!("bank_entry_expanded")),
        (&RECEIVABLES, fixture!("receivable")),
        (&COST_TRANSACTIONS, fixture!("cost_transaction")),
    ] {
        let (table, raw) = (columns(&[resource]).remove(0), Raw::new(at(json, "/d")));
        assert!(table.is_whole(&raw), "{resource:?}");
        table.read(&raw).unwrap();
    }
}

#[test]
fn what_makes_a_change_is_written_down() {
    let documentation = include_str!("../../docs.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let lists = RESOURCES.iter().map(|resource| (resource.feed, resource.meaningful));
    let lists = lists.chain([("lines", &Lines::MEANINGFUL[..])]).map(|(feed, names)| {
        let written = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        (feed, format!(": {written}."))
    });
    let missing: Vec<_> = lists.filter(|(_, written)| !documentation.contains(written)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
