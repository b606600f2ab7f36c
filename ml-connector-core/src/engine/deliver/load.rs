//! Deliveries of a batch, read from the log with their events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::attempt::{Attempt, Deliveries};
use crate::{
    Error, ErrorKind, Result,
    audit::{Entry, Outcome, Query},
    engine::{fan_out::conversation, stored::StoredDelivery, writes::Stop},
    model::{Delivery, Event, Seq},
};

impl Attempt<'_> {
    /// The deliveries of the batch with their events, without those that are settled by now, until there are so many
    /// bytes of events.
    pub(super) async fn load(&self, max_bytes: usize) -> Result<Deliveries, Stop> {
        let mut loaded = Deliveries::default();
        let seqs = self.batch.items.iter().map(|item| item.seq).collect();
        let entries = self.shared.log.query(&Query::entries(seqs)).await?;
        let waits = |entry: &&Entry| !entry.state.is_settled();
        let entries: BTreeMap<Seq, &Entry> =
            entries.iter().filter(waits).map(|entry| (entry.seq, entry)).collect();
        let mut events = Events::of(entries.values().filter_map(|entry| entry.parent).collect());
        let mut bytes = 0_usize;
        let registry = self.shared.registry();
        let mut several = BTreeMap::new();
        for item in &self.batch.items {
            let Some(entry) = entries.get(&item.seq) else { continue };
            if bytes >= max_bytes {
                loaded.rest.push(*item);
                continue;
            }
            let event = match entry.parent {
                Some(parent) => events.read(self, parent, max_bytes - bytes).await?,
                None => None,
            };
            let size = event.as_ref().and_then(|event| event.body.as_ref()).map_or(0, Bytes::len);
            bytes = bytes.saturating_add(size);
            if bytes > max_bytes && !loaded.items.is_empty() {
                loaded.rest.push(*item);
                continue;
            }
            match decode(entry, event.as_ref()) {
                Ok(mut delivery) => {
                    let destination = &delivery.destination;
                    let of_several = *several
                        .entry(destination.clone())
                        .or_insert_with(|| registry.tells_of_several(&self.batch.connection, destination));
                    if of_several {
                        Arc::make_mut(&mut delivery.event).of_several = true;
                    }
                    loaded.extend([(*item, Delivery { attempt: item.attempt, ..delivery })]);
                }
                Err(error) => self.kill(*item, None, &error).await?,
            }
        }
        conversation::recall(self.shared, &self.batch.connection, &mut loaded.deliveries).await?;
        Ok(loaded)
    }
}

/// The events of a batch, read as many at a time as there is room for: one may be a page of hundreds of records.
struct Events {
    /// What was not read yet.
    waiting: BTreeSet<Seq>,
    read: BTreeMap<Seq, Entry>,
}

impl Events {
    fn of(waiting: BTreeSet<Seq>) -> Self {
        Self { waiting, read: BTreeMap::new() }
    }

    /// The event, and with it as many of those behind it as have so many bytes.
    async fn read(
        &mut self,
        attempt: &Attempt<'_>,
        seq: Seq,
        max_bytes: usize,
    ) -> Result<Option<Entry>, Stop> {
        if self.waiting.contains(&seq) {
            let next = self.waiting.range(seq..).copied().collect();
            let query = Query::entries(next).with_max_bytes(max_bytes);
            for event in attempt.shared.log.query(&query).await? {
                self.waiting.remove(&event.seq);
                self.read.insert(event.seq, event);
            }
            self.waiting.remove(&seq);
        }
        Ok(self.read.get(&seq).cloned())
    }
}

fn decode(entry: &Entry, event: Option<&Entry>) -> Result<Delivery> {
    let unreadable = |message| Error::new(ErrorKind::Unexpected, message);
    let body = entry.body.as_ref().ok_or_else(|| unreadable("a delivery has no body"))?;
    let event =
        event.and_then(|event| event.body.as_ref()).ok_or_else(|| unreadable("a delivery has no event"))?;
    let stored = StoredDelivery::decode(body)?;
    let event = Arc::new(Event::from_cloudevent(event)?);
    let since = entry.outcomes.iter().find_map(|recorded| match recorded.outcome {
        Outcome::Begun { .. } => Some(recorded.at),
        _ => None,
    });
    let route = entry.index.name.clone().unwrap_or_default();
    let mut delivery = stored.delivery(entry.seq, route, event, since.unwrap_or(entry.at));
    delivery.note = entry.note().cloned();
    Ok(delivery)
}
