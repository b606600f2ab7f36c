//! Testing: a host's own integration, and implementations of the traits.
//!
//! # An integration
//!
//! `ml-connector-sim` has simulators of all systems: they enforce limits, signatures, rights and shapes as the vendors do, and
//! fail on request. Under tokio's paused clock a day passes at once, so a test of retries, digests or reminders does not wait.
//! `examples/tests/it/integration.rs` of the repository is such a test, whole: take that file into your crate, and put your
//! integration in the place of its own. The dev-dependencies that it wants are in the README, under *Install*. `examples/topics` has
//! more, one topic each.
//!
//! - Time comes from a [`Clock`](crate::Clock): give the connector and the simulators one
//!   [`TokioClock`](crate::TokioClock), and pause tokio's (`#[tokio::test(start_paused = true)]`).
//! - Use [`MemoryLog`](crate::audit::MemoryLog) with a paused clock. A database works in real time.
//! - Ask the log, not the clock, whether something has happened: [`Connector::search`](crate::Connector::search),
//!   [`explain`](crate::Connector::explain).
//! - Try the failing paths first: an answer that is lost after the message was posted, a refused token, a webhook twice and out
//!   of order, a process that is killed.
//!
//! # Routes
//!
//! Routes are data. What they would do with an event is asked without any connection:
//!
//! ```
//! use ml_connector_core::{
//!     Money, Timestamp,
//!     model::{Change, Content, Destination, EntityRef, Event, Record, RecordKind, Status},
//!     route::Route,
//! };
//!
//! let large = Route::new("large")
//!     .on("invoice.created")
//!     .at_least(Money::parse("5000", "EUR")?)
//!     .to("slack", Destination::from("channel:cfo"));
//!
//! let told = |total: &str| -> Result<bool, ml_connector_core::Error> {
//!     let mut record = Record::new(RecordKind::Invoice, "1", Status::Open);
//!     record.total = Some(Money::parse(total, "EUR")?);
//!     let (entity, changes) = (EntityRef::new("invoice", "1"), [Change::Created].into());
//!     let event = Event::new("books".into(), entity, 1, changes, Timestamp::default(), Some(Content::from(record)));
//!     Ok(large.verdict(&event).is_match())
//! };
//! assert!(told("5000.00")? && !told("4999.99")?);
//! # Ok::<_, ml_connector_core::Error>(())
//! ```
//!
//! # A store, a limiter, a source, a sink of your own
//!
//! Feature `testing` has [`conformance`](crate::conformance): the contracts of the traits as functions to call from a test.
//! Whoever passes works with the engine.
//!
//! ```
//! use std::sync::Arc;
//! use ml_connector_core::{TokenStore, conformance, token::MemoryTokenStore};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! conformance::tokens::all(async || Arc::new(MemoryTokenStore::new()) as Arc<dyn TokenStore>).await;
//! # });
//! ```
