//! The cards of approvals and of what people do, the brief form, and digests: compared with stored ones.

use std::sync::Arc;

use ml_connector_core::{
    approval::Choice,
    model::{
        Actor, Approval, ApprovalStatus, Change, Decision, DocumentRef, EntityRef, Event, Interaction,
        LiesIn, Party, PostedDocument, PrivateAnswer, Reaction, Refusal, Reply,
    },
};
use ml_connector_slack::message::{Brief, Cards, DigestTemplate, Message, PostCards, Table, Template};
use serde_json::{Value, json};

use crate::{
    cards::{bill, line, stored},
    support::{NOW, event, interacted, invoice},
};

const ID: &str = "5d1c0f7e3a604c1e9a532f6f0f3f7a10";

/// An approval of a bill, as its source tells of it.
fn approval(status: ApprovalStatus) -> Approval {
    let mut shown = bill();
    shown.lines = vec![line("Paper, A4", "40", "480"), line("Toner", "2", "500")];
    let document =
        DocumentRef { connection: "books".into(), entity: EntityRef::new("bill", &*shown.id), n: 3 };
    let mut approval = Approval::new("2-c81e728d".into(), document, Box::new(shown), NOW);
    approval.status = status;
    approval
}

fn told(approval: Approval) -> Event {
    interacted(ID, Interaction::Approval(approval))
}

fn decided(status: ApprovalStatus, reason: Option<&str>) -> Approval {
    let mut approval = approval(status);
    let mut actor = Actor::new("slack", "U07APPROV1");
    actor.name = Some("Anna *Verhoeven*".into());
    let mut decision = Decision::new(actor, NOW);
    decision.reason = reason.map(str::to_owned);
    approval.decision = Some(decision);
    approval
}

fn refused(sentence: &str, lies_in: LiesIn) -> Approval {
    let mut approval = decided(ApprovalStatus::Refused, None);
    let mut refusal = Refusal::new("zoho_books.approve: conflict (code=9)");
    (refusal.sentence, refusal.lies_in) = (Some(sentence.into()), lies_in);
    approval.refusal = Some(refusal);
    approval
}

fn blocks(message: &Message) -> Vec<Value> {
    let Value::Array(blocks) = json!(message.blocks()) else { panic!() };
    blocks
}

fn has_buttons(message: &Message) -> bool {
    let text = json!(message.blocks()).to_string();
    text.contains(Choice::APPROVE) || text.contains(Choice::REJECT) || text.contains(Choice::REASON)
}

#[test]
fn a_request_carries_its_choice_and_a_decision_nothing_to_click() {
    let request = told(approval(ApprovalStatus::Requested));
    let message = Cards.render(&request);
    let actions = blocks(&message).into_iter().find(|block| block["type"] == "actions").unwrap();
    let values: Vec<_> = actions["elements"].as_array().unwrap().iter().map(|it| &it["value"]).collect();
    let choice = Choice::parse(values[0].as_str().unwrap()).unwrap();
    assert_eq!((&*choice.approval, choice.request.as_str()), (ID, "2-c81e728d"));
    assert_eq!(values[0], values[1]);
    // In the brief form too: a line cannot be clicked.
    assert_eq!(Brief.render(&request), message);

    for status in [
        ApprovalStatus::Approved,
        ApprovalStatus::PartiallyApproved,
        ApprovalStatus::Posted,
        ApprovalStatus::Rejected,
        ApprovalStatus::Refused,
        ApprovalStatus::Expired,
        ApprovalStatus::Superseded,
        ApprovalStatus::DoneElsewhere,
    ] {
        let message = Cards.render(&told(decided(status, Some("why"))));
        assert!(!has_buttons(&message), "{status:?}");
        let told = json!(message.blocks()).to_string();
        assert!(told.contains("Anna *Verhoeven*") && told.contains("<!date^"), "{status:?}: {told}");
    }
}

#[test]
fn the_books_can_try_again_only_where_the_cause_lies_elsewhere() {
    for (lies_in, expected) in
        [(LiesIn::Elsewhere, true), (LiesIn::Document, false), (LiesIn::Unknown, false)]
    {
        let message = Cards.render(&told(refused("the period is closed", lies_in)));
        let text = json!(message.blocks()).to_string();
        assert_eq!(text.contains(Choice::RETRY), expected, "{text}");
        assert!(!has_buttons(&message) && text.contains("the period is closed"), "{text}");
        assert_eq!(text.contains("the books refuse it"), lies_in != LiesIn::Unknown, "{text}");
    }
}

