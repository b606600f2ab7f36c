//! Webhook subscriptions at vendors.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Signal, Timestamp};
use crate::size::Size;

/// A webhook that is registered at a vendor, for health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// What people call it: an event such as `invoice.changed`.
    pub name: Arc<str>,
    /// When it ends unless it is renewed; `None` = it does not end.
    pub ends: Option<Timestamp>,
}

/// The state of a source's webhook subscriptions after looking after them. `Debug` shows the size of the state, which may
/// hold secrets.
#[non_exhaustive]
pub struct Upkeep {
    /// What [`Source::receive`](crate::Source::receive) needs to verify, in the source's own form.
    pub state: Bytes,
    /// What to read because notifications may have been lost.
    pub signals: Vec<Signal>,
    /// When to look again.
    pub next: Timestamp,
    /// The webhooks that are registered at the vendor.
    pub subscriptions: Vec<Subscription>,
    /// Why webhooks do not come as wanted, where looking again will not help: the plan has none, or the vendor refuses.
    /// Health shows it until a look finds no problem. It holds no secret and no personal data.
    pub problem: Option<Arc<str>>,
}

impl Upkeep {
    /// Nothing to store and nothing to read: look again at `next`.
    #[must_use]
    pub fn new(next: Timestamp) -> Self {
        Self { state: Bytes::new(), signals: Vec::new(), next, subscriptions: Vec::new(), problem: None }
    }

    /// Sets what `receive` needs to verify.
    #[must_use]
    pub fn state(mut self, state: Bytes) -> Self {
        self.state = state;
        self
    }

    /// Sets what to read.
    #[must_use]
    pub fn signals(mut self, signals: Vec<Signal>) -> Self {
        self.signals = signals;
        self
    }

    /// Sets which webhooks are registered.
    #[must_use]
    pub fn subscriptions(mut self, subscriptions: Vec<Subscription>) -> Self {
        self.subscriptions = subscriptions;
        self
    }

    /// Sets why webhooks do not come as wanted.
    #[must_use]
    pub fn problem(mut self, problem: Option<Arc<str>>) -> Self {
        self.problem = problem;
        self
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, signals, next, subscriptions, problem } = self;
        f.debug_struct("Upkeep")
            .field("state", &Size(state))
            .field("signals", signals)
            .field("next", next)
            .field("subscriptions", subscriptions)
            .field("problem", problem)
            .finish()
    }
}
