//! Where a run through a feed is, and what the next has to know.

use std::time::Duration;

use bytes::Bytes;
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    http::Pages,
    model::{LocalTime, Zone},
};
use serde::{Deserialize, Serialize};

/// Windows of changes overlap by so much: rows that were written together come one after another.
const OVERLAP: Duration = Duration::from_secs(300);
/// In the hour that clocks show twice, a later change has an earlier time: then by so much more.
const FOLD: Duration = Duration::from_secs(65 * 60);
/// So many changes are remembered, so that an overlap tells none twice.
const MOST_RECENT: usize = 500;

/// What a run reads at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// It has not begun.
    #[default]
    Start,
    /// The documents that are not done with, of the feed's resource with this number.
    Open(usize),
    /// What has changed.
    Changes,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) step: Step,
    /// The row version up to which all was read.
    #[serde(default)]
    pub(super) seen: i64,
    /// The highest row version, or the latest change, of this run.
    #[serde(default)]
    pub(super) newest: i64,
    #[serde(default)]
    pub(super) newest_change: Option<Timestamp>,
    /// The latest change that the runs before have seen, where there are no row versions.
    #[serde(default)]
    pub(super) since: Option<Timestamp>,
    /// Whether the feed with row versions is not there, and changes are looked for by their time.
    #[serde(default)]
    pub(super) by_time: bool,
    /// When the company was moved last: row versions begin anew.
    #[serde(default)]
    pub(super) moved: Option<Timestamp>,
    /// When this run began, by the server's clock.
    #[serde(default)]
    pub(super) begun: Option<Timestamp>,
    /// When the run before began.
    #[serde(default)]
    pub(super) before: Option<Timestamp>,
    #[serde(default)]
    pub(super) pages: Pages,
    /// The latest changes by id and time.
    #[serde(default)]
    pub(super) recent: Vec<String>,
}

impl Checkpoint {
    pub(super) fn read(stored: &Bytes) -> Result<Self> {
        serde_json::from_slice(stored).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be read").with_source(source)
        })
    }

    pub(super) fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be written").with_source(source)
        })
    }

    /// From when on changes are asked for by their time, on the server's clocks.
    pub(super) fn window(&self, zone: &Zone) -> Option<Timestamp> {
        self.since.map(|since| {
            let from = since - OVERLAP;
            match zone.wall_clock(from).readings() {
                LocalTime::Fold { .. } => from - FOLD,
                _ => from,
            }
        })
    }

    /// Whether a change was told of already. It is remembered.
    pub(super) fn is_news(&mut self, id: &str, change: Option<Timestamp>) -> bool {
        let change = format!("{id}@{}", change.map_or(0, Timestamp::as_millis));
        if self.recent.contains(&change) {
            return false;
        }
        if self.recent.len() >= MOST_RECENT {
            self.recent.remove(0);
        }
        self.recent.push(change);
        true
    }

    /// The run is over: where the next one begins.
    pub(super) fn finish(&mut self) {
        self.step = Step::Changes;
        self.seen = self.seen.max(self.newest);
        self.since = self.since.max(self.newest_change);
        self.before = self.begun.take();
        (self.newest, self.newest_change) = (0, None);
        self.pages = Pages::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_is_there_twice_is_read_as_a_whole() {
        let zone = Zone::named("Europe/Amsterdam").unwrap();
        let window = |since: &str| {
            let since = Some(Timestamp::parse(since).unwrap());
            let window = Checkpoint { since, ..Checkpoint::default() }.window(&zone).unwrap();
            zone.wall_clock(window).to_string()
        };
        // 02:59 the first time: what is changed an hour later begins with 02:00 again.
        assert_eq!(window("2026-10-25T00:59:00Z"), "2026-10-25T01:49:00");
        assert_eq!(window("2026-10-25T01:59:00Z"), "2026-10-25T02:49:00");
        assert_eq!(window("2026-10-25T09:00:00Z"), "2026-10-25T09:55:00");
        assert_eq!(window("2026-03-29T01:02:00Z"), "2026-03-29T01:57:00");
        assert_eq!(Checkpoint::default().window(&zone), None);
    }

    #[test]
    fn an_overlap_tells_no_change_twice() {
        let (mut at, now) = (Checkpoint::default(), Timestamp::from_secs(1_792_000_000));
        assert!(at.is_news("a", Some(now)) && !at.is_news("a", Some(now)));
        assert!(at.is_news("a", Some(now + OVERLAP)) && at.is_news("b", Some(now)));
        (0..2_000).for_each(|n| _ = at.is_news(&n.to_string(), None));
        assert_eq!(at.recent.len(), MOST_RECENT);
        let stored = at.write().unwrap();
        assert_eq!(Checkpoint::read(&stored).unwrap(), at);
    }
}
