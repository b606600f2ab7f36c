//! Records, as people write them and as they were recorded.

use ml_connector_sim::exact::{Division, ExactOnlineConfig, Kind, NewDocument, NewLine, Settlement};
use serde_json::Value;

use super::{BASE, DIVISION, amount, assert_recorded, differences, fixture, world, world_with};

#[tokio::test]
async fn recorded_records_come_out_as_they_were_recorded() {
    let world = world().await;
    world.sim.tune(|quirks| quirks.negative_receivables = false);
    for (name, kind, nav) in [
        ("sales_invoice_expanded", Kind::SalesInvoices, "SalesInvoiceLines"),
        ("purchase_entry_expanded", Kind::PurchaseEntries, "PurchaseEntryLines"),
        ("purchase_order_expanded", Kind::PurchaseOrders, "PurchaseOrderLines"),
        ("general_journal_entry_expanded", Kind::GeneralJournalEntries, "GeneralJournalEntryLines"),
        ("bank_entry_expanded", Kind::BankEntries, "BankEntryLines"),
        ("payment", Kind::Payments, ""),
        ("receivable", Kind::Receivables, ""),
        ("cost_transaction", Kind::CostTransactions, ""),
        ("document", Kind::Documents, ""),
    ] {
        let recorded = fixture(name);
        let id = world.sim.insert(kind, &recorded["d"].to_string()).unwrap();
        let expand = if nav.is_empty() { String::new() } else { format!("?$expand={nav}") };
        let answer = world.get(&format!("{}(guid'{id}'){expand}", kind.path())).await;
        let mut told = Vec::new();
        differences("", &recorded, &answer.body, &mut told);
        // The simulator stamps what it writes.
        told.retain(|difference| !difference.contains("/Created") && !difference.contains("/Modified"));
        // Lines of orders lead to plans that are not simulated.
        told.retain(|difference| !difference.contains("ShopOrder"));
        assert_eq!(told, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_document_that_people_write_has_the_recorded_shape() {
    let world = world().await;
    let new = NewDocument::empty("Molen De Hoop B.V.")
        .line(
            NewLine::new("Tarwe", amount("5200")).with_vat(amount("0.09")).for_cost_center("DC1", "Nijmegen"),
        )
        .line(NewLine::new("Gist", amount("812.50")).with_vat(amount("0.09")))
        .with_document();
    for (name, kind, nav) in [
        ("purchase_entry_expanded", Kind::PurchaseEntries, "PurchaseEntryLines"),
        ("sales_invoice_expanded", Kind::SalesInvoices, "SalesInvoiceLines"),
        ("purchase_order_expanded", Kind::PurchaseOrders, "PurchaseOrderLines"),
        ("bank_entry_expanded", Kind::BankEntries, "BankEntryLines"),
    ] {
        let id = world.sim.create(kind, &new);
        let answer = world.get(&format!("{}(guid'{id}')?$expand={nav}", kind.path())).await;
        let mut told = Vec::new();
        differences("", &fixture(name), &answer.body, &mut told);
        told.retain(|it| (it.ends_with("is new") || it.ends_with("is missing")) && !it.contains("ShopOrder"));
        assert_eq!(told, Vec::<String>::new(), "{name}");
    }
    let entry = world.sim.ids(Kind::PurchaseEntries).remove(0);
    let field = |name| world.sim.field(Kind::PurchaseEntries, &entry, name).unwrap_or_default();
    assert_eq!((field("AmountDC").as_str(), field("VATAmountDC").as_str()), ("6553.62", "541.12"));
    assert!(!field("Document").is_empty());
}

#[tokio::test]
async fn me_and_divisions_are_as_recorded() {
    let world = world().await;
    let mut told = Vec::new();
    let me = world.get(&format!("{BASE}/api/v1/current/Me")).await;
    differences("", &fixture("me"), &me.body, &mut told);
    assert_eq!(told, ["/d/results/0/ServerTime: \"2026-03-12T10:15:19\" and not \"2026-03-12T10:15:30\""]);
    assert_eq!(me.header("x-ratelimit-limit"), None);
    world.sim.within(3_141_594).move_division();
    let divisions = world.get("system/Divisions").await;
    let mut told = Vec::new();
    differences("", &fixture("divisions"), &divisions.body, &mut told);
    assert_eq!(
        told,
        ["/d/results/1/DivisionMoveDate: \"/Date(1773310519000)/\" and not \"/Date(1762567200000)/\""]
    );
    assert!(divisions.header("x-ratelimit-minutely-reset") == Some("1773306960000"));
    let one = world.rows(&format!("system/Divisions?$filter=Code eq {DIVISION}&$select=Code,Status")).await;
    assert_eq!((one.len(), &one[0]["Status"]), (1, &Value::from(1)));
    assert_recorded(
        &world.get(&format!("{BASE}/api/v1/1/system/Divisions")).await,
        "error_403_no_division_access",
    );
}

#[tokio::test]
async fn terms_say_what_settled_them() {
    let world = world().await;
    let paid = world.invoice("1210");
    world.sim.process(Kind::SalesInvoices, &paid).unwrap();
    let credited = world.invoice("500");
    world.sim.process(Kind::SalesInvoices, &credited).unwrap();
    let bought =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("100")));
    let bank = world.sim.settle(&paid, Settlement::Bank).unwrap().unwrap();
    assert_eq!(world.sim.settle(&credited, Settlement::CreditNote).unwrap(), None);
    world.sim.settle_part(&bought, Settlement::Bank, Some(amount("40"))).unwrap();
    world.sim.leave_unmatched(&bank, amount("290")).unwrap();
    let select =
        "Timestamp,ID,LineType,Status,TransactionType,Journal,AmountDC,LastPaymentDate,IsFullyPaid,EndDate";
    let rows =
        world.rows(&format!("sync/Cashflow/PaymentTerms?$select={select}&$filter=Timestamp gt 1L")).await;
    let mut told: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].to_string().replace('"', "");
            format!(
                "{} {} type {} journal {} amount {} paid {}",
                text("LineType"),
                text("Status"),
                text("TransactionType"),
                text("Journal"),
                text("AmountDC"),
                !row["LastPaymentDate"].is_null()
            )
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "20 20 type 40 journal 20 amount 290 paid false",
            "20 50 type 20 journal 70 amount -1210 paid true",
            "20 50 type 20 journal 70 amount -500 paid false",
            "22 20 type 30 journal 60 amount 60 paid false",
            "22 40 type 30 journal 60 amount 40 paid true",
        ]
    );
    let url = "financialtransaction/BankEntryLines?$select=ID,AmountDC,OurRef,AccountName";
    let lines = world.rows(&format!("{url}&$filter=EntryID eq guid'{bank}'")).await;
    assert_eq!(lines[0]["AmountDC"], 1210);
}

