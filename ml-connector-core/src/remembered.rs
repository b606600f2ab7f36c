//! Values that are read from a vendor and believed for some time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{Context, Result, Timestamp};

/// Values that are read when they are needed and remembered for some time. Of callers that want the same value at the
/// same time, one reads. An error is not remembered. `Debug` shows how many there are.
///
/// ```
/// use std::time::Duration;
///
/// use ml_connector_core::{Context, Remembered, Result};
///
/// async fn name_of(ctx: &Context, names: &Remembered<String>, id: &str) -> Result<String> {
///     names.get(ctx, id, async { Ok(format!("the vendor's answer for {id}")) }).await
/// }
///
/// let names = Remembered::<String>::new(Duration::from_secs(300), 10_000);
/// ```
pub struct Remembered<T> {
    keep: Duration,
    most: usize,
    slots: Mutex<HashMap<String, Slot<T>>>,
}

type Slot<T> = Arc<tokio::sync::Mutex<Option<(Timestamp, T)>>>;

impl<T: Clone> Remembered<T> {
    /// Keeps each value for `keep`, and `most` values at most: with one more, all are forgotten.
    #[must_use]
    pub fn new(keep: Duration, most: usize) -> Self {
        Self { keep, most, slots: Mutex::default() }
    }

    /// The value of a key, remembered or read now. `read` is polled only where it is needed.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn get(&self, ctx: &Context, key: &str, read: impl Future<Output = Result<T>>) -> Result<T> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if slots.len() >= self.most && !slots.contains_key(key) {
                slots.clear();
            }
            Arc::clone(slots.entry(key.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some((read_at, value)) = &*slot
            && ctx.now().saturating_since(*read_at) < self.keep
        {
            return Ok(value.clone());
        }
        let value = read.await?;
        *slot = Some((ctx.now(), value.clone()));
        Ok(value)
    }

    /// Forgets the value of a key: it is read anew when it is needed.
    pub fn forget(&self, key: &str) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<T> fmt::Debug for Remembered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.slots.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Remembered").field("keep", &self.keep).field("known", &known).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{Error, ErrorKind, ManualClock, http, rate::MemoryRateLimiter, token::MemoryTokenStore};

    #[derive(Debug)]
    struct NoNetwork;

    #[async_trait::async_trait]
    impl http::HttpTransport for NoNetwork {
        async fn send(
            &self,
            _: ::http::Request<bytes::Bytes>,
            _: http::Limits,
        ) -> Result<::http::Response<bytes::Bytes>, http::TransportError> {
            unreachable!("nothing is sent")
        }
    }

    /// A context in which nothing is sent.
    pub(crate) fn context() -> Context {
        context_with(Arc::new(ManualClock::at(Timestamp::from_secs(1_792_000_000))))
    }

    fn context_with(clock: Arc<ManualClock>) -> Context {
        let (tokens, limiter) = (Arc::new(MemoryTokenStore::new()), Arc::new(MemoryRateLimiter::new()));
        Context::new(Arc::new(NoNetwork), tokens, limiter, clock)
    }

    #[tokio::test]
    async fn a_value_is_read_once_kept_for_its_time_and_an_error_is_not() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_792_000_000)));
        let ctx = context_with(Arc::clone(&clock));
        let known = Remembered::new(Duration::from_secs(300), 2);
        let reads = AtomicU32::new(0);
        let read = async || Ok(reads.fetch_add(1, Ordering::Relaxed));
        let failed = known.get(&ctx, "a", async { Err(Error::new(ErrorKind::Unavailable, "later")) }).await;
        assert!(failed.is_err());
        let (one, two) = tokio::join!(known.get(&ctx, "a", read()), known.get(&ctx, "a", read()));
        assert_eq!((one.unwrap(), two.unwrap()), (0, 0), "one reads for both");
        clock.advance(Duration::from_secs(301));
        assert_eq!(known.get(&ctx, "a", read()).await.unwrap(), 1);
        assert_eq!(known.get(&ctx, "b", read()).await.unwrap(), 2);
        assert_eq!(known.get(&ctx, "c", read()).await.unwrap(), 3, "the third makes room");
        assert_eq!(known.get(&ctx, "a", read()).await.unwrap(), 4);
    }
}
