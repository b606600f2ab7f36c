//! Events: what happened, the newest first, and a box that finds everything.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ml_connector_core::{
    ErrorKind,
    audit::{Entry, EntryKind, EntryState, Query},
    model::{Decimal, EntityRef, Seq},
};

use super::named::{kind_named, state_named, state_word};
use crate::{
    answer::{Answer, Refusal},
    asked::{Asked, segment},
    show::{Tab, kind, page, state},
    text::safe,
};

/// How many entries are on a page.
pub(crate) const PAGE: usize = 50;
/// How many of the entries behind an event are looked at for its deliveries: they are appended right behind it.
const BEHIND: u64 = 32;
/// How many of them are shown.
const WAYS: usize = 8;
/// The filters, as addresses name them.
const FILTERS: [&str; 9] =
    ["kind", "state", "connection", "name", "destination", "error", "currency", "amount_from", "amount_to"];

pub(crate) async fn show(asked: &Asked) -> Result<Answer, Refusal> {
    let q = asked.params.get("q");
    // One entry is shown at once.
    if let Some(seq) = q.and_then(|q| q.strip_prefix('#')).and_then(|digits| digits.parse().ok()) {
        let entry = asked.scoped.entry(Seq(seq)).await?;
        return Ok(Answer::See(asked.href(&format!("/event/{}", entry.seq), &[])));
    }
    let query = filters(asked)?;
    let found = match q {
        Some(q) => searched(asked, &query, q).await?,
        None => Found { what: None, entries: asked.scoped.search(query).await? },
    };
    let ways = ways(asked, &found.entries).await?;
    let lead = html! {
        @match (&found.what, q) {
            (Some(what), Some(q)) => { "What has the " (what) " " b { (safe(q, 60)) } ", the newest first." },
            (None, Some(q)) => { "Nothing is called " b { (safe(q, 60)) } ". Look for the number of a document, a record's id, the beginning of a receipt, an amount, or #123 for one entry." },
            (None, None) => { "What happened, the newest first. Choose one to see its whole story, from the bytes received to the receipt." },
            (Some(_), None) => {},
        }
    };
    let body = html! {
        (form(asked))
        @if found.entries.is_empty() { p.empty { "Nothing fits." } } @else {
            (table(asked, &found.entries, &ways))
            (pager(asked, &found.entries))
        }
    };
    Ok(page(asked, Tab::Events, "Events", &lead, &body).into())
}

/// What the filters ask for.
fn filters(asked: &Asked) -> Result<Query, Refusal> {
    let params = &asked.params;
    let mut query = Query::default().newest_first().with_limit(PAGE);
    query.kind = match params.get("kind") {
        Some("all") => None,
        Some(word) => Some(kind_named(word)?),
        None if params.get("q").is_some()
            || params.get("state").is_some()
            || params.get("destination").is_some() =>
        {
            None
        }
        None => Some(EntryKind::Event),
    };
    query.state = params.get("state").map(state_named).transpose()?;
    query.connection = params.get("connection").map(Into::into);
    query.name = params.get("name").map(Into::into);
    query.destination = params.get("destination").map(Into::into);
    query.error = params.get("error").map(Into::into);
    query.currency = params.currency("currency")?;
    query.amount_from = params.amount("amount_from")?;
    query.amount_to = params.amount("amount_to")?;
    query.after = params.seq("after")?;
    (query.from, query.to) = (params.time("from")?, params.time("to")?);
    // Neither has an index: what they are looked for in has to be little.
    let has_failed = matches!(query.state, Some(EntryState::Dead | EntryState::Parked));
    if query.error.is_some() && !has_failed {
        return Err(Refusal::bad(
            "a reason is found among what was given up or needs repair: choose the state dead or parked, too",
        ));
    }
    if query.currency.is_some() && query.amount_from.is_none() && query.amount_to.is_none() {
        return Err(Refusal::bad("a currency is found with an amount: say from which or to which, too"));
    }
    Ok(query)
}

/// What was found, and by what.
struct Found {
    what: Option<&'static str>,
    entries: Vec<Entry>,
}

