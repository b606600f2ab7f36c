//! From a change to everything that follows from it: the event, its deliveries, and signals for days to come.

use std::sync::Arc;

use super::{
    Shared,
    intake::signal_entry,
    registry::SourceSlot,
    stored::{StoredDelivery, StoredSignal},
};
use crate::{
    Result, Timestamp,
    audit::{EntryKind, Index, NewEntry, Parent, Transaction},
    model::{Affinity, ConnectionId, Delivery, EntityRef, Event, LaneKey, Partition, Seq, Signal},
    route::{Route, Target},
    snapshot::Snapshot,
};

/// Signals for the days on which the record will become overdue, unless it changes before. The vendor may not tell.
/// They begin families of their own, so that what led to them can be pruned while they wait.
pub(super) fn append_time_signals(
    slot: &SourceSlot,
    entity: &EntityRef,
    snapshot: &Snapshot,
    now: Timestamp,
    transaction: &mut Transaction,
) -> Result<()> {
    let info = slot.source.info();
    let Some(due) = snapshot.facts.due_date.filter(|_| snapshot.facts.is_payable()) else { return Ok(()) };
    for days in &info.overdue_after {
        let at = due.plus_days((*days).max(1)).start_in(&info.zone);
        if at <= now {
            continue;
        }
        let signal = Signal {
            hint: Some(format!("overdue:{days}@{due}").into()),
            // Asked for at every change of the record, and kept once.
            dedupe: Some(format!("overdue/{}/{entity}/{days}@{due}", slot.connection()).into()),
            ..Signal::entity(entity.clone())
        };
        let body = StoredSignal::encode(Some(&signal), None, b"")?;
        transaction.append.push(signal_entry(slot, &signal, Parent::None, body, at));
    }
    Ok(())
}

/// The event and what the routes make of it.
pub(super) fn append_event(
    shared: &Shared,
    partition: Partition,
    event: Event,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let number = event.record.as_ref().and_then(|record| record.number.as_deref()).map(Arc::from);
    let index = |name| Index { entity: Some(event.entity.clone()), number, name: Some(name) };
    let event_at = transaction.append.len();
    transaction.append.push(NewEntry {
        partition,
        kind: EntryKind::Event,
        connection: event.connection.clone(),
        lane: None,
        due: event.at,
        dedupe: None,
        parent,
        index: index(event.event_type().as_str().into()),
        body: Some(event.to_cloudevent()?),
    });
    let event = Arc::new(event);
    let deliveries_at = transaction.append.len();
    append_deliveries(shared, &event, &mut transaction.append, Parent::Nth(event_at), event.at)?;
    wake.extend(transaction.append[deliveries_at..].iter().map(|entry| entry.partition));
    Ok(())
}

/// What the routes make of an event.
pub(super) fn append_deliveries(
    shared: &Shared,
    event: &Arc<Event>,
    append: &mut Vec<NewEntry>,
    parent: Parent,
    now: Timestamp,
) -> Result<()> {
    let registry = shared.registry();
    for route in registry.routes().takers(event) {
        for target in &route.to {
            append.push(delivery_entry(shared, route, target, event, parent, now)?);
        }
    }
    Ok(())
}

impl Shared {
    /// The lane of a delivery. A sink that is not connected at present, or cannot plan it, finds out when its turn
    /// comes.
    pub(super) fn lane(
        &self,
        sink: &ConnectionId,
        stored: &StoredDelivery,
        route: &Arc<str>,
        event: &Arc<Event>,
    ) -> u64 {
        let registry = self.registry();
        let destination = stored.destination.clone();
        let delivery =
            Delivery::new(Seq(0), stored.id, destination, Arc::clone(route), Arc::clone(event), event.at);
        let planned =
            registry.sink(sink).and_then(|slot| slot.sink.plan(&delivery).ok()).map(|plan| plan.lane);
        planned.unwrap_or_else(|| LaneKey::from(stored.destination.as_str())).number(sink)
    }
}

/// A promise.
fn delivery_entry(
    shared: &Shared,
    route: &Route,
    target: &Target,
    event: &Arc<Event>,
    parent: Parent,
    now: Timestamp,
) -> Result<NewEntry> {
    let stored = StoredDelivery::new(target.destination.clone(), now);
    let partition = shared.registry().sink(&target.sink).map(|slot| slot.partition);
    Ok(NewEntry {
        partition: partition.unwrap_or_else(|| Affinity::from(target.sink.as_str()).partition()),
        kind: EntryKind::Delivery,
        connection: target.sink.clone(),
        lane: Some(shared.lane(&target.sink, &stored, &route.name, event)),
        due: now,
        dedupe: None,
        parent,
        index: Index {
            entity: Some(event.entity.clone()),
            name: Some(Arc::clone(&route.name)),
            number: None,
        },
        body: Some(stored.encode()?),
    })
}