#[tokio::test]
async fn practice_dossier_and_archived_companies_are_listed() {
    let mut config = ExactOnlineConfig::default();
    let mut practice = Division::new(3_141_601, "Noordpool Groothandel B.V.");
    practice.is_practice = true;
    let mut old = Division::new(3_141_577, "Noordpool (oud)");
    old.status = 2;
    let mut closed = Division::new(3_141_500, "Closed");
    closed.is_open = false;
    config.divisions.extend([practice, old, closed]);
    let world = world_with(config).await;
    let url = "system/Divisions?$select=Code,Status,IsPracticeDivision,ArchiveDate,Current&$orderby=Code";
    let rows = world.rows(url).await;
    assert_eq!(rows.len(), 4);
    assert!(rows[0]["ArchiveDate"].is_string() && rows[0]["Status"] == 2);
    assert!(rows[3]["IsPracticeDivision"] == true);
}

#[tokio::test]
async fn random_changes_are_the_same_in_every_run() {
    let run = || async {
        let world = world().await;
        let changes: Vec<_> = (0..300).filter_map(|_| world.sim.change_at_random()).collect();
        (changes.iter().map(|change| (change.kind, change.action)).collect::<Vec<_>>(), changes.len())
    };
    let (one, made) = run().await;
    assert_eq!((one.clone(), made), run().await);
    assert!(made > 200);
    for action in ["create", "change", "process", "settle", "delete"] {
        assert!(one.iter().any(|(_, made)| *made == action), "{action}");
    }
}
