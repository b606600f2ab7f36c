//! Lists, read page by page for what has changed.
//!
//! A list is a window: what was changed at an instant or later. Pages have numbers and no snapshot, so rows move while
//! they are read. A row that moves back is seen twice; one that moves ahead, because an earlier one was deleted, is not
//! seen at all. Therefore a window of one page moves on at once, a window of several pages only as far as the run
//! *before* had seen: everything in it is read twice, a poll apart.
//!
//! Stamps are the vendor's, so instants that are compared with them are by the vendor's clock, too. Ours may be hours off.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp,
    http::Pages,
    model::{EntityRef, LeftOut, Observation, Observed, Page, PollMode, Raw, Record, Revision, Signal, Zone},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    client::{BooksClient, Detail, Filter},
    models::{Changes, Resource, Site, listed_revision},
};

/// Windows overlap by so much: filters are inclusive for some lists and exclusive for others, stamps are whole seconds,
/// and a change may be listed a while after its stamp.
const OVERLAP: Duration = Duration::from_secs(300);
/// How far the vendor's clock and ours may be apart at most.
const SKEW: Duration = Duration::from_secs(3600);
/// Where a list cannot be filtered by its stamps, it is sorted by date, the latest first. Payments are rarely entered
/// longer than this after their date, nor changed; those that are, are found when the list is read to its end.
const BACKDATED_DAYS: u32 = 45;
/// How many rows are remembered, so that they are not read again within the window.
const MAX_MARKS: usize = 5_000;
/// How many of them where a long list is read once: rows that move to a later page while it is read. Each page writes and reads
/// what is remembered.
const MOVING_MARKS: usize = 1_000;

/// How often a list is read to its end whose changes cannot be asked for.
const READ_WHOLE: Duration = Duration::from_secs(24 * 3600);

/// One run through a list.
pub(crate) struct Listing<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) client: BooksClient,
    pub(crate) site: &'a Site,
    pub(crate) mode: PollMode,
    /// An ordinary run that begins so soon after the last one waits for the next, because the day has too few calls.
    pub(crate) at_most_every: Duration,
}

/// Where a run is, and what the next has to know.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checkpoint {
    /// Where the window begins; `None` = it holds everything.
    since: Option<Timestamp>,
    /// The newest stamp that the run before has seen; for a baseline, when it began.
    before: Timestamp,
    /// The newest stamp that this run has seen.
    newest: Timestamp,
    /// When this run began, and the one before it.
    begun: Timestamp,
    begun_before: Timestamp,
    pages: Pages,
    /// Whether the pages are read for the second time.
    #[serde(default)]
    again: bool,
    /// When an ordinary run began last, by our clock.
    #[serde(default)]
    live_at: Timestamp,
    /// Of a list that is read back: whether it has the filter all the same, once that was tried; whether this run goes
    /// to the end; and when the last one began that did.
    #[serde(default)]
    filters: Option<bool>,
    #[serde(default)]
    whole: bool,
    #[serde(default)]
    whole_at: Timestamp,
    /// Rows of the window as they were seen, with their stamps in seconds.
    #[serde(default)]
    marks: BTreeMap<String, i64>,
    /// Whether there were more rows in this run than are remembered.
    #[serde(default)]
    forgot: bool,
    /// How many rows Zoho has counted when this run began, and how many of them were on its pages.
    #[serde(default)]
    total: Option<u64>,
    #[serde(default)]
    listed: u64,
}

impl Checkpoint {
    fn begin(mode: PollMode, now: Timestamp) -> Self {
        let since = match mode {
            PollMode::Live => Some(now - OVERLAP),
            PollMode::Backfill { since } => since.map(|since| since - Duration::from_secs(1)),
            _ => None,
        };
        Self {
            since,
            before: now,
            newest: Timestamp::default(),
            begun: now,
            begun_before: Timestamp::default(),
            pages: Pages::numbered(1),
            again: false,
            live_at: Timestamp::default(),
            filters: None,
            whole: false,
            whole_at: now,
            marks: BTreeMap::new(),
            forgot: false,
            total: None,
            listed: 0,
        }
    }

    /// How many rows follow. What is read for the second time was shown already.
    fn left(&self) -> Option<u64> {
        self.total.map(|total| if self.again { 0 } else { total.saturating_sub(self.listed) })
    }

