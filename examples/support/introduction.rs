//! What a program says of itself when it begins to work with real accounts: whose they are, how news is noticed, what is there
//! already, and what a list waits for that is not read yet. One line each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ml_connector_core::{
    CheckResult, Connector, Result, SourceInfo, Timestamp,
    audit::{Outcome, Query},
    engine::{Health, WaitReason},
    model::{ConnectionId, Seq},
};

/// How often it looks how far the first read is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What passes sooner is not worth a line.
const SHORT: Duration = Duration::from_secs(2);
/// How often a connection says at most what its lists wait for.
const WAIT_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Says so of each of these sources, and ends when all that may be read has been read. A list that is not to be had, for want of
/// a scope or a plan, is waited for by nobody.
///
/// # Errors
/// Those of the log.
pub async fn introduce(connector: &Connector, sources: &[SourceInfo]) -> Result<()> {
    let check = connector.check().await;
    for source in sources {
        let id = &source.connection;
        let steps = check.connections.get(id).map_or(&[][..], Vec::as_slice);
        let wrong =
            steps.iter().filter(|step| matches!(step.result, CheckResult::Failed | CheckResult::Warning));
        wrong.for_each(|step| println!("{id}: {step}"));
        let who = steps.iter().find(|step| WHOSE.contains(&&*step.step));
        match who.filter(|who| who.result != CheckResult::Failed) {
            Some(who) => println!("{id}: connected as {}", who.found.as_deref().unwrap_or(source.system)),
            None => println!("{id}: not connected yet"),
        }
        println!("{id}: {}", noticed(source));
    }
    let (mut told, mut waits_told) = (BTreeSet::new(), BTreeMap::new());
    let feeds: usize = sources.iter().map(|source| source.feeds.len()).sum();
    while told.len() < feeds {
        let health = connector.health().await?;
        for source in sources {
            let id = &source.connection;
            let unavailable = health.connections.get(id).map_or(&[][..], |health| &health.unavailable_feeds);
            for feed in unavailable {
                let Some(known) = source.feeds.iter().find(|known| known.name == feed.feed) else { continue };
                if told.insert((id, known.name)) {
                    println!("{id}: {} cannot be read: {}", feed.feed, feed.reason);
                }
            }
            for feed in connector.progress(id).await? {
                let Some(records) = feed.records.filter(|_| feed.baseline.is_some()) else { continue };
                if told.insert((id, feed.feed)) {
                    println!("{id}: baseline of {records} {}", feed.feed);
                }
            }
        }
        if told.len() < feeds {
            for SourceInfo { connection, .. } in sources {
                say_wait(connector, connection, &health, &mut waits_told).await?;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Says for which limit, or after which failure, lists of a connection wait, and until when.
async fn say_wait<'a>(
    connector: &Connector,
    id: &'a ConnectionId,
    health: &Health,
    told: &mut BTreeMap<&'a ConnectionId, Timestamp>,
) -> Result<()> {
    let now = connector.context().now();
    if told.get(id).is_some_and(|at| now < *at + WAIT_TOLD_EVERY) {
        return Ok(());
    }
    let lanes = health.connections.get(id).map_or(&[][..], |health| &health.signals.lanes);
    for lane in lanes {
        let Some(until) = lane.next.filter(|next| next.saturating_since(now) >= SHORT) else { continue };
        let why = match &lane.reason {
            WaitReason::Quota { key } => Some(format!("the limit {key} is spent")),
            WaitReason::Blocked => why_again(connector, lane.head).await?,
            _ => None,
        };
        if let Some(why) = why {
            println!("{id}: waits until {until}: {why}");
            told.insert(id, now);
            break;
        }
    }
    Ok(())
}

/// Why an entry is tried again.
async fn why_again(connector: &Connector, entry: Option<Seq>) -> Result<Option<String>> {
    let query = Query::entries(entry.into_iter().collect());
    let entry = connector.search(&query).await?.pop();
    let outcomes = entry.map(|entry| entry.outcomes).unwrap_or_default();
    Ok(outcomes.into_iter().rev().find_map(|recorded| match recorded.outcome {
        Outcome::Retry { error, .. } => Some(error.to_string()),
        _ => None,
    }))
}

/// The steps of a check that say whose account it is.
const WHOSE: [&str; 3] = ["organization", "account", "company"];

/// How changes are noticed.
fn noticed(source: &SourceInfo) -> String {
    let shortest = source.feeds.iter().map(|feed| feed.every).min().unwrap_or_default();
    let every = match shortest.as_secs() {
        secs if secs % 60 == 0 => format!("{} minutes", secs / 60),
        secs => format!("{secs} seconds"),
    };
    match (source.mode.subscribes(), source.mode.polls()) {
        (true, true) => format!("webhooks, and polling every {every}"),
        (true, false) => "webhooks, without polling".to_owned(),
        _ => format!("polling every {every}"),
    }
}
