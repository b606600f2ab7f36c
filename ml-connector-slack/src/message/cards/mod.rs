//! The built-in cards: one per event.

mod approval;
mod assignee;
mod document;
mod lines;

use ml_connector_core::model::{
    Actor, Change, Content, Event, Interaction, PrivateAnswer, Record, RecordKind,
};

pub use self::assignee::{Assignee, Unmentioned};
use super::{
    Message, Template,
    format::{money, noun, verb},
};
use crate::blocks::{Block, Blocks, Button, Markup, Text, is_blank, safe_url, shorten_literal, visible};

/// Long enough for every name people recognize; a card is no document.
pub(super) const VALUE_MAX: usize = 300;
const NUMBER_MAX: usize = 60;
/// What a headline has room for beside a number and a name, of the connection's name.
const BOOKS_MAX: usize = 40;
/// What stands for a text in which there is nothing to see.
const INVISIBLE: &str = "(invisible text)";
/// A reason somebody wrote, or an answer.
const NOTE_MAX: usize = 1000;
/// What Slack takes in a column.
const FIELD_MAX: usize = 2000;
/// Slack publishes no number for the blocks of a message, and has refused some of about 13,200 bytes.
const CARD_BYTES_MAX: usize = 13_000;
/// How long the texts of a card may be where it would have too many bytes otherwise.
const SHORTER: [usize; 5] = [FIELD_MAX, 200, 100, 40, 16];
/// Less is no room for a table of lines: then texts are cut first.
const TABLE_LEAST: usize = 3_000;
/// Two texts per fact, at most ten per section.
const FACTS_PER_SECTION: usize = 5;

/// The built-in cards: a headline, the facts in two columns, the lines as a table, a link, and small type that names
/// the event. Every text of the record is shown literally.
///
/// A request for approval has buttons, and a line for a reason; once decided it says who, when and what came of it. It
/// mentions whoever is responsible for the document, or says why it does not. Other cards mention them too, and fall back to
/// their name. An answer is the answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cards;

/// [`Cards`] for approvals that post: the button of a request says *Post* instead of *Approve*.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostCards;

impl Template for PostCards {
    fn render(&self, event: &Event) -> Message {
        self.render_for(event, &Assignee::Nobody)
    }

    fn render_for(&self, event: &Event, assignee: &Assignee) -> Message {
        match event.interaction() {
            Some(Interaction::Approval(approval)) => approval::card(event, approval, "Post", assignee),
            _ => Cards.render_for(event, assignee),
        }
    }
}

impl Template for Cards {
    fn render(&self, event: &Event) -> Message {
        self.render_for(event, &Assignee::Nobody)
    }

    fn render_for(&self, event: &Event, assignee: &Assignee) -> Message {
        match &event.content {
            Some(Content::Record(record)) => document::card(event, record, assignee),
            Some(Content::Interaction(interaction)) => match &**interaction {
                Interaction::Approval(approval) => approval::card(event, approval, "Approve", assignee),
                Interaction::Answer(given) => answer(event, given),
                done => by_somebody(event, done),
            },
            None => without_record(event),
        }
    }
}

/// A headline that says whose books it is about, where a channel is told of several.
pub(super) fn of_books(event: &Event, headline: String) -> String {
    let books = value(event.books().as_str(), BOOKS_MAX);
    match books.filter(|_| event.of_several && !event.is_outcome()) {
        Some(books) => format!("{headline} ({books})"),
        None => headline,
    }
}

/// The headline with what matters most, for notifications and where there is room for one line only.
pub(super) fn summary(event: &Event) -> String {
    let headline = match event.interaction() {
        Some(Interaction::Approval(approval)) => approval::headline(event, approval),
        _ => headline(event),
    };
    let Some(record) = event.document() else { return headline };
    let name = record.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX));
    let facts: Vec<_> = [name, total(event, record)].into_iter().flatten().collect();
    if facts.is_empty() { headline } else { format!("{headline}: {}", facts.join(", ")) }
}

