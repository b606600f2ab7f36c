//! Gauges: what waits, what limits leave and how old tokens are, shown through the `metrics` facade from time to time.

use std::{collections::BTreeMap, sync::Arc};

use super::{shared::Shared, stats::Labels};
use crate::{
    Result,
    audit::{Backlog, EntryKind},
    model::{ConnectionId, Quota},
    token::health as token,
};

/// Of how many limits it is shown what is left.
const LIMITS: usize = 200;

/// Sets every gauge.
pub(crate) async fn show(shared: &Shared) -> Result<()> {
    let (now, registry, labels) = (shared.clock.now(), shared.registry(), &shared.stats.labels);
    let rows = shared.log.backlog(now).await?;
    let rows: BTreeMap<(&ConnectionId, EntryKind), &Backlog> =
        rows.iter().map(|row| ((&row.connection, row.kind), row)).collect();
    let connections = registry.connections();
    let gone: Vec<ConnectionId> = {
        let mut shown = labels.shown();
        let gone = shown.connections.difference(&connections).cloned().collect();
        shown.connections.clone_from(&connections);
        gone
    };
    for connection in connections.iter().chain(&gone) {
        let label = labels.connections.bounded(connection.as_str());
        for (kind, name) in [(EntryKind::Signal, "signal"), (EntryKind::Delivery, "delivery")] {
            // What waits for a connection that is not there is no work of this process.
            let row = rows.get(&(connection, kind)).copied().filter(|_| connections.contains(connection));
            let lag = row.and_then(|row| row.oldest).map_or(0.0, |at| now.saturating_since(at).as_secs_f64());
            let of = [("connection", Arc::clone(&label)), ("kind", name.into())];
            metrics::gauge!("ml_connector_lag_seconds", &of).set(lag);
            metrics::gauge!("ml_connector_waiting", &of).set(number(row.map_or(0, |row| row.due)));
            metrics::gauge!("ml_connector_parked", &of).set(number(row.map_or(0, |row| row.parked)));
        }
        let of = [("connection", label)];
        let age = match connections.contains(connection) {
            true => {
                let health = token(&shared.context, &registry.token_key(connection)).await;
                health
                    .and_then(|health| health.issued_at)
                    .map(|issued| now.saturating_since(issued).as_secs_f64())
            }
            false => Some(0.0),
        };
        if let Some(age) = age {
            metrics::gauge!("ml_connector_token_age_seconds", &of).set(age);
        }
    }
    show_limits(shared, labels).await
}

/// Shows what is left of each limit. One of which nothing is spent any more is whole again, and makes room for another.
async fn show_limits(shared: &Shared, labels: &Labels) -> Result<()> {
    let usage = shared.context.limiter().usage(shared.clock.now()).await?;
    let mut shown = labels.shown();
    let mut idle = std::mem::take(&mut shown.limits);
    let windows = usage.iter().flat_map(|usage| usage.windows.iter().map(move |window| (usage, window)));
    for (usage, window) in windows {
        let (Quota::Rolling { window: length, .. }
        | Quota::Aligned { period: length, .. }
        | Quota::Errors { window: length, .. }) = window.quota
        else {
            continue;
        };
        let (key, seconds) = (labels.keys.bounded(usage.key.as_str()), length.as_secs());
        let one = (Arc::clone(&key), seconds);
        if idle.remove(&one).is_none() && shown.limits.len() + idle.len() >= LIMITS {
            continue;
        }
        let left = if usage.paused_until.is_some() { 0 } else { window.left() };
        show_left(key, seconds, left);
        shown.limits.insert(one, u64::from(window.quota.limit()));
    }
    idle.into_iter().for_each(|((key, seconds), limit)| show_left(key, seconds, limit));
    Ok(())
}

fn show_left(key: Arc<str>, seconds: u64, left: u64) {
    let of = [("key", key), ("seconds", seconds.to_string().into())];
    metrics::gauge!("ml_connector_limit_left", &of).set(number(left));
}

#[allow(clippy::cast_precision_loss)] // of a gauge
fn number(count: u64) -> f64 {
    count as f64
}
