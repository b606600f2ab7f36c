//! The built-in templates: one card per event.

use ml_connector_core::model::{Change, Event, Money, Record, RecordKind, Status};

use super::{
    Message, Template,
    format::{date, money, noun, verb, words},
};
use crate::blocks::{
    Align, Block, Blocks, Button, ButtonStyle, Cell, Column, Markup, Text, safe_url, shorten_literal, visible,
};

/// How many lines of a document a card shows.
const LINES_SHOWN: usize = 10;
/// Long enough for every name people recognize; a card is no document.
const VALUE_MAX: usize = 300;
const NUMBER_MAX: usize = 60;
const CELL_MAX: usize = 200;
/// Two texts per fact, at most ten per section.
const FACTS_PER_SECTION: usize = 5;

/// The built-in templates: a headline, the facts in two columns, the lines as a table, a link, and small type that
/// names the event. Every text of the record is shown literally.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cards;

impl Template for Cards {
    fn render(&self, event: &Event) -> Message {
        let headline = headline(event);
        let mut blocks = Blocks::new().with(Block::header(&headline));
        let Some(record) = &event.record else {
            let facts = outcome(event);
            if !facts.is_empty() {
                blocks.push(Block::fields(facts.iter().flat_map(fact).collect()));
            }
            blocks.push(context(event));
            return Message::new(&headline, blocks);
        };
        for facts in facts(event, record).chunks(FACTS_PER_SECTION) {
            blocks.push(Block::fields(facts.iter().flat_map(fact).collect()));
        }
        rows(record).into_iter().for_each(|block| blocks.push(block));
        link(event, record).into_iter().for_each(|block| blocks.push(block));
        blocks.push(context(event));
        Message::new(&summary(&headline, record), blocks)
    }
}

/// What is known of a record under a label.
type Fact = (&'static str, String);

/// The label in bold; the value literal, because it may come from outside.
fn fact((label, value): &Fact) -> [Text; 2] {
    [Text::markup(Markup::new().bold(label)), Text::plain(value)]
}

/// `Invoice INV-000101 7+ days overdue`, `Payment received`.
fn headline(event: &Event) -> String {
    // Several thresholds may have passed at once; the last one says how late it is.
    let overdue = event.changes.iter().rev().find(|change| matches!(change, Change::Overdue(_)));
    let change = match event.changes.first() {
        Some(Change::Overdue(_)) => overdue,
        first => first,
    };
    let change = change.copied().unwrap_or(Change::Updated);
    let kind = RecordKind::from(&*event.entity.kind);
    let number = match &event.record {
        Some(record) => record.number.as_deref(),
        // Connections and deliveries are called by their ids; those of records mean nothing to people.
        None => Some(&*event.entity.id).filter(|_| event.is_outcome()),
    };
    let number = number.and_then(|number| value(number, NUMBER_MAX));
    let named = |noun: &str| number.as_ref().map_or(noun.to_owned(), |number| format!("{noun} {number}"));
    match (&kind, change) {
        (RecordKind::CustomerPayment, Change::Created) => format!("{} received", named("Payment")),
        (RecordKind::VendorPayment, Change::Created) => format!("{} made", named("Payment")),
        _ => format!("{} {}", named(&noun(&kind)), verb(change)),
    }
}

/// The headline with what matters most, for notifications.
fn summary(headline: &str, record: &Record) -> String {
    let name = record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX));
    let total = record.total.as_ref().map(money);
    let facts: Vec<_> = [name, total].into_iter().flatten().collect();
    if facts.is_empty() { headline.to_owned() } else { format!("{headline}: {}", facts.join(", ")) }
}

fn facts(event: &Event, record: &Record) -> Vec<Fact> {
    let payment = matches!(record.kind, RecordKind::CustomerPayment | RecordKind::VendorPayment);
    let party = match record.kind {
        RecordKind::Invoice | RecordKind::CustomerPayment => "Customer",
        RecordKind::Bill | RecordKind::VendorPayment | RecordKind::PurchaseOrder | RecordKind::Expense => {
            "Supplier"
        }
        _ => "Counterparty",
    };
    let text = |text: &Option<String>| value(text.as_deref()?, VALUE_MAX);
    // What a vendor still shows as the balance of a void document means nothing, and a deleted one has none.
    let deleted = event.changes.contains(&Change::Deleted);
    let ended = deleted || record.status == Status::Void;
    let owed = |balance: &&Money| !balance.amount.is_zero() && !ended;
    let facts = [
        (party, record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX))),
        ("Amount", record.total.as_ref().map(money)),
        (if payment { "Unapplied" } else { "Balance due" }, record.balance.as_ref().filter(owed).map(money)),
        ("Date", record.date.map(date)),
        ("Due date", record.due_date.map(date)),
        ("Status", value(&words(record.status.as_str()), VALUE_MAX).filter(|_| !payment && !deleted)),
        ("Reference", text(&record.reference)),
        ("Payment method", text(&record.payment_mode)),
        ("Submitted by", text(&record.submitted_by)),
    ];
    facts.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

