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
    /// Documents by their own lists, of the feed's resource with this number.
    #[serde(alias = "open")]
    Documents(usize),
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
    /// The highest row version on the first page of this run.
    #[serde(default)]
    pub(super) first: i64,
    /// Whether a row of this run came behind one with a higher version.
    #[serde(default)]
    pub(super) shuffled: bool,
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
    /// Row versions have begun anew: what was changed before this time is old, whatever its version.
    #[serde(default)]
    pub(super) news_since: Option<Timestamp>,
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
        self.since.map(|since| beginning(since - OVERLAP, zone))
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

    /// Takes note of the row versions on a page.
    pub(super) fn count(&mut self, versions: &[i64]) {
        let highest = versions.iter().copied().max().unwrap_or_default();
        if self.pages == Pages::default() {
            (self.first, self.shuffled) = (highest, false);
        }
        let begins_behind = versions.first().is_none_or(|first| *first >= self.newest);
        self.shuffled |= !versions.is_sorted() || !begins_behind;
        self.newest = self.newest.max(highest);
    }

    /// The run is over: where the next one begins. Pages that come in no order may have missed what changed while they were
    /// read, and show what changed after that: only what the first page showed was there when the run began.
    pub(super) fn finish(&mut self) {
        self.step = Step::Changes;
        self.seen = self.seen.max(if self.shuffled { self.first } else { self.newest });
        self.since = self.since.max(self.newest_change);
        self.before = self.begun.take();
        (self.newest, self.first, self.shuffled) = (0, 0, false);
        (self.newest_change, self.news_since) = (None, None);
        self.pages = Pages::default();
    }
}

/// From when on what changed since then is looked for on the server's clocks.
pub(super) fn beginning(since: Timestamp, zone: &Zone) -> Timestamp {
    match zone.wall_clock(since).readings() {
        LocalTime::Fold { .. } => since - FOLD,
        _ => since,
    }
}

#[cfg(test)]
mod tests {
    use ml_connector_core::http::Position;

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
    fn pages_in_no_order_are_not_gone_behind() {
        let seen = |pages: &[&[i64]]| {
            let mut at = Checkpoint { seen: 5, ..Checkpoint::default() };
            for (n, page) in pages.iter().enumerate() {
                at.count(page);
                at.pages.advance(Some(Position::Token(n.to_string())), [n.to_string()]).unwrap();
            }
            at.finish();
            at.seen
        };
        assert_eq!(seen(&[&[]]), 5);
        assert_eq!(seen(&[&[6, 7], &[8, 9]]), 9);
        assert_eq!(seen(&[&[9, 7]]), 9, "one page shows all that there is");
        assert_eq!(seen(&[&[7, 6], &[9, 8]]), 7);
        assert_eq!(seen(&[&[6, 8], &[7, 9]]), 8);
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
