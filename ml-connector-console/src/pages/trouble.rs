//! Trouble: what needs somebody, by cause and not by row.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ml_connector_core::{
    Timestamp,
    audit::{Entry, EntryKind, EntryState, Outcome, Query},
    engine::Health,
    model::{ConnectionId, Seq},
};

use super::wanted::state_word;
use crate::{
    answer::Refusal,
    asked::Asked,
    show::{Tab, kind, many, page, safe, state},
};

/// How many entries are looked at: the newest.
const LOOKED_AT: usize = 1000;
/// How many groups are shown.
const GROUPS: usize = 50;
/// The longest reason that still makes a group of its own, in characters.
const REASON: usize = 160;

/// Something that needs somebody, with what to do about it.
pub(crate) struct Need {
    pub connection: String,
    pub what: String,
    pub since: Option<Timestamp>,
    pub remedy: String,
}

/// What needs somebody, as the health knows it.
pub(crate) fn needs(health: &Health) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |connection: &str, what: String, since, remedy: &str| {
        needs.push(Need { connection: connection.to_owned(), what, since, remedy: remedy.to_owned() });
    };
    if let Some(trouble) = &health.log {
        need("log", "The log takes no writes.".to_owned(), Some(trouble.since), "Nothing is read or sent until it does. Look at the disk and the database.");
    }
    if health.clock.is_some() {
        need("clock", "The clock of this host is not believed.".to_owned(), None, "Set it, and keep it set by NTP.");
    }
    for (id, of) in &health.connections {
        let id = id.as_str();
        if let Some(parked) = &of.parked {
            let said = of.token.as_ref().and_then(|token| token.message.clone());
            let remedy = said.unwrap_or_else(|| "Repair what the reason names. It is tried again by itself from time to time, or now from the page of trouble.".to_owned());
            need(id, format!("The connection is stopped: {}", safe(&parked.reason, 200)), Some(parked.since), &safe(&remedy, 300));
        }
        if let Some(remedy) = of.hooks.remedy {
            need(id, format!("{} refused.", many(of.hooks.refused, "webhook")), of.hooks.accepted_at, remedy);
        }
        if of.dead > 0 {
            need(id, format!("{} given up.", many(of.dead as u64, "entry")), None, "Repair the cause, then send them again.");
        }
        let parked: u64 = of.backlog.iter().map(|row| row.parked).sum();
        if parked > 0 {
            let first = of.parked_deliveries.first().map(|one| &one.parked);
            let why = first.map_or_else(String::new, |parked| format!(": {}", safe(&parked.reason, 160)));
            need(id, format!("{} for repair{why}", if parked == 1 { "1 entry waits".to_owned() } else { format!("{parked} entries wait") }), first.map(|parked| parked.since), "Repair the destination. They go on by themselves.");
        }
        if of.unrouted > 0 {
            need(id, format!("{} for an account that no connection has.", many(of.unrouted as u64, "webhook")), None, "Connect the account, then take them in.");
        }
        for sweep in &of.stopped_sweeps {
            need(id, format!("A look for deleted records of {} missed {} of {} and was not believed.", safe(&sweep.feed, 40), sweep.missing, sweep.known), Some(sweep.at), "Look at the system. If they were really deleted, say so.");
        }
        for feed in &of.unavailable_feeds {
            need(id, format!("{} cannot be read: {}", safe(&feed.feed, 40), safe(&feed.reason, 160)), Some(feed.since), "Grant the scope, or change the plan, at the vendor.");
        }
    }
    needs
}

/// Entries with one cause.
struct Group {
    count: usize,
    since: Timestamp,
    last: Timestamp,
    sample: Seq,
}

/// What makes a group: whose, what, by which route, in which state, and why.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    connection: ConnectionId,
    kind: EntryKind,
    name: String,
    parked: bool,
    reason: String,
}

impl Cause {
    pub(super) fn of(entry: &Entry) -> Self {
        let name = entry.index.name.as_deref().filter(|_| entry.kind != EntryKind::Signal);
        Self {
            connection: entry.connection.clone(),
            kind: entry.kind,
            name: name.unwrap_or_default().to_owned(),
            parked: entry.state == EntryState::Parked,
            reason: reason(entry),
        }
    }

    /// What has this cause, in a state, and nobody has looked at.
    pub(super) fn selection(&self, state: EntryState) -> Query {
        let query = Query::of_kind(self.kind).with_connection(self.connection.clone());
        let mut query = query.with_state(state).with_acknowledged(false);
        query.name = Some(self.name.as_str()).filter(|name| !name.is_empty()).map(Into::into);
        query.error = Some(self.reason.as_str()).filter(|reason| !reason.is_empty()).map(Into::into);
        query
    }
}

pub(crate) async fn show(asked: &Asked) -> Result<Markup, Refusal> {
    let health = asked.scoped.health().await?;
    let bad = |state| {
        let query = Query::default().with_state(state).with_acknowledged(false);
        query.newest_first().with_limit(LOOKED_AT)
    };
    let mut entries = asked.scoped.search(bad(EntryState::Dead)).await?;
    let is_cut = entries.len() == LOOKED_AT;
    entries.extend(asked.scoped.search(bad(EntryState::Parked)).await?);
    let groups = grouped(&entries);
    let stopped: Vec<_> = health.connections.iter().filter(|(_, of)| of.parked.is_some() || !of.stopped_sweeps.is_empty()).collect();
    let nothing = groups.is_empty() && stopped.is_empty() && needs(&health).is_empty();
    let lead = html! {
        @if nothing { "Nothing was given up, and nothing waits for repair." }
        @else { "What was given up or waits for repair, by its cause. Repair the cause first, then send it again: you see what would be sent before anything is." }
    };
    let body = html! {
        @if nothing { p.empty { span.mark.good aria-hidden="true" { "✓" } " All is well." } }
        @for (id, of) in &stopped {
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
            }
        }
        @for (cause, group) in groups.iter().take(GROUPS) { (section(asked, cause, group)) }
        @if groups.len() > GROUPS { p.faint { "And " (groups.len() - GROUPS) " more causes." } }
        @if is_cut { p.faint { "Of the newest " (LOOKED_AT) " entries that were given up. Handle these, and the older ones follow." } }
    };
    Ok(page(asked, Tab::Trouble, "Trouble", &lead, &body))
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

/// Why an entry stands where it does.
fn reason(entry: &Entry) -> String {
    let why = entry.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
        Outcome::Dead { error } | Outcome::Parked { error } => Some(error),
        _ => None,
    });
    // One line of it: the rest may differ, and what cannot stand in a line is no cause.
    why.map_or_else(String::new, |why| why.chars().take_while(|c| !c.is_control()).take(REASON).collect())
}

fn section(asked: &Asked, cause: &Cause, group: &Group) -> Markup {
    let Cause { connection, kind: of_kind, name, parked, reason } = cause;
    let stands = if *parked { EntryState::Parked } else { EntryState::Dead };
    let word = state_word(stands);
    // The sample stands for the cause: addresses carry no text from outside.
    let sample = group.sample.to_string();
    let fields = |act| [("do", act), ("connection", connection.as_str()), ("state", word.as_str()), ("like", sample.as_str())];
    let (again, known, undone, cancel) = (fields("replay"), fields("acknowledge"), fields("discard"), fields("cancel"));
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
