//! Tokens in memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Stored, Swap, TokenKey, TokenStore};
use crate::{CheckStep, Result};

/// Tokens in memory, for tests and for hosts that connect anew after every start.
#[derive(Default)]
pub struct MemoryTokenStore {
    /// A deleted key keeps its version.
    slots: Mutex<HashMap<TokenKey, (u64, Option<Bytes>)>>,
}

impl MemoryTokenStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// The tokens are not shown.
impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTokenStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for MemoryTokenStore {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(slots.get(key).and_then(stored))
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let current = slots.get(key).and_then(stored);
        if current.as_ref().map(|stored| stored.version) != expected {
            return Ok(Swap::Conflict(current));
        }
        let slot = slots.entry(key.clone()).or_default();
        slot.0 += u64::from(value.is_some());
        slot.1 = value;
        Ok(Swap::Stored { version: slot.0 })
    }

    async fn check(&self) -> Vec<CheckStep> {
        let remedy = "keep tokens on disk or in a database: these are lost with the process";
        vec![CheckStep::warning("durability", remedy).with_found("tokens are in memory")]
    }
}

fn stored((version, bytes): &(u64, Option<Bytes>)) -> Option<Stored> {
    bytes.clone().map(|bytes| Stored { version: *version, bytes })
}
