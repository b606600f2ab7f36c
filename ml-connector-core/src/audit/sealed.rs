//! How to tell what is encrypted from what is not, without any key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{
    AuditLog, Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest,
    Query, Transaction,
};
use crate::{
    CheckStep, Error, ErrorKind, Result, Timestamp,
    model::{ConnectionId, Partition},
};

/// What begins everything that is sealed: a mark, and the number of the form.
pub(crate) const MARK: &[u8] = b"\xD1mlc\x01";

/// The id of the key that something was sealed with, and what follows it; `None` = it is not sealed.
pub(crate) fn key_id(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.strip_prefix(MARK)?.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(id).ok()?, rest))
}

/// A transaction in the form that an encrypted log stores. Only `EncryptedLog::sealed` makes one, so that nothing in clear
/// gets into an encrypted log past [`AuditLog::commit`]: not a name, a number or a key either.
#[derive(Debug, Clone)]
pub struct SealedTransaction(Transaction);

impl SealedTransaction {
    #[cfg(feature = "encryption")]
    pub(crate) fn new(sealed: Transaction) -> Self {
        Self(sealed)
    }

    /// What is to be stored. For stores that append past [`AuditLog::commit`].
    #[must_use]
    pub fn into_stored(self) -> Transaction {
        self.0
    }
}

/// The document that says that a log is encrypted: it is there in every log that is.
#[must_use]
pub fn encryption_marker() -> DocKey {
    marker_key()
}

pub(crate) fn marker_key() -> DocKey {
    DocKey::new("encryption", &"all".into(), "marker")
}

/// A log that refuses everything when what is in it is encrypted, but it was opened without its keys: nothing in clear
/// gets beside what is encrypted. It looks once, when it is first used.
#[derive(Debug)]
pub(crate) struct CheckedLog {
    inner: Arc<dyn AuditLog>,
    is_checked: AtomicBool,
}

impl CheckedLog {
    pub(crate) fn new(inner: Arc<dyn AuditLog>) -> Self {
        Self { inner, is_checked: AtomicBool::new(false) }
    }

    async fn checked(&self) -> Result<&dyn AuditLog> {
        if !self.is_checked.load(Ordering::Relaxed) {
            // Whoever opened the log with its keys does not see the marker under this name.
            if let Some(marker) = self.inner.documents(&[marker_key()]).await?.pop().flatten() {
                let id = key_id(&marker.bytes).map_or("unknown", |(id, _)| id);
                return Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    "the log is encrypted: open it with the key ring that has this key",
                )
                .with_operation("audit_log.open")
                .with_context("key", id.escape_debug()));
            }
            self.is_checked.store(true, Ordering::Relaxed);
        }
        Ok(&*self.inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditLog for CheckedLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        self.checked().await?.commit(transactions, now).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.checked().await?.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.checked().await?.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.checked().await?.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.checked().await?.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.checked().await?.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.checked().await?.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.inner.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.checked().await?.prune(before, limit).await
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        self.checked().await?.remove_documents(collection, connection, limit).await
    }

    fn deadline(&self) -> Option<Duration> {
        self.inner.deadline()
    }

    async fn check(&self) -> Vec<CheckStep> {
        match self.checked().await {
            Ok(log) => log.check().await,
            Err(error) => vec![CheckStep::of("encryption", Err::<(), _>(&error))],
        }
    }
}
