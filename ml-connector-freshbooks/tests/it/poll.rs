//! Lists against the simulated business.

use std::time::Duration;

use ml_connector_core::{
    ErrorKind, PollRequest, Source,
    model::{PollMode, RecordKind},
};
use ml_connector_sim::{
    Fault,
    freshbooks::{Bill, BillVendor, Category, Client, Expense, Invoice, Item, Kind},
};

use crate::support::{CLIENT, Lab, builder, cents, pass, shown, signals};

const ALL: [(&str, &str); 9] = [
    ("invoices", "invoice"),
    ("payments", "customer_payment"),
    ("bills", "bill"),
    ("bill_payments", "bill_payment"),
    ("expenses", "expense"),
    ("clients", "contact"),
    ("bill_vendors", "bill_vendor"),
    ("items", "item"),
    ("categories", "category"),
];

/// One record of every kind.
fn fill(lab: &Lab) -> u64 {
    let invoice = lab.invoice(10_000);
    lab.sim.pay_invoice(invoice, cents(4_000)).unwrap();
    let vendor = lab.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(7_500))).unwrap();
    lab.sim.pay_bill(bill, cents(500)).unwrap();
    lab.sim.create(Expense::new("Rail Canada", cents(2_400))).unwrap();
    lab.sim.create(Item::new("Brand design", cents(12_500))).unwrap();
    lab.sim.create(Category::new("Furniture")).unwrap();
    invoice
}

