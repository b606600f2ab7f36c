//! New entries of the log: signals, notes and events with their lanes, indexes and bodies.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    registry::SourceSlot,
    stored::{Received, StoredSignal},
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{EntryKind, Index, NewEntry, Parent},
    model::{Event, LostRow, Money, Origin, Partition, Signal, Subject},
};

/// The name of notes about webhooks for an account that no connection has.
pub(crate) const UNROUTED: &str = "unrouted";
/// The name of notes about webhooks that are proven, but not understood.
pub(crate) const REJECTED: &str = "rejected";
/// The name of notes about webhooks that lead to nothing, or to less than they say, because the source says so.
pub(crate) const DROPPED: &str = "dropped";
/// The name of notes about webhooks that change what a source verifies with, and nothing else.
pub(crate) const HANDSHAKE: &str = "handshake";
/// The name of notes about webhooks in whose place feeds are read.
pub(crate) const UNUSABLE: &str = "unusable";

/// The name of notes about rows of lists that cannot be read, and in whose place nothing is read.
pub(crate) const LOST_ROW: &str = "lost_row";

/// A signal of the connector itself.
pub(crate) fn signal(slot: &SourceSlot, signal: &Signal, parent: Parent, due: Timestamp) -> Result<NewEntry> {
    signal_of(Origin::Live, slot, signal, parent, due)
}

/// A signal of the connector itself, with the reason for which the record is to be read.
pub(crate) fn signal_of(
    origin: Origin,
    slot: &SourceSlot,
    signal: &Signal,
    parent: Parent,
    due: Timestamp,
) -> Result<NewEntry> {
    Ok(entry(slot, signal, parent, due, StoredSignal::encode_as(origin, signal)?))
}

/// The first signal of a request, with the request.
pub(crate) fn received_signal(
    slot: &SourceSlot,
    signal: &Signal,
    received: Received<'_>,
    body: &[u8],
    due: Timestamp,
) -> Result<NewEntry> {
    Ok(entry(slot, signal, Parent::None, due, StoredSignal::encode(Some(signal), Some(received), body)?))
}

/// Another signal of a request whose bytes are with the first.
pub(crate) fn signal_along(
    slot: &SourceSlot,
    signal: &Signal,
    parent: Parent,
    due: Timestamp,
) -> Result<NewEntry> {
    Ok(entry(slot, signal, parent, due, StoredSignal::encode_along(signal)?))
}

/// A request that led to no signal of a connection.
pub(crate) fn note(
    slot: &SourceSlot,
    name: &'static str,
    signal: Option<&Signal>,
    received: Received<'_>,
    body: &[u8],
    due: Timestamp,
) -> Result<NewEntry> {
    // A webhook without a connection waits for somebody to connect its account.
    let dead = received.rejected.as_deref().filter(|_| name == UNROUTED).map(Arc::from);
    Ok(NewEntry {
        dead,
        index: Index { name: Some(name.into()), ..Index::default() },
        body: Some(StoredSignal::encode(signal, Some(received), body)?),
        ..NewEntry::new(slot.partition, EntryKind::Note, slot.connection().clone(), due)
    })
}

/// A row of a list that cannot be read. The same one at the next look is counted there.
pub(crate) fn lost_row(
    slot: &SourceSlot,
    feed: &str,
    row: &LostRow,
    parent: Parent,
    now: Timestamp,
) -> Result<NewEntry> {
    let connection = slot.connection().clone();
    let body = serde_json::to_vec(row).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a note cannot be written as JSON").with_source(source)
    })?;
    Ok(NewEntry {
        parent,
        dedupe: Some(format!("lost/{connection}/{feed}/{}", row.digest).into()),
        counts_as_repeat: true,
        index: Index { name: Some(LOST_ROW.into()), ..Index::default() },
        body: Some(StoredSignal::encode(None, None, &body)?),
        ..NewEntry::new(slot.partition, EntryKind::Note, connection, now)
    })
}

/// What a note about a row says.
pub(crate) fn lost_row_of(body: &Bytes) -> Option<LostRow> {
    serde_json::from_slice(&StoredSignal::decode(body).ok()?.body).ok()
}

/// An event.
pub(crate) fn event(partition: Partition, event: &Event, parent: Parent) -> Result<NewEntry> {
    let number = event.document().and_then(|document| document.number.as_deref()).map(Arc::from);
    Ok(NewEntry {
        parent,
        index: Index {
            entity: Some(event.entity.clone()),
            number,
            name: Some(event.event_type().as_str().into()),
            amount: amount(event),
            destination: None,
        },
        body: Some(event.to_cloudevent()?),
        ..NewEntry::new(partition, EntryKind::Event, event.connection.clone(), event.at)
    })
}

/// What the record of an event amounts to, for searches: its total, or else its balance.
pub(crate) fn amount(event: &Event) -> Option<Money> {
    event.document().and_then(|document| document.total.or(document.balance))
}

fn entry(slot: &SourceSlot, signal: &Signal, parent: Parent, due: Timestamp, body: Bytes) -> NewEntry {
    let lane = match &signal.subject {
        Subject::Entity(entity) => entity.lane(),
        Subject::Feed { name, .. } | Subject::Sweep(name) => format!("feed/{name}").into(),
        // All subscriptions of a connection are looked after together.
        Subject::Subscription(_) => "subscription".into(),
    };
    let entity = match &signal.subject {
        Subject::Entity(entity) => Some(entity.clone()),
        _ => None,
    };
    NewEntry {
        lane: Some(lane.number(slot.connection())),
        dedupe: signal.dedupe.clone(),
        parent,
        index: Index { entity, name: signal.hint.clone(), ..Index::default() },
        body: Some(body),
        ..NewEntry::new(slot.partition, EntryKind::Signal, slot.connection().clone(), due)
    }
}
