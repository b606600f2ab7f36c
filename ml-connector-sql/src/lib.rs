#![doc = include_str!("../docs.md")]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod chain;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod columns;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use deadpool_postgres;
#[cfg(feature = "postgres")]
pub use deadpool_postgres::tokio_postgres;
#[cfg(feature = "postgres")]
pub use postgres::{LeaseClock, PostgresLog, PostgresOptions, PostgresRateLimiter, PostgresTokenStore};

#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteLog, SqliteOptions, SqliteTokenStore};
