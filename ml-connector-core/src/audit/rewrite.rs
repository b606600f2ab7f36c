//! What a log offers for encrypting what it holds.

use async_trait::async_trait;
use bytes::Bytes;

use super::{AuditLog, DocKey, Entry, Index, KeyedChain, Recorded};
use crate::{
    Result,
    model::{DedupeKey, Seq},
};

/// A log whose stored form can be replaced in place, without a change of what it says: for
/// [encryption](crate::encryption), and for nothing else. Whatever is written here keeps its place: numbers, times, states
/// and versions stay as they are.
///
/// # Contract
/// - Each call is atomic and durable when it returns.
/// - It is not ordered with commits that are under way at the same time, except that it never undoes any of them.
#[async_trait]
pub trait RewriteLog: AuditLog {
    /// Entries after this one, in order, `limit` at most, with all that is stored of them.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn stored_entries(&self, after: Seq, limit: usize) -> Result<Vec<StoredEntry>>;

    /// Documents after this key, in the order of their keys as bytes, `limit` at most. Deleted ones are among them, as they
    /// keep their versions.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Result<Vec<StoredDocument>>;

    /// Gives documents and dedupe keys other names, and keeps what they hold. One that is not there is left out, and so
    /// is one whose new name is taken.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn rename(&self, names: Vec<Rename>) -> Result<()>;

    /// Replaces the stored form of entries and documents. An entry that is gone is left out, and so is a document that is
    /// not at its version any more.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn rewrite(&self, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) -> Result<()>;

    /// Gives the log's [chain](super::ChainedLog) its key, before anything is appended: what is linked from now on is linked
    /// with it. Returns whether the log keeps a chain; one that does not has nothing to do.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn key_chain(&self, keyed: KeyedChain) -> Result<bool>;
}

/// An entry with all that is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The entry, with its body, its traces and its notes.
    pub entry: Entry,
    /// The key it was appended with.
    pub dedupe: Option<DedupeKey>,
}

/// A document with all that is stored of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its key.
    pub key: DocKey,
    /// Its version.
    pub version: u64,
    /// What was written last; `None` = it was deleted.
    pub bytes: Option<Bytes>,
}

impl std::fmt::Debug for StoredDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredDocument")
            .field("key", &self.key)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Another name for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rename {
    /// Of a document, deleted or not. Its version goes with it.
    Document {
        /// Its key so far.
        from: DocKey,
        /// Its key from now on.
        to: DocKey,
    },
    /// Of whatever entry was appended with a dedupe key.
    Dedupe {
        /// The key so far.
        from: DedupeKey,
        /// The key from now on.
        to: DedupeKey,
    },
}

/// The other form of an entry.
#[derive(Debug, Clone)]
pub struct EntryRewrite {
    /// Which.
    pub seq: Seq,
    /// What it can be found by.
    pub index: Index,
    /// What it says.
    pub body: Option<Bytes>,
    /// What was decided when it was appended.
    pub trace: Option<Bytes>,
    /// Its first outcomes, each of the same variant as before: those that were added meanwhile stay.
    pub outcomes: Vec<Recorded>,
}

/// The other form of a document.
#[derive(Debug, Clone)]
pub struct DocumentRewrite {
    /// Which.
    pub key: DocKey,
    /// Its version, which stays.
    pub version: u64,
    /// What it says.
    pub bytes: Bytes,
}
