//! What is known about a feed: a document per feed, written with every page.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    FeedInfo, Result, Timestamp,
    audit::DocKey,
    engine::{
        documents::{JsonDocument, Loaded},
        registry::SourceSlot,
        shared::Shared,
    },
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
    /// How many records it has shown.
    #[serde(default)]
    pub(super) records: Option<u64>,
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
    /// Since when it cannot be read, and why.
    #[serde(default)]
    pub(super) unavailable: Option<UnavailableFeed>,
    /// What the source said of it at the last ordinary read.
    #[serde(default)]
    pub(super) remark: Option<FeedRemark>,
    /// How often it has become unavailable or available again.
    #[serde(default)]
    pub(super) turns: u64,
    /// Since when it is watched, where that is later than the connection: it was not available before.
    #[serde(default)]
    pub(super) watched_since: Option<Timestamp>,
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

/// A feed that the plan or the granted scopes do not allow. It is asked for again once a day, and the other feeds go on.
/// What happened before it became available is told if it was available earlier, or becomes so within two days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnavailableFeed {
    /// The feed.
    pub feed: String,
    /// Since when.
    pub since: Timestamp,
    /// Why: the vendor's code, and the scope where it is known.
    pub reason: Arc<str>,
    /// When it is asked for again.
    pub next: Timestamp,
}

/// What a person has to know of a feed although it works, in the source's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedRemark {
    /// The feed.
    pub feed: String,
    /// Since when.
    pub since: Timestamp,
    /// What.
    pub remark: Arc<str>,
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
    /// How many rows follow, as the vendor said with the last page.
    #[serde(default)]
    pub(super) left: Option<u64>,
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
    /// How many records the baseline has shown. `None` = it is not complete, or was so before this was counted.
    pub records: Option<u64>,
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
    /// How many rows follow, where the vendor says so.
    pub left: Option<u64>,
    /// When it ended; `None` = it is under way.
    pub ended: Option<Timestamp>,
}

impl JsonDocument for FeedState {
    const NAME: &'static str = "the state of a feed";
}

impl FeedState {
    pub(super) fn key(slot: &SourceSlot, feed: &str) -> DocKey {
        DocKey::new("feed", slot.connection(), feed)
    }

    /// The state of a feed, with the document that holds it.
    pub(super) async fn load(shared: &Shared, slot: &SourceSlot, feed: &str) -> Result<(Loaded<Self>, Self)> {
        let mut document = shared.load::<Self>(Self::key(slot, feed)).await?;
        let state = document.value.take().unwrap_or_default();
        Ok((document, state))
    }

    /// The states of feeds, in their order.
    pub(super) async fn load_all(
        shared: &Shared,
        slot: &SourceSlot,
        feeds: &[FeedInfo],
    ) -> Result<Vec<Self>> {
        Self::load_keys(shared, feeds.iter().map(|feed| Self::key(slot, feed.name)).collect()).await
    }

    /// The states of feeds of any sources, in the order of their keys.
    pub(super) async fn load_keys(shared: &Shared, keys: Vec<DocKey>) -> Result<Vec<Self>> {
        let documents = shared.load_all::<Self>(keys).await?;
        Ok(documents.into_iter().map(|document| document.value.unwrap_or_default()).collect())
    }

    /// Takes what the source says of the feed at the end of an ordinary read. The log of the process hears it once.
    pub(super) fn take_remark(
        &mut self,
        slot: &SourceSlot,
        feed: &str,
        said: Option<&Arc<str>>,
        now: Timestamp,
    ) {
        let known = self.remark.take();
        self.remark = said.map(|remark| match known {
            Some(known) if known.remark == *remark => known,
            _ => {
                tracing::warn!(connection = %slot.connection(), feed, %remark, "something to know of a feed");
                FeedRemark { feed: feed.to_owned(), since: now, remark: Arc::clone(remark) }
            }
        });
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
            left: run.left,
            ended: run.ended,
        };
        FeedProgress {
            feed,
            baseline: self.baseline,
            records: self.records,
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
