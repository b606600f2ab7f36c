//! Lists, read page by page for what has changed.
//!
//! A list is a window: what was changed after an instant, five minutes earlier than the newest stamp that was seen, because a
//! posting is stamped long before it is committed. It moves on with the server's clock where nothing changes: else a set that
//! was imported or upgraded at once would be read whole at every look. Rows carry the whole record and are compared by their values; so a row
//! that is read again is no change, and a new stamp alone (a data upgrade, a discount that was calculated anew) is none
//! either. All values come from the primary. Only the list of ids, which nothing is concluded from without a second read, comes
//! from the replica.

use std::time::Duration;

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp,
    http::{Pages, Position},
    model::{EntityRef, Observation, Page, PollMode, Signal, Status},
};
use serde::{Deserialize, Serialize};

use super::read::{is_draft, is_posted, passes, submitted};
use crate::{
    BusinessCentral,
    client::{Listing, Rows},
    models::Set,
};

/// How far windows overlap: commits come minutes after their stamps, and stamps are rounded.
const OVERLAP: Duration = Duration::from_secs(300);
/// How far behind the server's clock a window may begin, beside the overlap: an operation runs for eight minutes at most.
const SETTLED: Duration = Duration::from_secs(300);
/// Rows of documents with their lines; a time-out halves it, down to the least.
const PAGE: u32 = 100;
const LEAST: u32 = 10;
/// Ids alone, by the thousand.
const IDS: u32 = 5_000;
/// How often the values of a set are compared in full: a part payment moves neither stamp nor etag.
const COMPARE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Where a run is, and what the next has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Checkpoint {
    /// Where the window begins; `None` = it holds everything.
    since: Option<Timestamp>,
    /// The newest stamp seen so far.
    newest: Timestamp,
    /// When this run began.
    begun: Timestamp,
    /// The same by the server's clock, once it has answered.
    #[serde(default)]
    answered: Option<Timestamp>,
    pages: Pages,
    /// Whether pages of this run are still to be read.
    under_way: bool,
    page_size: u32,
    /// When the last run began that compared everything.
    #[serde(default)]
    compared: Timestamp,
}

impl Checkpoint {
    fn begin(mode: PollMode, now: Timestamp) -> Self {
        let since = match mode {
            PollMode::Backfill { since } => since.map(|since| since - OVERLAP),
            PollMode::Live => Some(now - OVERLAP),
            _ => None,
        };
        let page_size = if mode == PollMode::Sweep { IDS } else { PAGE };
        let newest = Timestamp::default();
        let pages = Pages::default();
        Self { since, newest, begun: now, answered: None, pages, under_way: true, page_size, compared: now }
    }

    fn parse(bytes: &Bytes) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be read").with_source(source)
        })
    }

    fn to_bytes(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be written").with_source(source)
        })
    }

    /// Begins the next run, unless this one is under way. The window begins at the newest stamp that was seen, and not later
    /// than the last run: what changed while that run read its pages is in it, too. What was stamped long before that run is
    /// not: it was there. All are the server's times where it tells them.
    fn go_on(mut self, mode: PollMode, now: Timestamp) -> Self {
        if self.under_way || mode != PollMode::Live {
            return self;
        }
        let compares = now.saturating_since(self.compared) >= COMPARE_EVERY;
        let last = self.answered.unwrap_or(self.begun);
        let seen = if self.newest == Timestamp::default() { last } else { self.newest.min(last) };
        let seen = self.answered.map_or(seen, |answered| seen.max(answered - SETTLED));
        self.since = if compares { None } else { Some(seen - OVERLAP) };
        self.compared = if compares { now } else { self.compared };
        (self.begun, self.answered, self.under_way) = (now, None, true);
        self
    }

    /// Takes note of a page that was read.
    fn advance<I: AsRef<str>>(
        &mut self,
        newest: Option<Timestamp>,
        next: Option<url::Url>,
        rows: impl IntoIterator<Item = I>,
    ) -> Result<bool> {
        self.newest = newest.map_or(self.newest, |newest| newest.max(self.newest));
        let more = self.pages.advance(next.map(Position::Link), rows)?;
        if !more {
            (self.pages, self.under_way) = (Pages::default(), false);
        }
        Ok(more)
    }
}

