//! Lists, read page by page for what has changed.
//!
//! Lists of invoices, payments, expenses and clients have a filter for the day of the last change, in New York: each run
//! reads a window that overlaps the one before by more than a day. The other lists are read as a whole. Deleted records are
//! in no list unless they are asked for, so an ordinary run asks for them as well.
//!
//! Pages have numbers and no snapshot, so rows move while they are read. Where FreshBooks counts fewer rows than before, some
//! have moved to a page that was read already: then it is read again.
//!
//! A row that is the whole record is what was read. Of one that lacks names or lines, the record is read where the row shows
//! something that is not known.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp,
    http::Pages,
    model::{Date, EntityRef, LostRow, Observation, Page, PollMode, Record, Revision, Signal, Zone},
    snapshot::{Facts, Snapshot},
};
use serde::{Deserialize, Serialize};

use crate::{
    FreshBooks,
    client::{Detail, Filter, FreshBooksClient, PER_PAGE, Rows},
    models::{Bill, Changes, Family, Resource, Shape, eastern, revision},
};

/// Windows overlap by so much: filters know whole days only, and nobody says in which zone they begin.
const OVERLAP: Duration = Duration::from_secs(26 * 3600);
/// A row from so long before its window shows that the filter was ignored.
const STRAY: Duration = Duration::from_secs(24 * 3600);
/// How far the vendor's clock and ours may be apart where an answer does not tell.
const SKEW: Duration = Duration::from_secs(300);
/// How long a list of bills is empty before it is said that bills may be kept where no API shows them.
const NO_BILLS: Duration = Duration::from_secs(24 * 3600);

/// One run through a list.
pub(crate) struct Listing<'a> {
    pub(crate) books: &'a FreshBooks,
    pub(crate) ctx: &'a Context,
    pub(crate) client: FreshBooksClient,
    pub(crate) mode: PollMode,
}

/// Which rows a run asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pass {
    /// What is there.
    #[default]
    Present,
    /// The same once more, because rows may have moved.
    Again,
    /// What was deleted.
    Deleted,
}

/// Where a run is, and what the next has to know.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Checkpoint {
    /// The latest change that the runs before have seen, by FreshBooks' clock.
    seen: Option<Timestamp>,
    /// The same of the run before the last one: what changed since then was looked through once at most.
    before: Option<Timestamp>,
    /// The latest change that this run has seen.
    newest: Option<Timestamp>,
    /// When this run began, by FreshBooks' clock.
    begun: Option<Timestamp>,
    pages: Pages,
    pass: Pass,
    /// How many rows there were in all pages, by the page before.
    total: Option<u64>,
    /// The rows of the last two pages of a run that must not tell one twice.
    recent: Vec<String>,
    /// Since when no row has ever been seen; `None`: there were some.
    empty_since: Option<Timestamp>,
}

impl Checkpoint {
    fn begin(now: Timestamp) -> Self {
        Self { pages: Pages::numbered(1), empty_since: Some(now), ..Self::default() }
    }

    fn read(stored: &Bytes) -> Result<Self> {
        serde_json::from_slice(stored).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be read").with_source(source)
        })
    }

    fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a checkpoint cannot be written").with_source(source)
        })
    }

    /// Since when changes are asked for; `None`: everything.
    fn window(&self, mode: PollMode) -> Option<Timestamp> {
        match mode {
            PollMode::Live => self.seen.map(|seen| seen - OVERLAP),
            PollMode::Backfill { since } => since.map(|since| since - STRAY),
            _ => None,
        }
    }

    /// Takes note of a page. A stamp of the future must not move the window over what has not happened yet.
    fn learn(&mut self, page: &Rows, read_at: Timestamp) {
        let clock = page.date.unwrap_or(read_at);
        self.begun = self.begun.or(Some(clock));
        let stamps = page.rows.iter().filter_map(|row| row.record.modified_at);
        self.newest =
            stamps.map(|stamp| stamp.min(clock + SKEW)).fold(self.newest, |one, other| one.max(Some(other)));
        if !page.rows.is_empty() || !page.unreadable.is_empty() || !page.lost.is_empty() {
            self.empty_since = None;
        }
    }

    /// Goes on to the next page of this pass. Where rows are fewer than before, some may have moved to the page before.
    fn advance(&mut self, page: &Rows, number: u32, ids: &[String]) -> Result<bool> {
        let shrunk = self.total.zip(page.total).is_some_and(|(before, now)| now < before);
        self.total = page.total;
        if shrunk && number > 1 {
            self.pages = Pages::numbered(number - 1);
            return Ok(true);
        }
        self.pages.advance_number(page.has_more, ids)
    }

    /// Goes on to the next pass, if there is one.
    fn next_pass(&mut self, mode: PollMode, has_deleted: bool, pages: u32) -> bool {
        let next = match (mode, self.pass) {
            (PollMode::Live, Pass::Present) if has_deleted => Some(Pass::Deleted),
            (PollMode::Baseline, Pass::Present) if pages > 1 => Some(Pass::Again),
            _ => None,
        };
        self.pages = Pages::numbered(1);
        self.total = None;
        self.pass = next.unwrap_or_default();
        next.is_some()
    }

    /// The run is over: where the next one begins.
    fn finish(&mut self, mode: PollMode) {
        let begun = self.begun.map(|begun| begun - SKEW);
        self.before = if mode == PollMode::Baseline { begun.min(self.newest.or(begun)) } else { self.seen };
        self.seen = self.seen.max(self.newest);
        (self.newest, self.begun) = (None, None);
        self.recent.clear();
    }
}

