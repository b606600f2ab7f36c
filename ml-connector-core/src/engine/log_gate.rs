//! Whether the log takes what it is given. While it does not, nothing is read from a vendor and nothing is sent: the
//! result could not be written down, and the call would be made again and again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use crate::{ErrorKind, Result, Timestamp, audit::Committed};

/// The first pause before the log is tried again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A log that fails again so soon had not recovered: the pauses go on growing.
const NOT_RECOVERED: Duration = Duration::from_secs(15);
/// The log is tried with no more bytes than this.
const MOST_TRIED: usize = 4 << 20;

/// What is known of the log.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<State>);

/// Why the log takes no writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogTrouble {
    /// Since when.
    pub since: Timestamp,
    /// What it says.
    pub reason: Arc<str>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Option<Trouble>,
    /// When it took writes again last, and after which pause.
    recovered: Option<(Timestamp, Duration)>,
}

#[derive(Debug)]
struct Trouble {
    trouble: LogTrouble,
    /// The most bytes that it has not taken. One that is full may still take fewer.
    bytes: usize,
    pause: Duration,
    next: Timestamp,
}

impl State {
    fn open(&mut self, now: Timestamp) {
        if let Some(trouble) = self.trouble.take() {
            self.recovered = Some((now, trouble.pause));
        }
    }
}

impl LogGate {
    /// Takes note of a write of so many bytes. It proves that the log works again if it was applied, and as large as what
    /// was refused.
    pub(crate) fn wrote(&self, result: &Result<Committed>, bytes: usize, now: Timestamp) {
        let mut state = self.state();
        match (result, &mut state.trouble) {
            (Ok(Committed::Applied(_)), Some(trouble)) if bytes >= trouble.bytes => state.open(now),
            (Err(error), trouble) if error.kind() == ErrorKind::Unavailable => match trouble {
                Some(trouble) => trouble.bytes = trouble.bytes.max(bytes),
                None => {
                    let recovered =
                        state.recovered.filter(|(at, _)| now.saturating_since(*at) < NOT_RECOVERED);
                    let pause = recovered.map_or(FIRST_PAUSE, |(_, pause)| longer(pause));
                    let trouble = LogTrouble { since: now, reason: error.to_string().into() };
                    state.trouble = Some(Trouble { trouble, bytes, pause, next: now + pause });
                }
            },
            _ => {}
        }
    }

    /// The log took what it was tried with.
    pub(crate) fn tried(&self, now: Timestamp) {
        self.state().open(now);
    }

    /// Since when it takes nothing, and why.
    pub(crate) fn known(&self) -> Option<LogTrouble> {
        self.state().trouble.as_ref().map(|trouble| trouble.trouble.clone())
    }

    /// Whether somebody has to try it now: the others wait longer from now on.
    pub(crate) fn take_turn(&self, now: Timestamp) -> Turn {
        let mut state = self.state();
        let Some(trouble) = state.trouble.as_mut() else { return Turn::Open };
        // A clock that was ahead may have set it.
        if now < trouble.next && trouble.next.saturating_since(now) <= LONGEST_PAUSE {
            return Turn::Closed(Arc::clone(&trouble.trouble.reason));
        }
        trouble.pause = longer(trouble.pause);
        trouble.next = now + trouble.pause;
        // Indexes take room as well.
        Turn::Try(trouble.bytes.saturating_mul(2).min(MOST_TRIED))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

/// What somebody may do who wants to write.
pub(crate) enum Turn {
    /// Go on.
    Open,
    /// Wait: it is too early to try again.
    Closed(Arc<str>),
    /// Try it with so many bytes.
    Try(usize),
}
