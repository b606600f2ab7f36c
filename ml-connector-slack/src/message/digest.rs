//! Many events in one message.

use std::collections::BTreeMap;

use ml_connector_core::model::{Event, RecordKind};

use super::{
    DigestTemplate, Message, cards,
    format::{date, money, noun, verb},
};
use crate::blocks::{Align, Block, Blocks, Cell, Markup, Text, shorten_literal, table};

/// How many events one message takes: a row for each, within what Slack allows for the text of a table.
pub(crate) const DIGEST_MAX: usize = 50;
const NUMBER_MAX: usize = 30;
const WHAT_MAX: usize = 40;
const PARTY_MAX: usize = 60;
const AMOUNT_MAX: usize = 36;
/// Kinds of events that are counted one by one.
const KINDS_SHOWN: usize = 10;
const COLUMNS: [(&str, Align); 5] = [
    ("Record", Align::Left),
    ("What", Align::Left),
    ("Who", Align::Left),
    ("Amount", Align::Right),
    ("Due", Align::Right),
];

/// Whose books, where they differ.
const BOOKS: (&str, Align) = ("Books", Align::Left);
const BOOKS_MAX: usize = 40;

/// The built-in digest: how many of what, and a row for each event that leads to its record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Table;

impl DigestTemplate for Table {
    fn render(&self, events: &[&Event]) -> Message {
        let counts = counts(events);
        let headline = match &*counts {
            [(what, count)] if *count > 1 => format!("{what}: {count}"),
            [(what, _)] => what.clone(),
            _ => format!("{} events", events.len()),
        };
        // Those of one account are named once, above the table.
        let headline = match events {
            [first, rest @ ..] if rest.iter().all(|event| event.books() == first.books()) => {
                cards::of_books(first, headline)
            }
            _ => headline,
        };
        let mut blocks = Blocks::new().with(Block::header(&headline));
        let listed: Vec<_> =
            counts.iter().take(KINDS_SHOWN).map(|(what, count)| format!("{what}: {count}")).collect();
        if counts.len() > 1 {
            let others = counts.len() - listed.len();
            let others = (others > 0).then(|| format!("and {others} other kinds"));
            let lines: Vec<_> = listed.iter().cloned().chain(others).collect();
            blocks.push(Block::section(Text::plain(&lines.join("\n"))));
        }
        let (block, left_out) = rows(events);
        blocks.push(block);
        if left_out > 0 {
            blocks.push(Block::context(vec![Text::plain(&format!("and {left_out} more"))]));
        }
        period(events).into_iter().for_each(|block| blocks.push(block));
        let text = if counts.len() > 1 { format!("{headline}: {}", listed.join(", ")) } else { headline };
        Message::new(&text, blocks)
    }
}

/// How many of each kind, most first.
fn counts(events: &[&Event]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for event in events {
        let kind = noun(&RecordKind::from(&*event.entity.kind));
        let what = shorten_literal(&format!("{kind} {}", verb(cards::told(event))), 2 * WHAT_MAX);
        *counts.entry(what).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    counts
}

/// A row each. Links take room, and a row without a link says more than no row.
fn rows(events: &[&Event]) -> (Block, usize) {
    let differ = events.iter().any(|event| event.of_several && event.books() != events[0].books());
    let mut columns = COLUMNS.to_vec();
    columns.extend(differ.then_some(BOOKS));
    let books = |event: &Event| {
        let name = cards::value(event.books().as_str(), BOOKS_MAX).unwrap_or_default();
        differ.then(|| Cell::new(&name, BOOKS_MAX))
    };
    let row = |event: &Event, linked| row(event, linked).into_iter().chain(books(event)).collect();
    let all = |linked: bool| table(&columns, events.iter().map(|event| row(event, linked)));
    match all(true) {
        (block, 0) => (block, 0),
        _ => all(false),
    }
}

fn row(event: &Event, linked: bool) -> Vec<Cell> {
    let text = |text: Option<&str>, max| cards::value(text.unwrap_or_default(), max).unwrap_or_default();
    let record = event.document();
    let number = text(record.and_then(|record| record.number.as_deref()), NUMBER_MAX);
    let number = if number.is_empty() { text(Some(&*event.entity.id), NUMBER_MAX) } else { number };
    let url = record.and_then(|record| record.url.as_deref()).filter(|_| linked);
    let what = format!("{} {}", noun(&RecordKind::from(&*event.entity.kind)), verb(cards::told(event)));
    let party = record.and_then(|record| record.counterparty.as_ref());
    let amount = record.and_then(|record| record.total.as_ref()).map(money).unwrap_or_default();
    let due = record.and_then(|record| record.due_date).map(date).unwrap_or_default();
    vec![
        url.map_or_else(|| Cell::new(&number, NUMBER_MAX), |url| Cell::link(&number, NUMBER_MAX, url)),
        Cell::new(&text(Some(&what), WHAT_MAX), WHAT_MAX),
        Cell::new(&text(party.map(|party| &*party.name), PARTY_MAX), PARTY_MAX),
        Cell::new(&amount, AMOUNT_MAX),
        Cell::new(&due, AMOUNT_MAX),
    ]
}

/// From when to when.
fn period(events: &[&Event]) -> Option<Block> {
    let (first, last) =
        (events.iter().map(|event| event.at).min()?, events.iter().map(|event| event.at).max()?);
    let from = Markup::new().instant(first);
    let markup = if first == last { from } else { from.text(" to ").instant(last) };
    Some(Block::context(vec![Text::markup(markup)]))
}
