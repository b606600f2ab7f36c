//! The engine: what turns signals into events and events into deliveries, and keeps every promise on the way.
//!
//! ```text
//! request ─► receive ─► signal (durable) ─► 2xx
//!                          │ resolve: one read for all signals of a record
//!                          ▼
//!                       snapshot step ─► event ─► routes ─► deliveries (one transaction)
//!                                                              │ one under way per lane, admitted by quotas
//!                                                              ▼
//!                                                        Sink::deliver ─► outcome
//! ```
//!
//! # What routes ask for
//!
//! - *At once*: a delivery waits in the lane that its sink plans, and goes when those before it have gone.
//! - *Later* ([`Schedule`](crate::route::Schedule)): it waits in a lane of its schedule, so that it keeps nobody waiting.
//!   A digest is what waits in such a lane, sent as one; each of its deliveries is settled by itself.
//! - *Going on* ([`Follow`](crate::model::Follow)): a document per destination and record says which message came first
//!   and what it shows. Its writer is the transaction that settles a delivery, so it is as true as the log. A delivery
//!   that was made before the first was told, and would rewrite it, moves to the lane of that message: whatever rewrites
//!   one message does so in the order of the record's changes, and what is older than what it shows is superseded.
//! - *Pages* ([`Route::pages`](crate::route::Route::pages)): a page of a backfill is one event and one delivery, written
//!   with the snapshots of its records and the checkpoint behind it.
//!
//! # What it tells
//!
//! - [`Connector::health`] and [`Connector::stats`] say how it is doing; [`Connector::explain`] tells the story of one
//!   entry.
//! - *Events* about its own work, routed like any other, if a route names them: `delivery.dead`, `delivery.parked`,
//!   `signal.dead`, `webhook.unrouted`, `connection.parked`, `connection.resumed`. One lane tells once in ten minutes, and what becomes of
//!   such an event's own deliveries is not told.
//! - *Spans* of `tracing`, at level `debug`: `receive` (`endpoint`), `resolve` (`connection`, `seq`, `signals`),
//!   `deliver` (`connection`, `seq`, `attempt`), and `http_call` (`system`, `operation`) inside the latter two.
//!   `seq` is the entry's number in the log. `error` means that somebody has to act, `warn` that the engine goes on
//!   regardless. No field ever holds a secret, a name, an amount or a body.
//! - *Counters*, with feature `metrics`, without labels: `ml_connector_signals_received_total`,
//!   `ml_connector_signals_unrouted_total`, `ml_connector_webhooks_{forged,rejected,refused}_total`,
//!   `ml_connector_reads_unchanged_total`, `ml_connector_events_total`, `ml_connector_deliveries_total`,
//!   `ml_connector_deliveries_{done,parked}_total`, `ml_connector_attempts_{retried,looked_up}_total`,
//!   `ml_connector_entries_dead_total`. [`Stats`] says what each counts.

#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod benchmark;
mod connector;
mod deliver;
mod documents;
mod entries;
mod fan_out;
mod feeds;
mod guard;
mod host;
mod intake;
mod lanes;
mod mailbox;
mod notices;
mod registry;
mod resolve;
mod retry;
mod run;
mod settings;
mod shared;
mod source_state;
mod stats;
mod stored;
#[cfg(test)]
mod tests;
mod upkeep;
mod writes;

pub use self::{
    connector::Connector,
    feeds::{FeedProgress, RunProgress, StoppedSweep},
    host::{
        ConnectionHealth, ConnectorBuilder, DryRun, Explanation, Health, ParkedDelivery, Progress, Replay,
        ReplayMode, Replayed, Way, WebhookService,
    },
    lanes::{Backlog, LaneHealth},
    notices::Parked,
    retry::{Jitter, Retries, RetryPolicy},
    settings::Settings,
    stats::Stats,
};