impl BusinessCentral {
    /// The next page of a set.
    pub(super) async fn page(
        &self,
        ctx: &Context,
        set: Set,
        mode: PollMode,
        checkpoint: Option<&Bytes>,
    ) -> Result<Page> {
        let read_at = ctx.now();
        let checkpoint = checkpoint.map(Checkpoint::parse).transpose()?;
        let mut at = match checkpoint {
            Some(checkpoint) => checkpoint.go_on(mode, read_at),
            None => Checkpoint::begin(mode, read_at),
        };
        let sweeps = mode == PollMode::Sweep;
        let (rows, bare) = match self.list(ctx, set, &at, sweeps).await {
            Ok(rows) => (rows, sweeps),
            // One record that refers to a missing one fails the whole page: ids alone do not, and lead to reads one by one.
            Err(error) if error.kind() == ErrorKind::NotFound && !sweeps => {
                tracing::warn!(%error, set = set.name(), "a page cannot be read whole: its records are read one by one");
                (self.list(ctx, set, &at, true).await.map_err(unreadable)?, true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unreadable(error)),
            Err(error) if at.page_size > LEAST && passes(&error) && timed_out(&error) => {
                at.page_size = (at.page_size / 2).max(LEAST);
                return Ok(Page::new(at.to_bytes()?).more(true));
            }
            Err(error) => return Err(error),
        };
        let Rows { rows, unreadable, next, at: answered } = rows;
        at.answered = at.answered.or(answered);
        let newest = rows.iter().filter_map(|row| row.record.modified_at).max();
        let ids: Vec<String> =
            rows.iter().map(|row| row.record.id.to_string()).chain(unreadable.clone()).collect();
        let kind = set.kind();
        let signal = |id: &str| Signal::entity(EntityRef::new(kind.as_str(), id));
        let mut signals: Vec<Signal> = unreadable.iter().map(|id| signal(id)).collect();
        let mut observations = Vec::new();
        let waiting = self.waiting(ctx, set, &rows, bare).await?;
        for mut row in rows {
            if bare {
                signals.push(signal(&row.record.id));
                continue;
            }
            submitted(&mut row.record, &waiting);
            self.name_responsible(ctx, set, &mut row).await?;
            let entity = row.record.entity();
            let known = ctx.known(&self.source.connection, &entity).await?;
            if self.silent(ctx, &row.record, known.is_some()).is_some() && mode != PollMode::Baseline {
                continue;
            }
            // Whether a sales invoice that reads Open is posted takes another call, once.
            let doubtful = set == Set::SalesInvoices
                && matches!(row.record.status, Status::Open | Status::PartiallyPaid)
                && !known.as_ref().is_some_and(is_posted);
            // The files beside a draft take another call, too.
            let has_files = self.attachments && known.is_none() && set.is_invoice() && is_draft(&row.record);
            if (doubtful || has_files) && mode != PollMode::Baseline {
                signals.push(signal(&row.record.id));
                continue;
            }
            if crate::models::is_placeholder(&row.record) {
                continue;
            }
            observations.push(Observation { entity, read_at, state: self.present(set, row)? });
        }
        let more = at.advance(newest, next, ids)?;
        Ok(Page::new(at.to_bytes()?).observations(observations).signals(signals).more(more))
    }

    async fn list(&self, ctx: &Context, set: Set, at: &Checkpoint, bare: bool) -> Result<Rows> {
        let filter = at.since.map(|since| format!("lastModifiedDateTime gt {since}"));
        let listing =
            Listing { filter, pages: &at.pages, bare, page_size: at.page_size, replica: at.page_size == IDS };
        self.client.in_background().list(ctx, set, listing).await
    }

    /// The purchase invoices that wait for an approval, where one of the rows may be one.
    async fn waiting(
        &self,
        ctx: &Context,
        set: Set,
        rows: &[crate::client::Detail],
        bare: bool,
    ) -> Result<Vec<(String, String)>> {
        let drafts = rows.iter().any(|row| row.record.status == Status::Draft);
        if bare || !self.approval_entries || set != Set::PurchaseInvoices || !drafts {
            return Ok(Vec::new());
        }
        Ok(self.client.open_approvals(ctx, set, None).await?.unwrap_or_default())
    }

    /// Approval entries that changed lead to their documents.
    pub(super) async fn approvals_page(&self, ctx: &Context, checkpoint: Option<&Bytes>) -> Result<Page> {
        let now = ctx.now();
        let checkpoint = checkpoint.map(Checkpoint::parse).transpose()?;
        let mut at = match checkpoint {
            Some(checkpoint) => Checkpoint { compared: now, ..checkpoint }.go_on(PollMode::Live, now),
            None => Checkpoint::begin(PollMode::Live, now),
        };
        let read = self.client.in_background().approval_changes(ctx, at.since, &at.pages).await;
        let (changed, newest, next) = match read {
            // Before version 29 there are none.
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Page::new(at.to_bytes()?)),
            read => read?,
        };
        let (mut signals, mut numbers) = (Vec::new(), Vec::new());
        for (set, number) in changed {
            numbers.push(number.clone());
            let Some(set) = set.filter(|set| self.sets.contains(set)) else { continue };
            for id in self.client.ids_where(ctx, set, "number", &number).await? {
                signals.push(Signal::entity(EntityRef::new(set.kind().as_str(), id)));
            }
        }
        let more = at.advance(Some(newest), next, numbers)?;
        Ok(Page::new(at.to_bytes()?).signals(signals).more(more))
    }
}

