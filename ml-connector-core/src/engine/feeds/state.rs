//! What is known about a feed: a document per feed, written with every page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::registry::SourceSlot;
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{DocKey, Document, DocumentWrite, Expected},
    model::Seq,
};

/// How many ended backfills are remembered.
const REMEMBERED: usize = 8;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct FeedState {
    /// The number of the ordinary read that waits, and of the sweep. A number is used once.
    pub(super) read: u64,
    pub(super) sweep: u64,
    /// When the baseline was complete.
    pub(super) baseline: Option<Timestamp>,
    /// When an ordinary read was complete last.
    pub(super) read_at: Option<Timestamp>,
    pub(super) swept_at: Option<Timestamp>,
    /// Runs that have begun and not ended.
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Backfills that have ended, the latest last.
    pub(super) ended: Vec<(Seq, Run)>,
    /// Which records existed at the last full look.
    pub(super) ids: Ids,
    /// The thresholds and the zone by which the days to come of these records are watched.
    #[serde(default)]
    pub(super) calendar: String,
    /// The last full look, if it was not believed.
    #[serde(default)]
    pub(super) stopped: Option<StoppedSweep>,
}

/// A sweep that was not believed, because too much had disappeared at once.
/// [`Connector::confirm_sweep`](crate::Connector::confirm_sweep) says that it is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoppedSweep {
    /// The feed.
    pub feed: String,
    /// When.
    pub at: Timestamp,
    /// How many records were missing.
    pub missing: u64,
    /// Of how many.
    pub known: u64,
}

/// Which run of a feed: they have checkpoints of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunId {
    /// The baseline, and then every ordinary read.
    Live,
    Gap,
    Sweep,
    Backfill(Seq),
}

/// How far a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) begun: Timestamp,
    pub(super) since: Option<Timestamp>,
    /// Signals up to here were there when it began: it answers them.
    pub(super) answers: Seq,
    pub(super) pages: u32,
    pub(super) rows: u64,
    /// Whether it has found anything so far.
    pub(super) found: bool,
    pub(super) ended: Option<Timestamp>,
}

/// The ids that a full look showed: `pages` documents of one of two sets, so that the old set stays until the new
/// one is complete.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Ids {
    pub(super) set: bool,
    pub(super) pages: u32,
    /// So many documents more hold what that look missed: whether it is gone, the source had still to confirm.
    #[serde(default)]
    pub(super) missed: u32,
    /// When the look began; `None` = there was none.
    pub(super) begun: Option<Timestamp>,
}

/// How far a feed is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FeedProgress {
    /// The feed.
    pub feed: &'static str,
    /// When its baseline was complete; `None` = it is not yet.
    pub baseline: Option<Timestamp>,
    /// When an ordinary read was complete last.
    pub read_at: Option<Timestamp>,
    /// When a sweep was complete last.
    pub swept_at: Option<Timestamp>,
    /// What is under way, and the backfills that ended last.
    pub runs: Vec<RunProgress>,
}

/// How far one run is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgress {
    /// `baseline`, `read`, `gap`, `sweep` or `backfill`.
    pub what: &'static str,
    /// The backfill's entry, as [`Connector::backfill`](crate::Connector::backfill) returned it.
    pub seq: Option<Seq>,
    /// When it began.
    pub begun: Timestamp,
    /// What it reads.
    pub since: Option<Timestamp>,
    /// Pages read.
    pub pages: u32,
    /// Rows on them.
    pub rows: u64,
    /// When it ended; `None` = it is under way.
    pub ended: Option<Timestamp>,
}

impl FeedState {
    pub(super) fn key(slot: &SourceSlot, feed: &str) -> DocKey {
        DocKey::new("feed", slot.connection(), feed)
    }

    /// The state, and the condition under which it may be replaced.
    pub(super) fn read(document: Option<Document>) -> Result<(Expected, Self)> {
        let Some(document) = document else { return Ok((Expected::Absent, Self::default())) };
        let state = serde_json::from_slice(&document.bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the state of a feed cannot be read").with_source(source)
        })?;
        Ok((Expected::Version(document.version), state))
    }

    pub(super) fn write(&self, key: DocKey, expected: Expected) -> Result<DocumentWrite> {
        let bytes = serde_json::to_vec(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the state of a feed cannot be written").with_source(source)
        })?;
        Ok(DocumentWrite { key, expected, value: Some(bytes.into()) })
    }

    /// Notes that a run is over.
    pub(super) fn end(&mut self, id: RunId, now: Timestamp) {
        let Some(run) = self.runs.remove(&id) else { return };
        match id {
            RunId::Live if self.baseline.is_none() => self.baseline = Some(now),
            RunId::Live => self.read_at = Some(now),
            RunId::Sweep => self.swept_at = Some(now),
            RunId::Gap => {}
            RunId::Backfill(seq) => {
                self.ended.push((seq, Run { ended: Some(now), ..run }));
                let excess = self.ended.len().saturating_sub(REMEMBERED);
                self.ended.drain(..excess);
            }
        }
    }

    /// A backfill that is under way or ended lately.
    pub(super) fn backfill(&self, seq: Seq) -> Option<&Run> {
        let ended = || self.ended.iter().find(|(of, _)| *of == seq).map(|(_, run)| run);
        self.runs.get(&RunId::Backfill(seq)).or_else(ended)
    }

    pub(super) fn progress(&self, feed: &'static str) -> FeedProgress {
        let ended = self.ended.iter().map(|(seq, run)| (RunId::Backfill(*seq), run));
        let runs = self.runs.iter().map(|(id, run)| (*id, run)).chain(ended);
        let progress = |(id, run): (RunId, &Run)| RunProgress {
            what: match id {
                RunId::Live if self.baseline.is_none() => "baseline",
                RunId::Live => "read",
                RunId::Gap => "gap",
                RunId::Sweep => "sweep",
                RunId::Backfill(_) => "backfill",
            },
            seq: if let RunId::Backfill(seq) = id { Some(seq) } else { None },
            begun: run.begun,
            since: run.since,
            pages: run.pages,
            rows: run.rows,
            ended: run.ended,
        };
        FeedProgress {
            feed,
            baseline: self.baseline,
            read_at: self.read_at,
            swept_at: self.swept_at,
            runs: runs.map(progress).collect(),
        }
    }
}

impl RunId {
    /// Where the run's checkpoint is.
    pub(super) fn checkpoint(self, slot: &SourceSlot, feed: &str) -> DocKey {
        DocKey::new("checkpoint", slot.connection(), &format!("{feed}/{self}"))
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Gap => f.write_str("gap"),
            Self::Sweep => f.write_str("sweep"),
            Self::Backfill(seq) => write!(f, "backfill-{seq}"),
        }
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        Ok(match &*text {
            "live" => Self::Live,
            "gap" => Self::Gap,
            "sweep" => Self::Sweep,
            other => {
                let seq = other.strip_prefix("backfill-").and_then(|seq| seq.parse().ok());
                Self::Backfill(Seq(seq.ok_or_else(|| serde::de::Error::custom("expected a run"))?))
            }
        })
    }
}
