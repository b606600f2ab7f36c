//! Which connections do not work, and since when: a document for each, so that it is told once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, EntryKind, Parent, Transaction},
    engine::{documents::DocumentKind, fan_out::append_event, shared::Shared, trouble::Down, writes::commit},
    model::{Affinity, Change, ConnectionId, EntityRef, Event},
};

/// How often a document is read again because another host wrote it meanwhile.
const STALE_TRIES: usize = 5;

/// A connection that stops working once more within this time is told about later each time, if it has not resumed before.
const DAMPED_FOR: Duration = Duration::from_secs(86_400);
/// How much later, the first time.
const DAMPED_FIRST: Duration = Duration::from_secs(15 * 60);
/// How much later, at most.
const DAMPED_MOST: Duration = Duration::from_secs(4 * 3600);

/// Since when a connection does not work, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Numbers what was told: the connection's ups and downs.
    n: u64,
    /// Why reads do not work.
    signals: Option<Stopped>,
    /// Why deliveries do not. A connection may do one of them and not the other.
    deliveries: Option<Stopped>,
    /// What was told last, if that was that it does not work.
    #[serde(default)]
    told: Option<LastTold>,
    /// How often it was told within [`DAMPED_FOR`] that it does not work.
    #[serde(default)]
    times: u32,
    /// When it was told last that it does not work.
    #[serde(default)]
    told_at: Option<Timestamp>,
}

/// Which of the two messages about a connection that does not work was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LastTold {
    /// That it passes by itself.
    Passes,
    /// That somebody has to act.
    Lasts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stopped {
    #[serde(flatten)]
    parked: Parked,
    /// It passes by itself.
    #[serde(default)]
    passes: bool,
}

/// What was noticed of a connection.
#[derive(Debug, Clone)]
pub(crate) enum ConnectionNews {
    /// Its reads or deliveries do not work.
    Down(EntryKind, Down),
    /// They work again.
    Works(EntryKind),
    /// Nothing: it is time to tell what was to be told later.
    Due,
}

/// What has to be told.
enum Telling {
    Nothing,
    Later(Timestamp),
    Now(Change, Option<Arc<str>>),
}

impl Standing {
    fn of_mut(&mut self, kind: EntryKind) -> &mut Option<Stopped> {
        if kind == EntryKind::Signal { &mut self.signals } else { &mut self.deliveries }
    }

    /// What somebody has to repair; else what has not worked for longest.
    fn stopped(&self) -> Option<&Stopped> {
        let stopped = [&self.signals, &self.deliveries].into_iter().flatten();
        stopped.min_by_key(|stopped| (stopped.passes, stopped.parked.since))
    }

    /// Since when it does not work, and why.
    pub(crate) fn parked(&self) -> Option<&Parked> {
        self.stopped().map(|stopped| &stopped.parked)
    }

    /// What does not work, and why.
    pub(crate) fn downs(&self) -> impl Iterator<Item = (EntryKind, Down)> {
        let kinds = [(EntryKind::Signal, &self.signals), (EntryKind::Delivery, &self.deliveries)];
        kinds.into_iter().filter_map(|(kind, stopped)| {
            let Stopped { parked, passes } = stopped.as_ref()?;
            Some((kind, Down { reason: Arc::clone(&parked.reason), passes: *passes }))
        })
    }

    fn turn(&mut self, turn: &ConnectionNews, now: Timestamp) {
        match turn {
            ConnectionNews::Down(kind, Down { reason, passes }) => {
                let of = self.of_mut(*kind);
                // What waits for somebody waits for them also when it fails for another reason meanwhile.
                if of.as_ref().is_some_and(|known| !known.passes && *passes) {
                    return;
                }
                let since = of.as_ref().map_or(now, |known| known.parked.since);
                let parked = Parked { since, reason: Arc::clone(reason) };
                *of = Some(Stopped { parked, passes: *passes });
            }
            ConnectionNews::Works(kind) => *self.of_mut(*kind) = None,
            ConnectionNews::Due => {}
        }
    }