#[test]
fn where_being_approved_means_being_posted_the_button_says_so() {
    let request = told(approval(ApprovalStatus::Requested));
    let words = |message: &Message| -> Vec<String> {
        let actions = blocks(message).into_iter().find(|block| block["type"] == "actions").unwrap();
        let elements = actions["elements"].as_array().unwrap();
        elements.iter().map(|button| button["text"]["text"].as_str().unwrap().to_owned()).collect()
    };
    let (approve, post) = (words(&Cards.render(&request)), words(&PostCards.render(&request)));
    assert_eq!(
        (&approve[..2], &post[..2]),
        (&["Approve".into(), "Reject".into()][..], &["Post".into(), "Reject".into()][..])
    );
    assert_eq!(PostCards.render(&request).blocks().validate(), Ok(()));
}

#[test]
fn approvals_look_as_stored() {
    let check = |name: &str, approval| stored(name, &Cards.render(&told(approval)));
    check("approval.requested", approval(ApprovalStatus::Requested));
    check("approval.reminded", approval(ApprovalStatus::Reminded));
    check("approval.approved", decided(ApprovalStatus::Approved, None));
    check("approval.partially_approved", decided(ApprovalStatus::PartiallyApproved, None));
    let mut posted = decided(ApprovalStatus::Posted, None);
    let mut result = PostedDocument::of(&bill());
    result.number = Some("B-2026-77".into());
    posted.result = Some(result);
    check("approval.posted", posted.clone());
    posted.result.as_mut().unwrap().differs = true;
    check("approval.posted.edited", posted);
    check("approval.rejected", decided(ApprovalStatus::Rejected, Some("Wrong cost center\n<!here>")));
    check("approval.refused", refused("the period is closed", LiesIn::Elsewhere));
    check("approval.expired", approval(ApprovalStatus::Expired));
    check("approval.superseded", approval(ApprovalStatus::Superseded));
    check("approval.done_elsewhere", approval(ApprovalStatus::DoneElsewhere));
    // Without a name Slack shows who it was.
    let mut mentioned = approval(ApprovalStatus::Approved);
    mentioned.decision = Some(Decision::new(Actor::new("slack", "U07APPROV1"), NOW));
    check("approval.approved.mention", mentioned);
}

#[test]
fn what_people_do_and_are_told_looks_as_stored() {
    let clerk = || Actor::new("slack", "U07CLERK01");
    let text = "Anna decided already: <!channel> approved at 10:04.";
    let answer = Interaction::Answer(PrivateAnswer::new(clerk(), Reply::Unknown, text));
    stored("answer.created", &Cards.render(&interacted("1", answer)));

    let about = approval(ApprovalStatus::Approved).document;
    let reaction = Interaction::Reaction(Reaction::new("eyes", clerk(), about, NOW));
    stored("reaction.created", &Cards.render(&interacted("C07APPROV1/1/U07CLERK01/eyes", reaction)));
}

#[test]
fn the_brief_form_looks_as_stored() {
    stored("brief.invoice.paid", &Brief.render(&event(invoice(), &[Change::Paid])));
    stored("brief.invoice.deleted", &Brief.render(&event(invoice(), &[Change::Deleted])));
}

#[test]
fn digests_look_as_stored() {
    let overdue: Vec<Event> = (1..=3)
        .map(|n| {
            let mut record = invoice();
            record.number = Some(format!("INV-00010{n}"));
            event(record, &[Change::Overdue(7)])
        })
        .collect();
    let events: Vec<&Event> = overdue.iter().collect();
    stored("digest.overdue", &Table.render(&events));

    let mut hostile = bill();
    hostile.counterparty = Some(Party { id: Some("1".into()), name: "<!channel> *x*".into() });
    let submitted = event(hostile, &[Change::Submitted]);
    let events: Vec<&Event> = events.into_iter().chain([&submitted]).collect();
    stored("digest.mixed", &Table.render(&events));
}

#[test]
fn fifty_events_have_fifty_rows_even_when_their_links_are_too_long_to_be_kept() {
    for path in [10, 2000] {
        let mut record = invoice();
        record.url = Some(format!("https://books.example/{}", "a".repeat(path)));
        record.number = Some("9".repeat(500));
        record.counterparty.as_mut().unwrap().name = "\u{6f22}".repeat(500);
        let event = Arc::new(event(record, &[Change::Paid]));
        let events: Vec<&Event> = (0..50).map(|_| &*event).collect();
        let message = Table.render(&events);
        assert_eq!(message.blocks().validate(), Ok(()));
        let table = blocks(&message).into_iter().find(|block| block["type"] == "table").unwrap();
        assert_eq!(table["rows"].as_array().unwrap().len(), 51);
        assert_eq!(table["rows"][1][0]["type"], if path == 10 { "rich_text" } else { "raw_text" });
    }
}

#[test]
fn a_button_that_posts_says_that_it_cannot_be_undone() {
    for (posts, says) in [(true, "Posting cannot be undone."), (false, "It cannot be taken back here.")] {
        let mut asked = approval(ApprovalStatus::Requested);
        asked.posts = posts;
        let text = json!(Cards.render(&told(asked)).blocks()).to_string();
        assert!(text.contains(says), "{text}");
    }
}
