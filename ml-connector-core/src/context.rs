//! What the engine lends to a source or a sink for one call.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    AuditLog, Clock, Effect, Error, ErrorKind, HttpTransport, RateLimiter, Result, Retry, Timestamp,
    TokenStore,
    audit::{EntryKind, Lease, Outcome, Query},
    calls::{CallMade, Calls},
    model::{ConnectionId, DocumentRef, EntityRef, Event, Partition},
    snapshot::Snapshot,
    vendor_clock::VendorClock,
};

/// What the engine lends to a source or a sink for one call: the way to the network, tokens, limits and time.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<Parts>,
    deadline: Timestamp,
    /// What is known of the clock of whom the call is for.
    vendor_clock: Option<Arc<VendorClock>>,
    lease: Option<(Arc<WriteLease>, Lease)>,
    calls: Option<Arc<Calls>>,
}

/// Until when a host may write to other systems, and for which partitions: then another host may have taken over, and repeats
/// what it does not find. Renewed while the host is alive; one that was paused, by SIGSTOP or a move to another machine, finds
/// it over, or without what another holds now.
#[derive(Debug, Default)]
pub(crate) struct WriteLease(Mutex<Option<HeldLeases>>);

/// By both clocks: one may stand still while a machine is moved, the other may be set.
#[derive(Debug)]
struct HeldLeases {
    until: Instant,
    until_wall: Timestamp,
    leases: HashSet<Lease>,
}

/// A write needs time to arrive: this part of a lease is left for it.
const LEFT_TO_ARRIVE: u32 = 5;

impl WriteLease {
    /// The monotonic clock, to be read before a lease is asked for.
    #[allow(clippy::disallowed_methods)] // a lease is measured by a clock that nobody can set
    pub(crate) fn instant() -> Instant {
        Instant::now()
    }

    /// These were granted, and nothing else, for `lease` from when they were asked for. What is under way for others must not
    /// write from now on, whether it was ended already or not.
    pub(crate) fn renew(
        &self,
        asked: Instant,
        asked_at: Timestamp,
        lease: Duration,
        leases: impl IntoIterator<Item = Lease>,
    ) {
        let usable = lease - lease / LEFT_TO_ARRIVE;
        let leases = leases.into_iter().collect();
        let held = HeldLeases { until: asked + usable, until_wall: asked_at + usable, leases };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// The lease of a partition that this host holds for certain.
    pub(crate) fn of(&self, partition: Partition, now: Timestamp) -> Option<Lease> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().filter(|held| Self::instant() < held.until && now < held.until_wall)?;
        held.leases.iter().find(|lease| lease.partition == partition).copied()
    }

    fn is_over(&self, lease: Lease, now: Timestamp) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| {
            Self::instant() >= held.until || now >= held.until_wall || !held.leases.contains(&lease)
        })
    }
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
        Self {
            parts: Arc::new(parts),
            deadline: Timestamp::MAX,
            lease: None,
            calls: None,
            vendor_clock: None,
        }
    }

    /// The same, with what the log knows.
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
        Self { deadline: self.deadline.min(self.now() + total), ..self.clone() }
    }

    /// The same, for calls to a vendor whose clock is of interest.
    pub(crate) fn with_vendor_clock(self, clock: &Arc<VendorClock>) -> Self {
        Self { vendor_clock: Some(Arc::clone(clock)), ..self }
    }

    /// Takes note of when a vendor answered, by its own clock.
    pub(crate) fn learn_clock(&self, date: Timestamp, sent_at: Timestamp, received_at: Timestamp) {
        if let Some(clock) = &self.vendor_clock {
            clock.learn(date, sent_at, received_at);
        }
    }

    /// What the vendor's clock shows when ours shows `at`, as far as an answer to a call with this context has told; else
    /// `at`. Stamps of records are by the vendor's clock: whatever is compared with them goes through this.
    ///
    /// ```
    /// # use ml_connector_core::{Context, Timestamp};
    /// /// Where the next window of changes begins.
    /// fn window(ctx: &Context, read_at: Timestamp) -> Timestamp {
    ///     ctx.by_vendor(read_at) - std::time::Duration::from_secs(300)
    /// }
    /// ```
    #[must_use]
    pub fn by_vendor(&self, at: Timestamp) -> Timestamp {
        self.vendor_clock.as_ref().and_then(|clock| clock.shows(at)).unwrap_or(at)
    }

    /// The same, for a call that may write only as long as the host has this lease.
    #[must_use]
    pub(crate) fn under(&self, held: &Arc<WriteLease>, lease: Lease) -> Self {
        Self { lease: Some((Arc::clone(held), lease)), ..self.clone() }
    }

    /// Whether the host may still write: right before a write, after every wait. Calls of the HTTP
    /// [`Client`](crate::http::Client) ask by themselves; a sink that writes in another way asks here.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) without an effect when the host was paused for so long that another may
    /// have taken over: nothing may be written.
    pub fn require_lease(&self) -> Result<()> {
        match &self.lease {
            Some((held, lease)) if held.is_over(*lease, self.parts.clock.wall()) => Err(Error::new(
                ErrorKind::Conflict,
                "the host's lease is over: another may have taken over, so nothing is written",
            )
            .with_effect(Effect::None)
            .with_retry(Retry::Backoff)),
            _ => Ok(()),
        }
    }

    /// The same, and what is called through it.
    pub(crate) fn watched(&self) -> (Self, Arc<Calls>) {
        let calls = Arc::new(Calls::default());
        (Self { calls: Some(Arc::clone(&calls)), ..self.clone() }, calls)
    }

    /// Remembers a call, if somebody wants to know.
    pub(crate) fn called(&self, call: impl FnOnce() -> CallMade) {
        if let Some(calls) = &self.calls {
            calls.add(call());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, model::Partition};

    const LEASE: Duration = Duration::from_secs(15);

    fn lease(fence: u64) -> Lease {
        Lease { partition: Partition::all().next().unwrap(), fence }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_over_by_either_clock_and_holds_again_when_it_is_renewed() {
        let (start, own) = (Timestamp::from_secs(1_000), lease(1));
        let held = WriteLease::default();
        assert!(!held.is_over(own, start), "a host without a lease is not bound by one");
        let clock = ManualClock::at(start);
        let asked = WriteLease::instant();
        held.renew(asked, start, LEASE, [own]);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!held.is_over(own, start));
        // Only the clock on the wall goes on while a machine is moved.
        clock.advance(Duration::from_secs(12));
        assert!(held.is_over(own, clock.now()));
        clock.set(start);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(held.is_over(own, clock.now()), "a fifth of it is left for what is under way");
        held.renew(WriteLease::instant(), clock.now(), LEASE, [own]);
        assert!(!held.is_over(own, clock.now()));
    }

    /// A host that was paused asks again before it does anything else: what another has taken meanwhile stays the other's.
    #[tokio::test(start_paused = true)]
    async fn a_renewal_does_not_bring_back_what_another_host_has_taken() {
        let (now, own) = (Timestamp::from_secs(1_000), lease(1));
        let held = WriteLease::default();
        held.renew(WriteLease::instant(), now, LEASE, [own]);
        held.renew(WriteLease::instant(), now, LEASE, []);
        assert!(held.is_over(own, now));
        held.renew(WriteLease::instant(), now, LEASE, [lease(3)]);
        assert!(held.is_over(own, now), "what began under the first lease does not write under a later one");
        assert!(!held.is_over(lease(3), now));
    }
}
