//! Where time comes from.

use std::{fmt::Debug, time::Duration};

use crate::Timestamp;

/// The source of wall-clock time for everything the SDK does.
///
/// A clock may jump: callers wait in slices and ask again.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// What the clock on the wall shows, whether it can be believed or not: to find out that a machine stood still.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// Whether its time is taken as it is. A connector does not believe any other clock at once that is more than five
    /// minutes ahead of what a monotonic clock allows. For clocks that tests move by hand.
    fn is_trusted(&self) -> bool {
        false
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place where the system's clock is read
    fn now(&self) -> Timestamp {
        Timestamp::from_jiff(jiff::Timestamp::now())
    }
}

/// A clock that runs with tokio's, and therefore jumps ahead when a test runs under a paused clock.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    epoch: Timestamp,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `epoch` now. Call it inside a tokio runtime.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // tokio's clock is the one that this type shows
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.epoch + self.started.elapsed()
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

/// The longest the SDK sleeps without looking at its clock again.
pub(crate) const SLICE: Duration = Duration::from_secs(60);

/// Waits until `clock` shows `until`, in slices, so that a clock that is set ahead is noticed.
pub async fn sleep_until(clock: &dyn Clock, until: Timestamp) {
    loop {
        let left = until.saturating_since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLICE)).await;
    }
}

/// A clock that stands still until a test moves it.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// A clock that shows `now` until it is moved.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(now.as_millis().into())
    }

    /// Moves the clock ahead.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}