/// What a 404 of a list is: no statement about any record of ours, and healed by repairing the reference.
fn unreadable(error: Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the list cannot be read, because a record that one of its rows refers to is missing: repair the reference in \
         Business Central",
    )
    .with_operation(error.operation())
    .with_source(error)
}

fn timed_out(error: &Error) -> bool {
    matches!(error.context(ml_connector_core::error_context::STATUS), Some("408" | "504"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_where_the_last_run_began_and_before_the_newest_stamp() {
        let now = Timestamp::from_secs(1_792_000_000);
        let later = now + Duration::from_secs(600);
        let mut at = Checkpoint::begin(PollMode::Baseline, now);
        assert_eq!(at.since, None, "the first load has no filter: some rows have no stamp");
        at.advance(Some(now + Duration::from_secs(300)), None, ["1"]).unwrap();
        let next = at.go_on(PollMode::Live, later);
        assert_eq!(next.since, Some(now - OVERLAP), "what changed while the pages were read is read again");
        let mut quiet = Checkpoint::begin(PollMode::Baseline, now);
        quiet.advance(Some(now - Duration::from_secs(7200)), None, ["1"]).unwrap();
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
        at.advance(Some(now - Duration::from_secs(7200)), None, ["1"]).unwrap();
        let next = at.clone().go_on(PollMode::Live, now + Duration::from_secs(900));
        assert_eq!((next.since, next.answered), (Some(ahead - SETTLED - OVERLAP), None));
        // What changed while the pages were read is read again.
        at.advance(Some(ahead + Duration::from_secs(30)), None, ["2"]).unwrap();
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
        at.advance(None, None, ["1"]).unwrap();
        let day = now + COMPARE_EVERY;
        assert!(at.clone().go_on(PollMode::Live, day - Duration::from_secs(1)).since.is_some());
        let whole = at.go_on(PollMode::Live, day);
        assert_eq!((whole.since, whole.compared), (None, day));
    }
}
