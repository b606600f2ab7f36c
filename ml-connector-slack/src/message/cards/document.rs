//! The card of a document, a payment, or anything else in the books.

use ml_connector_core::model::{Change, Event, Money, Record, RecordKind, Status};

use super::{
    Fact, NOTE_MAX, VALUE_MAX, context, fact, headline, lines, link, note_of, open, person, sections,
    summary, value,
};
use crate::{
    blocks::{Block, Blocks, ButtonStyle},
    message::{
        Message,
        format::{date, money, words},
    },
};

pub(super) fn card(event: &Event, record: &Record) -> Message {
    let headline = headline(event);
    let deleted = event.changes.contains(&Change::Deleted);
    let blocks = sections(&facts(event, record))
        .chain(lines::table(record, !deleted))
        // A link leads somewhere as long as there is the record.
        .chain(way(event, record).filter(|_| !deleted))
        .fold(Blocks::new().with(Block::header(&headline)), Blocks::with);
    Message::new(&summary(event), blocks.with(context(event)))
}

/// A button where somebody has to act, else a link.
fn way(event: &Event, record: &Record) -> Option<Block> {
    if event.changes.contains(&Change::Submitted) {
        let button = open(record, "Review and approve")?.with_style(ButtonStyle::Primary);
        return Some(Block::Actions { elements: vec![button] });
    }
    link(record)
}

fn facts(event: &Event, record: &Record) -> Vec<Fact> {
    let payment = matches!(record.kind, RecordKind::CustomerPayment | RecordKind::VendorPayment);
    // What a vendor still shows as the balance of a void document means nothing, and a deleted one has none.
    let deleted = event.changes.contains(&Change::Deleted);
    let ended = deleted || record.status == Status::Void;
    let owed = |balance: &&Money| !balance.amount.is_zero() && !ended;
    let balance = record.balance.as_ref().filter(owed).map(money);
    let status = value(&words(record.status.as_str()), VALUE_MAX);
    let about = record.about.as_ref().and_then(|about| value(&about.entity.to_string(), VALUE_MAX));
    let text = |text: &Option<String>| value(text.as_deref()?, VALUE_MAX);
    let books = [
        fact(party(record), record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX))),
        fact("Amount", record.total.as_ref().map(money)),
        fact(if payment { "Unapplied" } else { "Balance due" }, balance),
        fact("Date", record.date.map(date)),
        fact("Due date", record.due_date.map(date)),
        fact("Status", status.filter(|_| has_status(record) && !deleted)),
        fact("Reference", text(&record.reference)),
        fact(paid(record), text(&record.payment_mode)),
        fact("Submitted by", text(&record.submitted_by)),
    ];
    let people = [
        record.actor.as_ref().and_then(|actor| Some(("By", person(actor)?))),
        fact("About", about),
        fact("Marked", value(&record.tags.join(", "), VALUE_MAX)),
        fact("Note", record.note.as_deref().and_then(|note| note_of(note, NOTE_MAX))),
    ];
    books.into_iter().chain(people).flatten().collect()
}

/// What the counterparty is to us.
pub(super) fn party(record: &Record) -> &'static str {
    match record.kind {
        RecordKind::Invoice | RecordKind::CustomerPayment => "Customer",
        RecordKind::Bill | RecordKind::VendorPayment | RecordKind::PurchaseOrder | RecordKind::Expense => {
            "Supplier"
        }
        _ => "Counterparty",
    }
}

fn paid(record: &Record) -> &'static str {
    if record.kind == RecordKind::Expense { "Paid through" } else { "Payment method" }
}

/// Of payments, and of what people do, a status says nothing.
fn has_status(record: &Record) -> bool {
    !matches!(
        record.kind,
        RecordKind::CustomerPayment | RecordKind::VendorPayment | RecordKind::Action | RecordKind::Reaction
    )
}
