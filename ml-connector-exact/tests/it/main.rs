//! Exact Online from the outside: what a host sees of it.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions, but not in their helpers

mod bad_input;
mod cases;
mod check;
mod config;
mod conformance;
mod limits;
mod one_at_a_time;
mod poll;
mod resolve;
mod script;
mod subscriptions;
mod support;
mod terms;
mod tokens;
