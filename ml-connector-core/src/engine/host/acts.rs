//! What somebody does to a running connector: written down before it is done, with who and why, and gone on with after a
//! restart where that makes sense.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::replay::{Replay, Replaying};
use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{Entry, EntryKind, Index, NewEntry, Outcome, Query, Settlement, Transaction},
    engine::writes,
    model::{Affinity, ConnectionId, EntityRef, LaneKey, Origin, Seq},
    route::RouteSet,
};

/// The actor of what a program does without saying for whom.
pub(crate) const HOST: &str = "host";

/// How many entries are settled at once.
const PAGE: usize = 200;
/// How long the process that wrote an act has before a host goes on with it.
const OWN_TIME_MS: i64 = 60_000;

/// Something that somebody does. [`Connector::act`] does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
#[non_exhaustive]
pub enum Act {
    /// Sends again. Goes on after a restart.
    Replay {
        /// What, and how.
        #[serde(flatten)]
        replay: Replay,
    },
    /// Says that parked or dead entries are known: they stay what they are, and health is good again.
    Acknowledge {
        /// Which; its limit is the most that are.
        selection: Query,
        /// Why that is all right.
        why: Arc<str>,
    },
    /// Takes waiting and parked entries off the work list. One that is under way may still succeed, and says so.
    Cancel {
        /// Which; its limit is the most that are.
        selection: Query,
        /// Why.
        why: Arc<str>,
    },
    /// Leaves dead entries undone: they are not replayed any more.
    Discard {
        /// Which; its limit is the most that are.
        selection: Query,
        /// Why.
        why: Arc<str>,
    },
    /// Tries a connection again at once.
    Resume {
        /// Which.
        connection: ConnectionId,
    },
    /// Reads a feed now.
    Poll {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        feed: String,
    },
    /// Reads one record now.
    Read {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        entity: EntityRef,
        /// Whether it is told even if nothing has changed: see [`Connector::tell_again`].
        tell: bool,
    },
    /// Tells of the past. Goes on after a restart.
    Backfill {
        /// Whose.
        connection: ConnectionId,
        /// Of which feed.
        feed: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// Says that what a stopped sweep missed has disappeared.
    ConfirmSweep {
        /// Whose.
        connection: ConnectionId,
        /// Of which feed.
        feed: String,
    },
    /// Forgets connections for good. They are detached with the routes that they brought, and taken out of all others; their
    /// webhooks at the vendor are removed, what waits is cancelled, what is known of their records and their tokens are
    /// deleted. What was done stays in the log for as long as [`Settings::retention`](crate::engine::Settings::retention)
    /// says. Goes on after a restart.
    Forget {
        /// Which.
        connections: Vec<ConnectionId>,
    },
    /// Replaces the host's routes, on this host.
    SetRoutes {
        /// By these.
        routes: RouteSet,
    },
    /// Detaches a connection, on this host: see [`Connector::remove`].
    Remove {
        /// Which.
        connection: ConnectionId,
    },
    /// Connections were attached, on this host: see [`Connector::connect_as`], which does it and writes this down.
    Connect {
        /// Which.
        connections: Vec<ConnectionId>,
    },
}

/// What an act did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Acted {
    /// Its entry: what was done, by whom and with which result.
    pub act: Seq,
    /// How many entries it changed or appended.
    pub changed: usize,
    /// The entry that shows how it goes on: of a poll, a read, a backfill or a sweep.
    pub entry: Option<Seq>,
    /// What could not be done, and is left to somebody: such as webhooks at a vendor that does not answer.
    pub left: Vec<Arc<str>>,
}

/// An act as its entry holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredAct {
    by: Arc<str>,
    #[serde(flatten)]
    act: Act,
}

