//! What became of the connector's own work, told as events like any other: `delivery.dead`, `delivery.parked`,
//! `signal.dead`, `connection.parked`, `connection.resumed`.
//!
//! A failed delivery of such an event is not told again, and one lane tells once in ten minutes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::engine::{Shared, fan_out::append_event, lanes::LaneId};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Document, DocumentWrite, EntryKind, Expected, Parent, Transaction},
    model::{Affinity, Change, ConnectionId, EntityRef, Event, Partition, Seq},
};

/// How often one lane tells.
const EVERY: Duration = Duration::from_secs(600);
/// How often a document is read again because another host wrote it meanwhile.
const STALE_TRIES: usize = 5;

/// Something that became of a signal or a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) seq: Seq,
    pub(crate) change: Change,
    pub(crate) connection: ConnectionId,
    pub(crate) lane: LaneId,
    pub(crate) about: Option<EntityRef>,
    pub(crate) reason: Arc<str>,
}

/// Adds the event of an outcome, and its deliveries, to the transaction that settles it, unless its lane has told
/// something a short while ago. Returns whose work lists have grown.
pub(crate) async fn append(
    shared: &Shared,
    told: Told,
    transaction: &mut Transaction,
) -> Result<Vec<Partition>> {
    let now = shared.clock.now();
    let key = DocKey::new("told", &told.connection, &format!("{:016x}", told.lane.lane));
    let before = load::<Timestamp>(shared, &key).await?.map(|(_, at)| at);
    if transaction.documents.iter().any(|write| write.key == key)
        || before.is_some_and(|at| now.saturating_since(at) < EVERY && now >= at)
    {
        return Ok(Vec::new());
    }
    transaction.documents.push(DocumentWrite { key, expected: Expected::Any, value: Some(encode(&now)?) });
    let entity = EntityRef::new(told.kind, told.seq.to_string());
    let mut event = Event::new(told.connection, entity, 1, BTreeSet::from([told.change]), now, None);
    event.about = told.about;
    event.reason = Some(told.reason);
    let mut wake = Vec::new();
    append_event(shared, told.lane.partition, event, transaction, Parent::Entry(told.seq), &mut wake).await?;
    Ok(wake)
}

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

/// The document that says whether a connection works.
pub(crate) fn standing_key(connection: &ConnectionId) -> DocKey {
    DocKey::new("standing", connection, "now")
}

/// Reads whether a connection works.
pub(crate) fn standing(document: Option<&Document>) -> Option<Standing> {
    document.and_then(|document| serde_json::from_slice(&document.bytes).ok())
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
        let key = standing_key(connection);
        let known = load::<Standing>(shared, &key).await?;
        let (expected, mut standing) = match known {
            Some((version, known)) => (Expected::Version(version), known),
            None => (Expected::Absent, Standing::default()),
        };
        if standing.of_mut(kind).is_some() == reason.is_some() {
            return Ok(());
        }
        let was_parked = standing.parked().is_some();
        *standing.of_mut(kind) = reason.clone().map(|reason| Parked { since: now, reason });
        let is_parked = standing.parked().is_some();
        standing.n += u64::from(is_parked != was_parked);
        let mut transaction = Transaction {
            documents: vec![DocumentWrite { key, expected, value: Some(encode(&standing)?) }],
            ..Transaction::default()
        };
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
        match shared.log.commit(vec![transaction], now).await?.pop() {
            Some(Committed::Applied(_)) => {
                shared.wake.partitions(&wake);
                return Ok(());
            }
            Some(Committed::Stale(_)) => {}
            other => {
                return Err(Error::new(ErrorKind::Unexpected, "the log refused a write without a fence")
                    .with_context("answer", format!("{other:?}")));
            }
        }
    }
    Err(Error::new(ErrorKind::Conflict, "the connection's standing kept changing")
        .with_context("connection", connection))
}

async fn load<T: for<'de> Deserialize<'de>>(shared: &Shared, key: &DocKey) -> Result<Option<(u64, T)>> {
    let document = shared.log.documents(std::slice::from_ref(key)).await?.pop().flatten();
    Ok(document.and_then(|document| Some((document.version, serde_json::from_slice(&document.bytes).ok()?))))
}

fn encode(value: &impl Serialize) -> Result<bytes::Bytes> {
    serde_json::to_vec(value).map(bytes::Bytes::from).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a document cannot be written").with_source(source)
    })
}
