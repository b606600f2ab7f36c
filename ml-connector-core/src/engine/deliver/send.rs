//! One call of a sink.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::attempt::Attempt;
use crate::{
    AttemptNotes, Effect, Error, ErrorKind, Result,
    audit::{Lease, Outcome, Settlement},
    engine::{
        guard,
        registry::SinkSlot,
        shared::Shared,
        trace::OutcomeTrace,
        writes::{Stop, settle},
    },
    model::{Delivery, Receipt, Seq},
};

impl Attempt<'_> {
    /// One call of the sink. Whatever happens, there is one result per delivery.
    pub(super) async fn send(
        &self,
        slot: &SinkSlot,
        deliveries: &[Delivery],
        total: Duration,
    ) -> (Vec<Result<Receipt, Arc<Error>>>, OutcomeTrace) {
        let (ctx, calls) = self.shared.context.within(total).under(&self.shared.lease).watched();
        let began = self.shared.clock.now();
        if let Err(error) = ctx.require_lease() {
            let error = Arc::new(error);
            let none = deliveries.iter().map(|_| Err(Arc::clone(&error))).collect();
            return (none, OutcomeTrace::new(began, calls.take()));
        }
        let notes = LogNotes { shared: self.shared, lease: self.lease, deliveries };
        let sent = async { Ok(slot.sink.deliver(&ctx, deliveries, &notes).await) };
        let (results, missing) = match guard::call(total, "the attempt did not end in time", sent).await {
            Ok(results) => (results, Error::new(ErrorKind::Unavailable, "the sink gave no result")),
            Err(error) => (Vec::new(), error),
        };
        let missing = Arc::new(missing.with_effect(Effect::Unknown));
        let mut results: Vec<_> = results.into_iter().map(|result| result.map_err(Arc::new)).collect();
        results.resize_with(deliveries.len(), || Err(Arc::clone(&missing)));
        (results, OutcomeTrace::new(began, calls.take()))
    }
}

/// Notes go into the log, with the attempt they belong to.
struct LogNotes<'a> {
    shared: &'a Shared,
    lease: Lease,
    deliveries: &'a [Delivery],
}

impl fmt::Debug for LogNotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogNotes({} deliveries)", self.deliveries.len())
    }
}

#[async_trait]
impl AttemptNotes for LogNotes<'_> {
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()> {
        let of_batch = self.deliveries.iter().filter(|delivery| deliveries.contains(&delivery.seq));
        let begun = |delivery: &Delivery| {
            let (attempt, note) = (delivery.attempt, Some(note.clone()));
            Settlement::new(delivery.seq, Outcome::Begun { attempt, note })
        };
        match settle(self.shared, self.lease, of_batch.map(begun).collect()).await {
            Ok(()) => Ok(()),
            Err(Stop::Log(error)) => Err(error),
            Err(Stop::Fenced) => {
                Err(Error::new(ErrorKind::Conflict, "the partition belongs to another host now"))
            }
        }
    }
}
