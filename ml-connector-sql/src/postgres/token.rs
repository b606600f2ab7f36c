//! Tokens in the same schema.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{
    Result, TokenStore,
    token::{Stored, Swap, TokenKey},
};

use super::{
    error::Failure,
    server::{Server, Session, Work},
    values::text,
};

/// Tokens beside a [`PostgresLog`](super::PostgresLog), durable in the same way, and the same for all hosts. Blobs are
/// stored as they come: `encrypted` of core's feature `encryption` encrypts them before.
#[derive(Debug, Clone)]
pub struct PostgresTokenStore {
    server: Arc<Server>,
}

impl PostgresTokenStore {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

#[async_trait]
impl TokenStore for PostgresTokenStore {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        const OPERATION: &str = "postgres_tokens.load";
        let key = text(key.as_str());
        let sql = "SELECT version, bytes FROM @token WHERE key = $1";
        let rows = self.server.read(OPERATION, sql, &[(&&*key, Type::TEXT)]).await?;
        let slot = rows.first().map(slot).transpose().map_err(|failure| failure.during(OPERATION))?;
        Ok(slot.unwrap_or_default().stored())
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let key = text(key.as_str()).into_owned();
        let mut work = Replace { key, expected, value: value.map(|bytes| bytes.to_vec()) };
        self.server.write("postgres_tokens.swap", &mut work).await
    }
}

/// A row, or what stands for none. A deleted token keeps its version.
#[derive(Debug, Default)]
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

fn slot(row: &Row) -> std::result::Result<Slot, Failure> {
    Ok(Slot { version: row.try_get::<_, i64>(0)?.cast_unsigned(), bytes: row.try_get(1)? })
}

struct Replace {
    key: String,
    expected: Option<u64>,
    value: Option<Vec<u8>>,
}

impl Work for Replace {
    type Output = Swap;

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<Swap, Failure> {
        let Self { key, expected, value } = self;
        let sql = "SELECT version, bytes FROM @token WHERE key = $1 FOR UPDATE";
        let rows = session.rows(sql, &[(key, Type::TEXT)]).await?;
        let (is_stored, current) =
            (!rows.is_empty(), rows.first().map(slot).transpose()?.unwrap_or_default());
        let version = current.version + u64::from(value.is_some());
        let current = current.stored();
        if current.as_ref().map(|stored| stored.version) != *expected {
            return Ok(Swap::Conflict(current));
        }
        // One that somebody else has made meanwhile is a violation of its key: then all is read again.
        let sql = if is_stored {
            "UPDATE @token SET version = $2, bytes = $3 WHERE key = $1"
        } else {
            "INSERT INTO @token (key, version, bytes) VALUES ($1, $2, $3)"
        };
        session
            .rows(sql, &[(key, Type::TEXT), (&version.cast_signed(), Type::INT8), (value, Type::BYTEA)])
            .await?;
        Ok(Swap::Stored { version })
    }
}
