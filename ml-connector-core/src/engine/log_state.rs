//! Whether the log takes what is written. While it does not, nothing is read from vendors and nothing is sent: what could
//! not be written down would be asked for again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::retry;
use crate::{Error, Timestamp};

/// One for all work of a host.
#[derive(Debug, Default)]
pub(crate) struct LogState(Mutex<Option<Failing>>);

#[derive(Debug, Clone)]
struct Failing {
    since: Timestamp,
    reason: Arc<str>,
    failures: u32,
    until: Timestamp,
    /// A write was taken again: one batch finds out whether work is.
    trying: bool,
}

/// What may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// One batch, while no other is under way.
    One,
    /// Nothing before; then a write has to be tried first.
    Shut(Timestamp),
}

impl LogState {
    /// A write or a read failed. Tells whether that is news. What was under way says the same once more.
    pub(crate) fn failed(&self, error: &Error, now: Timestamp) -> bool {
        let mut state = self.lock();
        let is_news = state.is_none();
        let failing = state.get_or_insert_with(|| Failing {
            since: now,
            reason: error.to_string().into(),
            failures: 0,
            until: now,
            trying: false,
        });
        if failing.trying || now >= failing.until {
            failing.until = retry::log_back_at(failing.failures, now);
            failing.failures = failing.failures.saturating_add(1);
            failing.trying = false;
        }
        is_news
    }

    /// A write that was tried has been taken.
    pub(crate) fn try_one(&self) {
        if let Some(failing) = &mut *self.lock() {
            failing.trying = true;
        }
    }

    /// Work came to its end, or there is none. Tells whether that is news.
    pub(crate) fn worked(&self) -> bool {
        self.lock().take_if(|failing| failing.trying).is_some()
    }

    pub(crate) fn gate(&self) -> Gate {
        match &*self.lock() {
            None => Gate::Open,
            Some(Failing { trying: true, .. }) => Gate::One,
            Some(Failing { until, .. }) => Gate::Shut(*until),
        }
    }

    /// Since when it has not worked, and why.
    pub(crate) fn failing(&self) -> Option<(Timestamp, Arc<str>)> {
        self.lock().as_ref().map(|failing| (failing.since, Arc::clone(&failing.reason)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