    /// Whether the row is one that was not seen before as it is now. From now on it was, unless it may change once
    /// more within the second of its stamp.
    fn is_new(&mut self, Row { record, mark, .. }: &Row, read_at: Timestamp, mode: PollMode) -> bool {
        let stamp = record.modified_at;
        if stamp.zip(self.since).is_some_and(|(stamp, since)| stamp.as_secs() < since.as_secs()) {
            return false;
        }
        let live = matches!(mode, PollMode::Live | PollMode::Baseline);
        if live && stamp.is_some_and(|stamp| stamp.as_secs() + 1 >= read_at.as_secs()) {
            return !self.marks.contains_key(mark);
        }
        self.marks.insert(mark.clone(), stamp.unwrap_or(self.begun).as_secs()).is_none()
    }

    /// Up to where nothing is read back: what was changed before the last run has been seen by it.
    fn read_back_to(&self) -> Option<Timestamp> {
        let seen = self.begun_before - SKEW - OVERLAP;
        self.since
            .map(|since| if self.begun_before == Timestamp::default() { since } else { since.max(seen) })
    }

    /// The run is over: where the next one begins.
    fn finish(&mut self, mode: PollMode, reads_back: bool) {
        let several = self.pages.number() != Some(1);
        let (edge, seen) = match mode {
            PollMode::Baseline => (self.baseline_edge(), self.baseline_edge()),
            _ if several => (self.before, self.newest.max(self.before)),
            _ => (self.newest.max(self.before), self.newest.max(self.before)),
        };
        // Where much has changed at once and nothing since, the newest stamps would keep it in the window for ever.
        let mut edge = (edge - OVERLAP).max(self.begun_before - SKEW);
        if reads_back && mode == PollMode::Live {
            // Only a run to the end has seen everything, and the one before it every row that moved meanwhile.
            edge = if self.whole { self.whole_at - SKEW } else { Timestamp::default() };
        }
        if self.whole || mode == PollMode::Baseline {
            self.whole_at = self.begun;
        }
        self.since = Some(self.since.unwrap_or_default().max(edge));
        self.before = seen;
        self.begun_before = self.begun;
        self.newest = Timestamp::default();
        self.pages = Pages::numbered(1);
        (self.again, self.forgot) = (false, false);
        (self.total, self.listed) = (None, 0);
        let since = self.since.unwrap_or_default().as_secs();
        self.marks.retain(|_, stamp| *stamp >= since);
    }

    /// Up to where a baseline has seen everything: by the vendor's clock where there is a stamp, and not beyond its
    /// own beginning.
    fn baseline_edge(&self) -> Timestamp {
        if self.newest == Timestamp::default() { self.before } else { self.before.min(self.newest) }
    }

