//! Concepts: the words of the interface, in the order in which a webhook meets them.
//!
//! **A webhook is a hint, a change of a record is the event, a delivery is a promise.**
//!
//! | word | what it is |
//! |---|---|
//! | *connection* | one account at one vendor, under a name of the host's: a [`Source`](crate::Source), a [`Sink`](crate::Sink), or both |
//! | *signal* | a stored reason to read a record, or a list. It comes from a webhook, a poll, a date, or the host ([`Signal`](crate::model::Signal)) |
//! | *snapshot* | what was last known of a record. One read answers all its waiting signals, and is compared with the snapshot ([`snapshot::step`](crate::snapshot::step)) |
//! | *event* | what differed: a set of [changes](crate::model::Change) of one record, numbered ([`Event::n`](crate::model::Event::n)). No difference, no event |
//! | *route* | a rule that says which events go where ([`Route`](crate::route::Route)) |
//! | *delivery* | one event for one destination. It is *done*, *dead*, or waits; *parked* means that it waits for somebody ([`EntryState`](crate::audit::EntryState)) |
//! | *receipt* | the other side's handle of what was delivered: a message, a statement |
//! | *lane* | an order: deliveries of a lane go one at a time |
//! | *quota* | a pace: what a vendor allows in a window ([`Quota`](crate::rate::Quota)). Every attempt is admitted before it begins |
//! | *partition* | an owner: one of 64 parts of the work. One host at a time has it, by a lease |
//! | *log* | queue, memory and evidence in one ([`AuditLog`](crate::AuditLog)). What waits is a row in it, deleted by the transaction that settles it |
//! | *story* | everything that happened to an entry, from the bytes received to the receipt ([`Connector::explain`](crate::Connector::explain)) |
//!
//! # What a host puts together
//!
//! A host names connections and routes. There is no program for each pair of systems.
//!
//! ```
//! use ml_connector_core::{Money, model::Destination, route::{Route, RouteSet}};
//!
//! let routes = RouteSet::from(vec![
//!     Route::new("all invoices").from("books").on("invoice.*").to("slack", Destination::from("channel:accounting")),
//!     Route::new("large ones")
//!         .from("books")
//!         .on("invoice.created")
//!         .at_least(Money::parse("5000", "EUR")?)
//!         .to("slack", Destination::from("channel:cfo")),
//! ]);
//! routes.validate()?;
//! # Ok::<_, ml_connector_core::Error>(())
//! ```
//!
//! # Why a webhook is not the event
//!
//! Vendors lose webhooks, delay them, send them twice and in another order, and some sign nothing. So a webhook only says which
//! record to read. What is told is what the read shows. Polls find what webhooks lost, and give the same signals, so a
//! connection without webhooks tells the same, later.
//!
//! # Where errors go
//!
//! An [`Error`](crate::Error) says four things: its [kind](crate::ErrorKind), what the other side may have done
//! ([`Effect`](crate::Effect)), what has to wait for it ([`Scope`](crate::Scope)), and when to try again
//! ([`Retry`](crate::Retry)). What passes by itself is tried again. What needs a person stops the connection, the lane or the
//! entry that it is about, says so once, and goes on when the cause is gone.
