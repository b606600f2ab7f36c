//! Pages of feeds, and why they are read.

use std::sync::Arc;

use bytes::Bytes;

use super::{LostRow, Observation, Signal, Timestamp};

/// One page of a feed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Rows that carry the full record.
    pub observations: Vec<Observation>,
    /// Rows of records whose details say more. A baseline stores them as they are. A backfill sends them at once, with
    /// their [raw](super::Observed::Present::raw) JSON, to routes that take pages; then it reads the details one by one. Any
    /// other read only asks for the details.
    pub rows: Vec<Observation>,
    /// Rows that carry the full record and are shown for the first time, although they are not new: see
    /// [`Resolution::Past`](super::Resolution::Past).
    pub past: Vec<Observation>,
    /// Rows that have to be read one by one.
    pub signals: Vec<Signal>,
    /// Rows that cannot be read, and for which nothing else can be read. Health counts them. Each is a note that
    /// [`Connector::explain`](crate::Connector::explain) shows. When the same row comes again, the note counts it as a
    /// repetition.
    pub lost: Vec<LostRow>,
    /// Where the next page starts, in the source's own form. Stored in the same commit as the page.
    pub checkpoint: Bytes,
    /// Whether there is a next page now.
    pub more: bool,
    /// What a person has to know of the feed although it works, such as "an empty list does not mean that nothing is
    /// owed". Health shows the remark of the last page of an ordinary read until the next read replaces it.
    pub remark: Option<Arc<str>>,
    /// How many rows follow this page, as far as the vendor says: with it a backfill tells how long it will take. `None`
    /// where a list does not say how long it is.
    pub left: Option<u64>,
}

impl Page {
    /// An empty last page. The next read begins at `checkpoint`.
    #[must_use]
    pub fn new(checkpoint: Bytes) -> Self {
        let (observations, rows, past, signals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (lost, more, remark, left) = (Vec::new(), false, None, None);
        Self { observations, rows, past, signals, lost, checkpoint, more, remark, left }
    }

    /// Sets the rows that carry the full record.
    #[must_use]
    pub fn observations(mut self, observations: Vec<Observation>) -> Self {
        self.observations = observations;
        self
    }

    /// Sets the rows of records whose details say more.
    #[must_use]
    pub fn rows(mut self, rows: Vec<Observation>) -> Self {
        self.rows = rows;
        self
    }

    /// Sets the rows that are no news.
    #[must_use]
    pub fn past(mut self, past: Vec<Observation>) -> Self {
        self.past = past;
        self
    }

    /// Sets the rows that have to be read one by one.
    #[must_use]
    pub fn signals(mut self, signals: Vec<Signal>) -> Self {
        self.signals = signals;
        self
    }

    /// Sets the rows that cannot be read, and for which nothing else can be read.
    #[must_use]
    pub fn lost(mut self, lost: Vec<LostRow>) -> Self {
        self.lost = lost;
        self
    }

    /// Sets whether there is a next page now.
    #[must_use]
    pub fn more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }

    /// Sets what a person has to know of the feed although it works.
    #[must_use]
    pub fn remark(mut self, remark: Option<Arc<str>>) -> Self {
        self.remark = remark;
        self
    }

    /// Sets how many rows follow, where the vendor says so.
    #[must_use]
    pub fn left(mut self, left: Option<u64>) -> Self {
        self.left = left;
        self
    }
}

/// Why a feed is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PollMode {
    /// The first read of a new connection: snapshots, no events. Rows without the record's details may come as
    /// observations or [rows](Page::rows) here, so that a large organisation costs no detail reads. What changes after the first page was
    /// read is told by the first [`Live`](Self::Live) read, which begins with the checkpoint of the last page.
    Baseline,
    /// The ordinary read.
    Live,
    /// Everything that was created or changed since an instant: the past, on request, or what may have been missed
    /// in a gap. It has a checkpoint of its own.
    Backfill {
        /// Since when; `None` = everything.
        since: Option<Timestamp>,
    },
    /// Which records exist: the page's `signals` name every one, and are compared with what is known instead of
    /// being resolved; `observations` stay empty. Only for [`SourceInfo::sweeps`](crate::SourceInfo::sweeps).
    Sweep,
}