impl Act {
    /// Its name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Replay { .. } => "replay",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Cancel { .. } => "cancel",
            Self::Discard { .. } => "discard",
            Self::Resume { .. } => "resume",
            Self::Poll { .. } => "poll",
            Self::Read { .. } => "read",
            Self::Backfill { .. } => "backfill",
            Self::ConfirmSweep { .. } => "confirm_sweep",
            Self::Forget { .. } => "forget",
            Self::SetRoutes { .. } => "set_routes",
            Self::Remove { .. } => "remove",
            Self::Connect { .. } => "connect",
        }
    }

    /// Whether it changes nothing but the process in which it is done.
    fn is_of_one_process(&self) -> bool {
        matches!(
            self,
            Self::Resume { .. } | Self::SetRoutes { .. } | Self::Remove { .. } | Self::Connect { .. }
        )
    }

    /// The connection that it is about, if there is one.
    fn connection(&self) -> Option<&ConnectionId> {
        match self {
            Self::Replay { replay } => replay.selection.connection.as_ref(),
            Self::Acknowledge { selection, .. }
            | Self::Cancel { selection, .. }
            | Self::Discard { selection, .. } => selection.connection.as_ref(),
            Self::Resume { connection }
            | Self::Poll { connection, .. }
            | Self::Read { connection, .. }
            | Self::Backfill { connection, .. }
            | Self::ConfirmSweep { connection, .. }
            | Self::Remove { connection } => Some(connection),
            Self::Forget { connections } | Self::Connect { connections } => connections.first(),
            Self::SetRoutes { .. } => None,
        }
    }
}

impl StoredAct {
    pub(crate) fn new(by: impl Into<Arc<str>>, act: Act) -> Self {
        Self { by: by.into(), act }
    }

    pub(crate) fn replay(by: &Arc<str>, replay: &Replay) -> Self {
        Self { by: Arc::clone(by), act: Act::Replay { replay: replay.clone() } }
    }

    /// Writes down what is going to be done.
    pub(crate) async fn append(&self, connector: &Connector, dedupe: Option<String>) -> Result<Seq> {
        let connection = self.act.connection().cloned().unwrap_or_else(|| "all".into());
        let now = connector.shared.clock.now();
        let body = serde_json::to_vec(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "an act cannot be written down").with_source(source)
        })?;
        let partition = Affinity::from(connection.as_str()).partition();
        let lane = LaneKey::from("acts").number(&connection);
        let entry = NewEntry {
            lane: Some(lane),
            dedupe: dedupe.map(Into::into),
            index: Index { name: Some(self.act.name().into()), ..Index::default() },
            body: Some(body.into()),
            ..NewEntry::new(partition, EntryKind::Act, connection, now)
        };
        let transaction = Transaction { append: vec![entry], ..Transaction::default() };
        let appended = writes::append(&connector.shared, transaction).await?;
        let first = appended.first().map(|appended| appended.seq());
        first.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

