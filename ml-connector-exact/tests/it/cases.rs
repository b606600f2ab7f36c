//! Inputs that integrators have met, answered word by word.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ml_connector_core::{
    Context, ErrorKind, Scope, Source,
    model::{EntityRef, PollMode, Resolution, Signal},
};
use ml_connector_exact::Caution;
use ml_connector_sim::{Conditions, exact::ExactOnlineConfig};
use serde_json::{Value, json};

use crate::{
    script::{answer, scripted},
    support::{Lab, NOW, builder, known, pass, shown, signals},
};

fn case(name: &str) -> Value {
    let path = format!("{}/tests/cases/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What is said of one of the case's answers.
fn told(given: &Value) -> Response<Bytes> {
    let status = u16::try_from(given["status"].as_u64().unwrap()).unwrap();
    let mut answer = answer(status, &given["body"]);
    for (name, value) in given["headers"].as_object().into_iter().flatten() {
        let name = http::HeaderName::try_from(name.as_str()).unwrap();
        answer.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
    }
    answer
}

async fn read(
    ctx: &Context,
    lab: &Lab,
    kind: &str,
    id: &str,
    last: bool,
) -> ml_connector_core::Result<Resolution> {
    let source = lab.source();
    let signal =
        Signal { hint: Some("PurchaseEntries.update".into()), ..Signal::entity(EntityRef::new(kind, id)) };
    let seen = if last {
        let new = ml_connector_sim::exact::NewDocument::new("Somebody", 1.into());
        let id = lab.sim.create(ml_connector_sim::exact::Kind::PurchaseEntries, &new);
        Some(known(&lab.read(&source, "bill", &id).await))
    } else {
        None
    };
    source.resolve(ctx, &[signal], seen.as_ref()).await
}

#[tokio::test(start_paused = true)]
async fn g1_an_empty_list_without_the_right_deletes_nothing() {
    let case = case("g1-empty-list-no-right");
    let id = case["known_before"]["EntryID"].as_str().unwrap();
    let (list, right) = (&case["exchange"][0], &case["exchange"][1]);
    for body in right["body_either"].as_array().unwrap() {
        let lab = Lab::new();
        let (script, ctx) = scripted(&lab);
        script.says("purchaseentry/PurchaseEntries", [told(list)]);
        script.says("users/UserHasRights", [answer(200, body)]);
        for known in [true, false] {
            let error = read(&ctx, &lab, "bill", id, known).await.unwrap_err();
            assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry), "{body}");
        }
        // With the right it is a deletion; with the question refused nobody knows.
        script.says("users/UserHasRights", [answer(200, &json!({ "d": { "UserHasRights": true } }))]);
        let gone = read(&ctx, &lab, "bill", id, true).await.unwrap();
        assert!(matches!(gone, Resolution::Observed(_)), "{gone:?}");
        script.says("users/UserHasRights", [answer(403, &json!({}))]);
        let error = read(&ctx, &lab, "bill", id, true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_refusal_without_a_reason_is_explained_by_the_user_s_right() {
    let case = case("g4-forbidden-one-resource");
    let answers = &case["answers"];
    for (variant, word) in
        answers[2]["variants"].as_array().unwrap().iter().zip(["role", "module", "does not say why"])
    {
        let lab = Lab::new();
        let (script, ctx) = scripted(&lab);
        script.says("generaljournalentry/GeneralJournalEntries", [told(&answers[0])]);
        script.says("users/UserHasRights", [told(variant)]);
        let id = "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10";
        let source = lab.source();
        for _ in 0..2 {
            let signal = Signal::entity(EntityRef::new("journal_entry", id));
            let error = source.resolve(&ctx, &[signal], None).await.unwrap_err();
            assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
            assert!(error.to_string().contains(word), "{word}: {error}");
            assert_eq!(error.context("company"), Some("Waalkade Groothandel B.V. (3141593)"));
        }
        assert_eq!(script.asked("users/UserHasRights").len(), 1, "one question a day");
        // The other resource of the same scope goes on.
        let mut list = answers[1]["body"].clone();
        list["d"]["results"][0]["Division"] = 3_141_593.into();
        script.says("purchaseentry/PurchaseEntries", [answer(200, &list)]);
        let signal = Signal::entity(EntityRef::new("bill", id));
        let seen = lab.source().resolve(&ctx, &[signal], None).await.unwrap();
        assert!(matches!(seen, Resolution::Observed(_)), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g5_the_first_row_that_counts_is_not_left_out_and_a_quiet_company_is_no_error() {
    let case = case("g5-synctimestamp");
    let answers = &case["answers"];
    let row = &answers[2]["row with exactly that number"];
    let mut row = row.clone();
    row["Division"] = 3_141_593.into();
    let mut config = ExactOnlineConfig::default();
    config.conditions = Conditions::kind();
    let lab = Lab::with("2026-03-12T09:00:00Z", config);
    let (script, ctx) = scripted(&lab);
    script.says("Sync/SyncTimestamp", [told(&answers[1])]);
    script.says("sync/Financial/TransactionLines", [answer(200, &json!({ "d": { "results": [row] } }))]);
    let source = lab.source();
    let (mut at, mut pages) = (None, Vec::new());
    loop {
        let request = ml_connector_core::PollRequest::new("transaction_lines", PollMode::Baseline);
        let page = source.poll(&ctx, request.checkpoint(at.as_ref())).await.unwrap();
        at = Some(page.checkpoint.clone());
        let more = page.more;
        pages.push(page);
        if !more {
            break;
        }
    }
    let asked = script.asked("sync/Financial/TransactionLines");
    assert!(asked[0].contains("Timestamp gt 58201446L"), "{asked:?}");
    assert_eq!(signals(&pages), ["bill/6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"]);
    assert!(script.asked("SyncTimestamp")[0].contains("datetime'2026-03-12T10:00:00'"));

    // Nothing was modified since: an earlier start is looked for, and nothing old is told.
    let (script, ctx) = scripted(&lab);
    script.says("Sync/SyncTimestamp", [told(&answers[0])]);
    let _ = lab.invoice("10");
    pass(Duration::from_secs(3600)).await;
    let request = ml_connector_core::PollRequest::new("sales_invoices", PollMode::Baseline);
    let mut page = source.poll(&ctx, request).await.unwrap();
    while page.more {
        assert!(signals(std::slice::from_ref(&page)).is_empty(), "{:?}", shown(&[page]));
        let request = ml_connector_core::PollRequest::new("sales_invoices", PollMode::Baseline);
        page = source.poll(&ctx, request.checkpoint(Some(&page.checkpoint))).await.unwrap();
    }
    assert!(signals(std::slice::from_ref(&page)).is_empty());
    assert!(script.asked("SyncTimestamp").len() >= 2, "an earlier date");
}

#[tokio::test(start_paused = true)]
async fn g7_timeouts_are_waited_for_and_then_the_question_is_smaller() {
    let case = case("g7-408-and-599-on-cashflow");
    let (first, second) = (
        &case["GET /api/v1/3141593/cashflow/Receivables?$filter=…&$select=…"],
        &case["second run, six hours later"],
    );
    let lab = Lab::new();
    let (script, ctx) = scripted(&lab);
    let source = lab.source();
    // The same answers come for the feed of payment terms, which is what is read of them.
    let answers = |given: &Value| -> Vec<Response<Bytes>> {
        let given = given.as_array().unwrap().iter();
        given
            .map(|one| {
                told(&json!({ "status": one["status"], "body": one.get("body").unwrap_or(&json!("")) }))
            })
            .collect()
    };
    let request = || ml_connector_core::PollRequest::new("payment_terms", PollMode::Live);
    script.says("sync/Cashflow/PaymentTerms", answers(first));
    let begun = ctx.now();
    let page = source.poll(&ctx, request()).await.unwrap();
    assert!(!page.more && ctx.now().saturating_since(begun) >= Duration::from_secs(20));
    pass(Duration::from_secs(6 * 3600)).await;
    script.says("sync/Cashflow/PaymentTerms", answers(second));
    let before = script.asked("PaymentTerms").len();
    let error = source.poll(&ctx, request().checkpoint(Some(&page.checkpoint))).await.unwrap_err();
    assert_eq!((error.kind(), script.asked("PaymentTerms").len() - before), (ErrorKind::Unavailable, 3));
    assert!(error.to_string().contains("too long"), "{error}");
    // Never the same page for ever: each time it is asked for less, and in order.
    let mut tops = Vec::new();
    for _ in 0..4 {
        pass(Duration::from_secs(600)).await;
        drop(source.poll(&ctx, request().checkpoint(Some(&page.checkpoint))).await);
        let asked = script.asked("PaymentTerms").pop().unwrap();
        assert!(asked.contains("$orderby=Timestamp"), "{asked}");
        let top = asked.split("$top=").nth(1).unwrap();
        tops.push(top.parse::<u32>().unwrap());
    }
    assert_eq!(tops, [250, 62, 15, 3]);
}

#[tokio::test(start_paused = true)]
async fn g8_practice_dossier_and_archived_companies_are_marked() {
    let case = case("g8-practice-division");
    let list = &case["GET /api/v1/3141593/system/Divisions?$select=…"];
    let lab = Lab::new();
    let (script, ctx) = scripted(&lab);
    script.says("system/Divisions", [answer(200, list)]);
    let listed = lab.source().divisions(&ctx).await.unwrap();
    let marked: Vec<_> = listed.iter().map(|one| (one.code, &*one.name, one.caution)).collect();
    assert_eq!(
        marked,
        [
            (3_141_593, "Noordpool Groothandel B.V.", None),
            (3_141_601, "Noordpool Groothandel B.V.", Some(Caution::Practice)),
            (3_141_588, "Noordpool Dossier", Some(Caution::Dossier)),
            (3_141_577, "Noordpool (oud)", Some(Caution::Archived)),
        ]
    );
    assert_eq!(listed[2].owner, "Kantoor Veldkamp");
    let connect = |division: u32| builder(&lab.sim).division(division);
    for (division, allowed, says) in [
        (3_141_593, false, None),
        (3_141_601, false, Some("practice")),
        (3_141_601, true, None),
        (3_141_588, false, None),
        (3_141_577, true, Some("archived")),
    ] {
        let source = connect(division).practice(allowed).build().unwrap();
        let looked = source.check(&ctx).await;
        let text = format!("{:?}", looked[0]);
        assert_eq!(looked.len() == 1, says.is_some(), "{division}: {looked:#?}");
        assert!(text.contains(says.unwrap_or("")), "{text}");
    }
}

/// What is refused by its feed is not told by a webhook either, and nothing is subscribed there.
#[tokio::test(start_paused = true)]
async fn g8_a_practice_company_is_told_only_if_said_so_and_says_so_itself() {
    let mut config = ExactOnlineConfig::default();
    config.divisions[0].is_practice = true;
    let lab = Lab::with(NOW, config);
    let invoice = lab.invoice("10");
    let refused = lab.source();
    let callback = lab.callback();
    let request = ml_connector_core::UpkeepRequest::new().callback(Some(&callback));
    let errors = [
        refused.upkeep(&lab.ctx, request).await.unwrap_err(),
        lab.resolve(&refused, "invoice", &invoice, None, None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.kind(), error.scope()),
            (ErrorKind::ConfigInvalid, &Scope::Connection),
            "{error:?}"
        );
    }
    assert!(lab.sim.subscriptions().is_empty());
    let allowed = builder(&lab.sim).practice(true).build().unwrap();
    lab.look(&allowed, None).await;
    assert_eq!(lab.sim.subscriptions().len(), 6);
    let seen = lab.read(&allowed, "invoice", &invoice).await;
    assert_eq!(seen.state.record().unwrap().tags, ["practice company"]);
    let real = Lab::new();
    let invoice = real.invoice("10");
    let seen = real.read(&real.source(), "invoice", &invoice).await;
    assert!(seen.state.record().unwrap().tags.is_empty());
}
