//! A notice: an event about a signal, a delivery or a webhook, such as `delivery.dead`, `delivery.parked`, `signal.dead`
//! and `webhook.unrouted`.
//!
//! There is no notice about the delivery of a notice, and one lane sends one notice in ten minutes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{DocKey, Parent, Transaction},
    engine::{
        documents::{self, DocumentKind},
        fan_out::append_event,
        lanes::LaneId,
        shared::Shared,
    },
    model::{Change, ConnectionId, EntityRef, Event, Partition, Seq},
};

/// The shortest time between two notices of one lane.
const EVERY: Duration = Duration::from_secs(600);

/// What is told about a signal, a delivery or a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) kind: &'static str,
    pub(crate) seq: Seq,
    pub(crate) change: Change,
    pub(crate) connection: ConnectionId,
    pub(crate) lane: LaneId,
    pub(crate) about: Option<EntityRef>,
    pub(crate) reason: Arc<str>,
}

/// When a lane sent its last notice. A value that cannot be read holds no notice back.
struct NoticedAt(Option<Timestamp>);

impl DocumentKind for NoticedAt {
    fn decode(bytes: &Bytes) -> Result<Self> {
        Ok(Self(serde_json::from_slice(bytes).ok()))
    }

    fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(&self.0).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the instant of a notice cannot be written").with_source(source)
        })
    }
}

/// Adds the event of a notice, and its deliveries, to a transaction, unless its lane has sent one a short while ago.
/// Returns the partitions whose work lists grow.
pub(crate) async fn append(
    shared: &Shared,
    notice: Notice,
    transaction: &mut Transaction,
) -> Result<Vec<Partition>> {
    let now = shared.clock.now();
    let key = DocKey::new("told", &notice.connection, &format!("{:016x}", notice.lane.lane));
    let before = shared.load::<NoticedAt>(key.clone()).await?.value.and_then(|NoticedAt(at)| at);
    if transaction.documents.iter().any(|write| write.key == key)
        || before.is_some_and(|at| now.saturating_since(at) < EVERY && now >= at)
    {
        return Ok(Vec::new());
    }
    transaction.documents.push(documents::put(key, &NoticedAt(Some(now)))?);
    let entity = EntityRef::new(notice.kind, notice.seq.to_string());
    let mut event = Event::new(notice.connection, entity, 1, BTreeSet::from([notice.change]), now, None);
    event.about = notice.about;
    event.reason = Some(notice.reason);
    let mut wake = Vec::new();
    append_event(shared, notice.lane.partition, event, transaction, Parent::Entry(notice.seq), &mut wake)
        .await?;
    Ok(wake)
}
