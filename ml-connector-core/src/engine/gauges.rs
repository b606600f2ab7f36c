//! Gauges: what waits, what limits leave and how old tokens are, shown through the `metrics` facade from time to time.

use std::collections::BTreeMap;

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
    for connection in &connections {
        for (kind, name) in [(EntryKind::Signal, "signal"), (EntryKind::Delivery, "delivery")] {
            let row = rows.get(&(connection, kind)).copied();
            let lag = row.and_then(|row| row.oldest).map_or(0.0, |at| now.saturating_since(at).as_secs_f64());
            let of = [("connection", labels.bounded(connection.as_str())), ("kind", name.into())];
            metrics::gauge!("ml_connector_lag_seconds", &of).set(lag);
            metrics::gauge!("ml_connector_waiting", &of).set(number(row.map_or(0, |row| row.due)));
            metrics::gauge!("ml_connector_parked", &of).set(number(row.map_or(0, |row| row.parked)));
        }
        let key = registry.token_key(connection);
        let issued = token(&shared.context, &key).await.and_then(|health| health.issued_at);
        if let Some(issued) = issued {
            let of = [("connection", labels.bounded(connection.as_str()))];
            let age = now.saturating_since(issued).as_secs_f64();
            metrics::gauge!("ml_connector_token_age_seconds", &of).set(age);
        }
    }
    show_limits(shared, labels).await
}

async fn show_limits(shared: &Shared, labels: &Labels) -> Result<()> {
    let usage = shared.context.limiter().usage(shared.clock.now()).await?;
    for usage in usage.iter().take(LIMITS) {
        for window in &usage.windows {
            let (Quota::Rolling { window: length, .. }
            | Quota::Aligned { period: length, .. }
            | Quota::Errors { window: length, .. }) = window.quota
            else {
                continue;
            };
            let of = [
                ("key", labels.bounded(usage.key.as_str())),
                ("seconds", labels.bounded(&length.as_secs().to_string())),
            ];
            let left = if usage.paused_until.is_some() { 0 } else { window.left() };
            metrics::gauge!("ml_connector_limit_left", &of).set(number(left));
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // of a gauge
fn number(count: u64) -> f64 {
    count as f64
}
