//! Whether a failure is that of an entry, or of everything: a delivery that fails while others go through is given up
//! after a while, and a connection whose other side is not there waits for as long as it takes.

use std::{sync::Arc, time::Duration};

use super::{attempt::Attempt, classify::Failure};
use crate::{
    Error, ErrorKind, Result, Scope,
    engine::{
        guard,
        registry::{Missed, SinkSlot},
    },
    model::Receipt,
};

/// How long a ping may take.
const PING: Duration = Duration::from_secs(10);

impl Attempt<'_> {
    /// Whether the other side is down: attempts fail in two lanes without a success between, or in this one together
    /// with a ping. What fails while others go through fails by itself, in however many lanes.
    pub(super) async fn is_everywhere(
        &self,
        slot: &SinkSlot,
        results: &[Result<Receipt, Arc<Error>>],
    ) -> bool {
        if results.iter().any(answers) {
            slot.pulse.beat(self.batch.lane.lane);
            return false;
        }
        let is_down =
            results.iter().any(|result| result.as_ref().is_err_and(|error| Failure::is_down(error)));
        let head = self.batch.items.first().map(|head| head.seq).unwrap_or_default();
        is_down
            && (slot.pulse.miss(self.batch.lane.lane, head) == Missed::Everywhere
                || self.is_unreachable(slot).await)
    }

    /// Whether a ping is not answered. A look-up that fails says nothing about writes, so this decides about it alone.
    pub(super) async fn is_unreachable(&self, slot: &SinkSlot) -> bool {
        let limit = PING.min(self.shared.settings.call);
        let ctx = self.shared.context.within(limit);
        let ping = guard::call(limit, "the ping was not answered in time", slot.sink.ping(&ctx)).await;
        slot.pulse.pinged(match ping {
            Ok(()) => Some(false),
            Err(error) if *error.scope() == Scope::Connection => Some(true),
            Err(error) => match error.kind() {
                ErrorKind::Unavailable => Some(true),
                ErrorKind::RateLimited => None,
                _ => Some(false),
            },
        })
    }
}

/// Whether the other side has taken what was sent, or refused it: then it is there.
fn answers(result: &Result<Receipt, Arc<Error>>) -> bool {
    result.as_ref().err().is_none_or(|error| {
        matches!(
            error.kind(),
            ErrorKind::InvalidRequest
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::PermissionDenied
        ) && *error.scope() != Scope::Connection
    })
}
