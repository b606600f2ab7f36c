//! What is kept of decisions, beside the entries and outcomes they led to: as little as a story needs.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    calls::{CallMade, LimitWait},
    model::Seq,
};

/// How many signals that a read answered are named.
const SIGNALS_NAMED: usize = 100;

/// What the routes said of an event: a letter for each, and which routes those were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventTrace {
    /// The number of the document that names the routes.
    #[serde(rename = "s")]
    pub(crate) set: u64,
    #[serde(rename = "r")]
    pub(crate) codes: String,
}

/// How an outcome came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutcomeTrace {
    /// When the work on it began.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<Timestamp>,
    /// The vendor's calls.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) calls: Vec<CallMade>,
    /// The limits that it waited for before it began.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) waits: Vec<LimitWait>,
    /// The signals that the same read answered.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) answered: Vec<Seq>,
    /// The signal whose read answered this one.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(crate) with: Option<Seq>,
}

impl EventTrace {
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl OutcomeTrace {
    pub(crate) fn new(began: Timestamp, calls: Vec<CallMade>) -> Self {
        Self { began: Some(began), calls, ..Self::default() }
    }

    /// With the signals that were answered together.
    pub(crate) fn answering(mut self, signals: impl Iterator<Item = Seq>) -> Self {
        self.answered = signals.take(SIGNALS_NAMED).collect();
        self
    }

    /// A signal that the read of another one answered.
    pub(crate) fn answered_with(signal: Seq) -> Self {
        Self { with: Some(signal), ..Self::default() }
    }

    /// A story without it is a story, too.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        serde_json::to_vec(self).ok().map(Bytes::from)
    }

    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Which sets of routes have their names in the log.
#[derive(Debug, Default)]
pub(crate) struct NamedRoutes(Mutex<HashSet<u64>>);

impl NamedRoutes {
    pub(crate) fn contains(&self, set: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&set)
    }

    pub(crate) fn insert(&self, set: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(set);
    }
}
