//! How far backfills and replays are, as streams.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use serde::Serialize;

use super::{act::HOST, replay::Replay, replaying::Replaying};
use crate::{
    Connector, ErrorKind, Result, Timestamp,
    audit::{EntryState, Query},
    clock::sleep_until,
    engine::feeds::{self, BackfillRead},
    model::{ConnectionId, Seq},
};

/// How often a stream looks.
const TICK: Duration = Duration::from_secs(1);
/// How many entries one look reads at most.
const LOOKED_AT: usize = 500;
/// How many failures of a backfill are counted; more are reported as so many.
const FAILURES_COUNTED: usize = 1000;

/// How far a backfill or a replay is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// What is done: rows that were read, or entries that ended well.
    pub done: u64,
    /// How much there is, once that is known: of a backfill as soon as the vendor says how long its list is, and otherwise at
    /// the end. A list that is read in several passes may turn out to be longer.
    pub total: Option<u64>,
    /// What was given up and can be replayed.
    pub failed: u64,
    /// How much was done in a minute, since this stream began to look.
    pub per_minute: u64,
    /// How long the rest takes at this speed, once both are known.
    pub time_left: Option<Duration>,
    /// Whether nothing more follows.
    pub ended: bool,
    /// Why the read of a backfill was given up, when it was: what it has not read is not told. Replaying its entry
    /// begins anew.
    pub given_up: Option<Arc<str>>,
}

impl Connector {
    /// How far a backfill is: about once a second while somebody asks, and a last time when it has ended. The number is
    /// what [`backfill`](Self::backfill) returned; it is good on every host and after every restart, so a stream that
    /// was dropped is simply begun again. Dropping one changes nothing about the backfill.
    ///
    /// An item may be an error, such as [`ErrorKind::Unavailable`] while the log cannot be read: the stream goes on.
    /// After [`ErrorKind::NotFound`], when there is no such feed, it ends.
    #[must_use]
    pub fn watch_backfill(
        &self,
        connection: &ConnectionId,
        feed: &str,
        backfill: Seq,
    ) -> BoxStream<'static, Result<Progress>> {
        let (connection, feed) = (connection.clone(), feed.to_owned());
        self.watch(What::Backfill { connection, feed, backfill, rows: 0 })
    }

    /// Replays, and tells how far it is: first while entries are appended, then until all of them have ended. What ends
    /// well is done, what is given up again has failed; a parked delivery is waited for.
    ///
    /// The stream does the work, so nothing more is appended once it is dropped. What was appended stays and is
    /// delivered. The same request, made again, goes on where it was.
    #[must_use]
    pub fn watch_replay(&self, replay: Replay) -> BoxStream<'static, Result<Progress>> {
        let replaying = Some(Box::new(Replaying::new(replay, HOST.into())));
        let waiting = VecDeque::new();
        self.watch(What::Replay { replaying, waiting, progress: Progress::default() })
    }

    fn watch(&self, what: What) -> BoxStream<'static, Result<Progress>> {
        let watch = Watch { connector: self.clone(), what, first: None, rests: false };
        stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            let item = watch.next().await;
            let ends = match &item {
                Ok(progress) => progress.ended,
                Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidRequest),
            };
            Some((item, (!ends).then_some(watch)))
        })
        .boxed()
    }
}

/// A stream's state. All it holds is what it has seen.
struct Watch {
    connector: Connector,
    what: What,
    /// When it looked first, and what was done then.
    first: Option<(Timestamp, u64)>,
    /// Whether it is too early for another look.
    rests: bool,
}

enum What {
    Backfill {
        connection: ConnectionId,
        feed: String,
        backfill: Seq,
        rows: u64,
    },
    Replay {
        /// What is left to append.
        replaying: Option<Box<Replaying>>,
        /// What has not ended.
        waiting: VecDeque<Seq>,
        progress: Progress,
    },
}

impl Watch {
    async fn next(&mut self) -> Result<Progress> {
        let clock = &*self.connector.shared.clock;
        if self.rests {
            sleep_until(clock, clock.now() + TICK).await;
        }
        self.rests = true;
        let mut progress = self.what.look(&self.connector).await?;
        self.rests = !matches!(self.what, What::Replay { replaying: Some(_), .. });
        let now = clock.now();
        let (since, before) = *self.first.get_or_insert((now, progress.done));
        let millis = u64::try_from(now.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
        let done = progress.done.saturating_sub(before);
        progress.per_minute = done.saturating_mul(60_000).checked_div(millis).unwrap_or(0);
        // What a backfill gives up are deliveries, not rows.
        let ended =
            progress.done + if matches!(self.what, What::Replay { .. }) { progress.failed } else { 0 };
        let left = progress.total.filter(|_| !progress.ended).map(|total| total.saturating_sub(ended));
        let millis = left.and_then(|left| left.saturating_mul(60_000).checked_div(progress.per_minute));
        progress.time_left = millis.map(Duration::from_millis);
        Ok(progress)
    }
}

impl What {
    async fn look(&mut self, connector: &Connector) -> Result<Progress> {
        match self {
            Self::Backfill { connection, feed, backfill, rows } => {
                let BackfillRead { rows: read, left, ended, given_up } =
                    feeds::backfill_read(&connector.shared, connection, feed, *backfill).await?;
                *rows = read.unwrap_or(*rows);
                let dead = Query { bodies: false, ..Query::family_of(*backfill) };
                let dead = dead.with_state(EntryState::Dead).with_limit(FAILURES_COUNTED);
                let failed = connector.search(&dead).await?.len() as u64;
                let total = match (ended, &given_up) {
                    (true, None) => Some(*rows),
                    (true, Some(_)) => None,
                    (false, _) => left.map(|left| *rows + left),
                };
                Ok(Progress { done: *rows, total, failed, ended, given_up, ..Progress::default() })
            }
            Self::Replay { replaying, waiting, progress } => {
                if let Some(page) = replaying {
                    let more = page.page(connector).await?;
                    waiting.extend(page.take_entries());
                    if !more {
                        let replayed = page.done();
                        progress.total = Some((replayed.appended + replayed.repeated) as u64);
                        progress.failed += replayed.unreadable as u64;
                        *replaying = None;
                    }
                    return Ok(progress.clone());
                }
                ended(connector, waiting, progress).await?;
                progress.ended = waiting.is_empty();
                Ok(progress.clone())
            }
        }
    }
}

/// Takes out what has ended among those that wait longest.
async fn ended(connector: &Connector, waiting: &mut VecDeque<Seq>, progress: &mut Progress) -> Result<()> {
    let seqs: Vec<Seq> = waiting.iter().take(LOOKED_AT).copied().collect();
    let entries = connector.search(&Query { bodies: false, ..Query::entries(seqs.clone()) }).await?;
    for seq in seqs {
        waiting.pop_front();
        match entries.iter().find(|entry| entry.seq == seq).map(|entry| entry.state) {
            Some(EntryState::Pending | EntryState::Parked) => waiting.push_back(seq),
            Some(EntryState::Dead | EntryState::Cancelled | EntryState::Discarded) => progress.failed += 1,
            // Pruned: it had ended.
            Some(EntryState::Done | EntryState::Dropped | EntryState::Replayed) | None => progress.done += 1,
        }
    }
    Ok(())
}
