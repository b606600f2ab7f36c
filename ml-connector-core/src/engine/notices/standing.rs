//! Which connections do not work, and since when: a document for each, so that it is told once.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, EntryKind, Parent, Transaction},
    engine::{documents::Document, fan_out::append_event, shared::Shared, writes::commit},
    model::{Affinity, Change, ConnectionId, EntityRef, Event},
};

/// How often a document is read again because another host wrote it meanwhile.
const STALE_TRIES: usize = 5;

/// Since when a connection does not work, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Numbers the connection's ups and downs.
    n: u64,
    /// Why reads do not work.
    signals: Option<Parked>,
    /// Why deliveries do not. A connection may do one of them and not the other.
    deliveries: Option<Parked>,
}

impl Standing {
    fn of_mut(&mut self, kind: EntryKind) -> &mut Option<Parked> {
        if kind == EntryKind::Signal { &mut self.signals } else { &mut self.deliveries }
    }

    /// What has not worked for longest.
    pub(crate) fn parked(&self) -> Option<&Parked> {
        [&self.signals, &self.deliveries].into_iter().flatten().min_by_key(|parked| parked.since)
    }

    /// What does not work.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = EntryKind> {
        let signals = self.signals.as_ref().map(|_| EntryKind::Signal);
        signals.into_iter().chain(self.deliveries.as_ref().map(|_| EntryKind::Delivery))
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

impl Document for Standing {
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

/// Writes down that a connection's reads or deliveries have stopped working (`reason`), or work again, and tells when
/// the connection as a whole has turned. Whoever notices the same on another host changes nothing.
pub(crate) async fn connection_turned(
    shared: &Shared,
    connection: &ConnectionId,
    kind: EntryKind,
    reason: Option<Arc<str>>,
) -> Result<()> {
    for _ in 0..STALE_TRIES {
        let now = shared.clock.now();
        let known = shared.load::<Standing>(key(connection)).await?;
        let mut standing = known.value.clone().unwrap_or_default();
        if standing.of_mut(kind).is_some() == reason.is_some() {
            return Ok(());
        }
        let was_parked = standing.parked().is_some();
        *standing.of_mut(kind) = reason.clone().map(|reason| Parked { since: now, reason });
        let is_parked = standing.parked().is_some();
        standing.n += u64::from(is_parked != was_parked);
        let documents = vec![known.replace(&standing)?];
        let mut transaction = Transaction { documents, ..Transaction::default() };
        let mut wake = Vec::new();
        if is_parked != was_parked {
            let entity = EntityRef::new("connection", connection.as_str());
            let change = if is_parked { Change::Parked } else { Change::Resumed };
            let mut event =
                Event::new(connection.clone(), entity, standing.n, BTreeSet::from([change]), now, None);
            event.reason.clone_from(&reason);
            let partition = Affinity::from(connection.as_str()).partition();
            append_event(shared, partition, event, &mut transaction, Parent::None, &mut wake).await?;
        }
        match commit(shared, transaction).await? {
            Committed::Applied(_) => {
                shared.mailbox.wake(&wake);
                return Ok(());
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
