//! A connected source or sink, with what is kept in memory about it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64},
};

use bytes::Bytes;
use tokio::sync::OnceCell;
use url::Url;

use super::{pulse::Pulse, reads::Reads};
use crate::{
    Result, Sink, Source, Timestamp,
    audit::DocKey,
    engine::guard,
    http::require_secure,
    model::{ConnectionId, Delivery, DeliveryPlan, Partition},
    vendor_clock::VendorClock,
};

#[derive(Debug)]
pub(crate) struct SourceSlot {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) partition: Partition,
    /// Since when the connection is watched, once it has been asked for.
    pub(crate) watched_since: OnceCell<Timestamp>,
    /// The same by the vendor's clock, once that is known.
    pub(crate) watched_edge: OnceCell<Timestamp>,
    /// Since when it reads the account that it reads now, where it read another one before.
    pub(crate) moved_at: OnceCell<Option<Timestamp>>,
    /// The vendor's clock.
    pub(crate) vendor_clock: Arc<VendorClock>,
    /// What the source verifies requests with.
    pub(crate) upkeep_state: UpkeepCache,
    /// How many values of its records could not be read.
    pub(crate) left_out: AtomicU64,
    pub(crate) pulse: Pulse,
    pub(crate) reads: Reads,
}

#[derive(Debug)]
pub(crate) struct SinkSlot {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) partition: Partition,
    pub(crate) pulse: Pulse,
    /// Whether it is known that no connection of its name was forgotten before, or that this one has begun anew.
    pub(crate) begun: AtomicBool,
}

impl SourceSlot {
    pub(crate) fn connection(&self) -> &ConnectionId {
        &self.source.info().connection
    }

    /// The document that holds what [`Source::upkeep`] stored last.
    pub(crate) fn upkeep_state_key(&self) -> DocKey {
        DocKey::new("upkeep", self.connection(), "state")
    }

    /// The document that holds what it stored for the account that the connection read before, until it has been looked
    /// after.
    pub(crate) fn former_upkeep_state_key(&self) -> DocKey {
        DocKey::new("upkeep", self.connection(), "former")
    }
}

impl SinkSlot {
    /// How the sink would go about a delivery.
    ///
    /// # Errors
    /// What the sink finds wrong with it.
    pub(crate) fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        guard::ask(|| self.sink.plan(delivery))
    }

    /// Where a person sees what a receipt names.
    pub(crate) fn link(&self, receipt: &str) -> Option<Url> {
        let link = guard::ask(|| Ok(self.sink.link(receipt))).ok().flatten();
        link.filter(|link| require_secure(link).is_ok())
    }
}

/// What [`Source::upkeep`] stored last, kept in memory for every request.
#[derive(Debug, Default)]
pub(crate) struct UpkeepCache(Mutex<Option<Cached>>);

#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) state: Option<Bytes>,
    pub(crate) loaded_at: Timestamp,
}

impl UpkeepCache {
    pub(crate) fn get(&self) -> Option<Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, state: Option<Bytes>, loaded_at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Cached { state, loaded_at });
    }
}
