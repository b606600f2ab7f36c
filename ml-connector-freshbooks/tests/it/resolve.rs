//! Single records, and what their reads show besides.

use ml_connector_core::{
    ErrorKind, PollRequest, Scope, Source, Timestamp,
    model::{EntityRef, Observed, PollMode, Resolution, Signal, Zone},
    snapshot::{Policy, Snapshot, Step, step},
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Conditions, Fault,
    freshbooks::{Bill, BillVendor, Kind},
};

use crate::support::{CLIENT, Lab, cents, fixture, secs, told};

fn hinted(kind: &str, id: u64, hint: &str) -> Signal {
    Signal { hint: Some(hint.into()), ..Signal::entity(EntityRef::new(kind, id.to_string())) }
}

async fn known(lab: &Lab, source: &FreshBooks, kind: &str, id: u64) -> Snapshot {
    let seen = lab.read(source, kind, id).await.remove(0);
    let zone = Zone::UTC;
    let policy = Policy {
        today: lab.ctx.now().date_in(&zone),
        overdue_after: &[],
        watched_since: Timestamp::default(),
    };
    let Step::Changed { snapshot, .. } = step(None, &seen, &policy) else { panic!("a first read is news") };
    *snapshot
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_named_by_its_invoice_whose_state_is_told_as_well() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(632_800);
    let payment = lab.sim.pay_invoice(invoice, cents(250_000)).unwrap();
    let seen = lab.read(&source, "customer_payment", payment).await;
    let expected = [format!("customer_payment/{payment} paid"), format!("invoice/{invoice} partially_paid")];
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected);
    let record = seen[0].state.record().unwrap();
    assert_eq!(record.counterparty.as_ref().unwrap().name, CLIENT);
    assert!(!record.allocations[0].number.is_empty());
    // Of the past nothing but the record itself is told.
    let signal = [hinted("customer_payment", payment, Signal::BACKFILL)];
    let Resolution::Observed(seen) = source.resolve(&lab.ctx, &signal, None).await.unwrap() else { panic!() };
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_told_without_its_invoice_where_that_cannot_be_read() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(10_000);
    let payment = lab.sim.pay_invoice(invoice, cents(10_000)).unwrap();
    lab.sim.purge(Kind::Invoice, invoice).unwrap();
    let seen = lab.read(&source, "customer_payment", payment).await;
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [format!("customer_payment/{payment} paid")]);
    // But not where it cannot be read just now.
    let other = lab.invoice(10_000);
    let payment = lab.sim.pay_invoice(other, cents(10_000)).unwrap();
    lab.sim.plant(Fault::status(http::StatusCode::BAD_GATEWAY).on("invoices/invoices").times(9));
    let signal = [hinted("customer_payment", payment, "payment.create")];
    let error = source.resolve(&lab.ctx, &signal, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_bill_has_its_vendor_s_name_and_shows_what_was_paid() {
    let lab = Lab::new();
    let source = lab.source();
    let vendor = lab.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(149_620)).numbered("HV-20931")).unwrap();
    let paid = lab.sim.pay_bill(bill, cents(50_000)).unwrap();
    for bare in [false, true] {
        lab.sim.tune(|quirks| (quirks.bare_bills, quirks.bill_categories_as_text) = (bare, bare));
        let seen = lab.read(&source, "bill", bill).await;
        let expected = [format!("bill/{bill} partially_paid"), format!("bill_payment/{paid} paid")];
        assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected);
        for seen in &seen {
            assert_eq!(
                seen.state.record().unwrap().counterparty.as_ref().unwrap().name,
                "Harbourview Supply Co."
            );
        }
    }
    // Alone it is the same record.
    let alone = lab.read(&source, "bill_payment", paid).await;
    assert_eq!(
        alone.iter().map(told).collect::<Vec<_>>(),
        [format!("bill_payment/{paid} paid"), format!("bill/{bill} partially_paid")]
    );
    let by_bill = lab.read(&source, "bill", bill).await;
    assert_eq!(alone[0].state.revision(), by_bill[1].state.revision());
    assert_eq!(alone[0].state.record().unwrap().allocations[0].number, "HV-20931");
}

