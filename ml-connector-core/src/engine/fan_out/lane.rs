//! The lane in which a delivery waits.

use std::sync::Arc;

use super::conversation;
use crate::{
    Result,
    engine::{registry::digest_lane, shared::Shared, stored::StoredDelivery},
    model::{ConnectionId, Delivery, Event, LaneKey, Seq},
};

impl Shared {
    /// The lane of a delivery that has not begun.
    pub(crate) async fn lane(
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
    pub(crate) fn lane_of(&self, sink: &ConnectionId, delivery: &Delivery) -> u64 {
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