    /// Forgets the oldest rows where there are too many; not while they keep what is read again from being told twice.
    fn shrink(&mut self, mode: PollMode) {
        if self.again {
            return;
        }
        let is_read_once = self.forgot && matches!(mode, PollMode::Backfill { .. });
        let most = if is_read_once { MOVING_MARKS } else { MAX_MARKS };
        let Some(excess) = self.marks.len().checked_sub(most).filter(|excess| *excess > 0) else {
            return;
        };
        let mut stamps: Vec<i64> = self.marks.values().copied().collect();
        let (_, edge, _) = stamps.select_nth_unstable(excess - 1);
        let edge = *edge;
        self.marks.retain(|_, stamp| *stamp > edge);
        self.forgot = true;
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
}

/// A row of a list, and what tells it from the same row as it was before.
struct Row {
    record: Record,
    mark: String,
    raw: Box<RawValue>,
    left_out: Vec<LeftOut>,
}

impl Row {
    fn new<T: Resource>(site: &Site, Detail { mut record, raw, left_out, .. }: Detail) -> Result<Self> {
        record.url = site.link::<T>(&record.id);
        let mut mark = match record.modified_at {
            Some(_) => {
                let Record { id, modified_at, vendor_status, balance, .. } = &record;
                let balance = balance.map(|balance| balance.to_string()).unwrap_or_default();
                Revision::of(format!("{id}/{modified_at:?}/{vendor_status}/{balance}").as_bytes())
            }
            None => listed_revision::<T>(&raw)?,
        }
        .to_string();
        mark.truncate(12);
        Ok(Self { record, mark, raw, left_out })
    }
}

impl Listing<'_> {
    /// The next page.
    ///
    /// # Errors
    /// As the list call's; [`ErrorKind::Unexpected`] for a checkpoint that is none.
    pub(crate) async fn page<T: Resource>(&self, stored: Option<&Bytes>) -> Result<Page> {
        let read_at = self.ctx.now();
        let mut checkpoint = match stored {
            Some(stored) => Checkpoint::read(stored)?,
            None => Checkpoint::begin(self.mode, self.ctx.by_vendor(read_at)),
        };
        let number = checkpoint.pages.number().unwrap_or(1);
        let live = self.mode == PollMode::Live;
        let reads_back = T::CHANGES == Changes::ReadBack && checkpoint.filters != Some(true);
        let begins = number == 1 && !checkpoint.again;
        if let Some(stored) = stored.filter(|_| begins && live && self.is_too_soon(&checkpoint, read_at)) {
            return Ok(Page::new(stored.clone()));
        }
        let has_filter = T::CHANGES == Changes::Filtered || checkpoint.filters == Some(true);
        let since = checkpoint.since.filter(|_| has_filter);
        let listed = self.client.list::<T>(self.ctx, Filter::Since(since), number).await?;
        // From the first answer on it is known what the vendor's clock showed before it.
        let shown = self.ctx.by_vendor(read_at);
        if begins {
            if stored.is_none() {
                (checkpoint.before, checkpoint.whole_at) = (shown, shown);
            }
            checkpoint.begun = shown;
            checkpoint.whole =
                reads_back && live && shown.saturating_since(checkpoint.whole_at) >= READ_WHOLE;
            if live {
                checkpoint.live_at = read_at;
            }
        }
        if reads_back && live && checkpoint.filters.is_none() && listed.has_more {
            checkpoint.filters = Some(self.has_filter::<T>(shown).await?);
        }
        if begins && listed.has_more && matches!(self.mode, PollMode::Backfill { .. }) {
            checkpoint.total = self.count::<T>(since).await;
        }
        let (has_more, lost) = (listed.has_more, listed.lost);
        let read = listed.rows.iter().map(|row| row.record.id.to_string());
        let ids: Vec<String> = read.chain(listed.unreadable.iter().cloned()).collect();
        checkpoint.listed += ids.len() as u64;
        // Each is read alone, as long as it is listed: what is wrong with it may be repaired.
        let kind = T::KIND;
        let alone = |id| Signal::entity(EntityRef::new(kind.as_str(), id));
        let unreadable = listed.unreadable.into_iter().map(alone);
        let rows = listed.rows.into_iter().map(|row| Row::new::<T>(self.site, row));
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;

        // A stamp of the future must not move the window over what has not happened yet.
        let stamps = rows.iter().filter_map(|row| row.record.modified_at);
        checkpoint.newest =
            stamps.map(|stamp| stamp.min(shown + OVERLAP)).fold(checkpoint.newest, Timestamp::max);
        let past = match T::CHANGES {
            Changes::ReadBack => {
                !checkpoint.whole && checkpoint.read_back_to().is_some_and(|edge| is_past(&rows, edge))
            }
            Changes::SortedByStamp => checkpoint.since.is_some_and(|since| is_passed(&rows, since)),
            Changes::Filtered | Changes::Whole => false,
        };
        let (mut observed, mut signals) = (Vec::new(), unreadable.collect::<Vec<_>>());
        match self.mode {
            PollMode::Baseline => {
                // Only the rows of the first ordinary window have to be remembered.
                checkpoint.since = Some(checkpoint.baseline_edge() - OVERLAP);
                rows.iter().for_each(|row| _ = checkpoint.is_new(row, shown, self.mode));
                let edge = checkpoint.since.take().unwrap_or_default().as_secs();
                checkpoint.marks.retain(|_, stamp| *stamp >= edge);
                observed = rows.into_iter().map(|row| observe(row, read_at)).collect::<Result<_>>()?;
            }
            // Told of as they are; the details follow. What the filter lets through may be a gap's as well: then only the
            // details are read.
            PollMode::Backfill { .. } => {
                let new = rows.into_iter().filter(|row| checkpoint.is_new(row, shown, self.mode));
                let new: Vec<Row> = new.collect();
                observed = new.into_iter().map(|row| observe(row, read_at)).collect::<Result<_>>()?;
            }
            PollMode::Sweep => signals.extend(rows.iter().map(|row| Signal::entity(row.record.entity()))),
            _ => signals.extend(
                rows.iter()
                    .filter(|row| checkpoint.is_new(row, shown, self.mode))
                    .map(|row| listed_signal(&row.record)),
            ),
        }
        checkpoint.shrink(self.mode);
        let more = checkpoint.pages.advance_number(has_more && !past, &ids)?
            || self.read_again(&mut checkpoint, number);
        if self.mode == PollMode::Sweep && !checkpoint.pages.is_complete() {
            let error = "the list ends with a page without rows, and speaks of more: it proves nothing";
            return Err(Error::new(ErrorKind::InvalidResponse, error).with_operation(T::LIST));
        }
        if !more {
            checkpoint.finish(self.mode, reads_back);
        }
        let left = checkpoint.left().filter(|_| more);
        Ok(Page::new(checkpoint.write()?).rows(observed).signals(signals).lost(lost).left(left).more(more))
    }

