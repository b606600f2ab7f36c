//! What was last known of a record, and what a new observation of it means.

mod changes;
mod facts;
mod meaning;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
pub use changes::{ChangeRules, changes};
pub use facts::Facts;
pub use meaning::revision_of;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::DocKey,
    model::{Change, ConnectionId, Content, EntityRef, Observation, Observed, Raw, Record, Revision, Seq},
};

/// The last accepted state of a record: a document in the log, never pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many changes it has had.
    pub n: u64,
    /// The digest of the detail; `None` when the record is gone.
    pub revision: Option<Revision>,
    /// The vendor's own version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// When the read that showed it started.
    pub read_at: Timestamp,
    /// What decides about changes. Only of records: what people did tells its change itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// What was announced once and for all, such as `overdue:7@2026-03-04`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub announced: BTreeSet<Arc<str>>,
    /// Whether no more is known than a row of a list said, as a baseline shows it. The first read of the whole record fills
    /// it in; where the vendor's stamp says that nothing has happened, that is no change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub row_only: bool,
    /// The vendor's stamp of the row that is all that is known: a detail with the same stamp is the same state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_stamp: Option<Timestamp>,
    /// The backfill that told of it last as a row. A page that is read twice for safety is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<Seq>,
    /// The raw state, where the source [keeps it](crate::SourceInfo::keeps_raw).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

impl Snapshot {
    /// The document that holds a record's snapshot.
    #[must_use]
    pub fn key(connection: &ConnectionId, entity: &EntityRef) -> DocKey {
        DocKey::new("snapshot", connection, &entity.to_string())
    }

    /// What is kept of a record that was gone before anybody could read it.
    #[must_use]
    pub(crate) fn tombstone(record: &Record, read_at: Timestamp) -> Self {
        let (facts, announced) = (Some(Facts::of(record)), BTreeSet::new());
        Self {
            n: 0,
            revision: None,
            order: None,
            read_at,
            facts,
            announced,
            row_only: false,
            row_stamp: None,
            told_by: None,
            raw: None,
        }
    }

    /// What is still known of a record that is gone, or whose event is.
    #[must_use]
    pub fn to_record(&self, id: impl Into<Arc<str>>) -> Option<Record> {
        self.facts.as_ref().map(|facts| facts.to_record(id))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it is not what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a stored snapshot cannot be read").with_source(source)
        })
    }

    /// The stored form.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it cannot be written.
    pub fn to_bytes(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a snapshot cannot be written").with_source(source)
        })
    }
}

/// What an observation means for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotStep {
    /// Nothing has changed: no event.
    Unchanged,
    /// The read is older than what is known, and differs: read again.
    Older,
    /// Something has changed: store this snapshot and tell about it.
    Changed {
        /// The new snapshot, with its counter one up.
        snapshot: Box<Snapshot>,
        /// What changed; never empty.
        changes: BTreeSet<Change>,
    },
}

/// Compares an observation with what is known. Pure, and the only way to an event.
#[must_use]
pub fn step(last: Option<&Snapshot>, seen: &Observation, policy: &ChangeRules<'_>) -> SnapshotStep {
    let n = last.map_or(0, |last| last.n) + 1;
    let Observed::Present { revision, order, content, .. } = &seen.state else {
        return match last {
            Some(last) if last.revision.is_some() && seen.read_at < last.read_at => SnapshotStep::Older,
            Some(last) if last.revision.is_some() => SnapshotStep::Changed {
                snapshot: Box::new(Snapshot { n, revision: None, read_at: seen.read_at, ..last.clone() }),
                changes: BTreeSet::from([Change::Deleted]),
            },
            _ => SnapshotStep::Unchanged,
        };
    };
    let same = last.is_some_and(|last| last.revision == Some(*revision));
    if let Some(last) = last.filter(|_| !same) {
        let older = match (last.order, order) {
            (Some(known), Some(seen)) => *seen < known,
            _ => seen.read_at < last.read_at,
        };
        if older {
            return SnapshotStep::Older;
        }
    }
    let mut announced = last.map(|last| last.announced.clone()).unwrap_or_default();
    let known = last.filter(|last| last.revision.is_some()).and_then(|last| last.facts.as_ref());
    let changes = match content {
        Content::Record(record) => changes(known, &Facts::of(record), same, &mut announced, policy),
        Content::Interaction(_) if same => BTreeSet::new(),
        Content::Interaction(interaction) => BTreeSet::from([interaction.change()]),
    };
    if changes.is_empty() {
        return SnapshotStep::Unchanged;
    }
    let snapshot = Snapshot {
        n,
        revision: Some(*revision),
        order: *order,
        read_at: seen.read_at,
        facts: content.record().map(Facts::of),
        announced,
        row_only: false,
        row_stamp: None,
        told_by: last.and_then(|last| last.told_by),
        raw: None,
    };
    SnapshotStep::Changed { snapshot: Box::new(snapshot), changes }
}

#[cfg(test)]
mod tests;
