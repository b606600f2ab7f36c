//! Room in the quotas: asked for before an attempt, and given back after it.

use std::time::Duration;

use super::attempt::Attempt;
use crate::{
    Timestamp,
    engine::lanes::Hold,
    rate::{Admission, Cost, Feedback, Quota},
};

/// An attempt that begins so soon after it was admitted counts as made at that instant. Delays up to this are not
/// counted: the sink's quota must leave that margin.
const PROMPT: Duration = Duration::from_millis(100);
/// In longer windows a delay counts for little, and what is charged for it for much.
const SHORT: Duration = Duration::from_secs(10);

impl Attempt<'_> {
    /// Finds the key that has no room before `at`: everything that waits for it waits in one queue. Asking for no
    /// units, but that as many are left, spends nothing.
    pub(super) async fn bottleneck(&self, costs: &[Cost], at: Timestamp, now: Timestamp) -> Hold {
        for cost in costs {
            let leave = cost.leave.saturating_add(cost.units);
            let question = [Cost { units: 0, leave, ..cost.clone() }];
            match self.shared.context.limiter().admit(&question, now).await {
                Ok(Admission::NotBefore(then)) if then >= at => return Hold::Quota(cost.key.clone(), at),
                Ok(Admission::Admitted(permit)) => {
                    self.finish_permit(&question, Feedback::Finished(permit)).await;
                }
                _ => {}
            }
        }
        Hold::Until(at)
    }

    /// The log kept what was admitted at `admitted` waiting: the next one has to count from now on.
    pub(super) async fn charge_delay(&self, costs: &[Cost], admitted: Timestamp) {
        let now = self.shared.clock.now();
        if now.saturating_since(admitted) <= PROMPT {
            return;
        }
        for cost in costs.iter().filter(|cost| cost.quotas.iter().any(is_short)) {
            let charge = Feedback::Charge { units: cost.units };
            if let Err(error) = self.shared.context.limiter().report(&cost.key, charge, now).await {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that an attempt was late");
            }
        }
    }

    pub(super) async fn finish_permit(&self, costs: &[Cost], end: Feedback) {
        for cost in costs.iter().filter(|cost| cost.wants_report()) {
            let now = self.shared.clock.now();
            if let Err(error) = self.shared.context.limiter().report(&cost.key, end.clone(), now).await {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that an attempt is over");
            }
        }
    }
}

fn is_short(quota: &Quota) -> bool {
    matches!(quota, Quota::Rolling { window, .. } if *window <= SHORT)
}