    /// How many rows there are, for whoever wants to know how long it takes: the read goes on without.
    async fn count<T: Resource>(&self, since: Option<Timestamp>) -> Option<u64> {
        let counted = self.client.count::<T>(self.ctx, Filter::Since(since)).await;
        counted.unwrap_or_else(|error| {
            tracing::debug!(%error, operation = T::LIST, "the list is not counted");
            None
        })
    }

    fn is_too_soon(&self, checkpoint: &Checkpoint, now: Timestamp) -> bool {
        now.saturating_since(checkpoint.live_at) < self.at_most_every
    }

    /// Whether the list has the filter that nobody documents for it: then nothing was changed tomorrow.
    async fn has_filter<T: Resource>(&self, now: Timestamp) -> Result<bool> {
        let tomorrow = Filter::Since(Some(now + READ_WHOLE));
        match self.client.list::<T>(self.ctx, tomorrow, 1).await {
            Ok(listed) => Ok(listed.rows.is_empty()),
            Err(refused) if refused.kind() == ErrorKind::InvalidRequest => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads that are not followed by others read several pages twice, because rows may have moved. Too many rows to
    /// remember are read once: they must not be told twice.
    fn read_again(&self, checkpoint: &mut Checkpoint, last: u32) -> bool {
        let followed = matches!(self.mode, PollMode::Live | PollMode::Sweep);
        if followed || checkpoint.again || last == 1 || checkpoint.forgot {
            return false;
        }
        checkpoint.again = true;
        checkpoint.pages = Pages::numbered(1);
        true
    }
}

/// Whether nothing on the page, and nothing behind it, can have changed since: for lists that come sorted by date, the
/// latest first.
fn is_past(rows: &[Row], since: Timestamp) -> bool {
    let edge = since.date_in(&Zone::UTC).minus_days(BACKDATED_DAYS);
    rows.iter().all(|Row { record, .. }| {
        record.modified_at.is_some_and(|stamp| stamp < since)
            && record.date.is_some_and(|date| date < edge)
            && record.created_at.is_none_or(|at| at.date_in(&Zone::UTC) < edge)
    })
}

/// Whether the rows are sorted by their stamps indeed, and go back to before the instant.
fn is_passed(rows: &[Row], since: Timestamp) -> bool {
    let stamp = |row: &Row| row.record.modified_at;
    rows.is_sorted_by(|one, next| stamp(one) >= stamp(next))
        && rows.last().and_then(stamp).is_some_and(|stamp| stamp < since)
}

/// A row as all that is known of a record at first. It has no lines; the first detail read shows another revision.
fn observe(row: Row, read_at: Timestamp) -> Result<Observation> {
    let Row { record, raw, left_out, .. } = row;
    let bytes = serde_json::to_vec(&record)
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a row cannot be written").with_source(source))?;
    let entity = record.entity();
    let (revision, content) = (Revision::of(&bytes), record.into());
    let state =
        Observed::Present { revision, order: None, content, raw: Some(Raw::new(raw)), notes: left_out };
    Ok(Observation { entity, read_at, state })
}

fn listed_signal(row: &Record) -> Signal {
    Signal { hint: Some(format!("{}.listed", row.kind.as_str()).into()), ..Signal::entity(row.entity()) }
}
