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

use crate::lab::{ACCOUNTING, Lab, Running, expect};

/// A blob and its version under each key. A swap is one statement in SQL:
/// `UPDATE … SET blob = $3, version = version + 1 WHERE key = $1 AND version = $2`.
/// `ml_connector_core::conformance` has the suite that such a store has to pass.
#[derive(Debug, Default)]
struct Table(Mutex<HashMap<TokenKey, Stored>>);

#[async_trait]
impl TokenStore for Table {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.get(key).map(|row| row.version) != expected {
            return Ok(Swap::Conflict(rows.get(key).cloned()));
        }
        let version = expected.unwrap_or(0) + u64::from(value.is_some());
        match value {
            Some(bytes) => drop(rows.insert(key.clone(), Stored { version, bytes })),
            None => drop(rows.remove(key)),
        }
        Ok(Swap::Stored { version })
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
