//! Deliveries of a batch, read from the log with their events.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::attempt::{Attempt, Deliveries};
use crate::{
    Error, ErrorKind, Result,
    audit::{Entry, Outcome, Query},
    engine::{fan_out::conversation, stored::StoredDelivery, writes::Stop},
    model::{Delivery, Event, Seq},
};

/// How many deliveries are read first: their size says how many are read next. An event may be a page of hundreds of
/// records.
const FIRST: usize = 4;
/// How many deliveries are read at once at most.
const MOST: usize = 64;

impl Attempt<'_> {
    /// The deliveries of the batch with their events, without those that are settled by now, until there are so many
    /// bytes of events.
    pub(super) async fn load(&self, max_bytes: usize) -> Result<Deliveries, Stop> {
        let mut loaded = Deliveries::default();
        let (mut bytes, mut read) = (0_usize, 0_usize);
        let mut waiting = self.batch.items.as_slice();
        while !waiting.is_empty() {
            if bytes > max_bytes {
                loaded.rest.extend(waiting);
                break;
            }
            let fits = max_bytes.saturating_sub(bytes) / (bytes / read.max(1)).max(1);
            let page = if read == 0 { FIRST } else { fits.clamp(1, MOST) };
            let (items, rest) = waiting.split_at(page.min(waiting.len()));
            (waiting, read) = (rest, read + items.len());
            let seqs = items.iter().map(|item| item.seq).collect();
            let entries = self.shared.log.query(&Query::entries(seqs)).await?;
            let mut parents: Vec<Seq> = entries.iter().filter_map(|entry| entry.parent).collect();
            parents.dedup();
            let events = self.shared.log.query(&Query::entries(parents)).await?;
            let events: BTreeMap<Seq, Entry> = events.into_iter().map(|entry| (entry.seq, entry)).collect();
            for item in items {
                let waits = |entry: &&Entry| entry.seq == item.seq && !entry.state.is_settled();
                let Some(entry) = entries.iter().find(waits) else { continue };
                let event = entry.parent.and_then(|parent| events.get(&parent));
                let size = event.and_then(|event| event.body.as_ref()).map_or(0, Bytes::len);
                bytes = bytes.saturating_add(size);
                if bytes > max_bytes && !loaded.items.is_empty() {
                    loaded.rest.push(*item);
                    continue;
                }
                match decode(entry, event) {
                    Ok(delivery) => {
                        loaded.extend([(*item, Delivery { attempt: item.attempt, ..delivery })]);
                    }
                    Err(error) => self.kill(*item, None, &error).await?,
                }
            }
        }
        conversation::recall(self.shared, &self.batch.connection, &mut loaded.deliveries).await?;
        Ok(loaded)
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
