//! What a host appends in its own transaction, together with its own rows.

use deadpool_postgres::tokio_postgres;
use ml_connector_core::{
    AuditLog, Error, ErrorKind, Result, Timestamp,
    audit::{Committed, Transaction, encryption_marker},
};

use super::{PostgresLog, apply::apply, batch::Job, server::Session};

impl PostgresLog {
    /// Applies a transaction of the log's within one of the database's that the host has begun, in the same database:
    /// both are committed, or neither is. So a row of the host's own and the signal that tells of it cannot differ.
    ///
    /// The partitions that it appends to are locked until the host commits or rolls back: do that soon, and do this last.
    /// [`Committed::Fenced`] and [`Committed::Stale`] have changed nothing, and the host decides what becomes of its own
    /// rows. What was appended is found within a second after the commit.
    ///
    /// Where the log is encrypted, give it what `EncryptedLog::sealed` makes of the transaction.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) when the log is encrypted and the transaction is not.
    /// [`Unavailable`](ml_connector_core::ErrorKind::Unavailable) when a statement fails; then the host's transaction can
    /// only be rolled back, and all of it may be tried again.
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when [`Transaction::validate`] refuses it.
    pub async fn append_in(
        &self,
        host: &tokio_postgres::Transaction<'_>,
        transaction: Transaction,
        now: Timestamp,
    ) -> Result<Committed> {
        const OPERATION: &str = "postgres_log.append_in";
        transaction.validate()?;
        if !transaction.is_encrypted()
            && self.documents(&[encryption_marker()]).await?.iter().any(Option::is_some)
        {
            let message = "the log is encrypted: append what EncryptedLog::sealed makes of the transaction";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_operation(OPERATION));
        }
        let session = Session::of_host(host, &self.server);
        let job = Job { transaction, now };
        let applied = apply(&session, &[&job]).await.map_err(|failure| failure.during(OPERATION))?;
        let mut committed = applied.committed.into_iter();
        committed.next().ok_or_else(|| super::error::unknown(OPERATION))
    }
}
