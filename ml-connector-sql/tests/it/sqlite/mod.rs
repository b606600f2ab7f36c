//! SQLite keeps the contracts, survives what happens to files, and serves two programs.

mod chain;
mod conformance;
mod encryption;
mod faults;
mod remote;
mod sharing;
