//! Trouble: what needs somebody, by cause and not by row.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ml_connector_core::{
    Timestamp,
    audit::{Entry, EntryKind, EntryState, Query},
    engine::ConnectionHealth,
    model::{ConnectionId, Seq},
};

use super::{
    cause::{Cause, REASON},
    named::state_word,
    needs::{Kind, Need, needs},
};
use crate::{
    answer::Refusal,
    asked::Asked,
    show::{Tab, kind, many, page, state},
    text::safe,
};

/// How many entries are looked at: the newest.
const LOOKED_AT: usize = 1000;
/// How many groups are shown, and connections with trouble of their own.
const GROUPS: usize = 50;
const CONNECTIONS: usize = 50;

/// Entries with one cause.
struct Group {
    count: usize,
    since: Timestamp,
    last: Timestamp,
    sample: Seq,
}

pub(crate) async fn show(asked: &Asked) -> Result<Markup, Refusal> {
    let health = asked.scoped.health().await?;
    let bad = |state| {
        let query = Query::default().with_state(state).with_acknowledged(false);
        query.newest_first().with_limit(LOOKED_AT)
    };
    let mut entries = asked.scoped.search(bad(EntryState::Dead)).await?;
    let parked = asked.scoped.search(bad(EntryState::Parked)).await?;
    let is_cut = entries.len() == LOOKED_AT || parked.len() == LOOKED_AT;
    entries.extend(parked);
    let groups = grouped(&entries);
    let needs = needs(&health);
    let nothing = groups.is_empty() && needs.is_empty();
    let of_host: Vec<&Need> = needs.iter().filter(|need| need.kind == Kind::Host).collect();
    let after = asked.params.get("after").unwrap_or_default();
    let own = |id: &ConnectionId| {
        let is_own = |need: &&Need| {
            need.kind != Kind::Host && need.connection == id.as_str() && !is_grouped(need, &groups)
        };
        needs.iter().filter(is_own).collect::<Vec<_>>()
    };
    let mut own: Vec<_> = health
        .connections
        .iter()
        .filter(|(id, _)| id.as_str() > after)
        .map(|(id, of)| (id, of, own(id)))
        .filter(|(_, _, needs)| !needs.is_empty())
        .collect();
    let more = own.len() > CONNECTIONS;
    own.truncate(CONNECTIONS);
    let lead = html! {
        @if nothing { "Nothing was given up, and nothing waits for repair." }
        @else { "What was given up or waits for repair, by its cause. Repair the cause first, then send it again: you see what would be sent before anything is." }
    };
    let body = html! {
        @if nothing { p.empty { span.mark.good aria-hidden="true" { "✓" } " All is well." } }
        @if after.is_empty() { @for need in of_host { section.group { h2 { (need.connection) } (told(asked, need)) } } }
        @for (id, of, needs) in &own { (connection(asked, id, of, needs)) }
        @if more { @if let Some((last, ..)) = own.last() { nav.pager { a.button href=(asked.href("/trouble", &[("after", last.as_str())])) { "More connections" } } } }
        @if after.is_empty() {
            @for (cause, group) in groups.iter().take(GROUPS) { (section(asked, cause, group)) }
            @if groups.len() > GROUPS { p.faint { "And " (groups.len() - GROUPS) " more causes." } }
            @if is_cut { p.faint { "Of the newest " (LOOKED_AT) " entries that were given up, and as many that wait for repair. Handle these, and the older ones follow." } }
        }
    };
    Ok(page(asked, Tab::Trouble, "Trouble", &lead, &body))
}

/// Whether the groups say it better.
fn is_grouped(need: &Need, groups: &[(Cause, Group)]) -> bool {
    let has = |is_such: fn(&Cause) -> bool| {
        groups.iter().any(|(cause, _)| cause.connection.as_str() == need.connection && is_such(cause))
    };
    match need.kind {
        Kind::Dead => has(|cause| !cause.parked && cause.kind != EntryKind::Note),
        Kind::Unrouted => has(|cause| cause.kind == EntryKind::Note),
        Kind::Parked => has(|cause| cause.parked),
        _ => false,
    }
}

