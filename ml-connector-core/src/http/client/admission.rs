//! Room for each attempt, given back however the attempt ends.

use std::mem;

use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::{
    Context, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    calls::LimitWait,
    clock::sleep_until,
    rate::{Admission, Cost, Feedback, Permit, QuotaKey},
};

/// An attempt that was admitted. Dropping it tells the limiter that the attempt is over.
pub(super) struct AdmittedAttempt {
    ctx: Context,
    /// How it ended, as far as is known.
    end: Feedback,
    permit: Permit,
    /// Those that want to know.
    keys: Vec<QuotaKey>,
}

impl AdmittedAttempt {
    /// Waits for room for all of `costs`, but no longer than until `begin_by`: then the caller gives its place back
    /// and comes again. Without costs there is nothing to ask for.
    pub(super) async fn when_admitted(
        ctx: &Context,
        costs: &[Cost],
        begin_by: Timestamp,
    ) -> Result<(Option<Self>, Vec<LimitWait>)> {
        let Some(first) = costs.first() else { return Ok((None, Vec::new())) };
        let (since, mut waits) = (ctx.now(), Vec::new());
        loop {
            match ctx.limiter().admit(costs, ctx.now()).await? {
                Admission::Admitted(permit) => {
                    let mut keys: Vec<QuotaKey> = Vec::new();
                    for cost in costs.iter().filter(|cost| cost.wants_report()) {
                        if !keys.contains(&cost.key) {
                            keys.push(cost.key.clone());
                        }
                    }
                    let end = Feedback::Finished(permit);
                    return Ok((Some(Self { ctx: ctx.clone(), end, permit, keys }), waits));
                }
                Admission::NotBefore(at) if at > begin_by => {
                    return Err(Error::new(ErrorKind::RateLimited, "no room before the call has to begin")
                        .with_retry(Retry::At(at))
                        .with_scope(Scope::Quota(first.key.clone())));
                }
                Admission::NotBefore(at) => {
                    waits = vec![LimitWait::new(first.key.to_string(), since, at)];
                    sleep_until(ctx.clock(), at).await;
                }
            }
        }
    }
}

impl AdmittedAttempt {
    /// The other side refused it.
    pub(super) fn failed(&mut self, error: &Error) {
        self.end = Feedback::after(self.permit, Some(error));
    }
}

impl Drop for AdmittedAttempt {
    /// A limiter in memory is told here and now. One that has to wait for its store is told by a task of its own;
    /// outside a runtime, and where telling fails, it forgets by itself.
    fn drop(&mut self) {
        let keys = mem::take(&mut self.keys);
        let Ok(runtime) = Handle::try_current() else { return };
        if keys.is_empty() {
            return;
        }
        let (ctx, end) = (self.ctx.clone(), self.end.clone());
        let mut told = Box::pin(async move {
            for key in keys {
                if let Err(error) = ctx.limiter().report(&key, end.clone(), ctx.now()).await {
                    tracing::warn!(%error, %key, "the limiter could not be told that a call is over");
                }
            }
        });
        if told.as_mut().now_or_never().is_none() {
            runtime.spawn(told);
        }
    }
}

/// Passes "too often" on to the limiter, so that everybody who spends from the key waits until `next`, and names
/// the key in the error.
pub(super) async fn pause_quota(ctx: &Context, costs: &[Cost], error: Error, next: Timestamp) -> Error {
    let key = match (error.kind(), error.scope(), costs.first()) {
        (ErrorKind::RateLimited, Scope::Quota(key), _) => key.clone(),
        (ErrorKind::RateLimited, Scope::Entry, Some(first)) => first.key.clone(),
        _ => return error,
    };
    if let Err(error) = ctx.limiter().report(&key, Feedback::PausedUntil(next), ctx.now()).await {
        tracing::warn!(%error, %key, "the limiter could not be told to pause");
    }
    error.with_scope(Scope::Quota(key))
}
