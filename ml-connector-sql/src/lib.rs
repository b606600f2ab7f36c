#![doc = include_str!("../docs.md")]

#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteLog, SqliteOptions, SqliteTokenStore};
