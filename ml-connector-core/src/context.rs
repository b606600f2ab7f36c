//! What the engine lends to a source or a sink for one call.

use std::{sync::Arc, time::Duration};

use crate::{Clock, HttpTransport, RateLimiter, Timestamp, TokenStore};

/// What the engine lends to a source or a sink for one call: the way to the network, tokens, limits and time.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<Parts>,
    deadline: Timestamp,
}

#[derive(Debug)]
struct Parts {
    transport: Arc<dyn HttpTransport>,
    tokens: Arc<dyn TokenStore>,
    limiter: Arc<dyn RateLimiter>,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// A context without a deadline.
    #[must_use]
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        tokens: Arc<dyn TokenStore>,
        limiter: Arc<dyn RateLimiter>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { parts: Arc::new(Parts { transport, tokens, limiter, clock }), deadline: Timestamp::MAX }
    }

    /// The same, for a call that has to be over in `total` at most.
    #[must_use]
    pub fn within(&self, total: Duration) -> Self {
        Self { parts: Arc::clone(&self.parts), deadline: self.deadline.min(self.now() + total) }
    }

    /// The way to the network.
    #[must_use]
    pub fn transport(&self) -> &dyn HttpTransport {
        &*self.parts.transport
    }

    /// Where tokens are kept.
    #[must_use]
    pub fn tokens(&self) -> &dyn TokenStore {
        &*self.parts.tokens
    }

    /// What admits calls.
    #[must_use]
    pub fn limiter(&self) -> &dyn RateLimiter {
        &*self.parts.limiter
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// The current instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// When the call has to be over.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// How much of the time is left.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_since(self.now())
    }
}
