//! Where a list is read from, and how far it has been read.

use std::time::Duration;

use bytes::Bytes;
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    http::{Pages, Position},
    model::PollMode,
};
use serde::{Deserialize, Serialize};

/// How far windows overlap: commits come minutes after their stamps, and stamps are rounded.
const OVERLAP: Duration = Duration::from_secs(300);
/// How far behind the server's clock a window may begin, beside the overlap: an operation runs for eight minutes at most.
const SETTLED: Duration = Duration::from_secs(300);
/// Rows of documents with their lines; a time-out halves it, down to the least.
const PAGE: u32 = 100;
const LEAST: u32 = 10;
/// Ids alone, by the thousand.
const IDS: u32 = 5_000;
/// The least difference between two stamps.
const TICK: Duration = Duration::from_millis(1);
/// After so many pages of records that can all be read, whole pages are asked for again.
const FRUITLESS: u32 = 3;
/// How often the values of a set are compared in full: a part payment moves neither stamp nor etag.
const COMPARE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Where a run is, and what the next has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Where the window begins; `None` = it holds everything.
    pub(super) since: Option<Timestamp>,
    /// The newest stamp seen so far.
    newest: Timestamp,
    /// When this run began.
    begun: Timestamp,
    /// The same by the server's clock, once it has answered.
    #[serde(default)]
    pub(super) answered: Option<Timestamp>,
    pub(super) pages: Pages,
    /// Whether pages of this run are still to be read.
    under_way: bool,
    pub(super) page_size: u32,
    /// When the last run began that compared everything.
    #[serde(default)]
    pub(super) compared: Timestamp,
    /// The newest stamp among the rows of this run, which come in the order of their stamps.
    #[serde(default)]
    reached: Timestamp,
    /// Set while records are read one by one, because one of them cannot be read.
    #[serde(default)]
    one_by_one: Option<OneByOne>,
}

/// How far the records around one that cannot be read have been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OneByOne {
    pages: u32,
    /// The stamp of what cannot be read, once it is found. What has none comes first.
    hole: Option<Timestamp>,
}

impl Checkpoint {
    pub(super) fn begin(mode: PollMode, now: Timestamp) -> Self {
        let since = match mode {
            PollMode::Backfill { since } => since.map(|since| since - OVERLAP),
            PollMode::Live => Some(now - OVERLAP),
            _ => None,
        };
        let page_size = if mode == PollMode::Sweep { IDS } else { PAGE };
        let newest = Timestamp::default();
        let pages = Pages::default();
        Self {
            since,
            newest,
            begun: now,
            answered: None,
            pages,
            under_way: true,
            page_size,
            compared: now,
            reached: Timestamp::default(),
            one_by_one: None,
        }
    }

