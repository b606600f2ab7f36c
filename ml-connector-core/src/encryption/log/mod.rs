//! The log, encrypted.

mod fields;
mod index;
mod marker;
mod reencrypt;
mod search;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

pub use self::reencrypt::Reencrypted;
use self::{
    fields::FieldCipher,
    index::IndexKey,
    marker::{Marker, OpeningTerms},
};
use super::KeyRing;
use crate::{
    AuditLog, CheckStep, Result, Timestamp,
    audit::{
        Backlog, Committed, DocKey, Document, DocumentWrite, Entry, KeyedChain, Lease, LeaseRequest, Pending,
        PendingRequest, Query, Rename, RewriteLog, SealedTransaction, Transaction, sealed,
    },
    model::{ConnectionId, DedupeKey, Partition},
};

/// A log that is encrypted: bodies, traces, notes, reasons, who did what, documents and amounts. What entries are found by
/// (records, numbers, destinations, receipts, dedupe keys, document keys) is concealed in a way that equal values stay
/// equal, so that searches, joins and duplicates work as before. `SECURITY.md` lists every field.
///
/// Searches by amount answer [`Unsupported`](crate::ErrorKind::Unsupported), unless amounts stay in clear
/// ([`EncryptionOptions::clear_amounts`]); so do searches by the beginning of a receipt. A search by the text of a reason
/// opens all entries that match otherwise: narrow it.
///
/// A log is encrypted as a whole: it carries a marker, sealed with the active key. Without the marker's key it cannot be
/// opened, and a connector that is given the log as it is refuses it.
pub struct EncryptedLog {
    inner: Arc<dyn RewriteLog>,
    fields: FieldCipher,
    takes_clear: AtomicBool,
}

/// How a log is encrypted. The default leaves nothing in clear that can be concealed.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct EncryptionOptions {
    /// Leave amounts and currencies in clear, so that they can be searched by. For as long as the log lives.
    pub clear_amounts: bool,
    /// Take what is in clear as well, from before encryption was switched on, until
    /// [`EncryptedLog::reencrypt`] is done. Reads and writes cost more until then.
    pub takes_clear: bool,
}

impl EncryptionOptions {
    /// Leaves amounts in clear.
    #[must_use]
    pub fn with_clear_amounts(self) -> Self {
        Self { clear_amounts: true, ..self }
    }

    /// Takes what is in clear as well.
    #[must_use]
    pub fn taking_clear(self) -> Self {
        Self { takes_clear: true, ..self }
    }
}

/// Encrypts a log.
pub trait EncryptLog: RewriteLog + Sized {
    /// Encrypts a new log, or opens one that is encrypted.
    ///
    /// ```
    /// # use ml_connector_core::{audit::MemoryLog, encryption::{EncryptLog, Key, KeyRing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let log = MemoryLog::new().encrypted(KeyRing::new(Key::generate("2026-11")?)).await?;
    /// # let _: &dyn ml_connector_core::AuditLog = &log;
    /// # Ok::<_, ml_connector_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when the log holds something in clear, or with the key's id when
    /// the key is not in the ring or is revoked; [`Unexpected`](crate::ErrorKind::Unexpected) when a key of this id is
    /// another one, or the marker was changed; [`Unavailable`](crate::ErrorKind::Unavailable).
    fn encrypted(self, ring: KeyRing) -> impl Future<Output = Result<EncryptedLog>> + Send {
        EncryptedLog::open(self, ring, EncryptionOptions::default())
    }

    /// Opens a log that may hold something in clear: it stays readable, and is encrypted when it is written again or by
    /// [`EncryptedLog::reencrypt`]. Stop every host that does not encrypt before.
    ///
    /// # Errors
    /// As [`encrypted`](Self::encrypted), but for what is in clear.
    fn encrypting(self, ring: KeyRing) -> impl Future<Output = Result<EncryptedLog>> + Send {
        EncryptedLog::open(self, ring, EncryptionOptions::default().taking_clear())
    }
}

impl<L: RewriteLog> EncryptLog for L {}

impl EncryptedLog {
    /// Opens a log with options.
    ///
    /// # Errors
    /// As [`EncryptLog::encrypted`].
    pub async fn open(log: impl RewriteLog, ring: KeyRing, options: EncryptionOptions) -> Result<Self> {
        let inner: Arc<dyn RewriteLog> = Arc::new(log);
        let EncryptionOptions { clear_amounts, takes_clear } = options;
        let marker = Marker::open(&*inner, &ring, OpeningTerms { clear_amounts, takes_clear }).await?;
        let keyed = KeyedChain { key: marker.chain_key(), was_keyed: marker.chained };
        if inner.key_chain(keyed).await? && !marker.chained {
            Marker::change(&*inner, &ring, |marker| marker.chained = true).await?;
        }
        let fields = FieldCipher { ring, index: IndexKey::new(&marker.index_key), clear_amounts };
        Ok(Self { inner, fields, takes_clear: AtomicBool::new(marker.clear_left) })
    }

