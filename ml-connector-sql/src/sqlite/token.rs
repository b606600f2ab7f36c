//! Tokens in the same file.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    CheckStep, Result, TokenStore,
    token::{Stored, Swap, TokenKey},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, schema};

/// Tokens in the file of a [`SqliteLog`](super::SqliteLog), durable in the same way. Blobs are stored as they
/// come: encrypt them before.
#[derive(Debug, Clone)]
pub struct SqliteTokenStore {
    store: Arc<Store>,
}

impl SqliteTokenStore {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl TokenStore for SqliteTokenStore {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        let key = key.clone();
        self.store
            .readers
            .run("sqlite_tokens.load", move |connection| Ok(read(connection, &key)?.stored()))
            .await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let key = key.clone();
        self.store
            .writer
            .run("sqlite_tokens.swap", move |batch| {
                batch.savepoint(|batch| swap(batch.connection(), &key, expected, value.as_deref()))
            })
            .await
    }

    async fn check(&self) -> Vec<CheckStep> {
        let looked =
            self.store.writer.run("sqlite_tokens.check", |batch| schema::look(batch.connection())).await;
        looked.map_or_else(|error| vec![CheckStep::of("durability", Err::<(), _>(&error))], schema::steps)
    }
}

/// A row, or what stands for none. A deleted token keeps its version.
#[derive(Default)]
struct Slot {
    version: u64,
    bytes: Option<Vec<u8>>,
}

impl Slot {
    fn stored(self) -> Option<Stored> {
        let version = self.version;
        self.bytes.map(|bytes| Stored { version, bytes: bytes.into() })
    }
}

fn read(connection: &Connection, key: &TokenKey) -> rusqlite::Result<Slot> {
    connection
        .prepare_cached("SELECT version, bytes FROM token WHERE key = ?1")?
        .query_row([key.as_str()], |row| Ok(Slot { version: row.get(0)?, bytes: row.get(1)? }))
        .optional()
        .map(Option::unwrap_or_default)
}

fn swap(
    connection: &Connection,
    key: &TokenKey,
    expected: Option<u64>,
    value: Option<&[u8]>,
) -> rusqlite::Result<Swap> {
    let current = read(connection, key)?;
    let version = current.version + u64::from(value.is_some());
    let current = current.stored();
    if current.as_ref().map(|stored| stored.version) != expected {
        return Ok(Swap::Conflict(current));
    }
    connection
        .prepare_cached(
            "INSERT INTO token (key, version, bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, bytes = excluded.bytes",
        )?
        .execute(params![key.as_str(), version, value])?;
    Ok(Swap::Stored { version })
}