/// What is known of the connector's own work.
fn outcome(event: &Event) -> Vec<Fact> {
    let about = event.about.as_ref().and_then(|about| value(&about.to_string(), VALUE_MAX));
    let reason = event.reason.as_deref().and_then(|reason| value(reason, VALUE_MAX));
    [("About", about), ("Why", reason)]
        .into_iter()
        .filter_map(|(label, value)| Some((label, value?)))
        .collect()
}

/// The lines of a document, or what a payment settles: the first ten and how many more there are.
fn rows(record: &Record) -> Vec<Block> {
    let amount = |amount: Option<&Money>| Cell::new(&amount.map(money).unwrap_or_default(), CELL_MAX);
    let cell = |text: &str| Cell::new(&value(text, CELL_MAX).unwrap_or_default(), CELL_MAX);
    let (head, aligns, rows, total): (&[&str], &[Align], Vec<Vec<Cell>>, usize) = if record.lines.is_empty() {
        let rows = record.allocations.iter().take(LINES_SHOWN);
        let rows = rows.map(|row| vec![cell(&row.number), amount(Some(&row.amount))]).collect();
        (&["Applied to", "Amount"], &[Align::Left, Align::Right], rows, record.allocations.len())
    } else {
        let rows = record.lines.iter().take(LINES_SHOWN).map(|line| {
            let quantity = line.quantity.map(|quantity| quantity.normalize().to_string());
            vec![cell(&line.description), cell(&quantity.unwrap_or_default()), amount(line.amount.as_ref())]
        });
        let aligns = &[Align::Left, Align::Right, Align::Right];
        (&["Description", "Quantity", "Amount"], aligns, rows.collect(), record.lines.len())
    };
    if rows.is_empty() {
        return Vec::new();
    }
    let shown = rows.len();
    let head = head.iter().map(|title| Cell::new(title, CELL_MAX)).collect();
    let column_settings = aligns.iter().map(|&align| Column { align, is_wrapped: align == Align::Left });
    let mut blocks = vec![Block::Table {
        rows: std::iter::once(head).chain(rows).collect(),
        column_settings: column_settings.collect(),
    }];
    if total > shown {
        blocks.push(Block::Context { elements: vec![Text::plain(&format!("and {} more", total - shown))] });
    }
    blocks
}

/// The way to the vendor's page, as long as there is one: a button where somebody has to act, else a link.
fn link(event: &Event, record: &Record) -> Option<Block> {
    let url = safe_url(record.url.as_deref()?)?;
    if event.changes.contains(&Change::Deleted) {
        return None;
    }
    Some(if event.changes.contains(&Change::Submitted) {
        let button = Button::new("mlc.open", "Review and approve").with_url(url);
        Block::Actions { elements: vec![button.with_style(ButtonStyle::Primary)] }
    } else {
        Block::section(Text::markup(Markup::new().link(&url, "Open the record")))
    })
}

/// The number, the event's identity (which begins with the connection), and what else changed with it.
fn context(event: &Event) -> Block {
    let number = match &event.record {
        Some(record) => record.number.as_deref(),
        // Connections and deliveries are called by their ids; those of records mean nothing to people.
        None => Some(&*event.entity.id).filter(|_| event.is_outcome()),
    };
    let number = number.and_then(|number| value(number, NUMBER_MAX));
    let mut parts: Vec<_> = number.into_iter().chain(value(&event.id(), VALUE_MAX)).collect();
    let late = |change: &&Change| matches!(change, Change::Overdue(_));
    let told = event.changes.first();
    let also =
        event.changes.iter().skip(1).filter(|change| !(late(change) && told.as_ref().is_some_and(late)));
    let also: Vec<_> = also.map(|change| verb(*change)).collect();
    if !also.is_empty() {
        parts.push(format!("also {}", also.join(", ")));
    }
    Block::Context { elements: vec![Text::plain(&parts.join(" · "))] }
}

/// A text from outside in one line, cut at `max`; `None` when there is nothing to see.
fn value(text: &str, max: usize) -> Option<String> {
    let seen: String = visible(text).collect();
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| shorten_literal(&line, max))
}
