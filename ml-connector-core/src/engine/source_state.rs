//! What the log keeps about a source beside its records: since when it is watched, and the state it verifies requests
//! with.

use std::time::Duration;

use bytes::Bytes;

use super::{
    documents::{Document, Loaded},
    registry::SourceSlot,
    shared::Shared,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Transaction},
};

/// How old a state that proves a signature wrong may be. Forgers cannot make us read the log more often.
const RELOAD: Duration = Duration::from_secs(5);

/// Since when a connection is watched.
struct WatchedSince(Timestamp);

impl Document for WatchedSince {
    fn decode(bytes: &Bytes) -> Result<Self> {
        let millis = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        millis.map(Timestamp::from_millis).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the log does not say since when a connection is watched")
        })
    }

    fn encode(&self) -> Result<Bytes> {
        Ok(self.0.as_millis().to_string().into())
    }
}

impl Shared {
    /// Since when a connection is watched: the instant at which any host saw it first.
    pub(crate) async fn watched_since(&self, slot: &SourceSlot) -> Result<Timestamp> {
        match slot.watched_since.get() {
            Some(watched) => Ok(*watched),
            None => Box::pin(slot.watched_since.get_or_try_init(|| self.watch(slot))).await.copied(),
        }
    }

    /// Writes that a connection is watched from now on, unless a host wrote that before.
    async fn watch(&self, slot: &SourceSlot) -> Result<Timestamp> {
        let key = DocKey::new("watched", slot.connection(), "since");
        let now = self.clock.now();
        let write = Loaded::absent(key.clone()).replace(&WatchedSince(now))?;
        let first = Transaction { documents: vec![write], ..Transaction::default() };
        if let [Committed::Applied(_)] = self.log.commit(vec![first], now).await?[..] {
            return Ok(now);
        }
        let stored = self.load::<WatchedSince>(key).await?.value;
        stored.map(|WatchedSince(at)| at).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the log does not say since when a connection is watched")
        })
    }

    /// The state with which a source verifies requests.
    pub(crate) async fn upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        match slot.upkeep_state.get() {
            Some(cached) => Ok(cached.state),
            None => Box::pin(self.load_upkeep_state(slot)).await,
        }
    }

    /// Another state than the one that did not fit, if another host has stored one meanwhile.
    pub(crate) async fn newer_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let now = self.clock.now();
        let known = slot.upkeep_state.get();
        if known.as_ref().is_some_and(|known| now.saturating_since(known.loaded_at) < RELOAD) {
            return Ok(None);
        }
        let loaded = self.load_upkeep_state(slot).await?;
        Ok(loaded.filter(|loaded| known.is_none_or(|known| known.state.as_ref() != Some(loaded))))
    }

    async fn load_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let state = self.load::<Bytes>(slot.upkeep_state_key()).await?.value;
        slot.upkeep_state.set(state.clone(), self.clock.now());
        Ok(state)
    }
}
