//! Maintenance of sinks: what they do without any delivery, as often as they ask for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    Timestamp,
    engine::{guard, registry::SinkSlot, shared::Shared},
    model::{ConnectionId, Partition},
};

/// When maintenance that failed is tried again.
const AGAIN: Duration = Duration::from_secs(3600);

/// When each sink wants to be looked after next; `None` = it is under way, or it never wants to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Maintenance(Arc<Mutex<BTreeMap<ConnectionId, Option<Timestamp>>>>);

impl Maintenance {
    fn next(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Option<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first of them is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.next().values().flatten().min().copied()
    }

    /// Begins what is due of the sinks whose partitions are held.
    pub(super) fn begin(
        &self,
        shared: &Arc<Shared>,
        is_held: impl Fn(Partition) -> bool,
        tasks: &mut JoinSet<()>,
    ) {
        let now = shared.clock.now();
        let registry = shared.registry();
        let mut due: Vec<Arc<SinkSlot>> = Vec::new();
        {
            let mut next = self.next();
            next.retain(|connection, _| {
                registry.sink(connection).is_some_and(|slot| is_held(slot.partition))
            });
            for (connection, slot) in registry.sinks().filter(|(_, slot)| is_held(slot.partition)) {
                if next.get(connection).copied().unwrap_or(Some(now)).is_some_and(|at| at <= now) {
                    next.insert(connection.clone(), None);
                    due.push(Arc::clone(slot));
                }
            }
        }
        for slot in due {
            let (shared, maintenance) = (Arc::clone(shared), self.clone());
            tasks.spawn(async move {
                let next = look_after(&shared, &slot).await;
                // A partition that was lost meanwhile is looked after by its new owner.
                if let Some(at) = maintenance.next().get_mut(&slot.sink.info().connection) {
                    *at = next;
                }
            });
        }
    }
}

async fn look_after(shared: &Shared, slot: &SinkSlot) -> Option<Timestamp> {
    let limit = shared.settings.call;
    let ctx = shared.context.within(limit);
    let done = guard::call(limit, "the maintenance did not end in time", slot.sink.maintain(&ctx)).await;
    match done {
        Ok(next) => next,
        Err(error) => {
            tracing::warn!(%error, connection = %slot.sink.info().connection, "a sink could not be maintained: trying again within the hour");
            Some(shared.clock.now() + AGAIN)
        }
    }
}