/// 1: what is paid too much, and what a credit pays.
#[tokio::test(start_paused = true)]
async fn credits_are_told_as_credits() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(18_000);
    let payment = lab.sim.pay_invoice(invoice, cents(20_000)).unwrap();
    let credit = lab.sim.ids(Kind::Payment).into_iter().map(|(id, _)| id).find(|id| *id != payment).unwrap();
    let seen = lab.read(&source, "customer_payment", credit).await;
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [format!("credit/{credit} overpayment")]);
    let real = lab.read(&source, "customer_payment", payment).await;
    assert_eq!(real[0].state.record().unwrap().total.unwrap().amount, cents(18_000));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_deleted_record_says_that_it_is_gone() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(10_000);
    lab.sim.delete(Kind::Invoice, invoice).unwrap();
    let seen = lab.read(&source, "invoice", invoice).await;
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [format!("invoice/{invoice} gone")]);
    lab.sim.restore(Kind::Invoice, invoice).unwrap();
    assert_eq!(told(&lab.read(&source, "invoice", invoice).await[0]), format!("invoice/{invoice} open"));
    lab.sim.archive(Kind::Invoice, invoice).unwrap();
    assert_eq!(told(&lab.read(&source, "invoice", invoice).await[0]), format!("invoice/{invoice} open"));
}

#[tokio::test(start_paused = true)]
async fn not_there_is_gone_only_with_proof() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(10_000);
    let last = known(&lab, &source, "invoice", invoice).await;
    lab.sim.hide(Kind::Invoice, invoice, 1).unwrap();
    let changed = [hinted("invoice", invoice, "invoice.update")];
    // Never seen: it may not be visible yet.
    let fresh = source.resolve(&lab.ctx, &changed, None).await.unwrap();
    assert!(matches!(fresh, Resolution::NotYet { .. }));
    // Known, and listed.
    lab.sim.hide(Kind::Invoice, invoice, 1).unwrap();
    let error = source.resolve(&lab.ctx, &changed, Some(&last)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    // Purged: neither the read nor the list shows it.
    lab.sim.purge(Kind::Invoice, invoice).unwrap();
    for hint in ["invoice.update", "invoice.delete", Signal::SWEPT] {
        let before = lab.sim.received().len();
        let signal = [hinted("invoice", invoice, hint)];
        let Resolution::Observed(seen) = source.resolve(&lab.ctx, &signal, Some(&last)).await.unwrap() else {
            panic!()
        };
        assert!(!matches!(seen[0].state, Observed::Present { .. }), "{hint}");
        let calls = lab.sim.received().len() - before;
        assert_eq!(
            calls,
            match hint {
                "invoice.update" => 3,
                "invoice.delete" => 1,
                _ => 2,
            },
            "{hint}"
        );
    }
    let mut gone = last;
    gone.revision = None;
    let resolution = source.resolve(&lab.ctx, &changed, Some(&gone)).await.unwrap();
    assert!(matches!(resolution, Resolution::Done { .. }));
}

/// 3: the account cannot be found, which says nothing of the record.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_found_waits_and_says_what_to_check() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(10_000);
    let last = known(&lab, &source, "invoice", invoice).await;
    lab.sim.set_account_found(false);
    for hint in ["invoice.update", "invoice.delete", Signal::SWEPT] {
        let signal = [hinted("invoice", invoice, hint)];
        let error = source.resolve(&lab.ctx, &signal, Some(&last)).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
        assert_eq!(error.context("account_id"), Some("Zq84Xk"));
    }
    lab.sim.set_account_found(true);
    lab.sim.suspend(true);
    let signal = [hinted("invoice", invoice, "invoice.update")];
    let error = source.resolve(&lab.ctx, &signal, Some(&last)).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert!(error.to_string().contains("subscription"), "{error}");
}

