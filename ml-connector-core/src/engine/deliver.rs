//! One attempt for the first deliveries of a lane: look up, admit, record, send, settle.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Shared, conversation, foreign,
    lanes::{Batch, Hold, Item},
    registry::SinkSlot,
    resolve::{Stop, settle},
    retry,
    run::Finished,
    stored::StoredDelivery,
};
use crate::{
    AttemptNotes, Effect, Error, ErrorKind, Repeat, Result, Timestamp,
    audit::{Entry, Lease, Outcome, Query, Settlement},
    model::{Delivery, DeliveryPlan, Event, Receipt, Seq},
    rate::{Admission, Cost, Feedback, Quota},
};

/// An attempt that begins so soon after it was admitted counts as made at that instant. What a limit is exceeded by
/// then is for the sink to allow for, which knows how exactly its vendor counts.
const PROMPT: Duration = Duration::from_millis(100);
/// In longer windows a delay counts for little, and what is charged for it for much.
const SHORT: Duration = Duration::from_secs(10);
/// How many deliveries are read at once.
const LOAD_PAGE: usize = 64;

/// Makes one attempt for a batch of deliveries of one lane.
pub(super) async fn deliver(shared: Arc<Shared>, lease: Lease, batch: Batch) -> Finished {
    let attempt = Attempt { shared: &shared, lease, batch: &batch };
    match attempt.make().await {
        Ok(finished) => finished,
        Err(Stop::Fenced) => Finished::fenced(),
        Err(Stop::Log(error)) => {
            tracing::error!(%error, connection = %batch.connection, "the log does not work: deliveries wait");
            Finished::again(&batch, Hold::Until(retry::log_at(shared.clock.now())))
        }
    }
}

/// What is done for a batch.
pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Shared,
    pub(super) lease: Lease,
    pub(super) batch: &'a Batch,
}

/// Deliveries with their places in the lane.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) items: Vec<Item>,
    pub(super) deliveries: Vec<Delivery>,
    /// What comes another time.
    rest: Vec<Item>,
}

