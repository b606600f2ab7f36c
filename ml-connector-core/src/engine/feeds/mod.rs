//! Feeds: read on a schedule, on request, after gaps, and for the past; and swept for what no longer exists.
//!
//! A run is a signal of the feed's own lane, and reads one page per step. A step commits what the page showed, the
//! checkpoint and what is known about the feed together; so a run that breaks off goes on where it was, on any host.

mod run;
mod schedule;
mod state;
mod sweep;

use std::sync::Arc;

pub(super) use run::step;
pub(super) use schedule::{ensure, is_settled};
use serde::{Deserialize, Serialize};
pub use state::{FeedProgress, RunProgress, StoppedSweep};

use self::state::FeedState;
use super::{Connector, Shared, intake::signal_entry, registry::SourceSlot, stored::StoredSignal};
use crate::{
    Error, ErrorKind, FeedInfo, Result, Timestamp,
    audit::{NewEntry, Outcome, Parent, Query, Transaction},
    model::{ConnectionId, DedupeKey, Seq, Signal},
};

/// What a feed's signal asks for; kept as its payload. Without one it is a hint: something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    /// The ordinary read with this number.
    Read(u64),
    /// The sweep with this number.
    Sweep(u64),
    /// A sweep of which somebody has said that so many records have indeed disappeared.
    ConfirmedSweep(u64),
    /// An ordinary read out of turn.
    ReadNow,
    /// The past.
    Backfill(Option<Timestamp>),
}

impl Connector {
    /// Reads a feed now, beside its schedule: what it has not told yet. Returns the entry that shows how it went.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the connection has no such feed; [`ErrorKind::Unavailable`] when the log cannot
    /// store the wish.
    pub async fn poll_now(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        self.ask(connection, feed, Ask::ReadNow).await
    }

    /// Tells of every record of a feed that was created or changed at `since` or later, whether or not it was told
    /// before, as events of [`Origin::Backfill`](crate::model::Origin::Backfill): a route takes them only if it says so,
    /// one per record, or one per page of the feed ([`Route::pages`](crate::route::Route::pages)). Goes on after a restart; live reads go first. [`progress`](Self::progress) tells how far
    /// it is. Returns its entry.
    ///
    /// # Errors
    /// As [`poll_now`](Self::poll_now).
    pub async fn backfill(
        &self,
        connection: &ConnectionId,
        feed: &str,
        since: Option<Timestamp>,
    ) -> Result<Seq> {
        self.ask(connection, feed, Ask::Backfill(since)).await
    }

