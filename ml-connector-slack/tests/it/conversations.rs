//! The cards of approvals and of what people do, the brief form, and digests: compared with stored ones.

use std::sync::Arc;

use ml_connector_core::{
    approval::Choice,
    model::{Actor, Change, DocumentRef, EntityRef, Event, Party, Record, RecordKind, Status},
};
use ml_connector_slack::message::{Brief, Cards, DigestTemplate, Message, PostCards, Table, Template};
use serde_json::{Value, json};

use crate::{
    cards::{bill, line, stored},
    support::{event, invoice},
};

/// An approval of a bill, as its source tells of it.
fn approval(status: Status) -> Record {
    let mut record = bill();
    record.kind = RecordKind::Approval;
    record.id = "5d1c0f7e3a604c1e9a532f6f0f3f7a10".into();
    record.reference = Some("2".into());
    record.status = status;
    record.balance = None;
    record.lines = vec![line("Paper, A4", "40", "480"), line("Toner", "2", "500")];
    record.about = Some(DocumentRef {
        connection: "books".into(),
        entity: EntityRef::new("bill", "481500000000105001"),
        n: 3,
    });
    record
}

fn decided(status: Status, change: Change, note: Option<&str>) -> Event {
    let mut record = approval(status);
    let mut actor = Actor::new("slack", "U07APPROV1");
    actor.name = Some("Anna *Verhoeven*".into());
    record.actor = Some(actor);
    record.note = note.map(str::to_owned);
    event(record, &[change])
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
fn a_request_that_cannot_be_decided_here_has_no_buttons() {
    let mut record = approval(Status::PendingApproval);
    record.reference = None;
    let message = Cards.render(&event(record, &[Change::Requested]));
    assert!(!has_buttons(&message));
    assert_eq!(message.blocks().validate(), Ok(()));
}

#[test]
fn a_request_carries_its_choice_and_a_decision_nothing_to_click() {
    let request = event(approval(Status::PendingApproval), &[Change::Requested]);
    let message = Cards.render(&request);
    let actions = blocks(&message).into_iter().find(|block| block["type"] == "actions").unwrap();
    let values: Vec<_> = actions["elements"].as_array().unwrap().iter().map(|it| &it["value"]).collect();
    let choice = Choice::parse(values[0].as_str().unwrap()).unwrap();
    assert_eq!((&*choice.approval, &*choice.request), ("5d1c0f7e3a604c1e9a532f6f0f3f7a10", "2"));
    assert_eq!(values[0], values[1]);
    // In the brief form too: a line cannot be clicked.
    assert_eq!(Brief.render(&request), message);

    for change in [
        Change::Approved,
        Change::Posted,
        Change::Rejected,
        Change::Refused,
        Change::Expired,
        Change::Superseded,
    ] {
        let message = Cards.render(&decided(Status::Approved, change, Some("why")));
        assert!(!has_buttons(&message), "{change}");
        let told = json!(message.blocks()).to_string();
        assert!(told.contains("Anna *Verhoeven*") && told.contains("<!date^"), "{change}: {told}");
    }
}

#[test]
fn where_being_approved_means_being_posted_the_button_says_so() {
    let request = event(approval(Status::PendingApproval), &[Change::Requested]);
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
    let pending = || event(approval(Status::PendingApproval), &[Change::Requested]);
    stored("approval.requested", &Cards.render(&pending()));
    let reminded = event(approval(Status::PendingApproval), &[Change::Reminded]);
    stored("approval.reminded", &Cards.render(&reminded));
    let of = |status, change, note| Cards.render(&decided(status, change, note));
    stored("approval.approved", &of(Status::Approved, Change::Approved, None));
    stored("approval.posted", &of(Status::Approved, Change::Posted, None));
    stored("approval.rejected", &of(Status::Rejected, Change::Rejected, Some("Wrong cost center\n<!here>")));
    stored("approval.refused", &of(Status::Approved, Change::Refused, Some("the period is closed")));
    let nobody = |change| Cards.render(&event(approval(Status::Other("expired".into())), &[change]));
    stored("approval.expired", &nobody(Change::Expired));
    stored("approval.superseded", &nobody(Change::Superseded));
    // Without a name Slack shows who it was.
    let mut mentioned = decided(Status::Approved, Change::Approved, None);
    mentioned.record.as_mut().unwrap().actor = Some(Actor::new("slack", "U07APPROV1"));
    stored("approval.approved.mention", &Cards.render(&mentioned));
}

#[test]
fn what_people_do_and_are_told_looks_as_stored() {
    let mut answer = Record::new(RecordKind::Answer, "1", Status::Open);
    answer.note = Some("Anna decided already: <!channel> approved at 10:04.".into());
    stored("answer.created", &Cards.render(&event(answer, &[Change::Created])));

    let mut reaction = Record::new(RecordKind::Reaction, "C07APPROV1/1/U07CLERK01/eyes", Status::Open);
    reaction.tags = vec!["eyes".into()];
    reaction.actor = Some(Actor::new("slack", "U07CLERK01"));
    reaction.about = approval(Status::Open).about;
    stored("reaction.created", &Cards.render(&event(reaction, &[Change::Created])));
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
    hostile.counterparty = Some(Party { id: "1".into(), name: "<!channel> *x*".into() });
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
