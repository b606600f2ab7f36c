//! Zoho Books from the outside: what a host sees of it.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions, but not in their helpers

mod config;
mod conformance;
mod consent;
mod hostile;
mod poll;
mod resolve;
mod sink;
mod subscriptions;
mod support;
mod tokens;
mod vectors;
mod webhook;
