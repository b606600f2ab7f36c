//! Calls of sources and sinks: code of others that may hang or panic.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

use crate::{Effect, Error, ErrorKind, Result, Retry};

/// Waits for a call, but no longer than `limit`: then it fails as `late` says. A panic is an error that counts as a
/// failed attempt, like any other whose effect nobody knows.
pub(crate) async fn call<T>(
    limit: Duration,
    late: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(panicked().with_effect(Effect::Unknown).with_retry(Retry::Backoff)),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, late).with_effect(Effect::Unknown)),
    }
}

/// Asks what needs no waiting.
pub(crate) fn ask<T>(question: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(question)).unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Error {
    tracing::error!("a source or a sink panicked");
    Error::new(ErrorKind::Unexpected, "the source or sink panicked: this is a bug in it")
}
