//! Tamper evidence: each partition of a log is a chain, in which every entry and every outcome has a link that depends on
//! all links before it. What a store needs to keep one, and what it answers when it is checked.

use std::fmt;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AuditLog;
use crate::{
    Result,
    model::{Partition, Seq},
};

/// A log that keeps a chain beside what is appended to it, so that whoever changes, removes, adds or reorders its entries
/// and outcomes without going through it is found out.
///
/// A link is written in the transaction that appends what it is about. It covers the row as it is stored, the position in
/// the partition, and the link before. What [`prune`](AuditLog::prune) removes has a link that says so, and the chain's
/// front is dropped up to an anchor; what [encryption](crate::encryption) rewrites has a new link, unless its row was not
/// intact before. The work list, documents, tokens and counters are no evidence, and have no links.
///
/// The links of an [encrypted](crate::encryption) log are HMAC-SHA256 under a key of the log's own: who can write to
/// the storage but has no key cannot make one. Those of a log in clear are SHA-256. Whoever may write to the storage
/// can compute all links after a change anew; then only a [head](ChainHead) that was kept elsewhere shows it.
#[async_trait]
pub trait ChainedLog: AuditLog {
    /// Where the chain of each partition ends now. Keep them where nobody who may write to the storage can:
    /// [`verify`](Self::verify) then also finds that the end was cut off, or all of it replaced.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the log keeps no chain;
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn heads(&self) -> Result<Vec<ChainHead>>;

    /// Checks every link and every row that has one, and looks for rows that have none. The log may be in use meanwhile:
    /// it is read in pages, each from one state of the storage.
    ///
    /// `kept` are heads from before: each has to be in its chain, or older than what is left after pruning.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the log keeps no chain;
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when the chain has a key, and the log was opened without its key
    /// ring; [`Unavailable`](crate::ErrorKind::Unavailable). A broken chain is no error, but an answer.
    async fn verify(&self, kept: &[ChainHead]) -> Result<Verified>;
}

/// Where the chain of a partition ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Which partition.
    pub partition: Partition,
    /// How many links there have been.
    pub position: u64,
    /// The last one, in hexadecimal digits.
    pub link: String,
}

/// What came of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// How many links were checked.
    pub links: u64,
    /// The first broken place of each partition that has one, in the order of partitions.
    pub broken: Vec<Broken>,
}

/// Where a chain is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Of which partition.
    pub partition: Partition,
    /// At which place of the chain, where that is known.
    pub position: Option<u64>,
    /// Which entry it is about, where that is known.
    pub entry: Option<Seq>,
    /// Which outcome of the entry, from 1; `None` = the entry itself.
    pub outcome: Option<u64>,
    /// What is wrong.
    pub how: Break,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Break {
    /// The row is not as it was when it was linked.
    Changed,
    /// The row is gone, and was not pruned.
    Removed,
    /// The row was not appended by a log, or was pruned and is there again.
    Added,
    /// The link does not follow from the one before: it was changed, removed, moved or made without the key.
    Link,
    /// The chain ends before a head that was kept, or has another link there.
    Kept,
    /// What says where the chain begins was changed, or all of it is gone.
    Anchor,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, position, entry, outcome, how } = self;
        match (entry, outcome) {
            (Some(entry), Some(outcome)) => write!(f, "outcome {outcome} of entry #{entry}")?,
            (Some(entry), None) => write!(f, "entry #{entry}")?,
            (None, _) => write!(f, "the chain")?,
        }
        f.write_str(match how {
            Break::Changed => " was changed",
            Break::Removed => " was removed",
            Break::Added => " was added",
            Break::Link => " has a link that does not follow from the one before",
            Break::Kept => " does not hold the head that was kept",
            Break::Anchor => " has lost its beginning",
        })?;
        write!(f, " (partition {}", partition.number())?;
        match position {
            Some(position) => write!(f, ", position {position})"),
            None => f.write_str(")"),
        }
    }
}