/// What a connection needs that no group of entries says.
fn connection(asked: &Asked, id: &ConnectionId, of: &ConnectionHealth, needs: &[&Need]) -> Markup {
    html! {
        section.group {
            h2 { (id.as_str()) }
            @if let Some(parked) = &of.parked {
                p { span.chip.bad { span.mark aria-hidden="true" { "✕" } " stopped" } " " (asked.when(parked.since, id).with_distance()) }
                p.why { (safe(&parked.reason, 300)) }
                @if let Some(message) = of.token.as_ref().and_then(|token| token.message.as_deref()) { p { (safe(message, 300)) } }
                (buttons(asked, &[("Try again now", &[("do", "resume"), ("connection", id.as_str())])]))
            }
            @for sweep in &of.stopped_sweeps {
                p { "A look for deleted records of " b { (safe(&sweep.feed, 60)) } " missed " (sweep.missing) " of " (sweep.known)
                    " records " (asked.when(sweep.at, id).with_distance()) ". That is too many to be believed, so nothing was told as deleted." }
                (buttons(asked, &[("They were deleted", &[("do", "confirm_sweep"), ("connection", id.as_str()), ("feed", &sweep.feed)])]))
            }
            @for need in needs.iter().filter(|need| !matches!(need.kind, Kind::Stopped | Kind::Sweep)) { (told(asked, need)) }
        }
    }
}

fn told(asked: &Asked, need: &Need) -> Markup {
    html! {
        p { span.chip.bad { span.mark aria-hidden="true" { "!" } " " (need.what) } @if let Some(since) = need.since { " since " (asked.at(since).with_distance()) } }
        p.remedy { b { "What to do: " } (need.remedy) }
    }
}

fn grouped(entries: &[Entry]) -> Vec<(Cause, Group)> {
    let mut groups: BTreeMap<Cause, Group> = BTreeMap::new();
    for entry in entries {
        let cause = Cause::of(entry);
        let one = Group { count: 0, since: entry.at, last: entry.at, sample: entry.seq };
        let group = groups.entry(cause).or_insert(one);
        group.count += 1;
        group.since = group.since.min(entry.at);
        group.last = group.last.max(entry.at);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    groups
}

fn section(asked: &Asked, cause: &Cause, group: &Group) -> Markup {
    let Cause { connection, kind: of_kind, name, parked, reason } = cause;
    let stands = if *parked { EntryState::Parked } else { EntryState::Dead };
    let word = state_word(stands);
    // The sample stands for the cause: addresses carry no text from outside.
    let sample = group.sample.to_string();
    let fields = |act| {
        [
            ("do", act),
            ("connection", connection.as_str()),
            ("state", word.as_str()),
            ("like", sample.as_str()),
        ]
    };
    let (again, known, undone, cancel) =
        (fields("replay"), fields("acknowledge"), fields("discard"), fields("cancel"));
    let acts: Vec<(&str, &[(&str, &str)])> = match parked {
        true => vec![("Say that it is known…", &known), ("Cancel…", &cancel)],
        false => vec![("Send again…", &again), ("Say that it is known…", &known), ("Leave undone…", &undone)],
    };
    html! {
        section.group {
            h2 { (many(group.count as u64, kind(*of_kind))) @if !name.is_empty() { " · " (safe(name, 60)) } span.faint { " · " (connection.as_str()) } }
            p { (state(stands, false)) " since " (asked.when(group.since, connection).with_distance())
                @if group.last != group.since { ", last " (asked.when(group.last, connection).with_distance()) } }
            p.why { @if reason.is_empty() { "No reason was given." } @else { (safe(reason, REASON)) } }
            p.remedy { b { "What to do: " } (remedy(*of_kind, *parked, reason)) }
            p { "Such as " a href=(asked.href(&format!("/event/{}", group.sample), &[])) { "#" (group.sample.0) } }
            (buttons(asked, &acts))
        }
    }
}

/// What helps, by the kind of error that a reason begins with.
fn remedy(of_kind: EntryKind, parked: bool, reason: &str) -> &'static str {
    let has = |word: &str| reason.contains(word);
    if of_kind == EntryKind::Note {
        "The webhooks are for an account that no connection here has. Connect it, then send them again."
    } else if has("channel_not_found") || has("not_in_channel") || has("is_archived") {
        "Invite the app to the channel, or point the route at another one."
    } else if has("unauthenticated") || has("invalid_auth") || has("token") {
        "Connect the system again: its sign-in is not valid any more."
    } else if has("permission_denied") || has("scope") {
        "Grant what the reason names, at the vendor."
    } else if has("not_found") {
        "What it is about is gone. Leave it undone if that is right."
    } else if parked {
        "Repair what the reason names. It goes on by itself then."
    } else {
        "Repair what the reason names, then send it again. Look at the sample for the whole story."
    }
}

/// Links to confirmations, for those who may.
fn buttons(asked: &Asked, acts: &[(&str, &[(&str, &str)])]) -> Markup {
    html! {
        @if asked.scoped.grant().may_act() {
            p.buttons { @for (name, params) in acts { a.button href=(asked.href("/act", params)) { (name) } } }
        }
    }
}
