//! What a program says of itself when it begins to work with real accounts: whose they are, how news is noticed, and what is
//! there already. One line each.

use std::{collections::BTreeSet, time::Duration};

use ml_connector_core::{CheckResult, Connector, Result, SourceInfo};

/// How often it looks how far the first read is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    let mut told = BTreeSet::new();
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
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
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
