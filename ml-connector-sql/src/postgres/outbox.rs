//! What a host appends in its own transaction, together with its own rows.

use deadpool_postgres::tokio_postgres::{Transaction as HostTransaction, types::Type};
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, SealedTransaction, Transaction, encryption_marker},
};

use super::{
    PostgresLog,
    apply::{apply, lock},
    batch::Job,
    error::{Failure, unknown},
    server::Session,
};

const OPERATION: &str = "postgres_log.append_in";

impl PostgresLog {
    /// Applies a transaction of the log's within one of the database's that the host has begun, in the same database:
    /// both are committed, or neither is. So a row of the host's own and the signal that tells of it cannot differ.
    ///
    /// The partitions that it appends to are locked until the host commits or rolls back: do that soon, and do this last.
    /// [`Committed::Fenced`] and [`Committed::Stale`] have changed nothing, and the host decides what becomes of its own
    /// rows. What was appended is found within a second after the commit.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) when the log is encrypted: it takes what
    /// [`append_sealed_in`](Self::append_sealed_in) is given.
    /// [`Unavailable`](ml_connector_core::ErrorKind::Unavailable) when a statement fails; then the host's transaction can
    /// only be rolled back, and all of it may be tried again.
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when [`Transaction::validate`] refuses it.
    pub async fn append_in(
        &self,
        host: &HostTransaction<'_>,
        transaction: Transaction,
        now: Timestamp,
    ) -> Result<Committed> {
        let session = Session::of_host(host, &self.server);
        if is_encrypted(&session).await? {
            return Err(refused(
                "the log is encrypted: give `append_sealed_in` what EncryptedLog::sealed makes of it",
            ));
        }
        append(&session, transaction, now).await
    }

    /// The same for a log that is encrypted: give it what `EncryptedLog::sealed` makes of the transaction.
    ///
    /// # Errors
    /// As [`append_in`](Self::append_in), but [`ConfigInvalid`](ErrorKind::ConfigInvalid) when the log is not encrypted.
    pub async fn append_sealed_in(
        &self,
        host: &HostTransaction<'_>,
        sealed: SealedTransaction,
        now: Timestamp,
    ) -> Result<Committed> {
        let session = Session::of_host(host, &self.server);
        if !is_encrypted(&session).await? {
            return Err(refused(
                "the log is not encrypted, but what is to be appended is: it is of another log",
            ));
        }
        append(&session, sealed.into_stored(), now).await
    }
}

/// Looked up in the host's transaction: it may be that no other connection is free.
async fn is_encrypted(session: &Session<'_>) -> Result<bool> {
    let (sql, key) = ("SELECT 1 FROM @document WHERE key = $1 AND bytes IS NOT NULL", encryption_marker());
    let found = session.rows(sql, &[(&key.as_str(), Type::TEXT)]).await;
    found.map(|rows| !rows.is_empty()).map_err(during)
}

async fn append(session: &Session<'_>, transaction: Transaction, now: Timestamp) -> Result<Committed> {
    transaction.validate()?;
    let job = Job { transaction, now };
    let locked = lock(session, &[&job]).await.map_err(during)?;
    let applied = apply(session, &[&job], locked).await.map_err(during)?;
    applied.committed.into_iter().next().ok_or_else(|| unknown(OPERATION))
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_operation(OPERATION)
}

fn during(failure: Failure) -> Error {
    failure.during(OPERATION)
}
