//! From a change to everything that follows from it: the event, its deliveries, and signals for days to come.

use std::sync::Arc;

use super::{
    Shared, conversation,
    intake::signal_entry,
    registry::SourceSlot,
    stored::{StoredDelivery, StoredSignal},
};
use crate::{
    Result, Timestamp,
    audit::{EntryKind, Index, NewEntry, Parent, Transaction},
    model::{
        Affinity, ConnectionId, Delivery, Destination, EntityRef, Event, LaneKey, Money, Partition, Record,
        Seq, Signal,
    },
    route::{Route, RouteSet},
    snapshot::Snapshot,
};

/// A signal for an instant to come. It begins a family of its own, so that what led to it can be pruned while it waits.
/// It falls due a little later, as a webhook does that comes at that instant: what is read for an earlier one does not
/// answer it.
pub(super) fn later(slot: &SourceSlot, signal: &Signal, at: Timestamp) -> Result<NewEntry> {
    let body = StoredSignal::encode(Some(signal), None, b"")?;
    Ok(signal_entry(slot, signal, Parent::None, body, at + slot.source.info().coalesce))
}

/// Signals for the days after `since` on which the record becomes overdue, unless it changes before. The vendor may not
/// tell.
pub(super) fn append_time_signals(
    slot: &SourceSlot,
    entity: &EntityRef,
    snapshot: &Snapshot,
    since: Timestamp,
    transaction: &mut Transaction,
) -> Result<()> {
    let info = slot.source.info();
    let Some(due) = snapshot.facts.due_date.filter(|_| snapshot.facts.is_payable()) else { return Ok(()) };
    for days in &info.overdue_after {
        let at = due.plus_days((*days).max(1)).start_in(&info.zone);
        if at <= since {
            continue;
        }
        let signal = Signal {
            hint: Some(format!("overdue:{days}@{due}").into()),
            // Asked for at every change of the record, and kept once. Another zone has other midnights.
            dedupe: Some(format!("overdue/{}/{entity}/{days}@{due}/{at}", slot.connection()).into()),
            ..Signal::entity(entity.clone())
        };
        transaction.append.push(later(slot, &signal, at)?);
    }
    Ok(())
}

/// The event and what the routes make of it.
pub(super) async fn append_event(
    shared: &Shared,
    partition: Partition,
    event: Event,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let routes = Arc::clone(shared.registry().routes());
    let takers: Vec<_> = routes.takers(&event).collect();
    append_for(shared, partition, event, &takers, transaction, parent, wake).await
}