impl Listing<'_> {
    /// The next page.
    ///
    /// # Errors
    /// As the list call's; [`ErrorKind::Unexpected`] for a checkpoint that is none.
    pub(crate) async fn page<T: Resource>(&self, stored: Option<&Bytes>) -> Result<Page> {
        let read_at = self.ctx.now();
        let mut at = match stored {
            Some(stored) => Checkpoint::read(stored)?,
            None => Checkpoint::begin(read_at),
        };
        let number = at.pages.number().unwrap_or(1);
        let window = at.window(self.mode).filter(|_| T::CHANGES == Changes::Window);
        let since = window.map(|since| eastern().map(|zone| since.date_in(zone))).transpose()?;
        let filter = Filter { since, deleted: at.pass == Pass::Deleted, id: None };
        let mut listed = self.client.list::<T>(self.ctx, filter, number).await?;
        at.learn(&listed, read_at);
        let read = listed.rows.iter().map(|row| row.record.id.to_string());
        let ids: Vec<String> = read.chain(listed.unreadable.iter().cloned()).collect();
        let (rows, lost) = (std::mem::take(&mut listed.rows), std::mem::take(&mut listed.lost));
        let unreadable =
            listed.unreadable.iter().map(|id| Signal::entity(EntityRef::new(T::KIND, id.as_str())));
        let mut page = Found { signals: unreadable.collect(), observations: Vec::new(), lost };
        match (self.mode, at.pass) {
            (PollMode::Sweep, _) => {
                page.signals.extend(rows.iter().map(|row| Signal::entity(row.record.entity())));
            }
            (PollMode::Baseline, _) => {
                for row in rows {
                    self.observe::<T>(row, read_at, &mut page)?;
                }
            }
            (_, Pass::Deleted) => {
                // Where the filter is ignored, what is there comes once more.
                for row in rows.into_iter().filter(|row| row.deleted) {
                    page.observations.push(self.books.observe::<T>(row, read_at)?);
                }
            }
            _ => {
                let rows = self.in_window(rows, window, number, T::LIST);
                for row in rows.into_iter().filter(|row| !row.deleted) {
                    self.changed::<T>(row, &at, read_at, &mut page).await?;
                }
            }
        }
        if matches!(self.mode, PollMode::Backfill { .. }) {
            let excess = at.recent.len().saturating_sub(ids.len());
            at.recent.drain(..excess);
            at.recent.extend(ids.iter().cloned());
        }
        let has_deleted = T::FAMILY == Family::Accounting;
        let left = listed.total.map(|total| total.saturating_sub(u64::from(number) * PER_PAGE as u64));
        let mut more = at.advance(&listed, number, &ids)?;
        if self.mode == PollMode::Sweep && !at.pages.is_complete() {
            let error = "the list ends with a page without rows, and speaks of more: it proves nothing";
            return Err(Error::new(ErrorKind::InvalidResponse, error).with_operation(T::LIST));
        }
        if !more {
            more = at.next_pass(self.mode, has_deleted, number);
        }
        if !more {
            at.finish(self.mode);
        }
        let Found { observations, signals, lost } = page;
        let page = Page::new(at.write()?).observations(observations).signals(signals).lost(lost).more(more);
        Ok(page.left(left).remark(if_empty::<T>(&at, read_at)))
    }

    /// What a row shows, and what was paid of it where it is a bill.
    fn observe<T: Resource>(&self, row: Detail, read_at: Timestamp, page: &mut Found) -> Result<()> {
        let (payments, lost) = match T::KIND == Bill::KIND && !row.deleted {
            true => self.books.payments_of(&row, read_at)?,
            false => Default::default(),
        };
        page.lost.extend(lost);
        page.observations.push(self.books.observe::<T>(row, read_at)?);
        // What was paid is told once, by whichever list shows it first; of the past each list tells its own.
        if matches!(self.mode, PollMode::Live | PollMode::Baseline) {
            page.observations.extend(payments);
        }
        Ok(())
    }

    /// A row that may have changed: what it shows, or a signal that the record has to be read.
    async fn changed<T: Resource>(
        &self,
        row: Detail,
        at: &Checkpoint,
        read_at: Timestamp,
        page: &mut Found,
    ) -> Result<()> {
        let past = matches!(self.mode, PollMode::Backfill { .. });
        if past && (at.recent.iter().any(|id| *id == *row.record.id) || self.is_before_backfill(&row.record))
        {
            return Ok(());
        }
        let entity = row.record.entity();
        match row.shape {
            Shape::Whole => return self.observe::<T>(row, read_at, page),
            _ if past => {}
            shape => {
                let known = self.ctx.known(&self.books.source.info().connection, &entity).await?;
                if !is_news::<T>(&row, shape, known.as_ref(), at.before)? {
                    return Ok(());
                }
            }
        }
        let hint = Some(format!("{}.listed", T::KIND).into());
        page.signals.push(Signal { hint, ..Signal::entity(entity) });
        Ok(())
    }

    /// Whether a record has not changed since what a backfill asks for. One without a stamp is known by its date.
    fn is_before_backfill(&self, record: &Record) -> bool {
        let PollMode::Backfill { since: Some(since) } = self.mode else { return false };
        let day: Date = since.date_in(&Zone::UTC).minus_days(1);
        match record.modified_at {
            Some(stamp) => stamp < since,
            None => record.date.is_some_and(|date| date < day),
        }
    }

    /// The rows of the window. Where the filter was ignored, the others come, too.
    fn in_window(
        &self,
        rows: Vec<Detail>,
        window: Option<Timestamp>,
        number: u32,
        list: &'static str,
    ) -> Vec<Detail> {
        let Some(window) = window else { return rows };
        let is_stray = |row: &Detail| row.record.modified_at.is_some_and(|stamp| stamp < window - STRAY);
        let before = rows.len();
        let rows: Vec<Detail> = rows.into_iter().filter(|row| !is_stray(row)).collect();
        if number == 1 && rows.len() < before {
            let connection = &self.books.source.info().connection;
            tracing::warn!(%connection, list, "the list ignores its filter: more is read than has changed");
        }
        rows
    }
}

