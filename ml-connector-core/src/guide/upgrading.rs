//! Upgrading: a new version in a running system.
//!
//! 1. **Read `CHANGELOG.md`** from your version on. It says what a host has to change in its code, and whether the *stored form*
//!    has changed.
//! 2. **Back up the log and the keys**, apart from each other. Try the restore once.
//! 3. **Try it on a copy.** [`Connector::check`](crate::Connector::check) of the new version on a copy of the log, with the real
//!    credentials, makes a few reads and posts nothing. [`Connector::dry_run`](crate::Connector::dry_run) says what the routes
//!    would have sent of the past.
//! 4. **Replace hosts one by one** where the stored form is the same: start the new one, take the old one out of the balancer,
//!    let [`run`](crate::Connector::run) end. **Stop all of them first** where it has changed: a version refuses a log of
//!    another form, older or newer, and says what to do.
//! 5. **Look at [`Connector::health`](crate::Connector::health)** until it is good, and at what is dead or parked.
//!
//! Going back is the same way: with the old stored form as it is, with a changed one from the backup. A log that was restored
//! does not know what was done since. What changed is found by polls, and told, some of it again; refresh tokens that are used
//! once may be spent, and their systems have to be connected again.
//!
//! # What may change without a new major version
//!
//! - What hosts are given and configure is `#[non_exhaustive]`: new fields come with a default, new kinds with a default arm.
//! - What implementers of the traits write out (a [`Signal`](crate::model::Signal), a [`NewEntry`](crate::audit::NewEntry)) is
//!   not: a new field there is a new version, and the compiler shows each place. So is a new method without a default.
//! - Types of other crates in the interface are few on purpose (`http`, `http-body`, `http-body-util`, `tower-service`, `bytes`, `url`,
//!   `rust_decimal`, `serde`, `serde_json`, `futures-core`, with feature `postgres` of `ml-connector-sql` its client): a new major
//!   version of one of these is one of ours.
//!
//! ```
//! use ml_connector_core::audit::EntryState;
//!
//! // A host's own match keeps compiling when there is another state.
//! fn needs_somebody(state: EntryState) -> bool {
//!     match state {
//!         EntryState::Dead | EntryState::Parked => true,
//!         _ => false,
//!     }
//! }
//! assert!(needs_somebody(EntryState::Dead));
//! ```