/// A page of the past: one event and one delivery for each route that takes pages, and an event of its own for every
/// record that others take, or nobody. Returns how many events that makes.
pub(super) async fn append_page(
    shared: &Shared,
    partition: Partition,
    page: Event,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<usize> {
    let before = transaction.append.len();
    let routes = Arc::clone(shared.registry().routes());
    let records = page.page.clone();
    append_pages(shared, partition, page, &routes, transaction, parent, wake).await?;
    for event in records {
        let (pages, alone): (Vec<_>, Vec<_>) = routes.takers(&event).partition(|route| route.pages);
        if pages.is_empty() || !alone.is_empty() {
            append_for(shared, partition, event, &alone, transaction, parent, wake).await?;
        }
    }
    Ok(transaction.append[before..].iter().filter(|entry| entry.kind == EntryKind::Event).count())
}

/// The events of a page, for routes that take pages: one for all routes that take the same records of it.
pub(super) async fn append_pages(
    shared: &Shared,
    partition: Partition,
    page: Event,
    routes: &RouteSet,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let takers: Vec<Vec<&Arc<Route>>> =
        page.page.iter().map(|event| routes.takers(event).filter(|route| route.pages).collect()).collect();
    let mut parts: Vec<(Vec<usize>, Vec<&Arc<Route>>)> = Vec::new();
    for route in routes.routes.iter().filter(|route| route.pages) {
        let takes = |i: &usize| takers[*i].iter().any(|taker| Arc::ptr_eq(taker, route));
        let records: Vec<usize> = (0..takers.len()).filter(takes).collect();
        match parts.iter_mut().find(|(same, _)| *same == records) {
            Some((_, routes)) => routes.push(route),
            None if records.is_empty() => {}
            None => parts.push((records, vec![route])),
        }
    }
    for (records, routes) in parts {
        let records = records.into_iter().map(|i| page.page[i].clone()).collect();
        let part = Event { page: records, ..page.clone() };
        append_for(shared, partition, part, &routes, transaction, parent, wake).await?;
    }
    Ok(())
}

/// The event and its deliveries by these routes.
async fn append_for(
    shared: &Shared,
    partition: Partition,
    event: Event,
    routes: &[&Arc<Route>],
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let record = event.record.as_deref();
    let event_at = transaction.append.len();
    transaction.append.push(NewEntry {
        parent,
        index: Index {
            entity: Some(event.entity.clone()),
            number: record.and_then(|record| record.number.as_deref()).map(Arc::from),
            name: Some(event.event_type().as_str().into()),
            amount: record.and_then(amount),
            destination: None,
        },
        body: Some(event.to_cloudevent()?),
        ..NewEntry::new(partition, EntryKind::Event, event.connection.clone(), event.at)
    });
    let event = Arc::new(event);
    let deliveries_at = transaction.append.len();
    for route in routes {
        append_by(shared, route, &event, &mut transaction.append, Parent::Nth(event_at), event.at).await?;
    }
    wake.extend(transaction.append[deliveries_at..].iter().map(|entry| entry.partition));
    Ok(())
}

/// What the routes make of an event.
pub(super) async fn append_deliveries(
    shared: &Shared,
    event: &Arc<Event>,
    append: &mut Vec<NewEntry>,
    parent: Parent,
    now: Timestamp,
) -> Result<()> {
    let routes = Arc::clone(shared.registry().routes());
    for route in routes.takers(event) {
        append_by(shared, route, event, append, parent, now).await?;
    }
    Ok(())
}

/// What a record amounts to, for searches: its total, or else its balance.
fn amount(record: &Record) -> Option<Money> {
    record.total.or(record.balance)
}

/// What one route makes of an event.
async fn append_by(
    shared: &Shared,
    route: &Route,
    event: &Arc<Event>,
    append: &mut Vec<NewEntry>,
    parent: Parent,
    now: Timestamp,
) -> Result<()> {
    for target in &route.to {
        let stored = StoredDelivery::new(target, now);
        let partition = shared.registry().sink(&target.sink).map(|slot| slot.partition);
        let partition = partition.unwrap_or_else(|| Affinity::from(target.sink.as_str()).partition());
        let due = target.schedule.as_ref().map_or(now, |schedule| schedule.due(now));
        append.push(NewEntry {
            lane: Some(shared.lane(&target.sink, &stored, &route.name, event).await?),
            parent,
            index: Index {
                entity: Some(event.entity.clone()),
                number: None,
                name: Some(Arc::clone(&route.name)),
                amount: event.record.as_deref().and_then(amount),
                destination: Some(target.destination.as_str().into()),
            },
            body: Some(stored.encode()?),
            ..NewEntry::new(partition, EntryKind::Delivery, target.sink.clone(), due)
        });
    }
    Ok(())
}

impl Shared {
    /// The lane of a delivery that has not begun.
    pub(super) async fn lane(
        &self,
        sink: &ConnectionId,
        stored: &StoredDelivery,
        route: &Arc<str>,
        event: &Arc<Event>,
    ) -> Result<u64> {
        let mut delivery = [stored.delivery(Seq(0), Arc::clone(route), Arc::clone(event), event.at)];
        conversation::recall(self, sink, &mut delivery).await?;
        Ok(self.lane_of(sink, &delivery[0]))
    }

    /// The lane of a delivery that knows what was told before. A sink that is not connected at present, or cannot plan
    /// it, finds out when its turn comes.
    pub(super) fn lane_of(&self, sink: &ConnectionId, delivery: &Delivery) -> u64 {
        let schedule = delivery.schedule.as_deref();
        if let Some(schedule) = schedule.filter(|_| delivery.digest) {
            return digest_lane(&delivery.destination, delivery.template.as_deref(), schedule).number(sink);
        }
        let registry = self.registry();
        let planned = registry.sink(sink).and_then(|slot| slot.plan(delivery).ok()).map(|plan| plan.lane);
        let lane = planned.unwrap_or_else(|| LaneKey::from(delivery.destination.as_str()));
        // What waits for its time must not keep others waiting.
        schedule.map_or(lane.clone(), |schedule| LaneKey::new(format!("{lane}\n{schedule}"))).number(sink)
    }
}

/// The lane of what is gathered into one message, whichever routes ask for it.
pub(super) fn digest_lane(destination: &Destination, template: Option<&str>, schedule: &str) -> LaneKey {
    LaneKey::new(format!("digest\n{destination}\n{}\n{schedule}", template.unwrap_or_default()))
}
