//! What a check of a connection says, step by step.

use http::StatusCode;
use ml_connector_core::{CheckResult, CheckStep, Source, SourceMode};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Fault,
    freshbooks::{FreshBooksConfig, Kind},
};

use crate::support::{Lab, builder};

async fn check(lab: &Lab, source: &FreshBooks) -> Vec<CheckStep> {
    source.check(&lab.ctx).await
}

fn step<'a>(steps: &'a [CheckStep], name: &str) -> &'a CheckStep {
    steps.iter().find(|step| step.step == name).unwrap_or_else(|| panic!("{name}: {steps:?}"))
}

#[tokio::test(start_paused = true)]
async fn what_works_is_said_step_by_step_and_nothing_is_written() {
    let lab = Lab::new();
    let source = lab.source();
    lab.register(&source).await;
    let before = lab.sim.received().len();
    let steps = check(&lab, &source).await;
    let names: Vec<&str> = steps.iter().map(|step| &*step.step).collect();
    let expected = [
        "login",
        "account",
        "time zone",
        "invoices",
        "payments",
        "bills",
        "bill_payments",
        "expenses",
        "callbacks",
    ];
    assert_eq!(names, expected);
    assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:#?}");
    assert!(step(&steps, "account").found.as_ref().unwrap().contains("owner"), "{steps:?}");
    assert!(lab.sim.received().iter().skip(before).all(|call| call.method == http::Method::GET));
}

#[tokio::test(start_paused = true)]
async fn a_time_zone_that_is_not_the_business_s_is_told() {
    let lab = Lab::new();
    let steps = check(&lab, &builder(&lab.sim).time_zone("Asia/Tokyo").build().unwrap()).await;
    let zone = step(&steps, "time zone");
    assert_eq!(zone.result, CheckResult::Warning, "{zone:?}");
    let found = zone.found.as_deref().unwrap();
    assert!(found.starts_with("it is America/") && found.ends_with("time_zone says Asia/Tokyo"), "{found}");
    assert!(zone.remedy.as_deref().unwrap().contains("time_zone"), "{zone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_scope_or_a_plan_that_lacks_a_list_is_named_and_the_others_are_looked_at() {
    let mut config = FreshBooksConfig::default();
    config.scopes.retain(|scope| scope != "user:expenses:read");
    let lab = Lab::with(config);
    lab.sim.refuse(Kind::Bill, true);
    let steps = check(&lab, &lab.source()).await;
    for (name, word) in [("expenses", "user:expenses:read"), ("bills", "bills")] {
        let refused = step(&steps, name);
        assert_eq!(refused.result, CheckResult::Failed, "{refused:?}");
        assert!(refused.found.as_ref().unwrap().contains(word), "{refused:?}");
        let remedy = refused.remedy.as_ref().unwrap();
        assert!(remedy.contains("scope") && remedy.contains("plan") && remedy.contains("role"), "{remedy}");
    }
    assert_eq!(step(&steps, "invoices").result, CheckResult::Passed);
}

#[tokio::test(start_paused = true)]
async fn an_account_of_somebody_else_and_a_token_that_is_refused_end_the_check() {
    let lab = Lab::new();
    let steps = check(&lab, &builder(&lab.sim).account_id("Lm07Qa").build().unwrap()).await;
    assert_eq!((steps.len(), step(&steps, "account").result), (2, CheckResult::Failed), "{steps:?}");
    assert!(step(&steps, "account").found.as_ref().unwrap().contains("accounts=Zq84Xk"), "{steps:?}");
    lab.sim.revoke_grants();
    let steps = check(&lab, &lab.source()).await;
    assert_eq!((steps.len(), step(&steps, "login").result), (1, CheckResult::Failed), "{steps:?}");
    assert!(step(&steps, "login").remedy.as_ref().unwrap().contains("connect"), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_is_not_used_is_named_with_its_remedy_and_none_is_looked_for_by_who_polls() {
    let lab = Lab::new();
    let source = lab.source();
    lab.register(&source).await;
    let bill = lab.sim.callbacks().into_iter().find(|callback| callback.event == "bill").unwrap();
    lab.sim.unverify_callback(bill.id);
    let steps = check(&lab, &source).await;
    let callbacks = step(&steps, "callbacks");
    assert_eq!(callbacks.result, CheckResult::Warning);
    let found = callbacks.found.as_ref().unwrap();
    assert!(found.contains("bill") && !found.contains("invoice") && !found.contains("books-3f2a"), "{found}");
    assert!(callbacks.remedy.as_ref().unwrap().contains("10 seconds"));

    let polled = builder(&lab.sim).mode(SourceMode::Poll).build().unwrap();
    assert_eq!(step(&check(&lab, &polled).await, "callbacks").result, CheckResult::Skipped);
    lab.sim.plant(Fault::html(StatusCode::BAD_GATEWAY).on("callbacks").times(99));
    assert_eq!(step(&check(&lab, &source).await, "callbacks").result, CheckResult::Failed);
}