/// What the links of an encrypted log are made with. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl ChainKey {
    /// A key from secret bytes.
    #[must_use]
    #[allow(clippy::missing_panics_doc)] // HMAC takes keys of any length
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(mac(bytes))
    }
}

fn mac(bytes: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length")
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(***)")
    }
}

/// A key that a log is given for its chain.
#[derive(Debug, Clone)]
pub struct KeyedChain {
    /// The key.
    pub key: ChainKey,
    /// Whether the chain has had it before. If it has, a chain without a key is not the log's own: it is left as it is, and
    /// [`verify`](ChainedLog::verify) says so.
    pub was_keyed: bool,
}

/// HMAC-SHA256 of parts, or SHA-256 where there is no key. Each part's length keeps it apart from the next.
#[must_use]
pub fn chain_tag(key: Option<&ChainKey>, parts: &[&[u8]]) -> [u8; 32] {
    let lengths = parts.iter().map(|part| (part.len() as u64).to_be_bytes());
    match key {
        Some(ChainKey(mac)) => {
            let mut mac = mac.clone();
            for (length, part) in lengths.zip(parts) {
                mac.update(&length);
                mac.update(part);
            }
            mac.finalize().into_bytes().into()
        }
        None => {
            let mut hash = Sha256::new();
            for (length, part) in lengths.zip(parts) {
                hash.update(length);
                hash.update(part);
            }
            hash.finalize().into()
        }
    }
}

/// The digest of a row: of its columns, one after the other. Two rows have the same digest only if all columns are the same.
#[derive(Debug, Clone)]
pub struct RowDigest(Sha256);

impl RowDigest {
    /// Begins with the name of the table.
    #[must_use]
    pub fn of(table: &str) -> Self {
        Self(Sha256::new()).text(Some(table))
    }

    /// A number, a time in milliseconds, or nothing.
    #[must_use]
    pub fn int(mut self, value: Option<i64>) -> Self {
        match value {
            Some(value) => {
                self.0.update(b"i");
                self.0.update(value.to_be_bytes());
            }
            None => self.0.update(b"-"),
        }
        self
    }

    /// Text, or nothing.
    #[must_use]
    pub fn text(self, value: Option<&str>) -> Self {
        self.sized(b"t", value.map(str::as_bytes))
    }

    /// Bytes, or nothing.
    #[must_use]
    pub fn bytes(self, value: Option<&[u8]>) -> Self {
        self.sized(b"b", value)
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn sized(mut self, what: &[u8; 1], value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => {
                self.0.update(what);
                self.0.update((value.len() as u64).to_be_bytes());
                self.0.update(value);
            }
            None => self.0.update(b"-"),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_differently_or_made_with_another_key_has_another_tag() {
        let (one, two) = (ChainKey::new(&[1; 32]), ChainKey::new(&[2; 32]));
        let tags = [
            chain_tag(None, &[b"ab", b"c"]),
            chain_tag(None, &[b"a", b"bc"]),
            chain_tag(Some(&one), &[b"ab", b"c"]),
            chain_tag(Some(&two), &[b"ab", b"c"]),
        ];
        for (place, tag) in tags.iter().enumerate() {
            assert!(!tags[place + 1..].contains(tag), "{place}");
        }
        assert_eq!(format!("{one:?}"), "ChainKey(***)");
    }

    #[test]
    fn a_row_is_told_from_every_other() {
        let rows = [
            RowDigest::of("entry").int(None).text(Some("a")),
            RowDigest::of("entry").int(Some(0)).text(Some("a")),
            RowDigest::of("entry").int(None).bytes(Some(b"a")),
            RowDigest::of("entry").int(None).text(Some("")),
            RowDigest::of("entry").int(None).text(None),
            RowDigest::of("outcome").int(None).text(None),
        ]
        .map(RowDigest::finish);
        for (place, row) in rows.iter().enumerate() {
            assert!(!rows[place + 1..].contains(row), "{place}");
        }
    }
}