/// What an empty list of bills may mean. Bills that were entered under Bill Pay are in a store of their own, without an API:
/// nobody may take that for "no bill is owed".
fn if_empty<T: Resource>(at: &Checkpoint, now: Timestamp) -> Option<Arc<str>> {
    let since = at.empty_since.filter(|_| T::KIND == Bill::KIND)?;
    (now.saturating_since(since) >= NO_BILLS).then(|| {
        "no bill was ever listed: bills that are entered under Bill Pay cannot be seen by FreshBooks' API, so none of them is told"
            .into()
    })
}

/// What a page shows.
struct Found {
    observations: Vec<Observation>,
    signals: Vec<Signal>,
    lost: Vec<LostRow>,
}

/// Whether a row that is not the whole record shows something that is not known.
fn is_news<T: Resource>(
    row: &Detail,
    shape: Shape,
    known: Option<&Snapshot>,
    before: Option<Timestamp>,
) -> Result<bool> {
    let Some(known) = known else { return Ok(true) };
    if shape == Shape::Nameless {
        let listed: Revision = revision::<T>(&row.raw, &row.record)?;
        return Ok(known.revision != Some(listed));
    }
    let facts = Facts::of(&row.record);
    let same = known.facts.as_ref().is_some_and(|known| {
        (&known.status, known.total, known.balance, known.due_date)
            == (&facts.status, facts.total, facts.balance, facts.due_date)
    });
    let touched = row.record.modified_at.is_none_or(|stamp| before.is_none_or(|before| stamp >= before));
    Ok(known.revision.is_none() || !same || touched)
}
