//! Quotas that all hosts count in one place.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{
    RateLimiter, Result, Timestamp,
    rate::{Admission, Cost, Feedback, QuotaKey, StoredAccounts, TakeOver, Usage},
};

use super::{
    error::Failure,
    server::{Server, Session, Work},
    values::text,
};

/// Counts what all hosts spend together, in the schema of a [`PostgresLog`](super::PostgresLog): for quotas that
/// connections of several partitions share, such as those of an app. It counts as
/// [`MemoryRateLimiter`](ml_connector_core::rate::MemoryRateLimiter) does.
///
/// An admission is a transaction of its own, some milliseconds long, and writes down all that is known of its keys: about
/// 10 bytes for each instant in a rolling window at which something was spent. Where a partition's holder is the only one
/// who spends, the limiter in memory is as exact and much faster.
#[derive(Debug, Clone)]
pub struct PostgresRateLimiter {
    server: Arc<Server>,
}

impl PostgresRateLimiter {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

#[async_trait]
impl RateLimiter for PostgresRateLimiter {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        let keys = costs.iter().map(|cost| &cost.key);
        let mut work = Change::of(keys, now, |accounts: &mut StoredAccounts| accounts.admit(costs, now));
        self.server.write("postgres_limiter.admit", &mut work).await
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        let mut work = Change::of([key], now, |accounts: &mut StoredAccounts| {
            accounts.report(key, &feedback, now);
            Ok(())
        });
        self.server.write("postgres_limiter.report", &mut work).await
    }

    /// Nothing: the next host finds what was counted.
    async fn counts(&self, _at_least: Duration, _now: Timestamp) -> Result<Option<Bytes>> {
        Ok(None)
    }

    /// Takes over what a host told that counted for itself before, of keys that are not known here. A host that was lost
    /// has counted here what it spent.
    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        let Some(counts) = &from.counts else { return Ok(()) };
        let told = StoredAccounts::of_counts(counts.clone(), now)?.write(now)?;
        let told =
            told.into_iter().filter_map(|(key, state)| Some((text(key.as_str()).into_owned(), state?)));
        self.server.write("postgres_limiter.take_over", &mut Tell { told: told.collect() }).await
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        const OPERATION: &str = "postgres_limiter.usage";
        let rows = self.server.read(OPERATION, "SELECT key, state FROM @quota", &[]).await?;
        let stored: std::result::Result<Vec<_>, _> = rows.iter().map(stored).collect();
        let stored = stored.map_err(|failure| failure.during(OPERATION))?;
        let stored = stored.into_iter().map(|(key, state)| (QuotaKey::new(key), state));
        Ok(StoredAccounts::read(stored, 0)?.usage(now))
    }
}

fn stored(row: &Row) -> std::result::Result<(String, Bytes), Failure> {
    Ok((row.try_get(0)?, row.try_get::<_, Vec<u8>>(1)?.into()))
}

/// A change of what is known of some keys.
struct Change<F> {
    /// As they are stored, and as they are called.
    keys: Vec<(String, QuotaKey)>,
    now: Timestamp,
    change: F,
}

impl<F> Change<F> {
    fn of<'k>(keys: impl IntoIterator<Item = &'k QuotaKey>, now: Timestamp, change: F) -> Self {
        let keys: BTreeSet<&QuotaKey> = keys.into_iter().collect();
        let keys = keys.into_iter().map(|key| (text(key.as_str()).into_owned(), key.clone())).collect();
        Self { keys, now, change }
    }
}

impl<T: Send, F: FnMut(&mut StoredAccounts) -> Result<T> + Send> Work for Change<F> {
    type Output = T;

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<T, Failure> {
        let refused = |error| Failure::Refused(Box::new(error));
        let keys: Vec<&str> = self.keys.iter().map(|(stored, _)| &**stored).collect();
        let lock = "SELECT key, state FROM @quota WHERE key = ANY($1) ORDER BY key FOR UPDATE";
        let rows = session.rows(lock, &[(&keys, Type::TEXT_ARRAY)]).await?;
        let mut known: HashMap<String, Bytes> =
            rows.iter().map(stored).collect::<std::result::Result<_, _>>()?;
        let permit = session.rows("SELECT nextval('@permit')", &[]).await?;
        let permit =
            permit.first().ok_or(Failure::Unreadable("the number of a permit"))?.try_get::<_, i64>(0)?;
        let is_known: BTreeSet<String> = known.keys().cloned().collect();
        let states = self.keys.iter().filter_map(|(stored, key)| Some((key.clone(), known.remove(stored)?)));
        let mut accounts = StoredAccounts::read(states, permit.cast_unsigned()).map_err(refused)?;
        let output = (self.change)(&mut accounts).map_err(refused)?;
        for (key, state) in accounts.write(self.now).map_err(refused)? {
            let key = text(key.as_str()).into_owned();
            let (known, state) = (is_known.contains(&key), state.map(|state| state.to_vec()));
            let sql = match (known, &state) {
                (true, Some(_)) => "UPDATE @quota SET state = $2 WHERE key = $1",
                // One that somebody else has made meanwhile is a violation of its key: then all is read again.
                (false, Some(_)) => "INSERT INTO @quota (key, state) VALUES ($1, $2)",
                (true, None) => "DELETE FROM @quota WHERE key = $1 AND $2 IS NULL",
                (false, None) => continue,
            };
            session.rows(sql, &[(&key, Type::TEXT), (&state, Type::BYTEA)]).await?;
        }
        Ok(output)
    }
}

/// What another host tells of keys.
struct Tell {
    told: Vec<(String, Bytes)>,
}

impl Work for Tell {
    type Output = ();

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<(), Failure> {
        let keys: Vec<&str> = self.told.iter().map(|(key, _)| &**key).collect();
        let states: Vec<&[u8]> = self.told.iter().map(|(_, state)| &**state).collect();
        let sql =
            "INSERT INTO @quota (key, state) SELECT * FROM unnest($1::text[], $2::bytea[]) AS u (key, state)
                   ORDER BY key ON CONFLICT (key) DO NOTHING";
        session.rows(sql, &[(&keys, Type::TEXT_ARRAY), (&states, Type::BYTEA_ARRAY)]).await?;
        Ok(())
    }
}