/// 6: refused, in every form, and no token is asked for.
#[tokio::test(start_paused = true)]
async fn a_refused_feature_starts_no_refresh_and_names_its_scope() {
    let lab = Lab::new();
    let source = lab.source();
    let vendor = lab.sim.create(BillVendor::new("Harbourview")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(10_000))).unwrap();
    lab.read(&source, "bill", bill).await;
    let tokens = lab.sim.tokens_issued();
    lab.sim.refuse(Kind::Bill, true);
    for status in [http::StatusCode::OK, http::StatusCode::FORBIDDEN] {
        lab.sim.tune(|quirks| quirks.feature_status = status);
        let signal = [hinted("bill", bill, "bill.update")];
        let error = source.resolve(&lab.ctx, &signal, None).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
        assert_eq!(error.context("scope"), Some("user:bills:read"));
    }
    assert_eq!(lab.sim.tokens_issued(), tokens);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_account_stops_the_connection() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(10_000);
    lab.sim.distort(Kind::Invoice, invoice, "accounting_systemid", Some("Hn7Tq2".into())).unwrap();
    let signal = [hinted("invoice", invoice, "invoice.update")];
    let read = source.resolve(&lab.ctx, &signal, None).await.unwrap_err();
    let request = PollRequest::new("invoices", PollMode::Live);
    let listed = source.poll(&lab.ctx, request).await.unwrap_err();
    for error in [read, listed] {
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    }
}

/// What FreshBooks shows within a record is looked at as well: a payment's client and invoice, a bill's payments.
#[tokio::test(start_paused = true)]
async fn a_record_within_another_that_is_of_another_account_stops_the_connection() {
    const OWNER: &str = "accounting_systemid";
    let lab = Lab::new();
    let source = lab.source();
    let stops = async |kind: &str, feed: &'static str, id: u64| {
        let signal = [hinted(kind, id, Signal::BACKFILL)];
        let read = source.resolve(&lab.ctx, &signal, None).await.unwrap_err();
        let listed = source.poll(&lab.ctx, PollRequest::new(feed, PollMode::Live)).await.unwrap_err();
        for error in [read, listed] {
            assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
        }
    };
    let client = lab.sim.create(ml_connector_sim::freshbooks::Client::new(CLIENT)).unwrap();
    let invoice =
        lab.sim.create(ml_connector_sim::freshbooks::Invoice::new(client, cents(500)).sent()).unwrap();
    let payment = lab.sim.pay_invoice(invoice, cents(500)).unwrap();
    for (kind, id) in [(Kind::Client, client), (Kind::Invoice, invoice)] {
        lab.sim.distort(kind, id, OWNER, Some("Hn7Tq2".into())).unwrap();
        stops("customer_payment", "payments", payment).await;
        lab.sim.distort(kind, id, OWNER, Some(lab.sim.credentials().account_id.into())).unwrap();
        lab.read(&source, "customer_payment", payment).await;
    }
    let vendor = lab.sim.create(BillVendor::new("Harbourview Supply")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(500))).unwrap();
    let paid = serde_json::json!([{ "id": 9042, OWNER: "Hn7Tq2", "vis_state": 0 }]);
    lab.sim.distort(Kind::Bill, bill, "bill_payments", Some(paid)).unwrap();
    stops("bill", "bills", bill).await;
}

/// A list tells of it as a lost row. A single read has no list, so the bill says it.
#[tokio::test(start_paused = true)]
async fn a_payment_of_a_bill_that_cannot_be_read_is_a_note_of_the_bill() {
    let lab = Lab::new();
    let source = lab.source();
    let vendor = lab.sim.create(BillVendor::new("Harbourview Supply")).unwrap();
    let bill = lab.sim.create(Bill::new(vendor, cents(500))).unwrap();
    let paid = serde_json::json!([{ "id": 9042, "vis_state": 0 }, { "amount": { "amount": "5.00" } }]);
    lab.sim.distort(Kind::Bill, bill, "bill_payments", Some(paid)).unwrap();
    let seen = lab.read(&source, "bill", bill).await;
    assert_eq!(seen.len(), 2, "the payment that can be read is told");
    let Observed::Present { notes, .. } = &seen[0].state else { panic!() };
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["bill_payments[1] (unreadable)"]);
}