    /// Says that what a stopped sweep missed has indeed disappeared: the feed is looked at once more, now, and believed
    /// if it does not miss many more records than it did then. What is missing is told as deleted, once the source has
    /// confirmed it record by record. [`health`](Self::health) shows what stopped. Returns the sweep's entry.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the connection has no such feed; [`ErrorKind::Conflict`] when no sweep of it was
    /// stopped; [`ErrorKind::Unavailable`] when the log does not work.
    pub async fn confirm_sweep(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, feed))?;
        if !offers(&slot.source.info().sweeps, feed) {
            return Err(no_feed(connection, feed));
        }
        let document = self.shared.log.documents(&[FeedState::key(slot, feed)]).await?.pop().flatten();
        let stopped = FeedState::read(document)?.1.stopped.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "no sweep of this feed was stopped")
                .with_context("connection", connection)
                .with_context("feed", feed)
        })?;
        let dedupe = format!("confirmed/{connection}/{feed}/{}", stopped.at.as_millis());
        self.append_wish(slot, feed, Ask::ConfirmedSweep(stopped.missing), Some(dedupe.into())).await
    }

    /// How far the feeds of a connection are, in the order of the source's list.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such source; [`ErrorKind::Unavailable`] when the log cannot be read.
    pub async fn progress(&self, connection: &ConnectionId) -> Result<Vec<FeedProgress>> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, ""))?;
        let feeds = &slot.source.info().feeds;
        let keys: Vec<_> = feeds.iter().map(|feed| FeedState::key(slot, feed.name)).collect();
        let documents = self.shared.log.documents(&keys).await?;
        let states = feeds.iter().zip(documents);
        states.map(|(feed, document)| Ok(FeedState::read(document)?.1.progress(feed.name))).collect()
    }

    async fn ask(&self, connection: &ConnectionId, feed: &str, ask: Ask) -> Result<Seq> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, feed))?;
        if !offers(&slot.source.info().feeds, feed) {
            return Err(no_feed(connection, feed));
        }
        self.append_wish(slot, feed, ask, None).await
    }

    async fn append_wish(
        &self,
        slot: &SourceSlot,
        feed: &str,
        ask: Ask,
        dedupe: Option<DedupeKey>,
    ) -> Result<Seq> {
        let entry = asking(slot, feed, ask, dedupe, self.shared.clock.now())?;
        let appended =
            self.shared.commit(Transaction { append: vec![entry], ..Transaction::default() }).await?;
        self.shared.wake.partitions(&[slot.partition]);
        let first = appended.first().map(|appended| appended.seq());
        first.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

/// The sweeps of a source that were stopped and wait for somebody to look.
pub(super) async fn stopped_sweeps(shared: &Shared, slot: &SourceSlot) -> Result<Vec<StoppedSweep>> {
    let keys: Vec<_> = slot.source.info().sweeps.iter().map(|feed| FeedState::key(slot, feed.name)).collect();
    let states = shared.log.documents(&keys).await?.into_iter().map(FeedState::read);
    states.filter_map(|state| state.map(|(_, state)| state.stopped).transpose()).collect()
}

/// How far the read of a backfill is.
#[derive(Debug, Clone)]
pub(super) struct BackfillRead {
    /// `None` = it has not begun, or ended long ago, or was given up.
    pub(super) rows: Option<u64>,
    pub(super) ended: bool,
    /// Why it was given up.
    pub(super) given_up: Option<Arc<str>>,
}

/// How far a backfill is, by its entry.
pub(super) async fn backfill_read(
    shared: &Shared,
    connection: &ConnectionId,
    feed: &str,
    backfill: Seq,
) -> Result<BackfillRead> {
    let registry = shared.registry();
    let slot = registry.source(connection).filter(|slot| offers(&slot.source.info().feeds, feed));
    let slot = slot.ok_or_else(|| no_feed(connection, feed))?;
    // The entry first: what settles it writes the state.
    let query = Query { bodies: false, ..Query::entries(vec![backfill]) };
    let entry = shared.log.query(&query).await?.pop();
    let document = shared.log.documents(&[FeedState::key(slot, feed)]).await?.pop().flatten();
    let (_, state) = FeedState::read(document)?;
    let run = state.backfill(backfill);
    let is_settled = entry.as_ref().is_none_or(|entry| entry.state.is_settled());
    let given_up = entry.and_then(|entry| match entry.outcomes.into_iter().last()?.outcome {
        Outcome::Dead { error } => Some(error),
        _ => None,
    });
    let ended = is_settled || run.is_some_and(|run| run.ended.is_some());
    Ok(BackfillRead { rows: run.map(|run| run.rows), ended, given_up })
}

fn offers(feeds: &[FeedInfo], name: &str) -> bool {
    feeds.iter().any(|feed| feed.name == name)
}

/// The entry of a wish.
fn asking(
    slot: &SourceSlot,
    feed: &str,
    ask: Ask,
    dedupe: Option<DedupeKey>,
    due: Timestamp,
) -> Result<NewEntry> {
    let hint = match ask {
        Ask::Read(_) | Ask::ReadNow => "read",
        Ask::Sweep(_) | Ask::ConfirmedSweep(_) => "sweep",
        Ask::Backfill(_) => "backfill",
    };
    let payload = serde_json::to_vec(&ask).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a wish cannot be written").with_source(source)
    })?;
    let signal = Signal {
        hint: Some(format!("{feed}.{hint}").into()),
        dedupe,
        payload: Some(payload.into()),
        ..Signal::feed(feed, None)
    };
    let body = StoredSignal::encode(Some(&signal), None, b"")?;
    Ok(signal_entry(slot, &signal, Parent::None, body, due))
}

fn no_feed(connection: &ConnectionId, feed: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the connection has no such feed")
        .with_context("connection", connection)
        .with_context("feed", feed.escape_debug())
}
