//! Gauges: what waits, what limits leave and how old tokens are, shown through the `metrics` facade from time to time.

use std::{collections::BTreeMap, sync::Arc};

use super::{shared::Shared, stats::Labels};
use crate::{
    Result,
    audit::{Backlog, EntryKind, EntryState, Query},
    model::{ConnectionId, Quota},
    token::health as token,
};

/// Of how many limits it is shown what is left.
const LIMITS: usize = 200;

/// Of how many connections it is shown by route what waits: those whose deliveries have waited for longest.
const BY_ROUTE: usize = 20;
/// How many deliveries of each are looked at, the oldest first.
const LOOKED_AT: usize = 1_000;

/// What waits under one label.
#[derive(Default)]
struct Waiting {
    lag: f64,
    due: u64,
    parked: u64,
}

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
    // Names beyond the bound share one label: it shows all of them together.
    let (mut work, mut ages) = (BTreeMap::<_, Waiting>::new(), BTreeMap::<_, f64>::new());
    for connection in connections.iter().chain(&gone) {
        let (label, is_there) =
            (labels.connections.bounded(connection.as_str()), connections.contains(connection));
        for (kind, name) in [(EntryKind::Signal, "signal"), (EntryKind::Delivery, "delivery")] {
            let all = work.entry((Arc::clone(&label), name)).or_default();
            // What waits for a connection that is not there is no work of this process.
            let Some(row) = rows.get(&(connection, kind)).filter(|_| is_there) else { continue };
            let lag = row.oldest.map_or(0.0, |at| now.saturating_since(at).as_secs_f64());
            (all.lag, all.due, all.parked) = (all.lag.max(lag), all.due + row.due, all.parked + row.parked);
        }
        let age = if is_there {
            let health = token(&shared.context, &registry.token_key(connection)).await;
            let issued = health.and_then(|health| health.issued_at);
            issued.map(|issued| now.saturating_since(issued).as_secs_f64())
        } else {
            Some(0.0)
        };
        if let Some(age) = age {
            let oldest = ages.entry(label).or_default();
            *oldest = oldest.max(age);
        }
    }
    for ((connection, kind), Waiting { lag, due, parked }) in work {
        let of = [("connection", connection), ("kind", kind.into())];
        metrics::gauge!("ml_connector_lag_seconds", &of).set(lag);
        metrics::gauge!("ml_connector_waiting", &of).set(number(due));
        metrics::gauge!("ml_connector_parked", &of).set(number(parked));
    }
    for (connection, age) in ages {
        metrics::gauge!("ml_connector_token_age_seconds", &[("connection", connection)]).set(age);
    }
    let mut deliveries: Vec<&Backlog> = rows.values().copied().filter(|row| is_late(row)).collect();
    deliveries.retain(|row| connections.contains(&row.connection));
    deliveries.sort_by_key(|row| row.oldest.unwrap_or(now));
    deliveries.truncate(BY_ROUTE);
    show_routes(shared, labels, &deliveries).await?;
    show_limits(shared, labels).await
}

fn is_late(row: &Backlog) -> bool {
    row.kind == EntryKind::Delivery && row.due + row.parked > 0
}

/// Shows what waits of each route.
async fn show_routes(shared: &Shared, labels: &Labels, of: &[&Backlog]) -> Result<()> {
    let now = shared.clock.now();
    let mut routes = BTreeMap::<_, Waiting>::new();
    for Backlog { connection, due, parked, .. } in of {
        // Where there are none, the whole log would be searched for them.
        let states = [(EntryState::Pending, *due), (EntryState::Parked, *parked)];
        for (state, _) in states.into_iter().filter(|(_, waiting)| *waiting > 0) {
            let query = Query::of_kind(EntryKind::Delivery).with_connection(connection.clone());
            let query = query.with_state(state).with_limit(LOOKED_AT);
            for entry in shared.log.query(&query).await? {
                let route = entry.index.name.as_deref().unwrap_or_default();
                let of = (labels.connections.bounded(connection.as_str()), labels.routes.bounded(route));
                let all = routes.entry(of).or_default();
                if state == EntryState::Parked {
                    all.parked += 1;
                    continue;
                }
                all.due += 1;
                all.lag = all.lag.max(now.saturating_since(entry.at).as_secs_f64());
            }
        }
    }
    let gone = {
        let mut shown = labels.shown();
        let now_shown = routes.keys().cloned().collect();
        let before = std::mem::replace(&mut shown.routes, now_shown);
        before.difference(&shown.routes).cloned().collect::<Vec<_>>()
    };
    let gone = gone.into_iter().map(|of| (of, Waiting::default()));
    for ((connection, route), Waiting { lag, due, parked }) in routes.into_iter().chain(gone) {
        let of = [("connection", connection), ("route", route)];
        metrics::gauge!("ml_connector_route_lag_seconds", &of).set(lag);
        metrics::gauge!("ml_connector_route_waiting", &of).set(number(due));
        metrics::gauge!("ml_connector_route_parked", &of).set(number(parked));
    }
    Ok(())
}

/// Shows what is left of each limit. One of which nothing is spent any more is whole again, and makes room for another.
async fn show_limits(shared: &Shared, labels: &Labels) -> Result<()> {
    let usage = shared.context.limiter().usage(shared.clock.now()).await?;
    let mut shown = labels.shown();
    let mut idle = std::mem::take(&mut shown.limits);
    // Of limits that share a label the fullest is shown.
    let mut left_of = BTreeMap::new();
    let windows = usage.iter().flat_map(|usage| usage.windows.iter().map(move |window| (usage, window)));
    for (usage, window) in windows {
        let (Quota::Rolling { window: length, .. }
        | Quota::Aligned { period: length, .. }
        | Quota::Errors { window: length, .. }) = window.quota
        else {
            continue;
        };
        let one = (labels.keys.bounded(usage.key.as_str()), length.as_secs());
        let is_known = left_of.contains_key(&one) || idle.remove(&one).is_some();
        if !is_known && left_of.len() + idle.len() >= LIMITS {
            continue;
        }
        let left = if usage.paused_until.is_some() { 0 } else { window.left() };
        let least = left_of.entry(one.clone()).or_insert(left);
        *least = left.min(*least);
        shown.limits.insert(one, u64::from(window.quota.limit()));
    }
    left_of.into_iter().chain(idle).for_each(|((key, seconds), left)| show_left(key, seconds, left));
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
