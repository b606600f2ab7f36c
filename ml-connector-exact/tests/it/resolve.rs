//! One record, and what an empty list means.

use std::time::Duration;

use ml_connector_core::{
    ErrorKind, Scope, Source,
    model::{DeletionProof, EntityRef, Observed, Resolution, Signal},
};
use ml_connector_sim::exact::{Kind, NewDocument, Right};
use serde_json::json;

use crate::{
    script::{answer, scripted},
    support::{CUSTOMER, Lab, amount, builder, known, pass, told},
};

fn proof(resolution: &Resolution) -> Option<DeletionProof> {
    let Resolution::Observed(seen) = resolution else { return None };
    match seen.first()?.state {
        Observed::Gone(proof) => Some(proof),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn documents_are_read_with_all_their_lines() {
    let lab = Lab::new();
    let source = lab.source();
    for lines in [1, 59, 60, 61, 121] {
        let id = lab.with_lines(Kind::PurchaseEntries, lines);
        let seen = lab.read(&source, "bill", &id).await;
        let record = seen.state.record().unwrap();
        assert_eq!(record.lines.len(), lines);
        assert_eq!(record.lines[lines - 1].description, format!("line {}", lines - 1));
        pass(Duration::from_secs(5)).await;
    }
    assert_eq!((lab.sim.limit_violations(), lab.sim.tallies().parallel_calls), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_gone_only_with_the_right_to_see_it() {
    let lab = Lab::new();
    let source = lab.source();
    let id = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("6012.50")));
    let last = known(&lab.read(&source, "bill", &id).await);

    lab.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    for hint in [None, Some(Signal::SWEPT), Some("PurchaseEntries.update")] {
        let error = lab.resolve(&source, "bill", &id, hint, Some(&last)).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry), "{hint:?}");
    }
    // One that nobody has read before waits for the right, too.
    let error = lab.resolve(&source, "bill", &id, Some("PurchaseEntries.create"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let calls = lab.calls("purchaseentry/PurchaseEntries");
    assert_eq!(
        (lab.calls("users/UserHasRights"), calls),
        (1, 2),
        "a right that is missing is asked for once"
    );
    // A deletion needs no right.
    let deleted = Some("PurchaseEntries.delete");
    let resolved = lab.resolve(&source, "bill", &id, deleted, Some(&last)).await.unwrap();
    assert_eq!(proof(&resolved), Some(DeletionProof::SignedDeletion));
    lab.pass_minutes(15).await;
    lab.sim.tune(|quirks| quirks.rights_are_secret = true);
    let error = lab.resolve(&source, "bill", &id, None, Some(&last)).await.unwrap_err();
    assert!(error.to_string().contains("Organization administration"), "{error}");
    lab.sim.tune(|quirks| quirks.rights_are_secret = false);
    lab.pass_minutes(15).await;

    lab.sim.refuse(Kind::PurchaseEntries, None);
    lab.sim.delete(Kind::PurchaseEntries, &id).unwrap();
    for (hint, expected) in [
        (None, DeletionProof::AbsentTwice),
        (Some(Signal::SWEPT), DeletionProof::AbsentTwice),
        (deleted, DeletionProof::SignedDeletion),
    ] {
        for bare in [false, true] {
            lab.sim.tune(|quirks| quirks.bare_rights = bare);
            let resolved = lab.resolve(&source, "bill", &id, hint, Some(&last)).await.unwrap();
            assert_eq!(proof(&resolved), Some(expected), "{hint:?}");
        }
    }
    let unknown = lab.resolve(&source, "bill", &id, deleted, None).await.unwrap();
    assert!(matches!(unknown, Resolution::Done { .. }), "{unknown:?}");
    let fresh = lab.resolve(&source, "bill", &id, Some("PurchaseEntries.create"), None).await.unwrap();
    assert!(matches!(fresh, Resolution::NotYet { .. }), "{fresh:?}");
    assert_eq!(lab.sim.tallies().blocked_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_line_s_key_leads_to_its_document() {
    let lab = Lab::new();
    let source = lab.source();
    let id = lab.with_lines(Kind::PurchaseEntries, 2);
    let line = lab.sim.line_ids(Kind::PurchaseEntries, &id).remove(1);
    for hint in ["PurchaseEntries.update.line", "PurchaseEntries.update"] {
        let Resolution::Observed(seen) = lab.resolve(&source, "bill", &line, Some(hint), None).await.unwrap()
        else {
            panic!("{hint}");
        };
        assert_eq!(told(&seen[0]), format!("bill/{id} open"), "{hint}");
    }
    let gone = lab.resolve(&source, "bill", &line, Some("PurchaseEntries.delete.line"), None).await.unwrap();
    assert!(matches!(gone, Resolution::Done { .. }), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_of_another_company_stops_the_connection_and_tells_nothing() {
    let lab = Lab::new();
    let source = lab.source();
    let there = lab.sim.within(3_141_594);
    let other = there.create(Kind::SalesInvoices, &NewDocument::new("Somebody else", amount("99")));
    lab.sim.tune(|quirks| quirks.other_division = Some(3_141_594));
    // The other company has a record with this very key.
    let error = lab.resolve(&source, "invoice", &other, None, None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection), "{error:?}");
    assert!(!format!("{error:?}").contains("Somebody"));
    let swept = lab.run(&source, "all_sales_invoices", ml_connector_core::model::PollMode::Sweep, None).await;
    assert_eq!(swept.unwrap_err().scope(), &Scope::Connection);
}

#[tokio::test(start_paused = true)]
async fn a_refused_resource_says_which_of_three_causes_it_has() {
    for (right, word) in [(Right::ForbiddenByRole, "role"), (Right::ForbiddenByModule, "module")] {
        let lab = Lab::new();
        let source = lab.source();
        lab.sim.refuse(Kind::GeneralJournalEntries, Some(right));
        let id = lab.sim.create(Kind::GeneralJournalEntries, &NewDocument::new(CUSTOMER, amount("100")));
        let error = lab.resolve(&source, "journal_entry", &id, None, None).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_links_and_never_to_elsewhere() {
    let lab = Lab::new();
    let source = lab.source();
    let new = NewDocument::new(CUSTOMER, amount("1000")).with_document();
    let id = lab.sim.create(Kind::PurchaseEntries, &new);
    let seen = lab.read(&source, "bill", &id).await;
    let record = seen.state.record().unwrap();
    assert!(
        record.url.as_ref().unwrap().starts_with("https://start.exactonline.nl/docs/"),
        "{:?}",
        record.url
    );
    assert_eq!(record.attachments.len(), 1);
    let own = record.attachments[0].url.as_ref().unwrap();
    assert!(own.starts_with("https://start.exactonline.nl/docs/SysAttachment.aspx?ID="), "{own}");
    // A link that leads elsewhere is not shown, and the file is named all the same.
    for elsewhere in [
        "https://evil.example/docs/SysAttachment.aspx",
        "http://start.exactonline.nl/docs/x",
        "javascript:alert(1)",
    ] {
        let (script, ctx) = scripted(&lab);
        let uri = "https://start.exactonline.nl/api/v1/3141593/documents/DocumentAttachments";
        let row = json!({
            "__metadata": { "uri": uri },
            "ID": "a8e5638f-5fb2-46bf-b895-bb18600e3c6a",
            "FileName": "F-2026-0311.pdf",
            "Url": elsewhere,
        });
        script.says("documents/DocumentAttachments", [answer(200, &json!({ "d": { "results": [row] } }))]);
        let signal = [Signal::entity(EntityRef::new("bill", id.as_str()))];
        let Resolution::Observed(seen) = source.resolve(&ctx, &signal, None).await.unwrap() else { panic!() };
        let files = &seen[0].state.record().unwrap().attachments;
        assert_eq!(
            (files.len(), &*files[0].name, &files[0].url),
            (1, "F-2026-0311.pdf", &None),
            "{elsewhere}"
        );
    }
    let without = builder(&lab.sim).attachments(false).build().unwrap();
    assert!(lab.read(&without, "bill", &id).await.state.record().unwrap().attachments.is_empty());
}

/// Many records wait for one right: they share the answers, and leave the company's calls to everything else.
#[tokio::test(start_paused = true)]
async fn a_hundred_records_that_wait_for_a_right_cost_few_calls() {
    let lab = Lab::new();
    let source = lab.source();
    let new = || lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("6012.50")));
    let ids: Vec<String> = (0..100).map(|_| new()).collect();
    lab.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    let hint = Some("PurchaseEntries.create");
    lab.resolve(&source, "bill", &ids[0], hint, None).await.unwrap_err();
    let before = lab.sim.received().len();
    // Each is tried once an hour, as the engine does.
    for round in 0..96 {
        lab.pass_minutes(15).await;
        for id in ids.iter().skip(round % 4).step_by(4) {
            let error = lab.resolve(&source, "bill", id, hint, None).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
    }
    let (asked, calls) = (lab.calls("users/UserHasRights"), lab.sim.received().len() - before);
    assert!(asked <= 97 && calls < 250, "{asked} questions for the right, {calls} calls of the day");
    lab.sim.refuse(Kind::PurchaseEntries, None);
    lab.pass_minutes(15).await;
    for id in &ids {
        let read = lab.resolve(&source, "bill", id, hint, None).await.unwrap();
        assert!(matches!(read, Resolution::Observed(_)), "{read:?}");
        lab.pass_minutes(1).await;
    }
}