    pub(super) fn parse(bytes: &Bytes) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be read").with_source(source)
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be written").with_source(source)
        })
    }

    /// Begins the next run, unless this one is under way. The window begins at the newest stamp that was seen, and not later
    /// than the last run: what changed while that run read its pages is in it, too. What was stamped long before that run is
    /// not: it was there. All are the server's times where it tells them.
    pub(super) fn go_on(mut self, mode: PollMode, now: Timestamp) -> Self {
        if self.under_way || mode != PollMode::Live {
            return self;
        }
        let compares = now.saturating_since(self.compared) >= COMPARE_EVERY;
        let last = self.answered.unwrap_or(self.begun);
        let seen = if self.newest == Timestamp::default() { last } else { self.newest.min(last) };
        let seen = self.answered.map_or(seen, |answered| seen.max(answered - SETTLED));
        self.since = if compares { None } else { Some(seen - OVERLAP) };
        self.compared = if compares { now } else { self.compared };
        // What took too long once need not do so for ever.
        self.page_size = self.page_size.saturating_mul(2).min(PAGE);
        (self.begun, self.answered, self.under_way) = (now, None, true);
        (self.reached, self.one_by_one) = (Timestamp::default(), None);
        self
    }

    /// Asks for smaller pages; whether there are any.
    pub(super) fn shrink(&mut self) -> bool {
        let shrinks = self.page_size > LEAST;
        self.page_size = (self.page_size / 2).max(LEAST);
        shrinks
    }

    /// Whether the pages show ids only, and each record is read by itself.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.one_by_one.is_some()
    }

    /// From where the run is, every record is read by itself. Links of other pages lead to other pages, so it begins with the
    /// stamp that was reached, and what shares it is read again.
    pub(super) fn begin_one_by_one(&mut self) {
        if self.reached != Timestamp::default() {
            self.since = Some(self.reached - TICK);
        }
        (self.pages, self.one_by_one) = (Pages::default(), Some(OneByOne { pages: 0, hole: None }));
    }

    /// Takes note of a record that cannot be read, by its stamp.
    pub(super) fn note_hole(&mut self, stamp: Option<Timestamp>) {
        if let Some(one) = &mut self.one_by_one {
            one.hole = one.hole.max(Some(stamp.unwrap_or_default()));
        }
    }

    /// Takes note of a page that was read, and of the newest stamps on it: of all rows, and of those that could be read. Returns
    /// whether there is another page.
    pub(super) fn advance<I: AsRef<str>>(
        &mut self,
        (reached, newest): (Option<Timestamp>, Option<Timestamp>),
        next: Option<url::Url>,
        rows: impl IntoIterator<Item = I>,
    ) -> Result<bool> {
        self.newest = newest.map_or(self.newest, |newest| newest.max(self.newest));
        self.reached = reached.map_or(self.reached, |reached| reached.max(self.reached));
        let more = self.pages.advance(next.map(Position::Link), rows)?;
        if !more {
            (self.pages, self.under_way) = (Pages::default(), false);
        }
        if more && let Some(one) = &mut self.one_by_one {
            one.pages += 1;
            // What shares the stamp of a record that cannot be read is not asked for by stamps.
            let begin = match one.hole {
                Some(hole) => Some(hole).filter(|hole| *hole < self.reached),
                None => Some(self.reached - TICK)
                    .filter(|begin| one.pages >= FRUITLESS && Some(*begin) > self.since),
            };
            if begin.is_some() {
                (self.since, self.pages, self.page_size) = (begin, Pages::default(), PAGE);
                self.one_by_one = None;
            }
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(at: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        (Some(at), Some(at))
    }

    #[test]
    fn a_window_begins_where_the_last_run_began_and_before_the_newest_stamp() {
        let now = Timestamp::from_secs(1_792_000_000);
        let later = now + Duration::from_secs(600);
        let mut at = Checkpoint::begin(PollMode::Baseline, now);
        assert_eq!(at.since, None, "the first load has no filter: some rows have no stamp");
        at.advance(stamped(now + Duration::from_secs(300)), None, ["1"]).unwrap();
        let next = at.go_on(PollMode::Live, later);
        assert_eq!(next.since, Some(now - OVERLAP), "what changed while the pages were read is read again");
        let mut quiet = Checkpoint::begin(PollMode::Baseline, now);
        quiet.advance(stamped(now - Duration::from_secs(7200)), None, ["1"]).unwrap();
        let next = quiet.go_on(PollMode::Live, later);
        assert_eq!(
            next.since,
            Some(now - Duration::from_secs(7200) - OVERLAP),
            "a clock of ours moves nothing ahead"
        );
    }

    /// What was imported or upgraded at once is read once more, and not at every look.
    #[test]
    fn where_nothing_changes_the_window_moves_on_with_the_server_s_clock() {
        let now = Timestamp::from_secs(1_792_000_000);
        let mut at = Checkpoint::begin(PollMode::Baseline, now);
        // The server's clock is two minutes ahead.
        let ahead = now + Duration::from_secs(120);
        at.answered = Some(ahead);
        at.advance(stamped(now - Duration::from_secs(7200)), None, ["1"]).unwrap();
        let next = at.clone().go_on(PollMode::Live, now + Duration::from_secs(900));
        assert_eq!((next.since, next.answered), (Some(ahead - SETTLED - OVERLAP), None));
        // What changed while the pages were read is read again.
        at.advance(stamped(ahead + Duration::from_secs(30)), None, ["2"]).unwrap();
        let next = at.go_on(PollMode::Live, now + Duration::from_secs(900));
        assert_eq!(next.since, Some(ahead - OVERLAP));
    }

    #[test]
    fn a_run_that_is_under_way_keeps_its_window() {
        let now = Timestamp::from_secs(1_792_000_000);
        let at = Checkpoint::begin(PollMode::Live, now);
        let half = Checkpoint { page_size: 50, ..at.clone() };
        assert_eq!(half.go_on(PollMode::Live, now + COMPARE_EVERY).since, at.since);
    }

    #[test]
    fn once_a_day_everything_is_compared() {
        let now = Timestamp::from_secs(1_792_000_000);
        let mut at = Checkpoint::begin(PollMode::Baseline, now);
        at.advance((None, None), None, ["1"]).unwrap();
        let day = now + COMPARE_EVERY;
        assert!(at.clone().go_on(PollMode::Live, day - Duration::from_secs(1)).since.is_some());
        let whole = at.go_on(PollMode::Live, day);
        assert_eq!((whole.since, whole.compared), (None, day));
    }
}
