//! FreshBooks from the outside: what a host sees of it.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions, but not in their helpers

mod callbacks;
mod check;
mod config;
mod conformance;
mod consent;
mod poll;
mod resolve;
mod support;
