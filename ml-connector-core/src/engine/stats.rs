//! What was counted.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

#[cfg(feature = "metrics")]
pub(crate) use super::labels::Labels;
use crate::model::ConnectionId;

/// Counts of this process since the connector was built. The log holds everything that was counted, on all hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Signals stored from webhooks.
    pub received: u64,
    /// Requests that were not proven to come from the vendor.
    pub forged: u64,
    /// Requests that were proven, but not understood, or had no endpoint or too large a body.
    pub rejected: u64,
    /// Requests the log could not take: the vendor was asked to try again.
    pub refused: u64,
    /// Signals without a connection.
    pub unrouted: u64,
    /// Reads that found nothing new.
    pub unchanged: u64,
    /// Changes that were found.
    pub events: u64,
    /// Deliveries made.
    pub deliveries: u64,
    /// Deliveries done.
    pub delivered: u64,
    /// Attempts that did not succeed and will be repeated.
    pub retried: u64,
    /// Attempts whose outcome had to be looked up.
    pub looked_up: u64,
    /// Deliveries parked.
    pub parked: u64,
    /// Signals and deliveries given up; they can be replayed.
    pub dead: u64,
}

#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum Stat {
    Received,
    Forged,
    Rejected,
    Refused,
    Unrouted,
    Unchanged,
    Events,
    Deliveries,
    Delivered,
    Retried,
    LookedUp,
    Parked,
    Dead,
}

#[cfg(feature = "metrics")]
impl Stat {
    /// The counter's name. Listed in the engine's documentation; renaming one breaks dashboards.
    fn metric(self) -> &'static str {
        match self {
            Self::Received => "ml_connector_signals_received_total",
            Self::Forged => "ml_connector_webhooks_forged_total",
            Self::Rejected => "ml_connector_webhooks_rejected_total",
            Self::Refused => "ml_connector_webhooks_refused_total",
            Self::Unrouted => "ml_connector_signals_unrouted_total",
            Self::Unchanged => "ml_connector_reads_unchanged_total",
            Self::Events => "ml_connector_events_total",
            Self::Deliveries => "ml_connector_deliveries_total",
            Self::Delivered => "ml_connector_deliveries_done_total",
            Self::Retried => "ml_connector_attempts_retried_total",
            Self::LookedUp => "ml_connector_attempts_looked_up_total",
            Self::Parked => "ml_connector_deliveries_parked_total",
            Self::Dead => "ml_connector_entries_dead_total",
        }
    }
}

const COUNT: usize = Stat::Dead as usize + 1;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; COUNT],
    #[cfg(feature = "metrics")]
    pub(crate) labels: Labels,
}

impl Counters {
    pub(crate) fn count(&self, stat: Stat) {
        self.add(stat, 1);
    }

    pub(crate) fn add(&self, stat: Stat, count: usize) {
        #[cfg(feature = "metrics")]
        metrics::counter!(stat.metric()).increment(count as u64);
        self.counts[stat as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts something of a connection.
    pub(crate) fn add_for(&self, stat: Stat, count: usize, of: &ConnectionId, route: Option<&str>) {
        #[cfg(feature = "metrics")]
        if count > 0 {
            let (connection, route) = (
                self.labels.connections.bounded(of.as_str()),
                self.labels.routes.bounded(route.unwrap_or("")),
            );
            metrics::counter!(stat.metric(), "connection" => connection, "route" => route)
                .increment(count as u64);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (of, route);
        self.counts[stat as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Shows how long a delivery took from its event.
    pub(crate) fn took(&self, latency: Duration, of: &ConnectionId, route: &str) {
        #[cfg(feature = "metrics")]
        {
            let (connection, route) =
                (self.labels.connections.bounded(of.as_str()), self.labels.routes.bounded(route));
            metrics::histogram!("ml_connector_delivery_seconds", "connection" => connection, "route" => route)
                .record(latency);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (latency, of, route);
    }

    pub(crate) fn read(&self) -> Stats {
        let all: [u64; COUNT] = array::from_fn(|i| self.counts[i].load(Ordering::Relaxed));
        let of = |stat: Stat| all[stat as usize];
        Stats {
            received: of(Stat::Received),
            forged: of(Stat::Forged),
            rejected: of(Stat::Rejected),
            refused: of(Stat::Refused),
            unrouted: of(Stat::Unrouted),
            unchanged: of(Stat::Unchanged),
            events: of(Stat::Events),
            deliveries: of(Stat::Deliveries),
            delivered: of(Stat::Delivered),
            retried: of(Stat::Retried),
            looked_up: of(Stat::LookedUp),
            parked: of(Stat::Parked),
            dead: of(Stat::Dead),
        }
    }
}
