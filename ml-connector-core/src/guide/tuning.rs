//! Tuning: what can be changed, and what that costs.
//!
//! The defaults suit most hosts. Look first at what waits and for what: [`Connector::health`](crate::Connector::health) names it
//! for each lane, and the console shows it in words. Most waits are a vendor's limit, which no setting of ours raises.
//!
//! ```
//! use std::time::Duration;
//! use ml_connector_core::{Connector, engine::Settings};
//!
//! let settings = Settings::default()
//!     .with_max_resolving(128)
//!     .with_lease(Duration::from_secs(30))
//!     .with_retention(Some(Duration::from_secs(90 * 24 * 3600)));
//! let connector = Connector::builder().settings(settings);
//! # drop(connector);
//! ```
//!
//! | what is seen | what to change | what it costs |
//! |---|---|---|
//! | reads wait, limits have room | [`max_resolving`](crate::engine::Settings::max_resolving) | connections and memory; a connection has half of it at most |
//! | deliveries wait in many lanes, limits have room | [`max_delivering`](crate::engine::Settings::max_delivering) | the same |
//! | a burst of webhooks about one record is told in parts | the connection's `coalesce` ([`SourceInfo::coalesce`](crate::SourceInfo::coalesce)) | each change is told that much later |
//! | too many messages | a [`Schedule`](crate::route::Schedule) with a digest, [`Follow`](crate::model::Follow), a filter of the route | people hear later, or at one place |
//! | one bad delivery blocks a channel for too long | [`max_block`](crate::engine::Settings::max_block), or [`retries`](crate::engine::Settings::retries) by kind | a failure that would have passed becomes a dead delivery, which somebody has to replay |
//! | take-over after a kill is slow | [`lease`](crate::engine::Settings::lease), shorter | more writes, and a host that stands still for as long loses its partitions |
//! | hosts lose partitions under load | [`lease`](crate::engine::Settings::lease), longer | the work of a dead host waits longer |
//! | the log grows | [`retention`](crate::engine::Settings::retention), shorter | stories of what is older are gone, and so is the memory of webhooks' ids. Snapshots stay |
//! | a deploy takes long | [`grace`](crate::engine::Settings::grace), shorter | calls that are cut off have to be looked up |
//! | polls come too late, or spend too much | the feed's interval, in the connection's settings | the vendor's limit, or time |
//!
//! # What one host can do
//!
//! Webhooks, reads and deliveries are a few commits each, and commits are made in groups. So throughput grows with what is
//! under way at once, and one slow vendor does not slow the others. The benches in `tests/benches` of the repository measure
//! intake, backlog, pacing, latency and several hosts on your machine.
//!
//! Several hosts on one Postgres share the partitions. That makes a system available; it makes it faster only where one host's
//! processor is the limit, and never where a vendor's limit is.
