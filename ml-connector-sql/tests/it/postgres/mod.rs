//! Postgres keeps the contracts, also among several hosts and through what happens to servers.

mod chain;
pub(crate) mod cluster;
mod conformance;
mod encryption;
mod failover;
mod faults;
mod outbox;
mod plans;
mod pooler;
mod proxy;
