//! SQLite keeps the contracts, survives what happens to files, and agrees with the log in memory.

#[cfg(feature = "sqlite")]
mod conformance;
