//! Business Central from the outside: what a host sees of it.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions, but not in their helpers

mod bad_requests;
mod cases;
mod check;
mod conformance;
mod people;
mod posting;
mod postings;
mod reading;
mod subscriptions;
mod support;
mod webhook;
