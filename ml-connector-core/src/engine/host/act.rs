//! What somebody does to a running connector, and its entry in the log.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::replay::Replay;
use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{EntryKind, Index, NewEntry, Query, Transaction},
    engine::writes,
    model::{Affinity, ConnectionId, EntityRef, LaneKey, Seq},
    route::RouteSet,
};

/// The actor of what a program does in nobody's name.
pub(crate) const HOST: &str = "host";

/// Something that somebody does. [`Connector::act`] does it. `Debug` shows its name and the connection only.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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
    /// Somebody looks at what an entry holds. Changes nothing: the log says who looked.
    Reveal {
        /// Which.
        entry: Seq,
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

/// An act as its entry holds it. `Debug` does not show who.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredAct {
    pub(super) by: Arc<str>,
    #[serde(flatten)]
    pub(super) act: Act,
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
            Self::Reveal { .. } => "reveal",
            Self::Connect { .. } => "connect",
        }
    }

    /// Whether only the process in which it was asked for can do it.
    pub(super) fn is_of_one_process(&self) -> bool {
        matches!(self, Self::SetRoutes { .. } | Self::Remove { .. } | Self::Connect { .. })
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
            Self::SetRoutes { .. } | Self::Reveal { .. } => None,
        }
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut act = f.debug_struct("Act");
        act.field("name", &self.name()).field("connection", &self.connection()).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAct").field("act", &self.act).finish_non_exhaustive()
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
