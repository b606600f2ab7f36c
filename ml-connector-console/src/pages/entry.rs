//! Event: the whole story, from the bytes received to the receipt, as a picture and as a list.

use maud::{Markup, html};
use ml_connector_core::{
    audit::{Entry, EntryKind, EntryState},
    engine::{FieldChange, Step, StepKind},
    model::Seq,
};

use crate::{
    answer::Refusal,
    asked::{Asked, segment},
    security::{Bound, digest},
    show::{Tab, Timeline, elsewhere, kind, page, state, step, timeline},
    text::{cut, safe},
};

/// How much of what an entry holds is shown, in characters.
const LONGEST: usize = 20_000;
/// How many steps are listed.
const STEPS: usize = 500;

pub(crate) async fn show(asked: &Asked, seq: Seq) -> Result<Markup, Refusal> {
    render(asked, seq, None).await
}

/// The same with what the entry holds. Who looked is in the log before it is shown.
pub(crate) async fn reveal(asked: &Asked, seq: Seq) -> Result<Markup, Refusal> {
    let token = asked.params.get("token").unwrap_or_default();
    if !asked.scoped.key().await?.is_good(token, &bound(asked, seq), asked.now) {
        return Err(Refusal::Forbidden("The page is older than ten minutes. Load it again."));
    }
    let entry = asked.scoped.reveal(seq).await?;
    let body = entry.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    render(asked, seq, Some(&body)).await
}

fn bound(asked: &Asked, seq: Seq) -> Bound<'_> {
    let selection = digest(&[seq], &[]);
    Bound { actor: asked.scoped.grant().actor(), act: "reveal", selection, count: 1, mode: "" }
}

async fn render(asked: &Asked, seq: Seq, revealed: Option<&str>) -> Result<Markup, Refusal> {
    let story = asked.scoped.story(seq).await?;
    let of = Timeline::of(&story);
    let entry = of.entry(seq).ok_or(Refusal::NotFound)?;
    let named = entry.index.name.as_deref().unwrap_or(kind(entry.kind));
    let what = match &entry.index.destination {
        Some(to) => format!("Delivery to {to}"),
        None => named.to_owned(),
    };
    let about = entry.index.number.as_deref().unwrap_or_default();
    let title = format!("{} {} #{seq}", safe(&what, 60), safe(about, 40));
    let steps = of.steps();
    let lead = html! {
        (state(entry.state, entry.acknowledged)) " "
        @match of.total() {
            Some(total) => { "From the first byte to the last outcome it took " b { (total) } ". " },
            None if entry.state == EntryState::Pending => { "It has not ended yet. " },
            None => { "What follows from it has not ended yet. " },
        }
        "Below is everything that happened, in order."
    };
    let body = html! {
        (facts(asked, &of, entry))
        (buttons(asked, entry))
        div.wide { (timeline(asked, &of)) }
        h2 { "Step by step" }
        ol.story {
            @for (i, each) in steps.iter().take(STEPS).enumerate() { (line(asked, seq, each, i.checked_sub(1).map(|before| steps[before]))) }
        }
        @if steps.len() > STEPS { p.faint { "And " (steps.len() - STEPS) " more steps." } }
        @if of.others() > 0 { p.faint { (of.others()) " more entries began with the same request or read, or belong to connections that you do not see." } }
        (payload(asked, &of, entry, revealed).await?)
    };
    Ok(page(asked, Tab::Events, title.trim(), &lead, &body))
}

fn facts(asked: &Asked, of: &Timeline<'_>, entry: &Entry) -> Markup {
    let index = &entry.index;
    let link =
        of.steps().into_iter().filter(|step| step.seq == entry.seq).find_map(|step| match &step.what {
            StepKind::Done { url, .. } => url.as_deref(),
            _ => None,
        });
    html! {
        dl.facts {
            div { dt { "Connection" } dd { (entry.connection.as_str()) } }
            div { dt { "Kind" } dd { (kind(entry.kind)) } }
            @if let Some(entity) = &index.entity {
                @let of = if entry.kind == EntryKind::Delivery { "any" } else { entry.connection.as_str() };
                div { dt { "Record" } dd { a href=(asked.href(&format!("/record/{}/{}/{}", segment(of), segment(&entity.kind), segment(&entity.id)), &[])) { (safe(&entity.to_string(), 80)) } } }
            }
            @if let Some(amount) = &index.amount { div { dt { "Amount" } dd { (amount.to_string()) } } }
            @if let Some(to) = &index.destination { div { dt { "Destination" } dd { (safe(to, 80)) } } }
            @if let Some(receipt) = entry.receipt() { div { dt { "Receipt" } dd { code.copy { (safe(receipt, 120)) } @if let Some(url) = link { " " (elsewhere(url)) } } } }
            @if let Some(parent) = entry.parent { div { dt { "Follows from" } dd { a href=(asked.href(&format!("/event/{parent}"), &[])) { "#" (parent.0) } } } }
        }
    }
}

