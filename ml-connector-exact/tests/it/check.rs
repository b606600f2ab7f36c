//! The look whether everything works that a connection needs.

use std::time::Duration;

use ml_connector_core::{CheckResult, CheckStep, SourceMode, model::RecordKind};
use ml_connector_exact::ExactOnline;
use ml_connector_sim::exact::{ExactOnlineConfig, Kind, NewDocument, Right};

use crate::support::{CUSTOMER, Lab, NOW, amount, builder, pass};

async fn check(lab: &Lab, source: &ExactOnline) -> Vec<CheckStep> {
    ml_connector_core::Source::check(source, &lab.ctx).await
}

/// How a step stands, and what it says.
fn step(steps: &[CheckStep], name: &str) -> (CheckResult, String) {
    let of = steps.iter().find(|step| step.step == name);
    let of = of.unwrap_or_else(|| panic!("{name} in {steps:#?}"));
    (of.result, format!("{} {}", of.found.as_deref().unwrap_or(""), of.remedy.as_deref().unwrap_or("")))
}

#[tokio::test(start_paused = true)]
async fn everything_is_looked_at_and_nothing_is_written() {
    let lab = Lab::new();
    let source = lab.source();
    let _ = lab.invoice("10");
    let steps = check(&lab, &source).await;
    for (name, says) in [
        ("company", "3141593"),
        ("server zone", "Europe/Amsterdam"),
        ("read salesinvoice/SalesInvoices", ""),
        ("read purchaseentry/PurchaseEntries", "empty"),
        ("read sync/Cashflow/PaymentTerms", ""),
        ("read sync/Deleted", ""),
        ("subscriptions", "0 of 6"),
        ("calls", "of 5000 are left"),
    ] {
        let (result, text) = step(&steps, name);
        assert!(result == CheckResult::Passed && text.contains(says), "{name}: {result} {text}");
    }
    assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:#?}");
    let calls = lab.sim.received();
    assert!(calls.iter().all(|call| call.method == http::Method::GET || call.path.ends_with("/token")));
    assert!(calls.len() < 30, "{} calls", calls.len());
    let tallies = lab.sim.tallies();
    assert_eq!((tallies.errors, tallies.limit_violations, tallies.parallel_calls), (0, 0, 0));
    lab.look(&source, None).await;
    assert!(step(&check(&lab, &source).await, "subscriptions").1.contains("6 of 6"));
}

#[tokio::test(start_paused = true)]
async fn each_right_scope_and_module_answers_for_itself() {
    use CheckResult::{Failed, Passed, Warning};
    let lab = Lab::new();
    let source = builder(&lab.sim)
        .resources([
            RecordKind::Invoice,
            RecordKind::Bill,
            RecordKind::PurchaseOrder,
            RecordKind::JournalEntry,
        ])
        .build()
        .unwrap();
    lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("10")));
    lab.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    lab.sim.refuse(Kind::GeneralJournalEntries, Some(Right::ForbiddenByModule));
    lab.sim.refuse_scope("sales.invoices", true);
    lab.sim.tune(|quirks| quirks.purchase_order_feed = false);
    let steps = check(&lab, &source).await;
    for (name, result, says) in [
        ("company", Passed, ""),
        ("read purchaseentry/PurchaseEntries", Failed, "role"),
        ("read generaljournalentry/GeneralJournalEntries", Failed, "module"),
        ("read salesinvoice/SalesInvoices", Failed, "Sales invoices"),
        ("read purchaseorder/PurchaseOrders", Passed, "empty"),
        ("read sync/PurchaseOrder/PurchaseOrders", Passed, "by their time"),
        ("read sync/Financial/TransactionLines", Passed, ""),
    ] {
        let (found, text) = step(&steps, name);
        assert!(found == result && text.contains(says), "{name}: {found} {text}");
    }
    // Without the scope for it nobody says why a list is empty, which companies there are, or what is subscribed.
    lab.sim.refuse_scope("organization.administration", true);
    lab.sim.tune(|quirks| quirks.rights_are_secret = true);
    pass(Duration::from_secs(2 * 86_400)).await;
    let steps = check(&lab, &source).await;
    assert_eq!(step(&steps, "company").0, Warning);
    assert!(step(&steps, "read purchaseorder/PurchaseOrders").1.contains("does not say"), "{steps:#?}");
    let (result, text) = step(&steps, "subscriptions");
    assert!(result == Failed && text.contains("manage"), "{text}");
    let polled = builder(&lab.sim).mode(SourceMode::Poll).build().unwrap();
    assert!(check(&lab, &polled).await.iter().all(|step| step.step != "subscriptions"));
    assert_eq!(lab.sim.tallies().blocked_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_company_that_cannot_be_connected_ends_the_look() {
    let lab = Lab::new();
    for (division, says) in [(3_141_699, "division"), (3_141_594, "")] {
        let source = builder(&lab.sim).division(division).build().unwrap();
        let steps = check(&lab, &source).await;
        if says.is_empty() {
            assert!(steps.len() > 1);
        } else {
            assert_eq!((steps.len(), steps[0].result), (1, CheckResult::Failed), "{steps:#?}");
            assert!(steps[0].found.as_ref().unwrap().contains(says), "{steps:#?}");
        }
    }
    let mut config = ExactOnlineConfig::default();
    config.divisions[0].status = 2;
    let archived = Lab::with(NOW, config);
    let steps = check(&archived, &archived.source()).await;
    assert!(steps.len() == 1 && steps[0].found.as_ref().unwrap().contains("archived"), "{steps:#?}");
    let mut config = ExactOnlineConfig::default();
    config.divisions[0].is_practice = true;
    let practice = Lab::with(NOW, config);
    let steps = check(&practice, &builder(&practice.sim).practice(true).build().unwrap()).await;
    let (result, text) = step(&steps, "company");
    assert!(result == CheckResult::Warning && text.contains("practice"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_region_whose_clocks_are_elsewhere_and_a_day_that_is_used_up_are_told() {
    let mut config = ExactOnlineConfig::default();
    "Europe/London".clone_into(&mut config.zone);
    let lab = Lab::with(NOW, config);
    let (result, text) = step(&check(&lab, &lab.source()).await, "server zone");
    assert!(
        result == CheckResult::Failed && text.contains("60 minutes") && text.contains("server_zone"),
        "{text}"
    );
    let london = builder(&lab.sim).server_zone("Europe/London").build().unwrap();
    assert_eq!(step(&check(&lab, &london).await, "server zone").0, CheckResult::Passed);

    let lab = Lab::new();
    lab.sim.set_limits(1_000, 300);
    let source = builder(&lab.sim).pace(1_000, 300).build().unwrap();
    let invoice = lab.invoice("10");
    for _ in 0..235 {
        drop(lab.resolve(&source, "invoice", &invoice, None, None).await);
    }
    let (result, text) = step(&check(&lab, &source).await, "calls");
    assert!(result == CheckResult::Warning && text.contains("of 300 are left"), "{text}");
}
