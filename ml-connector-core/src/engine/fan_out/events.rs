//! From a change to its event, and from the event to a delivery for each target of each route that takes it.

use std::sync::Arc;

use crate::{
    Result, Timestamp,
    audit::{EntryKind, Index, NewEntry, Parent, Transaction},
    engine::{entries, shared::Shared, stored::StoredDelivery},
    model::{Affinity, Event, Partition},
    route::{Route, RouteSet},
};

/// The event and what the routes make of it.
pub(crate) async fn append_event(
    shared: &Shared,
    partition: Partition,
    event: Event,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<()> {
    let routes = Arc::clone(shared.registry().routes());
    let (mut takers, mut verdicts) = (Vec::new(), Vec::with_capacity(routes.routes.len()));
    for (route, verdict) in routes.verdicts(&event) {
        verdicts.push(verdict);
        takers.extend(verdict.is_match().then_some(route));
    }
    let trace = shared.trace_routes(&routes, &verdicts).await?;
    let at = transaction.append.len();
    append_for(shared, partition, event, &takers, transaction, parent, wake).await?;
    transaction.append[at].trace = trace;
    Ok(())
}

/// A page of the past: one event and one delivery for each route that takes pages, and an event of its own for every
/// record that others take, or nobody. `rows` are on the page for those who take pages, and nowhere else: their details
/// follow. Returns how many events that makes.
pub(crate) async fn append_page(
    shared: &Shared,
    partition: Partition,
    mut page: Event,
    rows: Vec<Event>,
    transaction: &mut Transaction,
    parent: Parent,
    wake: &mut Vec<Partition>,
) -> Result<usize> {
    let before = transaction.append.len();
    let routes = Arc::clone(shared.registry().routes());
    let records = page.page.clone();
    page.page.extend(rows);
    if let Some(first) = page.page.first() {
        (page.system, page.account, page.epoch) = (first.system.clone(), first.account.clone(), first.epoch);
    }
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
pub(crate) async fn append_pages(
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
    let event_at = transaction.append.len();
    transaction.append.push(entries::event(partition, &event, parent)?);
    let event = Arc::new(event);
    let deliveries_at = transaction.append.len();
    for route in routes {
        append_by(shared, route, &event, &mut transaction.append, Parent::Nth(event_at), event.at).await?;
    }
    wake.extend(transaction.append[deliveries_at..].iter().map(|entry| entry.partition));
    Ok(())
}

/// What the routes make of an event.
pub(crate) async fn append_deliveries(
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
                amount: entries::amount(event),
                destination: Some(target.destination.as_str().into()),
            },
            body: Some(stored.encode()?),
            ..NewEntry::new(partition, EntryKind::Delivery, target.sink.clone(), due)
        });
    }
    Ok(())
}