#[tokio::test(start_paused = true)]
async fn every_list_is_read_and_list_and_detail_have_one_revision() {
    let lab = Lab::new();
    let kinds = ALL.map(|(_, kind)| RecordKind::from(kind));
    let source = builder(&lab.sim).resources(kinds).build().unwrap();
    fill(&lab);
    for (feed, kind) in ALL {
        let (pages, _) = lab.run(&source, feed, PollMode::Baseline, None).await;
        let listed: Vec<_> = pages.iter().flat_map(|page| &page.observations).collect();
        let own: Vec<_> = listed.iter().filter(|seen| &*seen.entity.kind == kind).collect();
        assert!(!own.is_empty(), "{feed}");
        for seen in own {
            let detail = lab.read(&source, kind, seen.entity.id.parse().unwrap()).await.remove(0);
            assert_eq!(detail.state.revision(), seen.state.revision(), "{feed}");
        }
        let (sweep, _) = lab.run(&source, feed, PollMode::Sweep, None).await;
        assert!(shown(&sweep).is_empty() && !signals(&sweep).is_empty(), "{feed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_chart_of_accounts_is_read_below_the_business() {
    let lab = Lab::new();
    let credentials = lab.sim.credentials();
    let accounts =
        builder(&lab.sim).business_uuid(credentials.business_uuid).resources([RecordKind::Account]);
    let source = accounts.build().unwrap();
    let (pages, _) = lab.run(&source, "ledger_accounts", PollMode::Baseline, None).await;
    let shown = shown(&pages);
    assert!(!shown.is_empty() && shown.iter().all(|one| one.starts_with("account/")), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_run_shows_what_has_changed_and_what_was_deleted() {
    let lab = Lab::new();
    let source = lab.source();
    let old = lab.invoice(10_000);
    pass(Duration::from_secs(3 * 86_400)).await;
    let recent = lab.invoice(20_000);
    let (_, checkpoint) = lab.run(&source, "invoices", PollMode::Baseline, None).await;
    pass(Duration::from_secs(900)).await;
    let new = lab.invoice(30_000);
    lab.sim.delete(Kind::Invoice, recent).unwrap();
    let (pages, checkpoint) = lab.run(&source, "invoices", PollMode::Live, Some(checkpoint)).await;
    assert_eq!(shown(&pages), [format!("invoice/{new} open"), format!("invoice/{recent} gone")]);
    assert!(signals(&pages).is_empty());
    let calls = lab.sim.received();
    assert!(calls.last().unwrap().query.contains("vis_state"), "{:?}", calls.last().unwrap().query);
    // What was changed long ago does not come, until it is changed again.
    pass(Duration::from_secs(900)).await;
    lab.sim.edit(old, |invoice: &mut Invoice| invoice.notes = "a word".into()).unwrap();
    let (pages, _) = lab.run(&source, "invoices", PollMode::Live, Some(checkpoint)).await;
    assert!(shown(&pages).contains(&format!("invoice/{old} open")));
}

#[tokio::test(start_paused = true)]
async fn payments_of_bills_are_seen_with_their_bill() {
    let lab = Lab::new();
    let source = lab.source();
    let vendor = lab.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(10_000))).unwrap();
    let (_, checkpoint) = lab.run(&source, "bills", PollMode::Baseline, None).await;
    let paid = lab.sim.pay_bill(bill, cents(10_000)).unwrap();
    let (pages, checkpoint) = lab.run(&source, "bills", PollMode::Live, Some(checkpoint)).await;
    let expected = [format!("bill/{bill} paid"), format!("bill_payment/{paid} paid")];
    assert_eq!((shown(&pages), signals(&pages).len()), (expected.to_vec(), 0));
    // Lines and payments are asked for, where they do not come by themselves.
    lab.sim.tune(|quirks| quirks.bare_bills = true);
    let (pages, _) = lab.run(&source, "bills", PollMode::Live, Some(checkpoint)).await;
    assert_eq!(shown(&pages), expected);
    // The list of payments names nobody: each new one is read.
    let (pages, _) = lab.run(&source, "bill_payments", PollMode::Live, None).await;
    assert_eq!(signals(&pages), [format!("bill_payment/{paid}")]);
}

#[tokio::test(start_paused = true)]
async fn lists_of_several_pages_are_read_to_their_end() {
    let lab = Lab::new();
    let source = lab.source();
    let client = lab.sim.create(Client::new(CLIENT)).unwrap();
    for n in 0..250 {
        lab.sim.create(Invoice::new(client, cents(10_000 + n)).sent()).unwrap();
    }
    let (pages, _) = lab.run(&source, "invoices", PollMode::Baseline, None).await;
    assert_eq!(pages.len(), 6, "three pages, and the same once more because rows may have moved");
    let (pages, _) = lab.run(&source, "invoices", PollMode::Backfill { since: None }, None).await;
    let mut told = shown(&pages);
    assert_eq!((pages.len(), told.len()), (3, 250));
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 250, "each once");
    assert_eq!(lab.sim.limit_violations(), 0);
}

/// Rows move ahead when earlier ones are deleted, and back when new ones come.
#[tokio::test(start_paused = true)]
async fn rows_that_move_while_a_list_is_read_are_told_once_each() {
    let lab = Lab::new();
    let source = lab.source();
    let client = lab.sim.create(Client::new(CLIENT)).unwrap();
    let make = || lab.sim.create(Invoice::new(client, cents(10_000)).sent()).unwrap();
    let ids: Vec<u64> = (0..250).map(|_| make()).collect();
    let mode = PollMode::Backfill { since: None };
    let first = source.poll(&lab.ctx, PollRequest::new("invoices", mode)).await.unwrap();
    // Ten of the page that was read are deleted: ten of the next one move onto it.
    for id in &ids[200..210] {
        lab.sim.delete(Kind::Invoice, *id).unwrap();
    }
    let (rest, _) = lab.run(&source, "invoices", mode, Some(first.checkpoint.clone())).await;
    let mut told = [shown(&[first]), shown(&rest)].concat();
    let all = told.len();
    told.sort();
    told.dedup();
    assert_eq!((all, told.len()), (250, 250), "each once, also those that have moved");

    let first = source.poll(&lab.ctx, PollRequest::new("invoices", mode)).await.unwrap();
    (0..10).for_each(|_| _ = make());
    let (rest, _) = lab.run(&source, "invoices", mode, Some(first.checkpoint.clone())).await;
    let mut told = [shown(&[first]), shown(&rest)].concat();
    let all = told.len();
    told.sort();
    told.dedup();
    assert_eq!((all, told.len()), (240, 240));
}

#[tokio::test(start_paused = true)]
async fn a_backfill_tells_what_was_changed_since() {
    let lab = Lab::new();
    let source = lab.source();
    lab.invoice(10_000);
    pass(Duration::from_secs(10 * 86_400)).await;
    let since = lab.ctx.now();
    let new = lab.invoice(20_000);
    let (pages, _) = lab.run(&source, "invoices", PollMode::Backfill { since: Some(since) }, None).await;
    assert_eq!(shown(&pages), [format!("invoice/{new} open")]);
}

/// 6: other feeds go on.
#[tokio::test(start_paused = true)]
async fn what_the_plan_lacks_is_refused_for_its_feed_alone() {
    let lab = Lab::new();
    let source = lab.source();
    fill(&lab);
    lab.sim.set_has_bills(false);
    for feed in ["bills", "bill_payments"] {
        let error = source.poll(&lab.ctx, PollRequest::new(feed, PollMode::Live)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{feed}: {error}");
        let text = error.to_string();
        assert!(text.contains("plan") && text.contains("scope") && text.contains("role"), "{text}");
    }
    lab.run(&source, "invoices", PollMode::Baseline, None).await;
}

/// 5: bills under Bill Pay are in a store without an API.
/// Credits are listed among payments, and are known for what they are although next to nothing of them can be read.
#[tokio::test(start_paused = true)]
async fn a_credit_of_which_little_can_be_read_keeps_its_id_and_the_page_goes_on() {
    let lab = Lab::new();
    let source = lab.source();
    let (_, checkpoint) = lab.run(&source, "payments", PollMode::Baseline, None).await;
    let rows = r#"null, 7, {"id":900001,"creditid":"77","amount":{"amount":{}},"date":7,"updated":[],"note":"\ud83d",
        "invoice":[null]}, {"id":900002,"creditid":"78","amount":{"amount":"5.00","code":"CAD"}}"#;
    let body = format!(
        r#"{{"response":{{"result":{{"payments":[{rows}],"page":1,"pages":1,"per_page":100,"total":4}}}}}}"#
    );
    for (mode, checkpoint) in [(PollMode::Live, Some(checkpoint)), (PollMode::Sweep, None)] {
        let odd = Fault::status(http::StatusCode::OK).with_body("application/json", body.clone());
        lab.sim.plant(odd.on("payments/payments").times(2));
        let (pages, _) = lab.run(&source, "payments", mode, checkpoint).await;
        let named = [shown(&pages), signals(&pages)].concat();
        for id in ["credit/900001", "credit/900002"] {
            assert!(named.iter().any(|one| one.starts_with(id)), "{mode:?}: {named:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_bills_that_stays_empty_works_and_what_that_may_mean_is_said_after_a_day() {
    let lab = Lab::new();
    let source = lab.source();
    let case: serde_json::Value =
        serde_json::from_str(include_str!("../cases/05-bill-pay-account.lists.json")).unwrap();
    for feed in ["bills", "bill_payments"] {
        let body = case[format!("GET {feed}/{feed}")]["body"].to_string();
        let empty = Fault::status(http::StatusCode::OK).on(&format!("/{feed}/{feed}"));
        lab.sim.plant(empty.with_body("application/json", body).times(1000));
        let (_, mut checkpoint) = lab.run(&source, feed, PollMode::Baseline, None).await;
        for hour in 1..30 {
            pass(Duration::from_secs(3600)).await;
            let (pages, next) = lab.run(&source, feed, PollMode::Live, Some(checkpoint)).await;
            assert!(shown(&pages).is_empty());
            let remark = pages.last().unwrap().remark.as_deref();
            assert_eq!(remark.is_some(), feed == "bills" && hour >= 24, "{feed} {hour}: {remark:?}");
            assert!(remark.is_none_or(|remark| remark.contains("Bill Pay")), "{remark:?}");
            checkpoint = next;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_zone_that_is_not_set_is_the_business_s() {
    let lab = Lab::new();
    let source = builder(&lab.sim).time_zone("").build().unwrap();
    assert_eq!(source.info().zone.name(), "UTC");
    source.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Live)).await.unwrap();
    assert_eq!(source.info().zone.name(), "America/Toronto");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_only_a_role_names_is_the_person_s() {
    let lab = Lab::new();
    lab.sim.tune(|quirks| quirks.null_account_ids = true);
    let source = builder(&lab.sim).build().unwrap();
    source.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap();
    let other = builder(&lab.sim).account_id("Lm07Qa").build().unwrap();
    let error = other.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let zoneless = builder(&lab.sim).time_zone("").build().unwrap();
    let error = zoneless.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap_err();
    assert!(error.to_string().contains("time_zone"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_account_of_somebody_else_is_noticed_at_the_first_read() {
    let lab = Lab::new();
    let wrong = builder(&lab.sim).account_id("Lm07Qa").build().unwrap();
    let error = wrong.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap_err();
    assert_eq!((error.kind(), error.context("accounts")), (ErrorKind::ConfigInvalid, Some("Zq84Xk")));
    let crossed = builder(&lab.sim).business_id("1").build().unwrap();
    let error = crossed.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_never_made_before_reads_everything() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = fill(&lab);
    let (pages, _) = lab.run(&source, "invoices", PollMode::Live, None).await;
    assert_eq!(shown(&pages), [format!("invoice/{invoice} partially_paid")]);
    let garbage = bytes::Bytes::from_static(b"garbage");
    let request = PollRequest::new("invoices", PollMode::Live).checkpoint(Some(&garbage));
    assert_eq!(source.poll(&lab.ctx, request).await.unwrap_err().kind(), ErrorKind::Unexpected);
}
