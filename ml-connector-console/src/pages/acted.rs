//! What became of an act: how far it is, and what is left.

use maud::{Markup, html};
use ml_connector_core::{
    audit::{Entry, EntryState, Query},
    engine::Act,
    model::Seq,
};

use crate::{
    answer::Refusal,
    asked::Asked,
    show::{Tab, many, meter, refreshing, state},
    text::safe,
};

/// How often the page looks again while something goes on.
const REFRESH_S: u32 = 3;

pub(crate) async fn show(asked: &Asked, seq: Seq) -> Result<Markup, Refusal> {
    let (act, what) = asked.scoped.act_entry(seq).await?;
    let selected = match &what {
        Act::Replay { replay } => replay.selection.seqs.clone(),
        Act::Acknowledge { selection, .. }
        | Act::Discard { selection, .. }
        | Act::Cancel { selection, .. } => selection.seqs.clone(),
        _ => asked.params.seq("entry")?.into_iter().collect(),
    };
    let ways = follow(asked, &selected).await?;
    let goes_on = act.state == EntryState::Pending || ways.waits > 0;
    let lead = html! {
        "Act #" (seq.0) ", " (asked.at(act.at)) ". "
        @if goes_on { "It goes on, also if you leave this page; the page looks again by itself." }
        @else { "It has ended." }
    };
    let total = ways.total();
    let body = html! {
        p {
            (state(act.state, false)) " "
            b { (safe(act.index.name.as_deref().unwrap_or("act"), 40)) }
            @if let Some(receipt) = act.receipt() { ": " (safe(receipt, 100)) }
        }
        @if total > 0 {
            (meter(total.saturating_sub(ways.waits), total))
            dl.numbers {
                div { dt { "handled" } dd { (ways.done) } }
                div { dt { "wait" } dd { (ways.waits) } }
                div { dt { "need somebody again" } dd { (ways.failed) } }
            }
        }
        @if ways.failed > 0 { p { (many(ways.failed, "entry")) " did not end well. " a href=(asked.href("/trouble", &[])) { "Look at the trouble" } } }
        @if !ways.entries.is_empty() {
            h2 { "The first of them" }
            ul.plain {
                @for entry in ways.entries.iter().take(20) {
                    li { a href=(asked.href(&format!("/event/{}", entry.seq), &[])) { "#" (entry.seq.0) } " " (state(entry.state, entry.acknowledged)) }
                }
            }
        }
    };
    Ok(refreshing(asked, Tab::Trouble, "What was done", &lead, &body, goes_on.then_some(REFRESH_S)))
}

/// What became of entries.
struct Ways {
    done: u64,
    waits: u64,
    failed: u64,
    entries: Vec<Entry>,
}

impl Ways {
    fn total(&self) -> u64 {
        self.done + self.waits + self.failed
    }
}

/// Where entries stand; of one that was sent again, where that stands.
async fn follow(asked: &Asked, seqs: &[Seq]) -> Result<Ways, Refusal> {
    let mut ways = Ways { done: 0, waits: 0, failed: 0, entries: Vec::new() };
    if seqs.is_empty() {
        return Ok(ways);
    }
    let of = async |seqs: Vec<Seq>| {
        let mut query = Query::entries(seqs);
        query.bodies = false;
        asked.scoped.search(query).await
    };
    let first = of(seqs.to_vec()).await?;
    let again: Vec<Seq> = first.iter().filter_map(Entry::replayed_by).collect();
    let again = if again.is_empty() { Vec::new() } else { of(again).await? };
    for entry in first {
        let stands = entry.replayed_by().and_then(|by| again.iter().find(|entry| entry.seq == by).cloned());
        let entry = stands.unwrap_or(entry);
        match entry.state {
            EntryState::Pending => ways.waits += 1,
            EntryState::Dead if !entry.acknowledged => ways.failed += 1,
            EntryState::Parked if !entry.acknowledged => ways.failed += 1,
            _ => ways.done += 1,
        }
        ways.entries.push(entry);
    }
    Ok(ways)
}
