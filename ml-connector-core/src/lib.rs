//! Contracts and engine of ml-connector: finance events from accounting systems into Slack and Databricks, and clicks
//! and reactions back into the books: verified, durable, paced, retried, deduplicated, searchable, replayable.
//!
//! - A webhook is stored as a [`Signal`](model::Signal). It only says which record to read, because vendors lose,
//!   delay and repeat webhooks. Polls give the same signals.
//! - A change of a record is an *event*. A [`Source`] reads the record, and the [snapshot step](snapshot::step)
//!   compares it with what was known. Without a difference there is no event.
//! - [Routes](route::Route) turn an event into *deliveries*, written in the same transaction. A delivery ends as done
//!   or dead, or waits as parked. A dead one can be replayed, a parked one resumes. None disappears.
//!
//! # The parts
//!
//! | trait | what | here | elsewhere |
//! |---|---|---|---|
//! | [`Source`] | where changes come from | | the system crates |
//! | [`Sink`] | where events go | | the system crates |
//! | [`AuditLog`] | queue, memory and evidence | [`MemoryLog`](audit::MemoryLog) | `ml-connector-sql` |
//! | [`TokenStore`] | OAuth tokens | [`MemoryTokenStore`](token::MemoryTokenStore) | `ml-connector-sql` |
//! | [`RateLimiter`] | what may be sent when | [`MemoryRateLimiter`](rate::MemoryRateLimiter) | |
//!
//! A [`Connector`] puts them together. A host mounts [`Connector::service`] in its own web server and keeps
//! [`Connector::run`] running:
//!
//! ```
//! # #[derive(Debug)] struct NoNetwork;
//! # #[async_trait::async_trait] impl ml_connector_core::HttpTransport for NoNetwork {
//! #     async fn send(&self, _: http::Request<bytes::Bytes>, _: ml_connector_core::http::Limits)
//! #         -> Result<http::Response<bytes::Bytes>, ml_connector_core::http::TransportError> { unreachable!() }
//! # }
//! use ml_connector_core::{Connector, audit::MemoryLog};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ml_connector_core::Error> {
//! let connector = Connector::builder()
//!     .audit_log(MemoryLog::new())
//! #   .transport(NoNetwork)
//!     // .connect(books).connect(slack).route(…)
//!     .build()?;
//! let service = connector.service(); // axum: Router::new().nest_service("/hooks", service)
//! # drop(service);
//! # let stop = std::future::ready(());
//! connector.run(stop).await;
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] says what the words mean, what is promised and where that ends, and how to tune, upgrade, test and extend it.
//! Whoever adds a vendor begins with its [last chapter](guide::system_crate).
//!
//! # Features
//!
//! `reqwest` and `rustls` (default) give the HTTP transport; without them the host supplies an [`HttpTransport`], and
//! this crate depends on no HTTP client, no TLS and no database. `certificate` signs with a certificate's key for
//! an app that has no secret ([`ClientAuth::Assertion`](auth::ClientAuth::Assertion)). `toml` reads
//! [routes](route::RouteSet) from TOML files, beside JSON. `metrics` counts through the facade
//! of that name, as the [engine's documentation](engine#what-it-tells) lists. `encryption`
//! [encrypts](encryption) what is stored. `testing` adds the conformance suites for
//! implementers of the traits, and a clock that tests move by hand.

pub mod approval;
pub mod audit;
pub mod auth;
mod calls;
mod check;
mod clock;
pub mod config;
#[cfg(any(test, doc, feature = "testing"))]
pub mod conformance;
mod connection;
mod context;
pub mod decode;
#[cfg(feature = "encryption")]
pub mod encryption;
pub mod engine;
mod error;
pub mod error_context;
#[cfg(doc)]
pub mod guide;
pub mod http;
pub mod model;
pub mod rate;
mod remembered;
pub mod route;
mod secret;
mod shared;
mod sink;
mod size;
pub mod snapshot;
mod source;
mod steady_clock;
pub mod token;
mod vendor_clock;
pub mod webhook;

pub use calls::{CallMade, LimitWait};
pub use check::{CheckResult, CheckStep};
#[cfg(any(test, feature = "testing"))]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, TokioClock, sleep_until};
pub use connection::{Connection, IntoConnection};
pub use context::Context;
pub use engine::{Connector, ConnectorBuilder};
pub use error::{Effect, Error, ErrorKind, Result, Retry, Scope};
pub use model::{Money, Timestamp};
pub use remembered::Remembered;
pub use secret::Secret;
pub use sink::{AttemptNotes, OnUnknown, Repeat, Sink, SinkInfo};
pub use source::{
    FeedInfo, PollRequest, ReceiveRequest, Source, SourceInfo, SourceMode, UpkeepRequest, WebhookAnswers,
    ZonedInfo,
};

pub use steady_clock::{ClockSetBack, ClockTrouble};

pub use crate::{audit::AuditLog, http::HttpTransport, rate::RateLimiter, token::TokenStore};
