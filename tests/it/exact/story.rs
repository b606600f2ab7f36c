//! Exact Online → Slack: what a company sees of what happens in its books, and of what goes wrong.

use http::StatusCode;
use ml_connector_core::{audit::EntryKind, model::Decimal};
use ml_connector_sim::{
    ExactOnlineSim,
    exact::{Kind, NewDocument, NewLine, Settlement},
};

use super::stage::{SUPPLIER, Story};
use crate::world::{ACCOUNTING, amount, secs};

#[tokio::test(start_paused = true)]
async fn a_purchase_invoice_shows_its_allocation_and_its_files() {
    let story = Story::new().await;
    let line = |text: &str, cents, code: &str, name: &str| {
        NewLine::new(text, amount(cents)).for_cost_center(code, name)
    };
    let new = NewDocument::empty(SUPPLIER)
        .line(line("Goods", 520_000, "DC1", "Nijmegen"))
        .line(line("Transport", 81_250, "DC2", "Venlo"))
        .with_your_ref("F-2026-0311")
        .with_document();
    let id = story.sim.create(Kind::PurchaseEntries, &new);
    let document = story.sim.field(Kind::PurchaseEntries, &id, "Document").unwrap();
    story.later(secs(60)).await;
    let posts = story.slack.posts(ACCOUNTING);
    let text = posts.iter().map(|post| post.blocks.to_string()).find(|text| text.contains(SUPPLIER)).unwrap();
    for shown in ["DC1", "Nijmegen", "DC2", "Venlo", "F-2026-0311", "5,200.00", "812.50"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let view = format!("https://start.exactonline.nl/docs/DocViewContent.aspx?ID={document}");
    assert!(text.contains(&view), "the document: {text}");
    assert!(text.contains("https://start.exactonline.nl/docs/SysAttachment.aspx?ID="), "its file: {text}");
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_known_record_that_the_list_of_deletions_names_is_told_as_deleted() {
    let story = Story::new().await;
    let invoice = story.sim.create(Kind::SalesInvoices, &NewDocument::new(SUPPLIER, amount(12_345)));
    story.later(secs(60)).await;
    assert_eq!(story.says("123.45"), 1);
    story.sim.delete(Kind::SalesInvoices, &invoice).unwrap();
    story.silence(secs(1_300)).await;
    assert_eq!((story.says("deleted"), story.says("123.45")), (1, 2), "{:#?}", story.slack.posts(ACCOUNTING));
    // The webhook comes at last.
    story.sim.announce(Kind::SalesInvoices, "Delete", &invoice);
    story.later(secs(1_300)).await;
    assert_eq!(story.says("deleted"), 1);
    // Of what nobody has told nothing is told.
    story.sim.announce(Kind::SalesInvoices, "Delete", "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10");
    story.later(secs(120)).await;
    assert_eq!(story.says("deleted"), 1);
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_signed_webhook_of_a_company_without_connection_is_kept_and_told() {
    let story = Story::new().await;
    let credentials = story.sim.credentials();
    let content = format!(
        r#"{{"Topic":"PurchaseEntries","ClientId":"{}","Division":3141699,"Action":"Update","Key":"6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"}}"#,
        credentials.client_id
    );
    let url = story.sim.subscriptions().remove(0).callback_url;
    let request = ExactOnlineSim::forge(&url, &content, Some(&credentials.webhook_secret)).unwrap();
    assert_eq!(story.connector().receive(request).await.status(), StatusCode::OK);
    story.later(secs(60)).await;
    assert_eq!(story.health().await.unrouted, 1);
    let notes = story.entries(EntryKind::Note).await;
    assert!(format!("{notes:?}").contains("unrouted"), "{notes:?}");
    assert_eq!(story.says("unrouted"), 1, "{:#?}", story.slack.posts(ACCOUNTING));
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn changes_within_seconds_are_one_message_and_lines_are_told_by_their_document() {
    let story = Story::new().await;
    story.sim.tune(|quirks| quirks.tells_lines = true);
    let bill = story.bill(10_000);
    story.sim.set_total(Kind::PurchaseEntries, &bill, Decimal::from(333)).unwrap();
    story.later(secs(60)).await;
    assert_eq!((story.says(SUPPLIER), story.says("333.00")), (1, 1));
    story.ends_well().await;
}

/// Money is told once, however its payment is matched later: in one part or in several.
#[tokio::test(start_paused = true)]
async fn a_payment_that_is_matched_in_parts_is_told_once() {
    let story = Story::new().await;
    let (one, other) = (story.bill(100_000), story.bill(250_000));
    story.later(secs(60)).await;
    let terms = [&one, &other].map(|bill| story.sim.open_terms(bill).remove(0));
    for bill in [&one, &other] {
        story.sim.settle(bill, Settlement::Bank).unwrap();
    }
    story.later(secs(1_300)).await;
    let payments = async || {
        let told = story.told().await;
        told.into_iter().filter(|told| told.starts_with("vendor_payment")).collect::<Vec<_>>()
    };
    let mut told = terms.clone().map(|(_, term)| format!("vendor_payment.created {term}"));
    told.sort();
    let mut first = payments().await;
    first.sort();
    assert_eq!(first, told);

    // Both are matched, one of them in two parts, which splits its term.
    let [(kind, whole), (_, matched)] = &terms;
    let rest = story.sim.split_term(*kind, whole, Decimal::from(600)).unwrap();
    for term in [whole, &rest, matched] {
        story.sim.match_term(*kind, term).unwrap();
    }
    story.later(secs(1_300)).await;
    // Later the row is stamped anew by itself.
    story.sim.set(*kind, &rest, "YourRef", "F-2026-0311").unwrap();
    story.later(secs(1_300)).await;
    assert_eq!(payments().await.len(), 2, "{:#?}", payments().await);

    // What is paid of an invoice in parts is told part by part all the same.
    let third = story.bill(90_000);
    story.later(secs(60)).await;
    for (part, expected) in [(Some(40_000), 3), (Some(30_000), 4), (None, 5)] {
        story.sim.settle_part(&third, Settlement::Bank, part.map(amount)).unwrap();
        story.later(secs(1_300)).await;
        assert_eq!(payments().await.len(), expected, "{:#?}", payments().await);
    }
    story.ends_well().await;
}
