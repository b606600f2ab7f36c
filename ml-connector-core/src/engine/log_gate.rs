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
/// A log that fails again so soon, and took no work in between, had not recovered: the pauses go on growing.
const NOT_RECOVERED: Duration = Duration::from_secs(120);
/// So often in a row, and for so long, work has to be refused while what the log is tried with is taken, before it is the log
/// that does not work.
const IN_A_ROW: u32 = 3;
const FOR_SO_LONG: Duration = Duration::from_secs(60);
/// The log is tried with no more bytes than this.
const MOST_TRIED: usize = 4 << 20;

/// What is known of the log.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<GateState>);

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
struct GateState {
    trouble: Option<LogOutage>,
    recovered: Option<Recovered>,
}

#[derive(Debug)]
struct LogOutage {
    trouble: LogTrouble,
    /// The most bytes that it has not taken. One that is full may still take fewer.
    bytes: usize,
    pause: Duration,
    next: Timestamp,
    /// Whether it was more than one write. One alone may be at fault itself: the log is tried before anybody is told.
    is_certain: bool,
    /// How often in a row it took what it was tried with, and then no work, and since when.
    in_a_row: u32,
    first: Timestamp,
}

/// When it took writes again last, after which pause, and how often in a row it has failed again.
#[derive(Debug, Clone, Copy)]
struct Recovered {
    at: Timestamp,
    pause: Duration,
    in_a_row: u32,
    first: Timestamp,
}

impl LogOutage {
    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was ahead may have set it.
        now >= self.next || self.next.saturating_since(now) > LONGEST_PAUSE
    }
}

impl GateState {
    fn open(&mut self, now: Timestamp) {
        if let Some(LogOutage { pause, in_a_row, first, .. }) = self.trouble.take() {
            self.recovered = Some(Recovered { at: now, pause, in_a_row, first });
        }
    }

    fn refuse(&mut self, reason: Arc<str>, bytes: usize, now: Timestamp) {
        if let Some(trouble) = &mut self.trouble {
            (trouble.bytes, trouble.is_certain) = (trouble.bytes.max(bytes), true);
            return;
        }
        let again = self.recovered.filter(|known| now.saturating_since(known.at) < NOT_RECOVERED);
        let (in_a_row, first) = again.map_or((1, now), |known| (known.in_a_row + 1, known.first));
        let is_certain = in_a_row >= IN_A_ROW && now.saturating_since(first) >= FOR_SO_LONG;
        let pause = again.filter(|_| is_certain).map_or(FIRST_PAUSE, |known| longer(known.pause));
        let next = if is_certain { now + pause } else { now };
        let trouble = LogTrouble { since: now, reason };
        self.trouble = Some(LogOutage { trouble, bytes, pause, next, is_certain, in_a_row, first });
    }
}

impl LogGate {
    /// Takes note of a write of so many bytes, and whether it was work: something appended or settled. It proves that the
    /// log works again if it was applied, and as large as what was refused.
    pub(crate) fn wrote(&self, result: &Result<Committed>, bytes: usize, is_work: bool, now: Timestamp) {
        let mut state = self.state();
        match result {
            Ok(Committed::Applied(_)) => {
                if state.trouble.as_ref().is_some_and(|trouble| bytes >= trouble.bytes) {
                    state.open(now);
                }
                if is_work && state.trouble.is_none() {
                    state.recovered = None;
                }
            }
            // A value that it cannot take says nothing about the log.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                state.refuse(error.to_string().into(), bytes, now);
            }
            _ => {}
        }
    }

    /// What it was tried with was taken, or not.
    pub(crate) fn tried(&self, is_taken: bool, now: Timestamp) {
        let mut state = self.state();
        match &mut state.trouble {
            _ if is_taken => state.open(now),
            Some(trouble) => trouble.is_certain = true,
            None => {}
        }
    }

    /// Since when it takes nothing, and why.
    pub(crate) fn known(&self) -> Option<LogTrouble> {
        let state = self.state();
        state.trouble.as_ref().filter(|trouble| trouble.is_certain).map(|trouble| trouble.trouble.clone())
    }

    /// When it is tried next, if it has to be.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.state().trouble.as_ref().map(|trouble| trouble.next)
    }

    /// Whether somebody has to try it now: the others wait longer from now on.
    pub(crate) fn take_turn(&self, now: Timestamp) -> WriteTurn {
        let mut state = self.state();
        let Some(trouble) = state.trouble.as_mut() else { return WriteTurn::Open };
        if !trouble.is_due(now) {
            return WriteTurn::Closed;
        }
        if trouble.is_certain {
            trouble.pause = longer(trouble.pause);
        }
        trouble.next = now + trouble.pause;
        // Indexes take room as well.
        WriteTurn::Try(trouble.bytes.saturating_mul(2).min(MOST_TRIED))
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

/// What somebody may do who wants to write.
pub(crate) enum WriteTurn {
    /// Go on.
    Open,
    /// Wait: it is too early to try again.
    Closed,
    /// Try it with so many bytes.
    Try(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn refused(gate: &LogGate, secs: i64) {
        gate.wrote(&Err(Error::new(ErrorKind::Unavailable, "no room")), 100, true, at(secs));
    }

    fn is_open(gate: &LogGate, secs: i64) -> bool {
        matches!(gate.take_turn(at(secs)), WriteTurn::Open)
    }

    #[test]
    fn one_write_that_fails_by_itself_closes_nothing() {
        let gate = LogGate::default();
        for secs in [0, 200, 400, 600] {
            refused(&gate, secs);
            assert_eq!(gate.known(), None, "it is tried first");
            assert!(matches!(gate.take_turn(at(secs)), WriteTurn::Try(200)));
            gate.tried(true, at(secs));
            assert!(is_open(&gate, secs));
        }
        // Others are written in between, however often.
        for secs in 700..800 {
            refused(&gate, secs);
            gate.take_turn(at(secs));
            gate.tried(true, at(secs));
            gate.wrote(&Ok(Committed::Applied(Vec::new())), 1, true, at(secs));
            assert!(gate.known().is_none() && is_open(&gate, secs));
        }
    }

    #[test]
    fn a_log_that_takes_what_it_is_tried_with_and_no_work_is_closed_for_longer_and_longer() {
        let gate = LogGate::default();
        let (mut secs, mut refusals) = (0, 0);
        while secs < 600 {
            match gate.take_turn(at(secs)) {
                WriteTurn::Open => {
                    refused(&gate, secs);
                    (refusals, secs) = (refusals + 1, secs + 2);
                }
                WriteTurn::Try(_) => gate.tried(true, at(secs)),
                WriteTurn::Closed => secs += 1,
            }
        }
        assert!(refusals < 60, "{refusals} in ten minutes");
        assert!(gate.known().is_some());
    }

    #[test]
    fn a_log_that_does_not_take_what_it_is_tried_with_is_told_and_nothing_else_goes_on() {
        let gate = LogGate::default();
        refused(&gate, 0);
        assert!(matches!(gate.take_turn(at(0)), WriteTurn::Try(_)));
        gate.tried(false, at(0));
        assert!(gate.known().is_some() && gate.next_at() == Some(at(1)) && !is_open(&gate, 0));
        assert!(matches!(gate.take_turn(at(1)), WriteTurn::Try(_)));
    }

    #[test]
    fn a_value_that_is_refused_says_nothing_about_the_log() {
        let gate = LogGate::default();
        gate.wrote(&Err(Error::new(ErrorKind::Unexpected, "a value is too large")), 100, true, at(0));
        assert!(is_open(&gate, 0));
    }
}
