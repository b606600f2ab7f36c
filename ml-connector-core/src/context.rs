//! What the engine lends to a source or a sink for one call.

use std::{sync::Arc, time::Duration};

use crate::{
    AuditLog, Clock, HttpTransport, RateLimiter, Result, Timestamp, TokenStore,
    audit::{EntryKind, Outcome, Query},
    model::{ConnectionId, DocumentRef, EntityRef, Event},
    snapshot::Snapshot,
};

/// What the engine lends to a source or a sink for one call: the way to the network, tokens, limits and time.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<Parts>,
    deadline: Timestamp,
}

#[derive(Debug, Clone)]
struct Parts {
    transport: Arc<dyn HttpTransport>,
    tokens: Arc<dyn TokenStore>,
    limiter: Arc<dyn RateLimiter>,
    clock: Arc<dyn Clock>,
    log: Option<Arc<dyn AuditLog>>,
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
        let parts = Parts { transport, tokens, limiter, clock, log: None };
        Self { parts: Arc::new(parts), deadline: Timestamp::MAX }
    }

    /// The same, with what the log knows. Without it nothing is known.
    #[must_use]
    pub fn with_log(self, log: Arc<dyn AuditLog>) -> Self {
        let parts = Parts { log: Some(log), ..Parts::clone(&self.parts) };
        Self { parts: Arc::new(parts), ..self }
    }

    /// The same, with another limiter.
    #[must_use]
    pub fn with_limiter(self, limiter: Arc<dyn RateLimiter>) -> Self {
        let parts = Parts { limiter, ..Parts::clone(&self.parts) };
        Self { parts: Arc::new(parts), ..self }
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

    /// Which document a message told about, and which of its changes, at an instant at which somebody looked at it:
    /// `reference` is the message's receipt. A message that was rewritten tells what the last delivery before
    /// `seen_at` brought. `None` when the log does not know it, or when it tells about several documents.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read.
    pub async fn delivered(
        &self,
        sink: &ConnectionId,
        reference: &str,
        seen_at: Timestamp,
    ) -> Result<Option<DocumentRef>> {
        let Some(log) = &self.parts.log else { return Ok(None) };
        let mut query =
            Query::of_kind(EntryKind::Delivery).with_connection(sink.clone()).with_receipt(reference);
        query.newest_first = true;
        let told = log.query(&query).await?;
        let settled_before = |recorded: &crate::audit::Recorded| {
            matches!(recorded.outcome, Outcome::Done { .. }) && recorded.at <= seen_at
        };
        let seen = told.iter().find(|entry| entry.outcomes.iter().any(settled_before)).or(told.last());
        let Some(seen) = seen else { return Ok(None) };
        if told.iter().any(|other| other.index.entity != seen.index.entity) {
            return Ok(None);
        }
        let events = log.query(&Query::entries(seen.parent.into_iter().collect())).await?;
        let Some(body) = events.into_iter().next().and_then(|event| event.body) else { return Ok(None) };
        let Event { connection, entity, n, .. } = Event::from_cloudevent(&body)?;
        Ok(Some(DocumentRef { connection, entity, n }))
    }

    /// What is known of a record at present.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read.
    pub async fn known(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Option<Snapshot>> {
        let Some(log) = &self.parts.log else { return Ok(None) };
        let document = log.documents(&[Snapshot::key(connection, entity)]).await?.pop().flatten();
        document.map(|document| Snapshot::from_bytes(&document.bytes)).transpose()
    }

    /// The last event that told about a record; `None` when there is none, or when it has been pruned.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read.
    pub async fn last_told(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Option<Event>> {
        let Some(log) = &self.parts.log else { return Ok(None) };
        let mut query = Query::of_kind(EntryKind::Event)
            .with_connection(connection.clone())
            .with_entity(entity.clone())
            .with_limit(1);
        (query.newest_first, query.bodies) = (true, true);
        let told = log.query(&query).await?.pop().and_then(|entry| entry.body);
        told.map(|body| Event::from_cloudevent(&body)).transpose()
    }

    /// How much of the time is left.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_since(self.now())
    }
}
