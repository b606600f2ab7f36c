//! Whether the log takes what it is given. While it does not, nothing is read from a vendor and nothing is sent: the
//! result could not be written down, and the call would be made again and again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use crate::{ErrorKind, Result, Timestamp};

/// The first pause before the log is tried again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of the log.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<Option<Trouble>>);

/// Why the log takes no writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogTrouble {
    /// Since when.
    pub since: Timestamp,
    /// What it says.
    pub reason: Arc<str>,
}

#[derive(Debug, Clone)]
struct Trouble {
    trouble: LogTrouble,
    pause: Duration,
    next: Timestamp,
}

impl LogGate {
    /// Takes note of a write.
    pub(crate) fn wrote<T>(&self, result: &Result<T>, now: Timestamp) {
        match result {
            Ok(_) => *self.trouble() = None,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let mut trouble = self.trouble();
                if trouble.is_none() {
                    let known = LogTrouble { since: now, reason: error.to_string().into() };
                    *trouble = Some(Trouble { trouble: known, pause: FIRST_PAUSE, next: now + FIRST_PAUSE });
                }
            }
            Err(_) => {}
        }
    }

    /// Since when it takes nothing, and why.
    pub(crate) fn known(&self) -> Option<LogTrouble> {
        self.trouble().as_ref().map(|trouble| trouble.trouble.clone())
    }

    /// Whether somebody has to try it now: the others wait longer from now on.
    pub(crate) fn take_turn(&self, now: Timestamp) -> Turn {
        let mut trouble = self.trouble();
        let Some(trouble) = trouble.as_mut() else { return Turn::Open };
        if now < trouble.next {
            return Turn::Closed(Arc::clone(&trouble.trouble.reason));
        }
        trouble.pause = trouble.pause.saturating_mul(2).min(LONGEST_PAUSE);
        trouble.next = now + trouble.pause;
        Turn::Try
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody may do who wants to write.
pub(crate) enum Turn {
    /// Go on.
    Open,
    /// Wait: it is too early to try again.
    Closed(Arc<str>),
    /// Try it with something small.
    Try,
}
