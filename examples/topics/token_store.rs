//! Tokens in a store of your own: the database that the host has anyway, through its pool, in a table of its own.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Error, ErrorKind, Result, TokenStore, conformance,
    route::Route,
    token::{Stored, Swap, TokenKey},
};
use ml_connector_slack::channel;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Mutex;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

/// A host's secrets of all kinds. A version is never given twice, so the row of a deleted token stays.
const TABLE: &str =
    "CREATE TABLE secret (kind TEXT, name TEXT, version INTEGER, value BLOB, PRIMARY KEY (kind, name))";

/// The host's database. Its pool has one connection here.
#[derive(Debug, Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    fn open() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(broken)?;
        connection.execute_batch(TABLE).map_err(broken)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs statements where they may block. They end also when nobody waits for them any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut connection = Arc::clone(&self.0).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut connection)).await;
        done.map_err(broken)?.map_err(broken)
    }
}

#[async_trait]
impl TokenStore for Database {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        let key = key.clone();
        self.run(move |connection| Ok(read(connection, &key)?.1)).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let key = key.clone();
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let (version, stored) = read(&transaction, &key)?;
            if stored.as_ref().map(|stored| stored.version) != expected {
                return Ok(Swap::Conflict(stored));
            }
            // A delete reports the version that was there.
            let version = version + u64::from(value.is_some());
            transaction.execute(
                "INSERT OR REPLACE INTO secret VALUES ('oauth', ?1, ?2, ?3)",
                params![key.as_str(), version, value.as_deref()],
            )?;
            transaction.commit()?;
            Ok(Swap::Stored { version })
        })
        .await
    }
}

/// The version of a row, and the token unless it was deleted.
fn read(connection: &Connection, key: &TokenKey) -> rusqlite::Result<(u64, Option<Stored>)> {
    let row = connection
        .query_row(
            "SELECT version, value FROM secret WHERE kind = 'oauth' AND name = ?1",
            [key.as_str()],
            |row| Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?)),
        )
        .optional()?;
    let (version, value) = row.unwrap_or_default();
    Ok((version, value.map(|value| Stored { version, bytes: value.into() })))
}

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the database does not answer").with_source(source)
}

pub(crate) async fn run() -> Result<()> {
    // What every store has to do. A host's own tests say so.
    conformance::tokens::all(async || Arc::new(Database::open().expect("a database")) as Arc<dyn TokenStore>)
        .await;

    let (lab, database) = (Lab::new()?, Database::open()?);
    let connector = lab
        .host()
        .token_store(database.clone())
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    expect("the invoice is told", lab.shown(ACCOUNTING).len() == 1)?;
    let rows = database.run(|connection| {
        connection.query_row("SELECT count(*) FROM secret WHERE value IS NOT NULL", [], |row| row.get(0))
    });
    let rows: u64 = rows.await?;
    expect("and the token is in the host's own table", rows == 1)
}