impl Connector {
    /// Does something in somebody's name. The log says what, by whom and why before it is done, and afterwards with which
    /// result: [`Query::of_kind`]`(`[`EntryKind::Act`]`)` finds it. Whatever changes entries goes on on a running host if
    /// this process ends before it is done.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] without an actor; [`ErrorKind::Unavailable`] when the log does not work; otherwise
    /// as the method does that does the same without a name, such as [`backfill`](Self::backfill).
    pub async fn act(&self, actor: impl Into<Arc<str>>, act: Act) -> Result<Acted> {
        let stored = StoredAct::new(actor, act);
        if stored.by.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "an act needs an actor"));
        }
        let dedupe = match &stored.act {
            Act::Replay { replay } if replay.nonce.is_empty() => {
                return Err(Error::new(ErrorKind::InvalidRequest, "a replay needs a nonce"));
            }
            Act::Replay { replay } => Some(format!("replay/{}", replay.nonce)),
            _ => None,
        };
        let seq = stored.append(self, dedupe).await?;
        self.perform(seq, &stored).await
    }

    /// Does what an entry says, and writes down the result.
    async fn perform(&self, seq: Seq, stored: &StoredAct) -> Result<Acted> {
        let done = self.perform_act(seq, stored).await;
        let outcome = match &done {
            // It settles itself, as it may go on elsewhere.
            Ok(_) if matches!(stored.act, Act::Replay { .. }) => return done,
            Ok(acted) => Outcome::Done { receipt: Some(format!("{} entries", acted.changed).into()) },
            // It may work later: a host tries again.
            Err(error) if error.kind() == ErrorKind::Unavailable => return done,
            Err(error) => Outcome::Dropped { reason: format!("refused: {error}").into() },
        };
        let settle = vec![Settlement::new(seq, outcome)];
        writes::append(&self.shared, Transaction { settle, ..Transaction::default() }).await?;
        done
    }

    async fn perform_act(&self, seq: Seq, StoredAct { by, act }: &StoredAct) -> Result<Acted> {
        let (mut changed, mut entry, mut left) = (0, None, Vec::new());
        let said = |why: &Arc<str>| (Arc::clone(by), Arc::clone(why));
        match act {
            Act::Replay { replay } => {
                let mut replaying = Replaying::new(replay.clone(), Arc::clone(by)).with_act(seq);
                while replaying.page(self).await? {}
                changed = replaying.done().appended;
            }
            Act::Acknowledge { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(selection, &Outcome::Acknowledged { by, why }).await?;
            }
            Act::Cancel { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(selection, &Outcome::Cancelled { by, why }).await?;
                // What waited behind them may go.
                self.shared.mailbox.wake_all();
            }
            Act::Discard { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(selection, &Outcome::Discarded { by, why }).await?;
            }
            Act::Resume { connection } => self.resume_now(connection),
            Act::Poll { connection, feed } => entry = Some(self.read_feed_now(connection, feed).await?),
            Act::Read { connection, entity, tell } => {
                let origin = if *tell { Origin::Backfill } else { Origin::Live };
                entry = Some(self.ask_for(connection, entity, origin).await?);
            }
            Act::Backfill { connection, feed, since } => {
                entry = Some(self.backfill_once(connection, feed, *since, Some(format!("act/{seq}"))).await?);
            }
            Act::ConfirmSweep { connection, feed } => {
                entry = Some(self.sweep_confirmed(connection, feed).await?);
            }
            Act::Forget { connections } => (changed, left) = self.forget_all(connections, by).await?,
            Act::SetRoutes { routes } => self.set_routes_now(routes.clone())?,
            Act::Remove { connection } => changed = usize::from(self.remove_now(connection)),
            // Done by whoever had them in hand.
            Act::Connect { connections } => changed = connections.len(),
        }
        Ok(Acted { act: seq, changed, entry, left })
    }

    /// Adds an outcome to every entry of a selection that it fits. Returns how many those are.
    pub(super) async fn settle_all(&self, selection: &Query, outcome: &Outcome) -> Result<usize> {
        let (mut query, mut changed) = (Query { bodies: false, ..selection.clone() }, 0);
        let mut left = selection.effective_limit();
        while left > 0 {
            query.limit = PAGE.min(left);
            let found = self.search(&query).await?;
            let fits = |entry: &&Entry| {
                entry.kind != EntryKind::Act && outcome.fits(entry.state, entry.acknowledged)
            };
            let settle: Vec<_> =
                found.iter().filter(fits).map(|entry| Settlement::new(entry.seq, outcome.clone())).collect();
            changed += settle.len();
            writes::append(&self.shared, Transaction { settle, ..Transaction::default() }).await?;
            query.after = found.last().map(|last| last.seq);
            left = if found.len() < query.limit { 0 } else { left - found.len() };
        }
        Ok(changed)
    }

    /// Goes on with what a process began and did not end. What cannot be gone on with is left undone, and says so. Tells
    /// whether nothing is left.
    pub(crate) async fn go_on_with_acts(&self, is_held: impl Fn(&Entry) -> bool) -> Result<bool> {
        let now = self.shared.clock.now();
        let open = Query::of_kind(EntryKind::Act).with_state(crate::audit::EntryState::Pending).with_bodies();
        let is_left = |entry: &Entry| now.as_millis() - entry.at.as_millis() >= OWN_TIME_MS;
        let (left, young): (Vec<_>, Vec<_>) =
            self.search(&open).await?.into_iter().filter(is_held).partition(is_left);
        for entry in left {
            let stored =
                entry.body.as_deref().and_then(|body| serde_json::from_slice::<StoredAct>(body).ok());
            let goes_on = stored.filter(|stored| !stored.act.is_of_one_process());
            match goes_on {
                Some(stored) => {
                    self.perform(entry.seq, &stored).await?;
                }
                None => {
                    let reason = "the process ended before it was done".into();
                    let settle = vec![Settlement::new(entry.seq, Outcome::Dropped { reason })];
                    writes::append(&self.shared, Transaction { settle, ..Transaction::default() }).await?;
                }
            }
        }
        Ok(young.is_empty())
    }
}
