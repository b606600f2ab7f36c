//! Feeds: what has changed, and where a run begins.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ml_connector_core::{
    ErrorKind, PollRequest, Retry, Scope, Source,
    model::{Observed, PollMode, RecordKind},
};
use ml_connector_sim::exact::{ExactOnlineConfig, Kind, NewDocument, Right, Settlement};

use crate::{
    script::OnlyParts,
    support::{CUSTOMER, Lab, amount, builder, pass, shown, signals},
};

#[tokio::test(start_paused = true)]
async fn a_quiet_company_begins_without_telling_its_past() {
    let lab = Lab::new();
    let source = lab.source();
    let old = lab.invoice("1000");
    lab.sim.process(Kind::SalesInvoices, &old).unwrap();
    let open = lab.invoice("500");
    pass(Duration::from_secs(3600)).await;
    let (pages, at) = lab.run(&source, "sales_invoices", PollMode::Baseline, None).await.unwrap();
    assert_eq!((shown(&pages), signals(&pages)), (vec![format!("invoice/{open} draft")], vec![]));
    pass(Duration::from_secs(600)).await;
    let new = lab.invoice("77");
    let (pages, at) = lab.run(&source, "sales_invoices", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(signals(&pages), [format!("invoice/{new}")]);
    let (pages, _) = lab.run(&source, "sales_invoices", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(signals(&pages), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_during_the_baseline_is_told() {
    let lab = Lab::new();
    let source = lab.source();
    let request = ml_connector_core::PollRequest::new("transaction_lines", PollMode::Baseline);
    let page = ml_connector_core::Source::poll(&source, &lab.ctx, request).await.unwrap();
    let id = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("100")));
    let (rest, at) =
        lab.run(&source, "transaction_lines", PollMode::Baseline, Some(page.checkpoint)).await.unwrap();
    let late = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("200")));
    pass(Duration::from_secs(60)).await;
    let (pages, _) = lab.run(&source, "transaction_lines", PollMode::Live, Some(at)).await.unwrap();
    // What a baseline shows is not told: what it leads to is.
    let named = [signals(&rest), signals(&pages)].concat();
    let names = |id: &str| named.contains(&format!("bill/{id}"));
    assert!(names(&id) && names(&late), "{named:?}");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_names_entries_of_every_journal() {
    let lab = Lab::new();
    let source = lab.source();
    let begun = lab.run(&source, "transaction_lines", PollMode::Baseline, None).await;
    let (_, at) = begun.unwrap_or_else(|error| panic!("{error:?} {:#?}", lab.sim.received()));
    let make = |kind| lab.sim.create(kind, &NewDocument::new(CUSTOMER, amount("100")));
    let bill = make(Kind::PurchaseEntries);
    let journal = make(Kind::GeneralJournalEntries);
    let bank = make(Kind::BankEntries);
    let cash = make(Kind::CashEntries);
    let (pages, _) = lab.run(&source, "transaction_lines", PollMode::Live, Some(at)).await.unwrap();
    let mut expected = vec![
        format!("bill/{bill}"),
        format!("journal_entry/{journal}"),
        format!("bank_entry/{bank}"),
        format!("bank_entry/{cash}"),
    ];
    let mut named = signals(&pages);
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    let resolved = lab.resolve(&source, "bank_entry", &cash, Some("synced"), None).await.unwrap();
    let ml_connector_core::model::Resolution::Observed(seen) = resolved else { panic!("{resolved:?}") };
    assert_eq!(seen[0].entity.to_string(), format!("cash_entry/{cash}"));
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_told_once_and_its_bank_entry_is_none() {
    let lab = Lab::new();
    let source = lab.source();
    let (_, at) = lab.run(&source, "payment_terms", PollMode::Baseline, None).await.unwrap();
    let bill = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("100")));
    let (pages, at) = lab.run(&source, "payment_terms", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(shown(&pages), [""; 0], "an open term is no payment");
    lab.sim.settle(&bill, Settlement::Bank).unwrap();
    let (pages, _) = lab.run(&source, "payment_terms", PollMode::Live, Some(at)).await.unwrap();
    let told = shown(&pages);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("vendor_payment/") && told[0].ends_with("paid"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_list_of_row_versions_changes_are_found_by_their_time() {
    let lab = Lab::new();
    lab.sim.tune(|quirks| quirks.purchase_order_feed = false);
    let source = lab.source();
    let (_, at) = lab.run(&source, "purchase_orders", PollMode::Baseline, None).await.unwrap();
    pass(Duration::from_secs(600)).await;
    let order = lab.sim.create(Kind::PurchaseOrders, &NewDocument::new(CUSTOMER, amount("100")));
    let (pages, at) = lab.run(&source, "purchase_orders", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(signals(&pages), [format!("purchase_order/{order}")]);
    let (pages, _) = lab.run(&source, "purchase_orders", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(signals(&pages), [""; 0], "the overlap tells nothing twice");
}

#[tokio::test(start_paused = true)]
async fn the_hour_that_comes_twice_loses_no_change() {
    let lab = Lab::at("2026-10-25T00:20:00Z");
    lab.sim.tune(|quirks| quirks.purchase_order_feed = false);
    let source = lab.source();
    let (_, mut at) = lab.run(&source, "purchase_orders", PollMode::Baseline, None).await.unwrap();
    let (mut made, mut found) = (Vec::new(), Vec::new());
    for _ in 0..24 {
        pass(Duration::from_secs(300)).await;
        made.push(format!(
            "purchase_order/{}",
            lab.sim.create(Kind::PurchaseOrders, &NewDocument::new(CUSTOMER, amount("100")))
        ));
        let (pages, next) = lab.run(&source, "purchase_orders", PollMode::Live, Some(at)).await.unwrap();
        found.extend(signals(&pages));
        at = next;
    }
    assert_eq!(found, made);
    assert_eq!(lab.sim.tallies().refused_tokens, 0);
}

#[tokio::test(start_paused = true)]
async fn a_company_that_was_moved_begins_anew_and_loses_nothing() {
    let lab = Lab::new();
    let source = lab.source();
    let old = lab.invoice("50");
    pass(Duration::from_secs(2 * 86_400)).await;
    let (_, at) = lab.run(&source, "sales_invoices", PollMode::Baseline, None).await.unwrap();
    pass(Duration::from_secs(4000)).await;
    let before = lab.invoice("100");
    lab.sim.move_division();
    let after = lab.invoice("200");
    let (pages, _) = lab.run(&source, "sales_invoices", PollMode::Live, Some(at)).await.unwrap();
    let mut named = signals(&pages);
    named.sort();
    let mut expected = [before, after].map(|id| format!("invoice/{id}"));
    expected.sort();
    assert_eq!(named, expected, "and nothing old: {old}");
}

#[tokio::test(start_paused = true)]
async fn deletions_of_what_is_known_are_named_by_their_list() {
    let lab = Lab::new();
    let source = lab.source();
    let (known, unknown) = (lab.invoice("100"), lab.invoice("200"));
    let seen = lab.read(&source, "invoice", &known).await;
    lab.remember(&seen).await;
    let (_, at) = lab.run(&source, "deleted", PollMode::Baseline, None).await.unwrap();
    for id in [&known, &unknown] {
        lab.sim.delete(Kind::SalesInvoices, id).unwrap();
    }
    let (pages, at) = lab.run(&source, "deleted", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(shown(&pages), [format!("invoice/{known} gone")], "what nobody knows is not told");
    let (pages, _) = lab.run(&source, "deleted", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(shown(&pages), [""; 0]);
}

/// Rows of lists say less than records. Told of the past at the speed of lists, they must not change with every look.
#[tokio::test(start_paused = true)]
async fn the_past_comes_as_rows_many_at_a_call_and_entries_without_amounts_by_their_ids() {
    let lab = Lab::new();
    let source = lab.source();
    let bills: Vec<String> = (0..130).map(|_| lab.with_lines(Kind::PurchaseEntries, 2)).collect();
    let journal = lab.with_lines(Kind::GeneralJournalEntries, 2);
    pass(Duration::from_secs(86_400)).await;
    let late = lab.with_lines(Kind::PurchaseEntries, 2);
    let calls = || lab.sim.received().iter().filter(|call| call.path.starts_with("/api/v1/")).count();
    let began = calls();
    let run = async |since| {
        let past = PollMode::Backfill { since };
        lab.run(&source, "transaction_lines", past, None).await.unwrap().0
    };
    let pages = run(None).await;
    let rows: Vec<_> = pages.iter().flat_map(|page| &page.rows).collect();
    let told: BTreeSet<String> = rows.iter().map(|row| row.entity.id.to_string()).collect();
    assert_eq!(told, bills.iter().chain([&late]).cloned().collect());
    assert_eq!(rows.len(), 131, "once each");
    assert_eq!(signals(&pages), [format!("journal_entry/{journal}")]);
    // Three pages of bills, one of each of the other kinds of entries, and the company.
    assert_eq!(calls() - began, 3 + 3 + 1);
    // Once more, they are what they were.
    let again = run(None).await;
    let again: Vec<_> = again.iter().flat_map(|page| &page.rows).collect();
    for (one, other) in rows.iter().zip(again) {
        assert_eq!((&one.entity, one.state.revision()), (&other.entity, other.state.revision()));
    }
    // From a date.
    let recent = run(Some(lab.ctx.now() - Duration::from_secs(3_600))).await;
    let recent: Vec<_> = recent.iter().flat_map(|page| &page.rows).map(|row| &*row.entity.id).collect();
    assert_eq!(recent, [&*late]);
}

/// What a first look costs, as docs.md says.
#[tokio::test(start_paused = true)]
async fn a_beginning_costs_what_the_documents_say() {
    let lab = Lab::new();
    let source = lab.source();
    // Two pages of open invoices, three of open bills, and their 150 terms.
    (0..70).for_each(|_| _ = lab.invoice("10"));
    (0..150).for_each(|_| _ = lab.with_lines(Kind::PurchaseEntries, 1));
    pass(Duration::from_secs(20 * 86_400)).await;
    let calls = |path: &str| lab.sim.received().iter().filter(|call| call.path.contains(path)).count();
    for feed in ["sales_invoices", "transaction_lines", "purchase_orders", "payment_terms", "deleted"] {
        lab.run(&source, feed, PollMode::Baseline, None).await.unwrap();
    }
    for (path, cost) in [
        ("system/Divisions", 1),
        // Nothing was changed for a week: twice for each of two lists, three times where there is no row at all.
        ("SyncTimestamp", 3 + 3 + 3),
        ("salesinvoice/SalesInvoices", 2),
        ("purchaseentry/PurchaseEntries", 3),
        ("purchaseorder/PurchaseOrders", 1),
        ("sync/SalesInvoice", 1),
        ("sync/Financial", 1),
        ("sync/PurchaseOrder", 1),
        ("sync/Cashflow", 1),
        ("sync/Deleted", 1),
    ] {
        assert_eq!(calls(path), cost, "{path}");
    }
}

/// A first look in the hour that comes twice: what is changed meanwhile has a time that may have been an hour before.
#[tokio::test(start_paused = true)]
async fn a_change_during_the_baseline_is_told_in_the_hour_that_comes_twice_as_well() {
    // Two hours later it is the hour for the first time, for the second time, and just over.
    for begin in ["2026-10-24T22:10:00Z", "2026-10-24T23:10:00Z", "2026-10-25T00:10:00Z"] {
        let lab = Lab::at(begin);
        let source = lab.source();
        let old = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("50")));
        pass(Duration::from_secs(2 * 3600)).await;
        let request = PollRequest::new("transaction_lines", PollMode::Baseline);
        let page = source.poll(&lab.ctx, request).await.unwrap();
        let id = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("100")));
        let rest = lab.run(&source, "transaction_lines", PollMode::Baseline, Some(page.checkpoint)).await;
        let named = signals(&rest.unwrap().0);
        assert_eq!(named, [format!("bill/{id}")], "{begin}, and not {old}");
    }
}

/// Without the scope Organization administration nobody says where to begin.
#[tokio::test(start_paused = true)]
async fn without_a_place_to_begin_all_rows_are_gone_through_and_nothing_old_is_told() {
    let lab = Lab::new();
    (0..5).for_each(|_| _ = lab.with_lines(Kind::PurchaseEntries, 1));
    pass(Duration::from_secs(86_400)).await;
    lab.sim.refuse_scope("organization.administration", true);
    // Nobody says then in which currency the company keeps its books.
    let unset = lab.run(&lab.source(), "transaction_lines", PollMode::Baseline, None).await.unwrap_err();
    assert_eq!((unset.kind(), unset.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert!(unset.message().contains("set currency"), "{unset}");
    let source = builder(&lab.sim).currency("EUR").build().unwrap();
    let (pages, at) = lab.run(&source, "transaction_lines", PollMode::Baseline, None).await.unwrap();
    assert_eq!(signals(&pages), [""; 0]);
    assert_eq!(shown(&pages).len(), 5, "what is open is known");
    let new = lab.with_lines(Kind::PurchaseEntries, 1);
    let (pages, _) = lab.run(&source, "transaction_lines", PollMode::Live, Some(at)).await.unwrap();
    assert_eq!(signals(&pages), [format!("bill/{new}")]);
}

/// A list that is empty is asked about: without the right it is refused with its reason, and with it nothing is there.
#[tokio::test(start_paused = true)]
async fn a_sweep_of_a_list_that_nobody_may_see_is_refused_with_its_reason() {
    let lab = Lab::new();
    let source = lab.source();
    let (pages, _) = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap();
    assert_eq!(signals(&pages), [""; 0], "it is empty");
    let _ = lab.invoice("10");
    lab.sim.refuse(Kind::SalesInvoices, Some(Right::MissingInRole));
    let error = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
    let text = error.to_string();
    for said in
        ["give the user the right", "Waalkade Groothandel B.V. (3141593)", "salesinvoice/SalesInvoices"]
    {
        assert!(text.contains(said), "{text}");
    }
    lab.sim.refuse(Kind::SalesInvoices, None);
    let (pages, _) = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap();
    assert_eq!(signals(&pages).len(), 1);
}

/// The mark of made-up books stays on records whose page is read after a restart.
#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_after_a_restart_knows_that_the_books_are_made_up() {
    let mut config = ExactOnlineConfig::default();
    config.divisions[0].is_practice = true;
    let lab = Lab::with(crate::support::NOW, config);
    (0..130).for_each(|_| _ = lab.invoice("10"));
    pass(Duration::from_secs(600)).await;
    let connect = |practice| builder(&lab.sim).practice(practice).build().unwrap();
    let request = || PollRequest::new("sales_invoices", PollMode::Baseline);
    let first = connect(true).poll(&lab.ctx, request()).await.unwrap();
    assert!(first.more);
    let again = lab.another_host();
    let second = connect(true).poll(&again, request().checkpoint(Some(&first.checkpoint))).await.unwrap();
    for page in [&first, &second] {
        assert!(!page.observations.is_empty());
        for seen in &page.observations {
            assert_eq!(seen.state.record().unwrap().tags, ["practice company"]);
        }
    }
    // Where it is allowed no longer, the run does not go on.
    let refused = connect(false).poll(&again, request().checkpoint(Some(&first.checkpoint))).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_names_everything_over_many_pages() {
    let lab = Lab::new();
    let source = lab.source();
    let mut made: Vec<String> = (0..121).map(|_| format!("invoice/{}", lab.invoice("10"))).collect();
    let (pages, _) = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap();
    let mut named = signals(&pages);
    named.sort();
    made.sort();
    assert_eq!(named, made);
    assert!(pages.len() >= 3, "pages of 60");
}

#[tokio::test(start_paused = true)]
async fn a_next_page_elsewhere_is_not_asked_for() {
    let lab = Lab::new();
    let source = lab.source();
    (0..61).for_each(|_| _ = lab.invoice("10"));
    lab.sim.tune(|quirks| quirks.foreign_next = Some("start.exactonline.example".to_owned()));
    let error = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_overtaxed_is_left_alone_and_then_asked_for_less() {
    let lab = Lab::new();
    let source = lab.source();
    let (_, at) = lab.run(&source, "payment_terms", PollMode::Baseline, None).await.unwrap();
    let before = lab.ctx.now();
    use ml_connector_sim::ExactOnlineSim as Sim;
    lab.sim.plant(Sim::timed_out("PaymentTerms"));
    lab.sim.plant(Sim::network_timed_out("PaymentTerms"));
    lab.run(&source, "payment_terms", PollMode::Live, Some(at.clone())).await.unwrap();
    assert!(lab.ctx.now().saturating_since(before) >= Duration::from_secs(20));
    (0..3).for_each(|_| lab.sim.plant(Sim::timed_out("PaymentTerms")));
    let error = lab.run(&source, "payment_terms", PollMode::Live, Some(at.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    lab.run(&source, "payment_terms", PollMode::Live, Some(at)).await.unwrap();
    let last = lab.sim.received().pop().unwrap();
    assert!(format!("{last:?}").contains("top"), "{last:?}");
    assert_eq!(lab.sim.tallies().blocked_calls, 0);
}

/// Too much for the server, and in no order: parts are asked for in order then, and the feed goes on.
#[tokio::test(start_paused = true)]
async fn a_feed_that_is_too_much_and_in_no_order_goes_on_in_parts() {
    let lab = Lab::new();
    let source = lab.source();
    lab.sim.tune(|quirks| quirks.unordered_feeds = true);
    let (_, mut at) = lab.run(&source, "sales_invoices", PollMode::Baseline, None).await.unwrap();
    let mut made: Vec<String> = (0..300).map(|_| format!("invoice/{}", lab.invoice("10"))).collect();
    let ctx = lab.through(Arc::new(OnlyParts(Arc::clone(&lab.transport), "sync/SalesInvoice/SalesInvoices")));
    let mut found = Vec::new();
    for _ in 0..20 {
        pass(Duration::from_secs(600)).await;
        let request = PollRequest::new("sales_invoices", PollMode::Live).checkpoint(Some(&at));
        if let Ok(page) = source.poll(&ctx, request).await {
            at = page.checkpoint.clone();
            found.extend(signals(&[page]));
        }
    }
    found.sort();
    found.dedup();
    made.sort();
    assert_eq!(found, made);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_refused_is_that_feed_s_state() {
    let lab = Lab::new();
    let source = lab.source();
    lab.sim.refuse_path("sync/Cashflow/PaymentTerms", Some(Right::ForbiddenByModule));
    let error = lab.run(&source, "payment_terms", PollMode::Baseline, None).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.scope(), error.retry()),
        (ErrorKind::PermissionDenied, &Scope::Entry, Retry::Never)
    );
    lab.run(&source, "sales_invoices", PollMode::Baseline, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_practice_or_archived_company_is_not_connected_by_accident() {
    let mut config = ExactOnlineConfig::default();
    config.divisions[0].is_practice = true;
    let lab = Lab::with(crate::support::NOW, config);
    let error = lab.run(&lab.source(), "sales_invoices", PollMode::Baseline, None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    let allowed = builder(&lab.sim).practice(true).build().unwrap();
    lab.run(&allowed, "sales_invoices", PollMode::Baseline, None).await.unwrap();
    let listed = allowed.divisions(&lab.ctx).await.unwrap();
    assert_eq!(listed[0].caution, Some(ml_connector_exact::Caution::Practice));
    let wrong = builder(&lab.sim).practice(true).currency("GBP").build().unwrap();
    let error = lab.run(&wrong, "sales_invoices", PollMode::Baseline, None).await.unwrap_err();
    assert!(error.to_string().contains("currency"), "{error}");
    assert_eq!((error.context("currency"), error.context("company")), (Some("GBP"), Some("EUR")));
}

#[tokio::test(start_paused = true)]
async fn a_currency_that_is_not_set_is_the_company_s() {
    let mut config = ExactOnlineConfig::default();
    "GBP".clone_into(&mut config.divisions[0].currency);
    let lab = Lab::with(crate::support::NOW, config);
    let entry = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("8200.25")));
    let read = lab.read(&lab.source(), "bill", &entry).await;
    let Observed::Present { content, .. } = &read.state else { panic!("{read:?}") };
    let total = content.record().unwrap().total.unwrap();
    assert_eq!((total.amount, total.currency.as_str()), (amount("8200.25"), "GBP"));
    let wrong = builder(&lab.sim).currency("EUR").build().unwrap();
    let error = lab.run(&wrong, "sales_invoices", PollMode::Live, None).await.unwrap_err();
    assert_eq!((error.kind(), error.context("company")), (ErrorKind::ConfigInvalid, Some("GBP")));
}

#[tokio::test(start_paused = true)]
async fn cost_centers_are_read_whole() {
    let lab = Lab::new();
    let source = builder(&lab.sim).resources([RecordKind::CostCenter]).build().unwrap();
    let id = lab.sim.create_master(Kind::Costcenters, "DC1", "Nijmegen");
    let (pages, _) = lab.run(&source, "cost_centers", PollMode::Baseline, None).await.unwrap();
    assert!(shown(&pages).contains(&format!("cost_center/{id} active")), "{:?}", shown(&pages));
}
