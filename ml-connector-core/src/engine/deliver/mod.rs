//! Deliver: one attempt for the first deliveries of a lane. Load, look up, admit, record, send, settle.

mod admit;
mod attempt;
mod classify;
mod conversation;
mod down;
mod follow_ups;
mod load;
mod look_up;
mod send;
mod settle;

use std::{sync::Arc, time::Duration};

use self::attempt::{Attempt, Deliveries, SinkCall};
use super::{
    lanes::{Batch, Finished, Hold, Item},
    registry::SinkSlot,
    retry,
    shared::Shared,
    writes::{Stop, drop_forgotten, is_ready, settle},
};
use crate::{
    Error, ErrorKind, Repeat,
    audit::{Lease, Outcome, Settlement},
    calls::LimitWait,
    model::{Delivery, DeliveryPlan},
    rate::{Admission, Feedback},
};

/// Makes one attempt for a batch of deliveries of one lane.
pub(crate) async fn deliver(shared: Arc<Shared>, lease: Lease, batch: Batch) -> Finished {
    let attempt = Attempt { shared: &shared, lease, batch: &batch };
    match attempt.make().await {
        Ok(finished) => finished,
        Err(Stop::Fenced) => Finished::fenced(),
        Err(Stop::Log(error)) => {
            tracing::error!(%error, connection = %batch.connection, "what deliveries lead to cannot be written down: they wait");
            Finished::again(&batch, Hold::Unwritten)
        }
    }
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Finished, Stop> {
        let registry = self.shared.registry();
        let Some(slot) = registry.sink(&self.batch.connection) else {
            if registry.is_forgotten(&self.batch.connection) {
                return drop_forgotten(self.shared, self.lease, self.batch).await;
            }
            tracing::warn!(connection = %self.batch.connection, "deliveries wait for a sink that is not connected");
            return Ok(Finished::again(self.batch, Hold::Outage(self.shared.clock.now())));
        };
        if !is_ready(self.shared).await {
            let again = retry::log_at(self.shared.clock.now());
            return Ok(Finished::again(self.batch, Hold::Until(again)));
        }
        let mut loaded = self.load(slot.sink.info().max_bytes).await?;
        let mut finished = self.make_for(slot, &mut loaded).await?;
        finished.waits.append(&mut loaded.rest);
        Ok(finished)
    }

    async fn make_for(&self, slot: &SinkSlot, loaded: &mut Deliveries) -> Result<Finished, Stop> {
        let look_up_first = slot.sink.info().repeat == Repeat::AfterLookup;
        let is_in_doubt = match look_up_first {
            true => loaded.items.first().is_some_and(|head| head.uncertain),
            false => loaded.deliveries.iter().any(|delivery| delivery.note.is_some()),
        };
        if is_in_doubt && let Some(finished) = self.look_up(slot, loaded).await? {
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
            Err(error) => {
                tracing::error!(%error, "the limiter does not answer: deliveries wait");
                let again = retry::log_at(self.shared.clock.now());
                return Ok(Finished::again_from(&loaded.items, Hold::Until(again)));
            }
        };
        if let Some(gate) = &self.batch.gate {
            self.shared.mailbox.admitted(gate.clone(), self.batch.lane);
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
        let time = plan.time.unwrap_or(self.shared.settings.call);
        let (results, mut trace) = self.send(slot, &loaded.deliveries, time).await;
        if let (Some(gate), Some(head)) = (&self.batch.gate, loaded.items.first()) {
            trace.waits.push(LimitWait::new(gate.to_string(), head.not_before().min(now), now));
        }
        let refused = results.iter().find_map(|result| result.as_ref().err());
        self.finish_permit(&plan.costs, Feedback::after(permit, refused.map(Arc::as_ref))).await;
        let is_everywhere = self.is_everywhere(slot, &results).await;
        let asked = SinkCall::ToSend { look_up_first }.with(is_everywhere);
        self.settle(loaded, results, asked, &trace).await
    }

    /// How long one call of the sink about a delivery may take.
    fn time_for(&self, slot: &SinkSlot, delivery: &Delivery) -> Duration {
        let plan = slot.plan(delivery).ok();
        plan.and_then(|plan| plan.time).unwrap_or(self.shared.settings.call)
    }

    /// Gives the first delivery up; the others come again.
    async fn kill_head(&self, loaded: &Deliveries, error: &Error) -> Result<Finished, Stop> {
        let Some((head, others)) = loaded.items.split_first() else { return Ok(Finished::settled()) };
        self.kill(*head, loaded.deliveries.first(), error).await?;
        Ok(Finished::again_from(others, Hold::None))
    }
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