#[tokio::test(start_paused = true)]
async fn no_secret_link_is_kept() {
    let lab = Lab::new();
    lab.sim.tune(|quirks| quirks.client_tokens = true);
    let source = lab.source();
    let client = lab.sim.create(ml_connector_sim::freshbooks::Client::new(CLIENT)).unwrap();
    let seen = lab.read(&source, "contact", client).await.remove(0);
    let Observed::Present { raw: Some(raw), .. } = seen.state else { panic!() };
    assert!(raw.get().contains(CLIENT) && !raw.get().contains("token"), "{}", raw.get());
    // A payment is shown with its client.
    let invoice =
        lab.sim.create(ml_connector_sim::freshbooks::Invoice::new(client, cents(500)).sent()).unwrap();
    let payment = lab.sim.pay_invoice(invoice, cents(500)).unwrap();
    let seen = lab.read(&source, "customer_payment", payment).await.remove(0);
    let Observed::Present { raw: Some(raw), .. } = seen.state else { panic!() };
    assert!(raw.get().contains(CLIENT) && !raw.get().contains("token"), "{}", raw.get());
}

/// Lists of payments have no filter for an id: who is on none of all its pages is gone, however many there are. Where they
/// take longer than a call may last, the next call goes on.
#[tokio::test(start_paused = true)]
async fn what_was_purged_from_a_list_of_more_than_ten_thousand_rows_is_gone() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(9_000_000);
    let first = lab.sim.pay_invoice(invoice, cents(1)).unwrap();
    let last = known(&lab, &source, "customer_payment", first).await;
    for _ in 0..10_400 {
        lab.sim.pay_invoice(invoice, cents(1)).unwrap();
    }
    lab.sim.purge(Kind::Payment, first).unwrap();
    let lists = |lab: &Lab| {
        let calls = lab.sim.received();
        calls.iter().filter(|call| call.path.ends_with("/payments/payments")).count()
    };
    let mut slow = Conditions::kind();
    slow.latency = secs(2);
    lab.sim.set_conditions(slow);
    let (before, mut calls) = (lists(&lab), 0);
    let swept = [hinted("customer_payment", first, Signal::SWEPT)];
    let seen = loop {
        calls += 1;
        match source.resolve(&lab.ctx.within(secs(60)), &swept, Some(&last)).await.unwrap() {
            Resolution::Observed(seen) => break seen,
            Resolution::NotYet { retry_at } => assert!(retry_at <= lab.ctx.now(), "it goes on at once"),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(seen[0].state, Observed::Gone(_)), "{:?}", seen[0].state);
    let read = lists(&lab) - before;
    assert!(calls > 1 && (104..=106).contains(&read), "{calls} calls, {read} pages");
    assert_eq!(lab.sim.limit_violations(), 0);
}

/// A vendor's flag that says there is more for ever proves nothing, and is not followed for ever.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_proves_nothing() {
    let lab = Lab::new();
    let source = lab.source();
    let invoice = lab.invoice(9_000);
    let payment = lab.sim.pay_invoice(invoice, cents(1)).unwrap();
    let last = known(&lab, &source, "customer_payment", payment).await;
    let gone = Fault::status(http::StatusCode::NOT_FOUND);
    let gone =
        gone.with_body("application/json", String::from_utf8(fixture("error_404.json").to_vec()).unwrap());
    lab.sim.plant(gone.on(&format!("payments/payments/{payment}")));
    let page = |n: usize| {
        let rows = [serde_json::json!({ "id": 900_001 })];
        let body = serde_json::json!({ "response": { "result": {
            "payments": rows, "page": n, "pages": 99_999, "per_page": 100, "total": 9_999_900
        } } });
        Fault::status(http::StatusCode::OK)
            .with_body("application/json", body.to_string())
            .on("payments/payments")
    };
    for n in 1..9 {
        lab.sim.plant(page(n));
    }
    let swept = [hinted("customer_payment", payment, Signal::SWEPT)];
    let before = lab.sim.received().len();
    let error = source.resolve(&lab.ctx, &swept, Some(&last)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    assert!(lab.sim.received().len() - before < 6);
}
