//! From a change to everything that follows from it: the event, its deliveries, and signals for days to come.

use std::sync::Arc;

use super::{
    Shared,
    intake::signal_entry,
    registry::SourceSlot,
    stored::{StoredDelivery, StoredSignal},
};
use crate::{
    Result, Sink, Timestamp,
    audit::{EntryKind, Index, NewEntry, Parent, Transaction},
    model::{Affinity, Delivery, EntityRef, Event, LaneKey, Partition, Seq, Signal},
    route::{Route, Target},
    snapshot::Snapshot,
};

/// Signals for the days on which the record will become overdue, unless it changes before. The vendor may not tell.
pub(super) fn append_time_signals(
    slot: &SourceSlot,
    entity: &EntityRef,
    snapshot: &Snapshot,
    now: Timestamp,
    transaction: &mut Transaction,
    parent: Parent,
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
        transaction.append.push(signal_entry(slot, &signal, parent, body, at));
    }
    Ok(())
}

/// The event and what the routes make of it.
pub(super) fn append_event(
    shared: &Shared,
    slot: &SourceSlot,
    event: Event,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let number = event.record.as_ref().and_then(|record| record.number.as_deref()).map(Arc::from);
    let index = |name| Index { entity: Some(event.entity.clone()), number, name: Some(name) };
    let event_at = transaction.append.len();
    transaction.append.push(NewEntry {
        partition: slot.partition,
        kind: EntryKind::Event,
        connection: slot.connection().clone(),
        lane: None,
        due: event.at,
        dedupe: None,
        parent,
        index: index(event.event_type().as_str().into()),
        body: Some(event.to_cloudevent()?),
    });
    let event = Arc::new(event);
    let registry = shared.registry();
    for route in registry.routes().iter().filter(|route| route.verdict(&event).is_match()) {
        for target in &route.to {
            let sink = registry.sink(&target.sink).map(|slot| (&slot.sink, slot.partition));
            let entry = delivery_entry(sink, route, target, &event, Parent::Nth(event_at))?;
            wake.push(entry.partition);
            transaction.append.push(entry);
        }
    }
    Ok(())
}

/// A promise. A sink that is not connected at present, or cannot plan it, finds out when its turn comes.
fn delivery_entry(
    sink: Option<(&Arc<dyn Sink>, Partition)>,
    route: &Route,
    target: &Target,
    event: &Arc<Event>,
    parent: Parent,
) -> Result<NewEntry> {
    let stored = StoredDelivery::new(target.destination.clone(), event.at);
    let delivery = Delivery::new(
        Seq(0),
        stored.id,
        target.destination.clone(),
        Arc::clone(&route.name),
        Arc::clone(event),
        event.at,
    );
    let planned = sink.and_then(|(sink, _)| sink.plan(&delivery).ok()).map(|plan| plan.lane);
    let lane = planned.unwrap_or_else(|| LaneKey::from(target.destination.as_str()));
    Ok(NewEntry {
        partition: sink
            .map_or_else(|| Affinity::from(target.sink.as_str()).partition(), |(_, partition)| partition),
        kind: EntryKind::Delivery,
        connection: target.sink.clone(),
        lane: Some(lane.number(&target.sink)),
        due: event.at,
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