/// The total, and the one before where it has changed.
fn total(event: &Event, record: &Record) -> Option<String> {
    let before = event.before.as_ref().and_then(|before| before.total.as_ref());
    changed(record.total.as_ref().map(money), before.map(money))
}

/// `300.00 USD, was 500.00 USD`.
fn changed(now: Option<String>, before: Option<String>) -> Option<String> {
    match (now, before) {
        (Some(now), Some(before)) => Some(format!("{now}, was {before}")),
        (now, _) => now,
    }
}

/// `Invoice INV-000101 7+ days overdue`, `Payment received`.
fn headline(event: &Event) -> String {
    let kind = RecordKind::from(&*event.entity.kind);
    let number = number(event);
    let named = |noun: &str| named(noun, number.as_deref());
    let headline = match (&kind, told(event)) {
        (RecordKind::CustomerPayment, Change::Created) => format!("{} received", named("Payment")),
        (RecordKind::VendorPayment, Change::Created) => format!("{} made", named("Payment")),
        (_, change) => format!("{} {}", named(&noun(&kind)), verb(change)),
    };
    of_books(event, headline)
}

/// What people call what it is about: its number, and the name of what has one. Connections and deliveries are called by
/// their ids; those of records mean nothing to people.
fn number(event: &Event) -> Option<String> {
    let Some(record) = event.document() else {
        return Some(event.entity.id.to_string()).filter(|_| event.is_outcome());
    };
    match (&record.number, &record.name) {
        (Some(number), Some(name)) => Some(format!("{number} {name}")),
        (number, name) => number.clone().or_else(|| name.clone()),
    }
}

/// What of a record's changes is told. Several thresholds may have passed at once; the last one says how late it is.
pub(super) fn told(event: &Event) -> Change {
    let overdue = event.changes.iter().rev().find(|change| matches!(change, Change::Overdue(_)));
    let change = match event.changes.first() {
        Some(Change::Overdue(_)) => overdue,
        first => first,
    };
    change.copied().unwrap_or(Change::Updated)
}

/// `Invoice INV-000101`.
fn named(noun: &str, number: Option<&str>) -> String {
    let number = number.and_then(|number| value(number, NUMBER_MAX));
    number.map_or_else(|| noun.to_owned(), |number| format!("{noun} {number}"))
}