    /// What [`commit`](AuditLog::commit) would store of a transaction: for a host that appends it in a database transaction of
    /// its own, by `PostgresLog::append_sealed_in`.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) as [`Transaction::validate`];
    /// [`Unavailable`](crate::ErrorKind::Unavailable) while some of the log is still in clear and cannot be looked at.
    pub async fn sealed(&self, transaction: Transaction) -> Result<SealedTransaction> {
        transaction.validate()?;
        let mut names = OuterNames::default();
        let sealed = self.seal(transaction, &mut names)?;
        self.rename(&names).await?;
        Ok(SealedTransaction::new(sealed))
    }

    /// Whether there may be something in clear.
    fn takes_clear(&self) -> bool {
        self.takes_clear.load(Ordering::Relaxed)
    }

    fn all_is_encrypted(&self) {
        self.takes_clear.store(false, Ordering::Relaxed);
    }

    /// Seals a transaction, and notes under which names its documents are stored.
    fn seal(&self, transaction: Transaction, names: &mut OuterNames) -> Result<Transaction> {
        let Transaction { fence, documents, append, settle } = transaction;
        let seal = |DocumentWrite { key, expected, value }: DocumentWrite| {
            let stored = self.fields.index.document(&key);
            let value = value.map(|plain| self.fields.seal_document(&stored, &plain)).transpose()?;
            names.documents.insert(stored.clone(), key);
            Ok(DocumentWrite { key: stored, expected, value })
        };
        let documents = documents.into_iter().map(seal).collect::<Result<_>>()?;
        if self.takes_clear() {
            let keys = append.iter().filter_map(|entry| entry.dedupe.clone());
            names.dedupe.extend(keys);
        }
        let append = append.into_iter().map(|entry| self.fields.seal_entry(entry)).collect::<Result<_>>()?;
        let settle = settle
            .into_iter()
            .map(|settlement| self.fields.seal_settlement(settlement))
            .collect::<Result<_>>()?;
        Ok(Transaction { fence, documents, append, settle })
    }

    /// Gives what may be in clear its concealed names before somebody looks for it under them.
    async fn rename(&self, names: &OuterNames) -> Result<()> {
        if !self.takes_clear() {
            return Ok(());
        }
        // The log's own document stays where it is found without a key.
        let marker = sealed::marker_key();
        let documents = names.documents.iter().filter(|(_, from)| **from != marker);
        let documents = documents.map(|(to, from)| Rename::Document { from: from.clone(), to: to.clone() });
        let dedupe = names.dedupe.iter().map(|from| {
            let to = self.fields.index.dedupe(from);
            Rename::Dedupe { from: from.clone(), to }
        });
        let renames: Vec<Rename> = documents.chain(dedupe).collect();
        if renames.is_empty() { Ok(()) } else { self.inner.rename(renames).await }
    }
}

/// What documents are called outside, by what they are called in the storage, and the dedupe keys of new entries.
#[derive(Default)]
struct OuterNames {
    documents: HashMap<DocKey, DocKey>,
    dedupe: Vec<DedupeKey>,
}

impl fmt::Debug for EncryptedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedLog")
            .field("inner", &self.inner)
            .field("ring", &self.fields.ring)
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditLog for EncryptedLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        transactions.iter().try_for_each(Transaction::validate)?;
        let mut names = OuterNames::default();
        let sealed = transactions.into_iter().map(|transaction| self.seal(transaction, &mut names));
        let sealed = sealed.collect::<Result<_>>()?;
        self.rename(&names).await?;
        let mut committed = self.inner.commit(sealed, now).await?;
        for outcome in &mut committed {
            if let Committed::Stale(key) = outcome
                && let Some(outside) = names.documents.get(key)
            {
                *key = outside.clone();
            }
        }
        Ok(committed)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.inner.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.inner.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        let stored: Vec<DocKey> = keys.iter().map(|key| self.fields.index.document(key)).collect();
        let documents = stored.iter().cloned().zip(keys.iter().cloned()).collect();
        self.rename(&OuterNames { documents, ..OuterNames::default() }).await?;
        let found = self.inner.documents(&stored).await?;
        let open = |(found, key): (Option<Document>, &DocKey)| {
            let Some(Document { version, bytes }) = found else { return Ok(None) };
            let bytes = self.fields.open_document(key, bytes, self.takes_clear())?;
            Ok(Some(Document { version, bytes }))
        };
        found.into_iter().zip(&stored).map(open).collect()
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.search(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.number_of(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.inner.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.inner.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.inner.prune(before, limit).await
    }

    /// A document's collection and connection are not concealed.
    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        self.inner.remove_documents(collection, connection, limit).await
    }

    fn deadline(&self) -> Option<Duration> {
        self.inner.deadline()
    }

    async fn check(&self) -> Vec<CheckStep> {
        let mut steps = self.inner.check().await;
        let key = format!("encrypted with key {}", self.fields.ring.active());
        steps.push(if self.takes_clear() {
            CheckStep::warning("encryption", "call `reencrypt` until it is done: some of the log is in clear")
                .with_found(key)
        } else {
            CheckStep::passed("encryption").with_found(key)
        });
        steps
    }
}