    /// What has to be told, and remembers that it is.
    fn tell(&mut self, now: Timestamp) -> Telling {
        let Some(stopped) = self.stopped() else {
            return match self.told.take() {
                Some(_) => {
                    self.n += 1;
                    Telling::Now(Change::Resumed, None)
                }
                None => Telling::Nothing,
            };
        };
        let (telling, since) =
            (if stopped.passes { LastTold::Passes } else { LastTold::Lasts }, stopped.parked.since);
        let reason = Arc::clone(&stopped.parked.reason);
        match self.told {
            Some(LastTold::Lasts) => return Telling::Nothing,
            Some(told) if told == telling => return Telling::Nothing,
            Some(_) => {}
            None => {
                let of_late = self.told_at.is_some_and(|at| now.saturating_since(at) < DAMPED_FOR);
                self.times = if of_late { self.times } else { 0 };
                let times = self.times.checked_sub(1);
                let later = times.map_or(Duration::ZERO, |n| DAMPED_FIRST * 2_u32.saturating_pow(n));
                let at = since + later.min(DAMPED_MOST);
                if at > now {
                    return Telling::Later(at);
                }
                self.times = self.times.saturating_add(1);
            }
        }
        (self.told, self.told_at) = (Some(telling), Some(now));
        self.n += 1;
        Telling::Now(Change::Parked, Some(reason))
    }
}

/// Why a connection does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parked {
    /// Since when.
    pub since: Timestamp,
    /// Why: codes and ids.
    pub reason: Arc<str>,
}

impl DocumentKind for Standing {
    /// What cannot be read says nothing: the next turn writes it anew.
    fn decode(bytes: &Bytes) -> Result<Self> {
        Ok(serde_json::from_slice(bytes).unwrap_or_default())
    }

    fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the standing of a connection cannot be written")
                .with_source(source)
        })
    }
}

/// Whether these connections work, in their order.
pub(crate) async fn standings(shared: &Shared, of: &[ConnectionId]) -> Result<Vec<Standing>> {
    let known = shared.load_all::<Standing>(of.iter().map(key).collect()).await?;
    Ok(known.into_iter().map(|known| known.value.unwrap_or_default()).collect())
}

/// Writes down that a connection's reads or deliveries have stopped working, or work again, and tells when the
/// connection as a whole has turned. A connection that turns often is told about later: then this returns when it is
/// due. Whoever notices the same on another host changes nothing.
pub(crate) async fn connection_turned(
    shared: &Shared,
    connection: &ConnectionId,
    turn: &ConnectionNews,
) -> Result<Option<Timestamp>> {
    for _ in 0..STALE_TRIES {
        let now = shared.clock.now();
        let known = shared.load::<Standing>(key(connection)).await?;
        let before = known.value.clone().unwrap_or_default();
        let mut standing = before.clone();
        standing.turn(turn, now);
        let telling = standing.tell(now);
        let later = if let Telling::Later(at) = telling { Some(at) } else { None };
        if standing == before {
            return Ok(later);
        }
        let documents = vec![known.replace(&standing)?];
        let mut transaction = Transaction { documents, ..Transaction::default() };
        let mut wake = Vec::new();
        if let Telling::Now(change, reason) = telling {
            let entity = EntityRef::new("connection", connection.as_str());
            let mut event =
                Event::new(connection.clone(), entity, standing.n, BTreeSet::from([change]), now, None);
            event.reason = reason;
            let partition = Affinity::from(connection.as_str()).partition();
            append_event(shared, partition, event, &mut transaction, Parent::None, &mut wake).await?;
        }
        match commit(shared, transaction).await? {
            Committed::Applied(_) => {
                shared.mailbox.wake(&wake);
                return Ok(later);
            }
            Committed::Stale(_) => {}
            other @ Committed::Fenced => {
                return Err(Error::new(ErrorKind::Unexpected, "the log refused a write without a fence")
                    .with_context("answer", format!("{other:?}")));
            }
        }
    }
    Err(Error::new(ErrorKind::Conflict, "the connection's standing kept changing")
        .with_context("connection", connection))
}

fn key(connection: &ConnectionId) -> DocKey {
    DocKey::new("standing", connection, "now")
}
