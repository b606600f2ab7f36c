//! The calls that were made of a vendor for one piece of work: whether any succeeded, and what they waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How many calls are kept; of more, the first.
const KEPT: usize = 12;

/// One call of a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallMade {
    /// Its name in the system crate.
    #[serde(rename = "o")]
    pub operation: String,
    /// When it began to wait for room, a token or the answer.
    #[serde(rename = "b")]
    pub began: Timestamp,
    /// When it ended.
    #[serde(rename = "e")]
    pub ended: Timestamp,
    /// Which limits it waited for.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<LimitWait>,
    /// The kind of error it ended with; `None` = it succeeded.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A wait for room in a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LimitWait {
    /// The key of the limit.
    #[serde(rename = "k")]
    pub key: String,
    /// Since when.
    #[serde(rename = "s")]
    pub since: Timestamp,
    /// Until when.
    #[serde(rename = "u")]
    pub until: Timestamp,
}

impl LimitWait {
    pub(crate) fn new(key: impl Into<String>, since: Timestamp, until: Timestamp) -> Self {
        Self { key: key.into(), since, until }
    }
}

/// The calls that a context has seen.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Vec<CallMade>>);

impl Calls {
    pub(crate) fn add(&self, call: CallMade) {
        let mut calls = self.calls();
        if calls.len() < KEPT {
            calls.push(call);
        } else if call.error.is_none() && calls.iter().all(|call| call.error.is_some()) {
            // That one succeeded is worth more than the last failure.
            calls.pop();
            calls.push(call);
        }
    }

    /// Whether one succeeded; `None` = none was made, or not through the SDK's client.
    pub(crate) fn succeeded(&self) -> Option<bool> {
        let calls = self.calls();
        (!calls.is_empty()).then(|| calls.iter().any(|call| call.error.is_none()))
    }

    pub(crate) fn take(&self) -> Vec<CallMade> {
        std::mem::take(&mut *self.calls())
    }

    fn calls(&self) -> MutexGuard<'_, Vec<CallMade>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