/// Looks for a text by everything it may be, one after the other.
async fn searched(asked: &Asked, filters: &Query, q: &str) -> Result<Found, Refusal> {
    let mut tries: Vec<(&'static str, Query)> = vec![("number", filters.clone().with_number(q))];
    if let Some((kind, id)) = q.split_once('/') {
        tries.push(("record", filters.clone().with_entity(EntityRef::new(kind, id))));
    }
    tries.push(("receipt", filters.clone().with_receipt(q)));
    tries.push(("receipt", filters.clone().with_receipt_prefix(q)));
    if let Ok(amount) = q.replace(',', "").parse::<Decimal>() {
        tries.push(("amount", filters.clone().with_amount_from(amount).with_amount_to(amount)));
    }
    let kinds = [
        "invoice",
        "bill",
        "customer_payment",
        "vendor_payment",
        "contact",
        "sales_order",
        "purchase_order",
        "credit_note",
        "expense",
        "journal_entry",
    ];
    if !q.contains('/') && !q.contains(' ') {
        tries.extend(kinds.map(|kind| ("id", filters.clone().with_entity(EntityRef::new(kind, q)))));
    }
    for (what, query) in tries {
        let entries = match asked.scoped.search(query).await {
            // An encrypted log does not know the beginning of a receipt, or an amount.
            Err(Refusal::Core(error)) if error.kind() == ErrorKind::Unsupported => continue,
            found => found?,
        };
        if !entries.is_empty() {
            return Ok(Found { what: Some(what), entries });
        }
    }
    Ok(Found { what: None, entries: Vec::new() })
}

/// Where events went, as far as their deliveries stand right behind them.
async fn ways(asked: &Asked, entries: &[Entry]) -> Result<BTreeMap<Seq, Vec<Entry>>, Refusal> {
    let events = entries.iter().filter(|entry| entry.kind == EntryKind::Event);
    let behind: Vec<Seq> =
        events.flat_map(|event| (1..=BEHIND).map(|i| Seq(event.seq.0.saturating_add(i)))).collect();
    if behind.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut query = Query::entries(behind);
    (query.bodies, query.kind) = (false, Some(EntryKind::Delivery));
    let mut ways: BTreeMap<Seq, Vec<Entry>> = BTreeMap::new();
    for entry in asked.scoped.search(query).await? {
        if let Some(parent) = entry.parent {
            ways.entry(parent).or_default().push(entry);
        }
    }
    Ok(ways)
}

fn form(asked: &Asked) -> Markup {
    let has = |name: &str, value: &str| asked.params.get(name) == Some(value);
    let words = ["event", "delivery", "signal", "note", "act", "all"];
    let names = |word: &str| if word == "all" { "everything".to_owned() } else { super::plural(word) };
    let is_used = FILTERS.iter().any(|name| asked.params.get(name).is_some());
    html! {
        details.filters open[is_used] {
            summary { "Filter" @if is_used { " (in use)" } }
            form method="get" action=(asked.href("/events", &[])) {
                @if let Some(q) = asked.params.get("q") { input type="hidden" name="q" value=(q); }
                label { "What" select name="kind" {
                    option value="" { "events" }
                    @for word in words { option value=(word) selected[has("kind", word)] { (names(word)) } }
                } }
                label { "State" select name="state" {
                    option value="" { "any" }
                    @for each in EntryState::ALL { @let word = state_word(each); option value=(word) selected[has("state", &word)] { (word) } }
                } }
                label { "Connection" select name="connection" {
                    option value="" { "any" }
                    @for view in asked.scoped.connections().iter().take(200) { option value=(view.id.as_str()) selected[has("connection", view.id.as_str())] { (view.id.as_str()) } }
                } }
                @for (name, label, hint) in [("name", "Type or route", "invoice.paid"), ("destination", "Destination", "channel:C07ACCTNG1"), ("error", "Reason holds", "channel_not_found"),
                    ("amount_from", "Amount from", "1000.00"), ("amount_to", "to", "5000.00"), ("currency", "Currency", "EUR"), ("from", "From", "2026-03-12T06:00:00Z"), ("to", "Before", "2026-03-13T06:00:00Z")] {
                    label { (label) input name=(name) type="text" maxlength="200" placeholder=(hint) value=[asked.params.get(name)]; }
                }
                div.buttons { button.main type="submit" { "Filter" } a.button href=(asked.href("/events", &[])) { "Clear" } }
            }
        }
    }
}

/// Entries, one in a row; on a phone one in a card.
pub(crate) fn table(asked: &Asked, entries: &[Entry], ways: &BTreeMap<Seq, Vec<Entry>>) -> Markup {
    html! {
        table.cards {
            thead { tr { th { "When" } th { "What" } th { "Record" } th.amount { "Amount" } th { "Where it stands" } } }
            tbody {
                @for entry in entries {
                    tr {
                        td data-label="When" { (asked.when(entry.at, &entry.connection)) " " span.faint { (entry.connection.as_str()) } }
                        td data-label="What" {
                            a href=(asked.href(&format!("/event/{}", entry.seq), &[])) { (name(entry)) }
                            " " span.faint { "#" (entry.seq.0) }
                        }
                        td data-label="Record" { (record(asked, entry)) }
                        td.amount data-label="Amount" { @if let Some(amount) = &entry.index.amount { (amount.to_string()) } }
                        td data-label="Where it stands" {
                            @match ways.get(&entry.seq) {
                                Some(ways) => {
                                    @for way in ways.iter().take(WAYS) { (chip(asked, way)) " " }
                                    @if let Some(more) = more(entry, ways) { a.faint href=(asked.href(&format!("/event/{}", entry.seq), &[])) { (more) } }
                                },
                                None if entry.kind == EntryKind::Event => { a.faint href=(asked.href(&format!("/event/{}", entry.seq), &[])) { "see its story" } },
                                None => {
                                    (state(entry.state, entry.acknowledged))
                                    @if let Some(to) = &entry.index.destination { " " span.faint { (safe(to, 40)) } }
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is said of ways that are not shown.
fn more(event: &Entry, ways: &[Entry]) -> Option<String> {
    // Of an event whose last number that was looked at is its own, there may be others behind that.
    if ways.iter().any(|way| way.seq.0 == event.seq.0.saturating_add(BEHIND)) {
        return Some("see its story for all of them".to_owned());
    }
    ways.len().checked_sub(WAYS).filter(|more| *more > 0).map(|more| format!("and {more} more"))
}

fn chip(asked: &Asked, way: &Entry) -> Markup {
    let to = way.index.destination.as_deref().unwrap_or(way.connection.as_str());
    html! {
        a.way href=(asked.href(&format!("/event/{}", way.seq), &[])) title=(safe(way.receipt().unwrap_or_default(), 80)) {
            (state(way.state, way.acknowledged)) " " span { (safe(to, 30)) }
        }
    }
}

fn name(entry: &Entry) -> String {
    match &entry.index.name {
        Some(name) => safe(name, 60),
        None => kind(entry.kind).to_owned(),
    }
}

fn record(asked: &Asked, entry: &Entry) -> Markup {
    let Some(entity) = &entry.index.entity else { return html! { span.faint { "none" } } };
    let of = match entry.kind {
        // A delivery is filed under its sink; the record is the source's.
        EntryKind::Delivery => "any",
        _ => entry.connection.as_str(),
    };
    let path = format!("/record/{}/{}/{}", segment(of), segment(&entity.kind), segment(&entity.id));
    html! {
        a href=(asked.href(&path, &[])) { (safe(entry.index.number.as_deref().unwrap_or(&entity.id), 40)) }
        " " span.faint { (safe(&entity.kind, 30)) }
    }
}

/// The way to what is older. The address holds all of it.
fn pager(asked: &Asked, entries: &[Entry]) -> Markup {
    let last = entries.last().filter(|_| entries.len() == PAGE).map(|last| last.seq.to_string());
    let mut params: Vec<(&str, &str)> = Vec::new();
    for name in FILTERS.into_iter().chain(["q", "from", "to"]) {
        params.extend(asked.params.get(name).map(|value| (name, value)));
    }
    let newest = asked.href("/events", &params);
    params.extend(last.as_deref().map(|last| ("after", last)));
    html! {
        nav.pager aria-label="Pages of the list" {
            @if asked.params.get("after").is_some() { a.button href=(newest) { "Newest" } }
            @if last.is_some() { a.button rel="next" href=(asked.href("/events", &params)) { "Older" } }
            @else { span.faint { "That is all." } }
        }
    }
}