/// What can be done with it.
fn buttons(asked: &Asked, entry: &Entry) -> Markup {
    let seq = entry.seq.to_string();
    let act =
        |what| asked.href("/act", &[("do", what), ("connection", entry.connection.as_str()), ("seq", &seq)]);
    let is_dead = entry.state == EntryState::Dead;
    let sends = matches!(entry.kind, EntryKind::Delivery | EntryKind::Signal);
    html! {
        @if asked.scoped.grant().may_act() && (sends || entry.kind == EntryKind::Event) {
            p.buttons {
                @if sends && (is_dead || entry.state == EntryState::Done) { a.button href=(act("replay")) { "Send again…" } }
                @if entry.kind == EntryKind::Event { a.button href=(act("reroute")) { "Send by the routes of today…" } }
                @if is_dead { a.button href=(act("acknowledge")) { "Say that it is known…" } a.button href=(act("discard")) { "Leave undone…" } }
                @if matches!(entry.state, EntryState::Pending | EntryState::Parked) { a.button href=(act("cancel")) { "Cancel…" } }
            }
        }
    }
}

fn line(asked: &Asked, seq: Seq, each: &Step, before: Option<&Step>) -> Markup {
    let (class, mark, words) = step(asked, each);
    let gap = before.map(|before| each.from.saturating_since(before.from)).filter(|gap| gap.as_secs() >= 20);
    let begins = before.is_none_or(|before| before.seq != each.seq);
    html! {
        @if let Some(gap) = gap { li.gap { "⟂ " (crate::time::span(gap)) " later" @if let Some(StepKind::FannedOut { schedule: Some(schedule), .. }) = before.map(|before| &before.what) { ", " (safe(schedule, 60)) } } }
        li.(class).asked[each.seq == seq] {
            span.mark aria-hidden="true" { (mark) }
            div {
                span.clock title=(each.from.to_string()) { (asked.when(each.from, &each.connection).exact()) } " "
                @if begins { a.faint href=(asked.href(&format!("/event/{}", each.seq), &[])) { "#" (each.seq.0) " " (each.connection.as_str()) } " " }
                (words)
            }
        }
    }
}

/// What an event changed: the values before and after.
fn changes<'a>(of: &Timeline<'a>, seq: Seq) -> Option<&'a [FieldChange]> {
    of.steps().into_iter().filter(|step| step.seq == seq).find_map(|step| match &step.what {
        StepKind::Event { changed, .. } if !changed.is_empty() => Some(&changed[..]),
        _ => None,
    })
}

/// What the entry holds: hidden until somebody who may asks for it.
async fn payload(
    asked: &Asked,
    of: &Timeline<'_>,
    entry: &Entry,
    revealed: Option<&str>,
) -> Result<Markup, Refusal> {
    let may_reveal = asked.scoped.grant().may_reveal();
    let key = if may_reveal && revealed.is_none() { asked.scoped.key_for_form().await? } else { None };
    Ok(html! {
        h2 #payload { "What it holds" }
        @if let Some(text) = revealed {
            @if let Some(changed) = changes(of, entry.seq) {
                table.cards {
                    thead { tr { th { "Field" } th { "Before" } th { "After" } } }
                    tbody { @for change in changed.iter().take(100) {
                        tr {
                            th scope="row" data-label="Field" { (safe(&change.field, 80)) }
                            td data-label="Before" { @match &change.before { Some(value) => (safe(value, 300)), None => { span.faint { "not there" } } } }
                            td data-label="After" { @match &change.after { Some(value) => (safe(value, 300)), None => { span.faint { "gone" } } } }
                        }
                    } }
                }
            }
            pre { (cut(&safe(text, usize::MAX), LONGEST)) }
            p.faint { "The log says that you looked." }
        } @else if let Some(key) = &key {
            @let token = key.issue(&bound(asked, entry.seq), asked.now);
            p { "Hidden, because it holds names and amounts. " }
            form method="post" action=(asked.href(&format!("/event/{}/reveal", entry.seq), &[])) {
                input type="hidden" name="token" value=(token);
                button type="submit" { "Show it" }
                span.faint { " The log will say that you looked." }
            }
        } @else if may_reveal { p.faint { "Hidden, because it holds names and amounts. It cannot be shown while the log takes no writes: it has to say that you looked." } }
        @else { p.faint { "Hidden: it holds names and amounts, and you may not see them." } }
    })
}