/// What is known of a record under a label.
type Fact = (&'static str, Text);

/// A fact that is there, shown literally. Escaping may make it longer than a field can be.
fn fact(label: &'static str, value: Option<String>) -> Option<Fact> {
    Some((label, Text::plain(&value?).shortened(FIELD_MAX)))
}

/// How much room a card has for what it shows.
#[derive(Clone, Copy)]
struct Room {
    /// The longest text of a fact.
    text: usize,
    /// The bytes of the table.
    table: usize,
}

/// A card within [`CARD_BYTES_MAX`]: what is too long is cut, and a table has as many rows as there is room for.
fn within(lines: bool, build: impl Fn(Room) -> Blocks) -> Blocks {
    let least = if lines { TABLE_LEAST } else { 0 };
    let mut blocks = Blocks::new();
    for text in SHORTER {
        let others = build(Room { text, table: 0 }).bytes();
        let left = CARD_BYTES_MAX.saturating_sub(others);
        blocks = build(Room { text, table: left });
        if left >= least && blocks.bytes() <= CARD_BYTES_MAX {
            break;
        }
    }
    blocks
}

/// The facts in two columns, in as many sections as they need, each cut at `max`. The labels are ours and bold.
fn sections(facts: &[Fact], max: usize) -> impl Iterator<Item = Block> {
    facts.chunks(FACTS_PER_SECTION).map(move |facts| {
        let pair =
            |(label, value): &Fact| [Text::markup(Markup::new().bold(label)), value.clone().shortened(max)];
        Block::fields(facts.iter().flat_map(pair).collect())
    })
}

/// A person, by name where it is known, else as Slack shows them.
fn person(actor: &Actor) -> Option<Text> {
    let name = actor.name.as_deref().and_then(|name| value(name, VALUE_MAX));
    if let Some(name) = name {
        return Some(Text::plain(&name));
    }
    let mention = Markup::new().user(&actor.id);
    Some(Text::markup(mention)).filter(|text| !text.as_str().is_empty())
}

/// What somebody is told in answer to what they did.
fn answer(event: &Event, given: &PrivateAnswer) -> Message {
    let said = note_of(&given.text, NOTE_MAX).unwrap_or_else(|| headline(event));
    let shown = Text::plain(&said).shortened(FIELD_MAX);
    Message::new(&said, Blocks::new().with(Block::section(shown)))
}

/// A click, or a reaction.
fn by_somebody(event: &Event, done: &Interaction) -> Message {
    let headline = headline(event);
    let about = done.about().and_then(|about| value(&about.entity.to_string(), VALUE_MAX));
    let (emoji, text) = match done {
        Interaction::Reaction(reaction) => (value(&reaction.emoji, VALUE_MAX), None),
        Interaction::Action(action) => (None, note_of(action.text.as_deref().unwrap_or_default(), NOTE_MAX)),
        _ => (None, None),
    };
    let facts: Vec<Fact> = [
        done.actor().and_then(|actor| Some(("By", person(actor)?))),
        fact("About", about),
        fact("Emoji", emoji),
        fact("Note", text),
    ]
    .into_iter()
    .flatten()
    .collect();
    let blocks = sections(&facts, FIELD_MAX).fold(Blocks::new().with(Block::header(&headline)), Blocks::with);
    Message::new(&summary(event), blocks.with(context(event)))
}

/// What became of the connector's own work, or of a record of which nothing is known.
fn without_record(event: &Event) -> Message {
    let headline = headline(event);
    let about = event.about.as_ref().and_then(|about| value(&about.to_string(), VALUE_MAX));
    let reason = event.reason.as_deref().and_then(|reason| value(reason, VALUE_MAX));
    let facts: Vec<Fact> = [fact("About", about), fact("Why", reason)].into_iter().flatten().collect();
    let blocks = sections(&facts, FIELD_MAX).fold(Blocks::new().with(Block::header(&headline)), Blocks::with);
    Message::new(&headline, blocks.with(context(event)))
}

/// The way to the vendor's page, if there is one.
fn link(record: &Record) -> Option<Block> {
    Text::link(record.url.as_deref()?, "Open the record").map(Block::section)
}

/// The same as a button. Slack sends a click on it too, which means nothing.
fn open(record: &Record, label: &str) -> Option<Button> {
    Some(Button::new("mlc.open", label).with_url(safe_url(record.url.as_deref()?)?))
}

/// Whose books, the number, what else changed with it, and when. No id of ours: it means nothing to people.
fn context(event: &Event) -> Block {
    let number = number(event).and_then(|number| value(&number, NUMBER_MAX));
    let mut parts: Vec<_> = value(event.books().as_str(), VALUE_MAX).into_iter().chain(number).collect();
    let late = |change: &&Change| matches!(change, Change::Overdue(_));
    let first = event.changes.first();
    let also =
        event.changes.iter().skip(1).filter(|change| !(late(change) && first.as_ref().is_some_and(late)));
    let also: Vec<_> = also.map(|change| verb(*change)).collect();
    if !also.is_empty() {
        parts.push(format!("also {}", also.join(", ")));
    }
    let when = Text::markup(Markup::new().instant(event.at));
    Block::context(vec![Text::plain(&parts.join(" · ")), when])
}

/// A text from outside in one line, cut at `max`. `None` when there is none; one in which there is nothing to see is shown as
/// such, because it is not the same as none.
pub(super) fn value(text: &str, max: usize) -> Option<String> {
    let seen: String = visible(text).collect();
    shown(text, &seen.split_whitespace().collect::<Vec<_>>().join(" "), max)
}

/// A text that somebody wrote, with its line breaks.
fn note_of(text: &str, max: usize) -> Option<String> {
    let seen: String = visible(text).collect();
    shown(text, seen.trim(), max)
}

fn shown(text: &str, seen: &str, max: usize) -> Option<String> {
    if text.trim().is_empty() {
        return None;
    }
    Some(shorten_literal(if is_blank(seen) { INVISIBLE } else { seen }, max))
}