/// What a sink was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    ToSend {
        /// Whether doubt is cleared before anything is repeated.
        look_up_first: bool,
    },
    WhatBecame,
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Finished, Stop> {
        let registry = self.shared.registry();
        let Some(slot) = registry.sink(&self.batch.connection) else {
            tracing::warn!(connection = %self.batch.connection, "deliveries wait for a sink that is not connected");
            return Ok(Finished::again(self.batch, Hold::Outage(self.shared.clock.now())));
        };
        let mut loaded = self.load(slot.sink.info().max_bytes).await?;
        let mut finished = self.make_for(slot, &mut loaded).await?;
        finished.waits.append(&mut loaded.rest);
        Ok(finished)
    }

    async fn make_for(&self, slot: &SinkSlot, loaded: &mut Loaded) -> Result<Finished, Stop> {
        let look_up_first = slot.sink.info().repeat == Repeat::AfterLookup;
        if look_up_first
            && loaded.items.first().is_some_and(|head| head.uncertain)
            && let Some(finished) = self.look_up(slot, loaded).await?
        {
            return Ok(finished);
        }
        let Some(head) = loaded.deliveries.first() else { return Ok(Finished::settled()) };
        let plan = match slot.plan(head) {
            Ok(plan) => plan,
            Err(error) => return self.kill_head(loaded, &error).await,
        };
        if let Some(finished) = self.go_on(loaded).await? {
            return Ok(finished);
        }
        loaded.cut(together(slot, &loaded.deliveries, &plan));
        let now = self.shared.clock.now();
        let permit = match self.shared.context.limiter().admit(&plan.costs, now).await {
            Ok(Admission::Admitted(permit)) => permit,
            Ok(Admission::NotBefore(at)) => {
                let hold = self.bottleneck(&plan.costs, at, now).await;
                return Ok(Finished::again_from(&loaded.items, hold));
            }
            Err(error) if error.kind() == ErrorKind::InvalidRequest => {
                return self.kill_head(loaded, &error).await;
            }
            Err(error) => return Err(Stop::Log(error)),
        };
        if let Some(gate) = &self.batch.gate {
            self.shared.wake.admitted(gate.clone(), self.batch.lane);
        }
        if look_up_first {
            let begun = |item: &Item| {
                Settlement::new(item.seq, Outcome::Begun { attempt: item.attempt + 1, note: None })
            };
            if let Err(stop) = settle(self.shared, self.lease, loaded.items.iter().map(begun).collect()).await
            {
                self.finish_permit(&plan.costs, Feedback::Finished(permit)).await;
                return Err(stop);
            }
            self.charge_delay(&plan.costs, now).await;
        }
        loaded.deliveries.iter_mut().for_each(|delivery| delivery.attempt += 1);
        let results = self.send(slot, &loaded.deliveries).await;
        let refused = results.iter().find_map(|result| result.as_ref().err());
        self.finish_permit(&plan.costs, Feedback::after(permit, refused.map(Arc::as_ref))).await;
        self.settle(loaded, results, Asked::ToSend { look_up_first }).await
    }

    /// Gives the first delivery up; the others come again.
    async fn kill_head(&self, loaded: &Loaded, error: &Error) -> Result<Finished, Stop> {
        let Some((head, others)) = loaded.items.split_first() else { return Ok(Finished::settled()) };
        self.kill(*head, loaded.deliveries.first(), error).await?;
        Ok(Finished::again_from(others, Hold::None))
    }

    /// Finds the key that has no room before `at`: everything that waits for it waits in one queue. Asking for no
    /// units, but that as many are left, spends nothing.
    async fn bottleneck(&self, costs: &[Cost], at: Timestamp, now: Timestamp) -> Hold {
        for cost in costs {
            let leave = cost.leave.saturating_add(cost.units);
            let question = [Cost { units: 0, leave, ..cost.clone() }];
            match self.shared.context.limiter().admit(&question, now).await {
                Ok(Admission::NotBefore(then)) if then >= at => return Hold::Quota(cost.key.clone(), at),
                Ok(Admission::Admitted(permit)) => {
                    self.finish_permit(&question, Feedback::Finished(permit)).await;
                }
                _ => {}
            }
        }
        Hold::Until(at)
    }

    /// The deliveries of the batch with their events, without those that are settled by now, until there are so many
    /// bytes of events.
    async fn load(&self, max_bytes: usize) -> Result<Loaded, Stop> {
        let mut loaded = Loaded::default();
        let mut bytes = 0_usize;
        for items in self.batch.items.chunks(LOAD_PAGE) {
            if bytes > max_bytes {
                loaded.rest.extend(items);
                continue;
            }
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

    /// One call of the sink. Whatever happens, there is one result per delivery.
    async fn send(&self, slot: &SinkSlot, deliveries: &[Delivery]) -> Vec<Result<Receipt, Arc<Error>>> {
        let total = self.shared.settings.call;
        let ctx = self.shared.context.within(total);
        let notes = LogNotes { shared: self.shared, lease: self.lease, deliveries };
        let sent = async { Ok(slot.sink.deliver(&ctx, deliveries, &notes).await) };
        let (results, missing) = match foreign::call(total, "the attempt did not end in time", sent).await {
            Ok(results) => (results, Error::new(ErrorKind::Unavailable, "the sink gave no result")),
            Err(error) => (Vec::new(), error),
        };
        let missing = Arc::new(missing.with_effect(Effect::Unknown));
        let mut results: Vec<_> = results.into_iter().map(|result| result.map_err(Arc::new)).collect();
        results.resize_with(deliveries.len(), || Err(Arc::clone(&missing)));
        results
    }

    /// The log kept what was admitted at `admitted` waiting: the next one has to count from now on.
    async fn charge_delay(&self, costs: &[Cost], admitted: Timestamp) {
        let now = self.shared.clock.now();
        if now.saturating_since(admitted) <= PROMPT {
            return;
        }
        for cost in costs.iter().filter(|cost| cost.quotas.iter().any(is_short)) {
            let charge = Feedback::Charge { units: cost.units };
            if let Err(error) = self.shared.context.limiter().report(&cost.key, charge, now).await {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that an attempt was late");
            }
        }
    }

    async fn finish_permit(&self, costs: &[Cost], end: Feedback) {
        for cost in costs.iter().filter(|cost| cost.counts_concurrency()) {
            let now = self.shared.clock.now();
            if let Err(error) = self.shared.context.limiter().report(&cost.key, end.clone(), now).await {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that an attempt is over");
            }
        }
    }
}

impl Loaded {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, &Delivery)> {
        self.items.iter().zip(&self.deliveries)
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = (Item, Delivery)>) {
        for (item, delivery) in more {
            self.items.push(item);
            self.deliveries.push(delivery);
        }
    }

    /// Takes out everything that would come this time.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Item, Delivery)> + use<> {
        std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.deliveries))
    }

    /// Leaves `count`; the others come another time.
    fn cut(&mut self, count: usize) {
        self.deliveries.truncate(count);
        self.rest.extend(self.items.drain(count.min(self.items.len())..));
    }
}

fn is_short(quota: &Quota) -> bool {
    matches!(quota, Quota::Rolling { window, .. } if *window <= SHORT)
}

/// How many of these deliveries go in one call: those whose destination and plan are the first one's.
fn together(slot: &SinkSlot, deliveries: &[Delivery], plan: &DeliveryPlan) -> usize {
    let Some((head, others)) = deliveries.split_first() else { return 0 };
    let joins = |other: &&Delivery| {
        other.destination == head.destination
            && other.digest == head.digest
            && (!head.digest || other.template == head.template)
            // What follows a delivery of the same batch could not know it.
            && other.follow.or(head.follow).is_none()
            && slot.plan(other).is_ok_and(|other| other.lane == plan.lane && other.costs == plan.costs)
    };
    1 + others.iter().take_while(joins).count()
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

/// Notes go into the log, with the attempt they belong to.
struct LogNotes<'a> {
    shared: &'a Shared,
    lease: Lease,
    deliveries: &'a [Delivery],
}

impl fmt::Debug for LogNotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogNotes({} deliveries)", self.deliveries.len())
    }
}

#[async_trait]
impl AttemptNotes for LogNotes<'_> {
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()> {
        let of_batch = self.deliveries.iter().filter(|delivery| deliveries.contains(&delivery.seq));
        let begun = |delivery: &Delivery| {
            let (attempt, note) = (delivery.attempt, Some(note.clone()));
            Settlement::new(delivery.seq, Outcome::Begun { attempt, note })
        };
        match settle(self.shared, self.lease, of_batch.map(begun).collect()).await {
            Ok(()) => Ok(()),
            Err(Stop::Log(error)) => Err(error),
            Err(Stop::Fenced) => {
                Err(Error::new(ErrorKind::Conflict, "the partition belongs to another host now"))
            }
        }
    }
}
