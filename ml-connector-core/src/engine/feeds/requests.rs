//! What hosts ask of feeds, and what they are told about them.

use std::sync::Arc;

use super::{
    state::{FeedProgress, FeedRemark, FeedState, StoppedSweep, UnavailableFeed},
    task::{FeedTask, offers},
};
use crate::{
    Connector, Error, ErrorKind, FeedInfo, Result, Timestamp,
    audit::{Outcome, Query, Transaction},
    engine::{registry::SourceSlot, shared::Shared, writes::append},
    model::{ConnectionId, DedupeKey, Seq},
};

impl Connector {
    /// Reads a feed now: see [`Connector::poll_now`].
    pub(crate) async fn read_feed_now(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        self.ask(connection, feed, FeedTask::ReadNow).await
    }

    /// The same request, under the same key, is one backfill.
    pub(crate) async fn backfill_once(
        &self,
        connection: &ConnectionId,
        feed: &str,
        since: Option<Timestamp>,
        key: Option<String>,
    ) -> Result<Seq> {
        self.ask_once(connection, feed, FeedTask::Backfill(since), key.map(Into::into)).await
    }

    /// Sweeps once more and believes it: see [`Connector::confirm_sweep`].
    pub(crate) async fn sweep_confirmed(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, feed))?;
        if !offers(&slot.source.info().sweeps, feed) {
            return Err(no_feed(connection, feed));
        }
        let stopped = FeedState::load(&self.shared, slot, feed).await?.1.stopped.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "no sweep of this feed was stopped")
                .with_context("connection", connection)
                .with_context("feed", feed)
        })?;
        let dedupe = format!("confirmed/{connection}/{feed}/{}", stopped.at.as_millis());
        self.append_task(slot, feed, FeedTask::ConfirmedSweep(stopped.missing), Some(dedupe.into())).await
    }

    /// How far the feeds of a connection are, in the order of the source's list.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such source; [`ErrorKind::Unavailable`] when the log cannot be read.
    pub async fn progress(&self, connection: &ConnectionId) -> Result<Vec<FeedProgress>> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, ""))?;
        let feeds = &slot.source.info().feeds;
        let states = FeedState::load_all(&self.shared, slot, feeds).await?;
        Ok(feeds.iter().zip(states).map(|(feed, state)| state.progress(feed.name)).collect())
    }

    async fn ask(&self, connection: &ConnectionId, feed: &str, task: FeedTask) -> Result<Seq> {
        self.ask_once(connection, feed, task, None).await
    }

    async fn ask_once(
        &self,
        connection: &ConnectionId,
        feed: &str,
        task: FeedTask,
        key: Option<DedupeKey>,
    ) -> Result<Seq> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| no_feed(connection, feed))?;
        if !offers(&slot.source.info().feeds, feed) {
            return Err(no_feed(connection, feed));
        }
        self.append_task(slot, feed, task, key).await
    }

    async fn append_task(
        &self,
        slot: &SourceSlot,
        feed: &str,
        task: FeedTask,
        dedupe: Option<DedupeKey>,
    ) -> Result<Seq> {
        let entry = task.entry(slot, feed, dedupe, self.shared.clock.now())?;
        let transaction = Transaction { append: vec![entry], ..Transaction::default() };
        let appended = append(&self.shared, transaction).await?;
        self.shared.mailbox.wake(&[slot.partition]);
        let first = appended.first().map(|appended| appended.seq());
        first.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

/// The feeds of a source that the plan or the granted scopes do not allow, and the looks through whole lists.
pub(crate) async fn unavailable_feeds(shared: &Shared, slot: &SourceSlot) -> Result<Vec<UnavailableFeed>> {
    let info = slot.source.info();
    // A look and a feed of the same name have one state.
    let own = |sweep: &&FeedInfo| info.feeds.iter().all(|feed| feed.name != sweep.name);
    let all: Vec<FeedInfo> = info.feeds.iter().chain(info.sweeps.iter().filter(own)).cloned().collect();
    let states = FeedState::load_all(shared, slot, &all).await?;
    Ok(states.into_iter().filter_map(|state| state.unavailable).collect())
}

/// What there is to know of feeds that work.
pub(crate) async fn feed_remarks(shared: &Shared, slot: &SourceSlot) -> Result<Vec<FeedRemark>> {
    let states = FeedState::load_all(shared, slot, &slot.source.info().feeds).await?;
    Ok(states.into_iter().filter_map(|state| state.remark).collect())
}

/// What is known of the feeds of one source.
#[derive(Debug, Default)]
pub(crate) struct FeedsKnown {
    pub(crate) stopped: Vec<StoppedSweep>,
    pub(crate) unavailable: Vec<UnavailableFeed>,
    pub(crate) remarks: Vec<FeedRemark>,
    pub(crate) progress: Vec<FeedProgress>,
}

/// What is known of the feeds of sources, in their order: one look into the log for all of them.
pub(crate) async fn feeds_known(shared: &Shared, slots: &[&SourceSlot]) -> Result<Vec<FeedsKnown>> {
    let mut keys = Vec::new();
    for slot in slots {
        let info = slot.source.info();
        keys.extend(info.feeds.iter().chain(&info.sweeps).map(|feed| FeedState::key(slot, feed.name)));
    }
    let mut states = FeedState::load_keys(shared, keys).await?.into_iter();
    let known = |slot: &&SourceSlot| {
        let info = slot.source.info();
        let mut known = FeedsKnown::default();
        for (feed, state) in info.feeds.iter().zip(states.by_ref()) {
            known.progress.push(state.progress(feed.name));
            known.unavailable.extend(state.unavailable);
            known.remarks.extend(state.remark);
        }
        for (sweep, state) in info.sweeps.iter().zip(states.by_ref()) {
            known.stopped.extend(state.stopped);
            // A look and a feed of the same name have one state.
            if info.feeds.iter().all(|feed| feed.name != sweep.name) {
                known.unavailable.extend(state.unavailable);
            }
        }
        known
    };
    Ok(slots.iter().map(known).collect())
}

/// How far the read of a backfill is.
#[derive(Debug, Clone)]
pub(crate) struct BackfillRead {
    /// `None` = it has not begun, or ended long ago, or was given up.
    pub(crate) rows: Option<u64>,
    /// How many follow, where the vendor says so.
    pub(crate) left: Option<u64>,
    pub(crate) ended: bool,
    /// Why it was given up.
    pub(crate) given_up: Option<Arc<str>>,
}

/// How far a backfill is, by its entry.
pub(crate) async fn backfill_read(
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
    let (_, state) = FeedState::load(shared, slot, feed).await?;
    let run = state.backfill(backfill);
    let is_settled = entry.as_ref().is_none_or(|entry| entry.state.is_settled());
    let given_up = entry.and_then(|entry| match entry.outcomes.into_iter().last()?.outcome {
        Outcome::Dead { error } => Some(error),
        _ => None,
    });
    let ended = is_settled || run.is_some_and(|run| run.ended.is_some());
    let left = run.and_then(|run| run.left);
    Ok(BackfillRead { rows: run.map(|run| run.rows), left, ended, given_up })
}

fn no_feed(connection: &ConnectionId, feed: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the connection has no such feed")
        .with_context("connection", connection)
        .with_context("feed", feed.escape_debug())
}
