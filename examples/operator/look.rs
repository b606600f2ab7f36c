//! What is only looked at.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{Entry, EntryKind, EntryState, Outcome, Query},
    engine::ConnectionHealth,
    model::Seq,
};
use serde::Serialize;

/// How each connection does.
pub(crate) async fn health(connector: &Connector, json: bool) -> Result<()> {
    let health = connector.health().await?;
    if json {
        return print(&health);
    }
    if let Some(trouble) = &health.log {
        println!("The log takes no writes: {trouble:?}");
    }
    let mut table = table(&["connection", "state", "waits", "dead", "last event", "last delivery"]);
    for (name, of) in &health.connections {
        table.add_row([
            name.to_string(),
            state(of),
            of.backlog.iter().map(|row| row.due + row.later).sum::<u64>().to_string(),
            of.dead.to_string(),
            at(of.last_event),
            at(of.last_delivery),
        ]);
    }
    println!("{table}");
    for (name, of) in &health.connections {
        for feed in &of.unavailable_feeds {
            println!("{name}: the feed {} is not available: {}", feed.feed, feed.reason);
        }
        if let Some(message) = of.token.as_ref().and_then(|token| token.message.as_ref()) {
            println!("{name}: {message}");
        }
    }
    // Whether it runs, and what its run loop sees, only the host itself can say.
    let needs = |of: &ConnectionHealth| {
        of.parked.is_some()
            || of.dead
                + of.unrouted
                + of.unavailable_feeds.len()
                + of.stopped_sweeps.len()
                + of.parked_deliveries.len()
                > 0
    };
    let is_well = health.log.is_none() && !health.connections.values().any(needs);
    println!("{}", if is_well { "The log knows of nothing that needs you." } else { "Something needs you." });
    Ok(())
}

fn state(of: &ConnectionHealth) -> String {
    match &of.parked {
        Some(parked) => format!("stopped since {}: {}", parked.since, parked.reason),
        None => "works".to_owned(),
    }
}

/// What waits.
pub(crate) async fn lanes(connector: &Connector, json: bool) -> Result<()> {
    let backlog = connector.backlog().await?;
    if json {
        return print(&backlog);
    }
    let mut table = table(&["connection", "kind", "due", "later", "parked", "acknowledged", "oldest"]);
    for of in backlog {
        table.add_row([
            of.connection.to_string(),
            format!("{:?}", of.kind).to_lowercase(),
            of.due.to_string(),
            of.later.to_string(),
            of.parked.to_string(),
            of.acknowledged.to_string(),
            at(of.oldest),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// When tokens and webhooks end.
pub(crate) async fn expiries(connector: &Connector, json: bool) -> Result<()> {
    let health = connector.health().await?;
    let rows: Vec<_> = health
        .connections
        .iter()
        .flat_map(|(name, of)| {
            let token = of.token.iter().flat_map(|token| {
                [
                    ("access token", token.expires_at),
                    ("refresh token unused", token.dies_at),
                    ("kept alive", token.kept_alive_at),
                ]
            });
            let hooks = of.subscriptions.iter().map(|hook| (&*hook.name, hook.ends));
            token
                .chain(hooks)
                .filter_map(move |(what, ends)| Some((name.to_string(), what.to_owned(), ends?)))
        })
        .collect();
    if json {
        return print(&rows);
    }
    let mut table = table(&["connection", "what", "ends"]);
    for (name, what, ends) in rows {
        table.add_row([name, what, ends.to_string()]);
    }
    println!("{table}");
    Ok(())
}

/// Entries that fit.
pub(crate) async fn search(connector: &Connector, query: &Query, json: bool) -> Result<()> {
    let found = connector.search(query).await?;
    if json {
        return print(&found);
    }
    println!("{}", entries(&found));
    if found.len() == query.effective_limit() {
        println!("There may be more: --limit shows it.");
    }
    Ok(())
}

/// Entries as a table.
pub(crate) fn entries(found: &[Entry]) -> Table {
    let mut table =
        table(&["#", "at", "kind", "state", "connection", "about", "name", "amount", "to", "receipt"]);
    for entry in found {
        let index = &entry.index;
        let about = index.number.as_deref().map(ToOwned::to_owned);
        table.add_row([
            entry.seq.to_string(),
            entry.at.to_string(),
            format!("{:?}", entry.kind).to_lowercase(),
            format!("{:?}", entry.state).to_lowercase(),
            entry.connection.to_string(),
            about.or_else(|| index.entity.as_ref().map(ToString::to_string)).unwrap_or_default(),
            index.name.as_deref().unwrap_or_default().to_owned(),
            index.amount.map(|amount| amount.to_string()).unwrap_or_default(),
            index.destination.as_deref().unwrap_or_default().to_owned(),
            entry.receipt().unwrap_or_default().to_owned(),
        ]);
    }
    table
}

/// The story of an entry.
pub(crate) async fn explain(connector: &Connector, entry: u64, json: bool) -> Result<()> {
    let story = connector.explain(Seq(entry)).await?;
    if json {
        return print(&story);
    }
    print!("{story}");
    Ok(())
}

/// What was given up, by reason: how often, since when, and one of them.
pub(crate) async fn dead(connector: &Connector, limit: usize, json: bool) -> Result<()> {
    let mut groups: BTreeMap<(String, EntryKind, String), (usize, Timestamp, Seq)> = BTreeMap::new();
    let query = Query::default().with_state(EntryState::Dead).with_acknowledged(false).with_limit(limit);
    for entry in connector.search(&query).await? {
        let reason = entry.outcomes.iter().rev().find_map(|recorded| match &recorded.outcome {
            Outcome::Dead { error, .. } => Some(error.to_string()),
            _ => None,
        });
        let key = (entry.connection.to_string(), entry.kind, reason.unwrap_or_default());
        groups.entry(key).or_insert((0, entry.at, entry.seq)).0 += 1;
    }
    if json {
        return print(&groups.iter().collect::<Vec<_>>());
    }
    let mut table = table(&["connection", "kind", "how many", "since", "such as", "why"]);
    for ((connection, kind, why), (count, since, seq)) in groups {
        let kind = format!("{kind:?}").to_lowercase();
        table.add_row([connection, kind, count.to_string(), since.to_string(), format!("#{seq}"), why]);
    }
    println!("{table}");
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

fn at(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

/// Prints what was asked for as JSON.
pub(crate) fn print(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the answer cannot be written").with_source(source)
    })?;
    println!("{json}");
    Ok(())
}
