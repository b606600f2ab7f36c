//! What reading records showed.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Content, EntityRef, LeftOut, Raw, Record, Signal, Timestamp};

/// The digest of a record read in one fixed form: equal revisions mean that nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; 16]);

impl Revision {
    /// The revision of bytes in a fixed form, without stamps and etags.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(first)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// What one read showed.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Which record.
    pub entity: EntityRef,
    /// When the read *started*.
    pub read_at: Timestamp,
    /// What was seen.
    pub state: Observed,
}

/// The state of a record at the time of a read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Observed {
    /// It is there.
    Present {
        /// The digest of the detail in one fixed form.
        revision: Revision,
        /// The vendor's own version, if it only ever grows.
        order: Option<u64>,
        /// The record in the SDK's vocabulary, or what somebody did.
        content: Content,
        /// The vendor's JSON.
        raw: Option<Raw>,
        /// What of it could not be read.
        notes: Vec<LeftOut>,
    },
    /// It is gone, and this proves it.
    Gone(DeletionProof),
}

/// What proves that a record is gone. "Not found" alone proves nothing. Vendors also say it when the record may not be
/// read, when it belongs to another account, when a related record is missing, and when a replica is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeletionProof {
    /// A signed webhook says that it was deleted, and the read does not find it.
    SignedDeletion,
    /// The vendor answers with what is left of a deleted record, such as a state of its own.
    Tombstone,
    /// The vendor's list of deletions names it.
    DeletionFeed,
    /// The read does not find it, and two complete and authorized reads of its list do not show it. A
    /// [sweep](super::PollMode::Sweep) is one of the two.
    AbsentTwice,
}

impl Observed {
    /// It is there, without the vendor's JSON and version.
    pub fn present(revision: Revision, content: impl Into<Content>) -> Self {
        Self::Present { revision, order: None, content: content.into(), raw: None, notes: Vec::new() }
    }

    /// The record, where one is there.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Present { content, .. } => content.record(),
            Self::Gone(_) => None,
        }
    }

    /// The digest of the detail; `None` when it is gone.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Present { revision, .. } => Some(*revision),
            Self::Gone(_) => None,
        }
    }
}

/// What resolving signals led to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Resolution {
    /// Records were read. Usually one; a line resolves to its document.
    Observed(Vec<Observation>),
    /// Records were read, and some are to be read again later, even without a webhook.
    Scheduled {
        /// What was read.
        seen: Vec<Observation>,
        /// When to look at what again. A signal with a [`dedupe`](Signal::dedupe) key is kept once.
        later: Vec<(Timestamp, Signal)>,
    },
    /// The read is older than the hint: it came from a replica, or was a 404 right after creation. A record that was
    /// never seen is given up after an hour of this, without a notice.
    NotYet {
        /// When to read again.
        retry_at: Timestamp,
    },
    /// Records were read that the source shows for the first time, although they are not new: an upgrade or a copy has
    /// brought them. As at a baseline, they are stored without an event, and what happens to them from now on is told.
    /// Records that are already known stay as they are.
    Past {
        /// What was read.
        seen: Vec<Observation>,
        /// Why it is no news, for the audit trail.
        note: &'static str,
    },
    /// The hint stands for many records: read the feed.
    Sweep {
        /// The feed to read.
        feed: Arc<str>,
        /// Since when, where known.
        since: Option<Timestamp>,
    },
    /// Nothing to tell.
    Done {
        /// Why, for the audit trail.
        note: &'static str,
    },
}
