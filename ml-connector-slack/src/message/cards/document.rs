//! The card of a document, a payment, or anything else in the books.

use ml_connector_core::model::{Change, Event, Money, Record, RecordKind, Status};

use super::{
    Assignee, Fact, VALUE_MAX, assignee::responsible, changed, context, fact, headline, lines, link, open,
    sections, summary, total, value, within,
};
use crate::{
    blocks::{Block, Blocks, ButtonStyle, Markup, Text, safe_url},
    message::{
        Message,
        format::{date, money, words},
    },
};

/// How many files beside a record are named.
const FILES_SHOWN: usize = 5;
const FILE_NAME_MAX: usize = 60;
const FILE_URL_MAX: usize = 300;

pub(super) fn card(event: &Event, record: &Record, assignee: &Assignee) -> Message {
    let headline = headline(event);
    let deleted = event.changes.contains(&Change::Deleted);
    let facts = facts(event, record, assignee);
    let blocks = within(lines::has_table(record), |room| {
        sections(&facts, room.text)
            .chain(lines::table(record, !deleted, room.table))
            .chain(attachments(record).filter(|_| !deleted))
            // A link leads somewhere as long as there is the record.
            .chain(way(event, record).filter(|_| !deleted))
            .fold(Blocks::new().with(Block::header(&headline)), Blocks::with)
            .with(context(event))
    });
    Message::new(&summary(event), blocks)
}

/// A button where somebody has to act, else a link.
fn way(event: &Event, record: &Record) -> Option<Block> {
    if event.changes.contains(&Change::Submitted) {
        let button = open(record, "Review and approve")?.with_style(ButtonStyle::Primary);
        return Some(Block::Actions { elements: vec![button] });
    }
    link(record)
}

fn facts(event: &Event, record: &Record, assignee: &Assignee) -> Vec<Fact> {
    let payment = matches!(record.kind, RecordKind::CustomerPayment | RecordKind::VendorPayment);
    // What a vendor still shows as the balance of a void document means nothing, and a deleted one has none.
    let deleted = event.changes.contains(&Change::Deleted);
    let ended = deleted || record.status == Status::Void;
    let owed = |balance: &&Money| !balance.amount.is_zero() && !ended;
    let balance = record.balance.as_ref().filter(owed).map(money);
    let status = value(&words(record.status.as_str()), VALUE_MAX);
    let due_before = event.before.as_ref().and_then(|before| before.due_date).map(date);
    let text = |text: &Option<String>| value(text.as_deref()?, VALUE_MAX);
    let books = [
        fact(party(record), record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX))),
        fact("Amount", total(event, record)),
        fact(if payment { "Unapplied" } else { "Balance due" }, balance),
        fact("Date", record.date.map(date)),
        fact("Due date", changed(record.due_date.map(date), due_before)),
        fact("Status", status.filter(|_| has_status(record) && !deleted)),
        fact("Reference", text(&record.reference)),
        fact(paid(record), text(&record.payment_mode)),
        fact("Subject", text(&record.subject)),
        fact("Journal", record.journal.as_ref().and_then(|journal| value(&journal.label()?, VALUE_MAX))),
        fact("In base currency", base(record)),
        fact("Tax", record.tax.as_ref().map(money)),
        fact("Submitted by", record.submitted_by.as_ref().and_then(responsible)),
        record.assignee.as_ref().and_then(|person| Some(("Responsible", assignee.text(person)?))),
        fact("Tags", value(&record.tags.join(", "), VALUE_MAX)),
    ];
    books.into_iter().flatten().collect()
}

/// The total in the organisation's currency, and at which rate.
pub(super) fn base(record: &Record) -> Option<String> {
    let base =
        record.base_total.filter(|base| record.total.is_none_or(|total| total.currency != base.currency))?;
    let rate = record.exchange_rate.map(|rate| format!(" at {}", rate.normalize()));
    Some(format!("{}{}", money(&base), rate.unwrap_or_default()))
}

/// The files beside the record: links where they have one.
pub(super) fn attachments(record: &Record) -> Option<Block> {
    if record.attachments.is_empty() {
        return None;
    }
    let mut markup = Markup::new().text("Files: ");
    for (i, file) in record.attachments.iter().take(FILES_SHOWN).enumerate() {
        let name = value(&file.name, FILE_NAME_MAX).unwrap_or_else(|| "file".to_owned());
        markup = if i > 0 { markup.text(", ") } else { markup };
        markup = match file.url.as_deref().filter(|url| url.len() <= FILE_URL_MAX).and_then(safe_url) {
            Some(url) => markup.link(&url, &name),
            None => markup.text(&name),
        };
    }
    let more = record.attachments.len().saturating_sub(FILES_SHOWN);
    let markup = if more > 0 { markup.text(&format!(" and {more} more")) } else { markup };
    Some(Block::context(vec![Text::markup(markup)]))
}

/// What the counterparty is to us.
pub(super) fn party(record: &Record) -> &'static str {
    match record.kind {
        RecordKind::Invoice
        | RecordKind::CustomerPayment
        | RecordKind::SalesOrder
        | RecordKind::CreditNote => "Customer",
        RecordKind::Bill | RecordKind::VendorPayment | RecordKind::PurchaseOrder | RecordKind::Expense => {
            "Supplier"
        }
        _ => "Counterparty",
    }
}

fn paid(record: &Record) -> &'static str {
    if record.kind == RecordKind::Expense { "Paid through" } else { "Payment method" }
}

/// Of payments a status says nothing.
fn has_status(record: &Record) -> bool {
    !matches!(record.kind, RecordKind::CustomerPayment | RecordKind::VendorPayment | RecordKind::BillPayment)
}
