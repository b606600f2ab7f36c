//! SQLite keeps the contracts, survives what happens to files, and serves two programs.

mod conformance;
mod faults;
mod sharing;
