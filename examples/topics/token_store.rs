//! Tokens in a store of your own: here a map, in a host the table that holds its other secrets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Result, TokenStore,
    route::Route,
    token::{Stored, Swap, TokenKey},
};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

/// A row for each key: its version, and the blob unless it was deleted. A version is never given twice, so a deleted row stays.
/// In SQL a replacement is one `UPDATE … WHERE key = $1 AND version = $2`, the first blob an `INSERT … ON CONFLICT DO NOTHING`,
/// and a delete sets the blob to NULL. `ml_connector_core::conformance` has the suite that such a store has to pass.
#[derive(Debug, Default)]
struct Table(Mutex<HashMap<TokenKey, Row>>);

#[derive(Debug, Clone, Default)]
struct Row {
    version: u64,
    blob: Option<Bytes>,
}

impl Row {
    fn stored(&self) -> Option<Stored> {
        let version = self.version;
        self.blob.clone().map(|bytes| Stored { version, bytes })
    }
}

#[async_trait]
impl TokenStore for Table {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Row::stored))
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(key.clone()).or_default();
        let stored = row.stored();
        if stored.as_ref().map(|stored| stored.version) != expected {
            return Ok(Swap::Conflict(stored));
        }
        // A delete reports the version that was there.
        row.version += u64::from(value.is_some());
        row.blob = value;
        Ok(Swap::Stored { version: row.version })
    }
}

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .token_store(Table::default())
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    let health = connector.health().await?;
    let token = health.connections.get(&"books".into()).and_then(|books| books.token.as_ref());
    expect("the token is in the host's table", token.is_some_and(|token| token.generation == 1))
}
