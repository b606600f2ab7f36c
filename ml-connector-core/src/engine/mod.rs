//! The engine: turns signals into events and events into deliveries.
//!
//! ```text
//! request ─► intake ─► signal (durable) ─► 2xx
//!                         │ resolve: one read for all signals of a record
//!                         ▼
//!                      snapshot step ─► event ─► fan out: routes ─► deliveries (one transaction)
//!                                                              │ one under way per lane, admitted by quotas
//!                                                              ▼
//!                                                   deliver: Sink::deliver ─► outcome
//! ```
//!
//! # The rooms
//!
//! Imports run downward only; the test `rooms` holds the list. From the ground up:
//!
//! - `guard`, `retry`, `settings`, `stats`, `labels`, `tally` and `stored` know nothing of the engine: calls of other
//!   people's code, pauses, settings, counters and their labels, what happens minute by minute, and the form of bodies in the
//!   log.
//! - `lanes` decides what may begin now: state and arithmetic without I/O. `mailbox` carries messages to the run loop.
//! - `registry` holds connections and routes. `shared` is what all rooms work with, and `connector` the host's handle on it.
//! - `documents`, `entries`, `writes` and `source_state` are the ways to the log: typed documents, new entries,
//!   transactions, and what is kept about a source.
//! - `history` writes down what happened to each connection, `kept_hooks` what has come of webhooks, `gauges` shows what waits. `forgotten` detaches what any host has
//!   forgotten.
//! - `fan_out` makes an event and its deliveries from a change. `notices` tells about the engine's own work in the same way.
//! - `intake` stores what requests say. `resolve` reads records.
//! - `feeds`, `upkeep` and `deliver` do the other work that waits in the log: one page, one look after subscriptions, one
//!   attempt.
//! - `run` is the loop that hands work to these rooms. `host` is what a host calls besides.
//!
//! # What routes ask for
//!
//! - *At once*: a delivery waits in the lane that its sink plans, and goes when those before it have gone.
//! - *Later* ([`Schedule`](crate::route::Schedule)): it waits in a lane of its schedule, so that it keeps nobody waiting.
//!   A digest is what waits in such a lane, sent as one; each of its deliveries is settled by itself.
//! - *Following* ([`Follow`](crate::model::Follow)): a document per destination and record says which message came first
//!   and what it shows. The transaction that settles a delivery writes it. A delivery that was made before the first message
//!   was sent, and would rewrite it, moves to the lane of that message. So a message is rewritten in the order of the
//!   record's changes, and a state older than the one it shows is dropped as superseded.
//! - *Pages* ([`Route::pages`](crate::route::Route::pages)): a page of a backfill is one event and one delivery, written
//!   with the snapshots of its records and the checkpoint behind it.
//!
//! # What it tells
//!
//! - [`Connector::check`] says what is missing before anything happens, and what to do about it.
//! - [`Connector::health`] and [`Connector::stats`] say how it is doing, beginning with the log itself
//!   ([`Health::log`]): without it nothing else can be known. Each lane says what it waits for. [`Connector::history`] says
//!   what happened to a connection by minutes and hours. [`Connector::troubles`] tells without any sink.
//! - [`Connector::explain`] tells the [`Story`] of one entry: what came before and after it, every attempt with its calls
//!   and waits, and what operators did to it.
//! - [`Connector::act`] is how operators change something. Each [`Act`] is an entry of the log with the name of whoever did
//!   it. A bulk replay is such an entry: a running host carries it out, also after a restart.
//! - *Notices*: events about its own work, routed like any other, if a route names them: `delivery.dead`,
//!   `delivery.parked`, `signal.dead`, `webhook.unrouted`, `connection.parked`, `connection.resumed`, `feed.parked`,
//!   `feed.resumed`. One lane sends one in ten minutes, and there is no notice about the deliveries of a notice.
//! - *Spans* of `tracing`, at level `debug`: `receive` (`endpoint`), `resolve` (`connection`, `seq`, `signals`),
//!   `deliver` (`connection`, `seq`, `attempt`), and `http_call` (`system`, `operation`) inside the latter two.
//!   `seq` is the entry's number in the log. `error` means that somebody has to act, `warn` that the engine goes on
//!   regardless. No field ever holds a secret, a name, an amount or a body.
//! - *Counters*, with feature `metrics`; what is known of a connection has labels `connection` and, of deliveries, `route`, of
//!   which a thousand names are told apart: `ml_connector_signals_received_total`,
//!   `ml_connector_signals_unrouted_total`, `ml_connector_webhooks_{forged,rejected,refused}_total`,
//!   `ml_connector_reads_unchanged_total`, `ml_connector_events_total`, `ml_connector_deliveries_total`,
//!   `ml_connector_deliveries_{done,parked}_total`, `ml_connector_attempts_{retried,looked_up}_total`,
//!   `ml_connector_entries_dead_total`. [`Stats`] says what each counts. *Histogram* `ml_connector_delivery_seconds`: from an
//!   event to its delivery, by `connection` and `route`. *Gauges*, once a minute, by `connection` and `kind`:
//!   `ml_connector_lag_seconds`, `ml_connector_waiting`, `ml_connector_parked`; by `key` and `seconds` of a window
//!   `ml_connector_limit_left`; by `connection` `ml_connector_token_age_seconds`.

#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod benchmark;
mod connector;
mod deliver;
mod documents;
mod entries;
mod fan_out;
mod feeds;
mod forgotten;
#[cfg(feature = "metrics")]
mod gauges;
mod guard;
mod history;
mod hooks;
mod host;
mod intake;
mod kept_hooks;
#[cfg(feature = "metrics")]
mod labels;
mod lanes;
mod log_gate;
mod mailbox;
mod notices;
mod recent;
mod registry;
mod resolve;
mod retry;
mod run;
mod settings;
mod shared;
mod source_state;
mod stats;
mod stored;
mod tally;
#[cfg(test)]
mod tests;
mod trace;
mod trouble;
mod upkeep;
mod writes;

pub use self::{
    connector::Connector,
    feeds::{FeedProgress, FeedRemark, RunProgress, StoppedSweep, UnavailableFeed},
    history::{History, HistoryBucket},
    host::{
        Act, Acted, Check, ConnectionHealth, ConnectionView, ConnectorBuilder, DryRun, FieldChange, Health,
        ParkedDelivery, Progress, Replay, ReplayMode, Replayed, Step, StepKind, Story, Way, WebhookHealth,
        WebhookService,
    },
    lanes::{Backlog, LaneHealth, WaitReason},
    log_gate::LogTrouble,
    notices::Parked,
    retry::{Jitter, Retries, RetryPolicy},
    settings::Settings,
    stats::Stats,
    tally::Tally,
    trouble::{Trouble, TroubleKind},
};
