//! The card that asks for a decision, and what it says once there is one.

use ml_connector_core::{
    approval::Choice,
    model::{Change, Event, Record, RecordKind},
};

use super::{
    Fact, NOTE_MAX, VALUE_MAX, context, document::party, fact, lines, link, named, note_of, open, person,
    sections, summary, told, value,
};
use crate::{
    blocks::{Block, Blocks, Button, ButtonStyle, Confirm, Markup, Text, TextInput},
    message::{
        Message,
        format::{date, money, noun, verb},
    },
};

/// The longest reason that is taken; the clicker sees it count down.
const REASON_MAX: usize = 500;

/// `approve` is what the button that approves says.
pub(super) fn card(event: &Event, record: &Record, approve: &str) -> Message {
    let open = matches!(told(event), Change::Requested | Change::Reminded);
    let headline = headline(event, record);
    let mut blocks = sections(&facts(record, open))
        .chain(lines::table(record, true))
        .fold(Blocks::new().with(Block::header(&headline)), Blocks::with);
    if open {
        buttons(record, &summary(event), approve).into_iter().for_each(|block| blocks.push(block));
    } else {
        sections(&decision(event, record)).chain(link(record)).for_each(|block| blocks.push(block));
    }
    Message::new(&summary(event), blocks.with(context(event)))
}

/// `Bill B-77 needs approval`, `Bill B-77 rejected`.
pub(super) fn headline(event: &Event, record: &Record) -> String {
    let kind =
        record.about.as_ref().map_or(RecordKind::Approval, |about| RecordKind::from(&*about.entity.kind));
    let document = named(&noun(&kind), record.number.as_deref());
    match told(event) {
        Change::Requested => format!("{document} needs approval"),
        Change::Reminded => format!("Reminder: {document} needs approval"),
        Change::Posted => format!("{document} approved and posted"),
        Change::Refused => format!("{document} was approved, but the books refuse it"),
        Change::Expired => format!("{document}: nobody decided in time"),
        Change::Superseded => format!("{document} changed: this request no longer counts"),
        change => format!("{document} {}", verb(change)),
    }
}

/// What somebody has to know to decide; later, what was decided about.
fn facts(record: &Record, open: bool) -> Vec<Fact> {
    let text = |text: &Option<String>| value(text.as_deref()?, VALUE_MAX);
    let facts = [
        fact(supplier(record), record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX))),
        fact("Amount", record.total.as_ref().map(money)),
        fact("Date", record.date.map(date)),
        fact("Due date", record.due_date.map(date)),
        fact("Submitted by", text(&record.submitted_by)),
        fact("Note", record.note.as_deref().filter(|_| open).and_then(|note| note_of(note, NOTE_MAX))),
    ];
    facts.into_iter().flatten().collect()
}

/// The counterparty's part in the document that is to be approved.
fn supplier(record: &Record) -> &'static str {
    let Some(about) = &record.about else { return party(record) };
    let document = Record::new(RecordKind::from(&*about.entity.kind), "", record.status.clone());
    party(&document)
}

/// Who decided, when, and what came of it.
fn decision(event: &Event, record: &Record) -> Vec<Fact> {
    let by = record.actor.as_ref().and_then(person);
    let note = record.note.as_deref().and_then(|note| note_of(note, NOTE_MAX));
    let facts = [
        by.map(|who| (if told(event) == Change::Rejected { "Rejected by" } else { "Decided by" }, who)),
        Some(("When", Text::markup(Markup::new().instant(event.at)))),
        fact(if told(event) == Change::Refused { "Why" } else { "Reason" }, note),
    ];
    facts.into_iter().flatten().collect()
}

/// A line for a reason, and the buttons; only the way to the books when nobody can say which request they decide.
fn buttons(record: &Record, about: &str, approve: &str) -> Vec<Block> {
    let look = open(record, "Open the record");
    let Some(request) = record.reference.as_deref() else {
        return look.map(|button| Block::Actions { elements: vec![button] }).into_iter().collect();
    };
    let choice = Choice::new(&*record.id, request).to_value();
    let reason = TextInput::new(Choice::REASON)
        .with_length(0, REASON_MAX)
        .with_placeholder("For a rejection: what is wrong?");
    let reason = match Block::input(Choice::REASON, "Reason", reason) {
        Block::Input { block_id, label, element, .. } => {
            Block::Input { block_id, label, element, optional: true }
        }
        other => other,
    };
    let ask = |title: &str, yes: &str| Confirm::new(title, about, yes, "Cancel");
    let mut elements = vec![
        Button::new(Choice::APPROVE, approve)
            .with_value(choice.clone())
            .with_style(ButtonStyle::Primary)
            .with_confirm(ask(&format!("{approve}?"), approve)),
        Button::new(Choice::REJECT, "Reject")
            .with_value(choice)
            .with_style(ButtonStyle::Danger)
            .with_confirm(ask("Reject?", "Reject")),
    ];
    elements.extend(look);
    vec![reason, Block::Actions { elements }]
}
