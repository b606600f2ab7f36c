//! A clock that is not believed when it jumps ahead.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{Clock, Timestamp};

/// By so much a clock may be ahead of what a monotonic clock allows.
const AHEAD: Duration = Duration::from_secs(300);
/// One that stays ahead for so long is right: it was set, or the machine stood still.
const BELIEVED_AFTER: Duration = Duration::from_secs(300);
/// For so long it is named that the clock was set back.
const NAMED_FOR: Duration = Duration::from_secs(3600);

/// The host's clock, as far as it can be believed: a time more than five minutes ahead of what a monotonic clock allows is
/// dropped, and the monotonic clock goes on in its place. One second in the future would otherwise stop for as long
/// whatever waits for its time: windows of limits, leases, pauses.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    wall: Arc<dyn Clock>,
    state: Mutex<Option<ClockState>>,
}

/// A clock that shows a time which is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClockTrouble {
    /// Since when.
    pub since: Timestamp,
    /// By how many milliseconds it is ahead of the time that the host works with.
    pub ahead_ms: u64,
}

/// A clock that was set back by more than five minutes: it had been ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClockSetBack {
    /// When, by the clock as it is now.
    pub at: Timestamp,
    /// By how many milliseconds.
    pub by_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct ClockState {
    /// What the clock showed when it was believed last, and when that was.
    shown: Timestamp,
    at: Instant,
    /// Since when it is ahead.
    ahead: Option<(Instant, ClockTrouble)>,
    /// When it was set back last.
    set_back: Option<ClockSetBack>,
}

impl SteadyClock {
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        Self { wall, state: Mutex::default() }
    }

    /// Whether the clock shows a time that is not believed.
    pub(crate) fn trouble(&self) -> Option<ClockTrouble> {
        self.now();
        self.state().and_then(|state| state.ahead).map(|(_, trouble)| trouble)
    }

    /// When the clock was set back, if that is less than an hour ago.
    pub(crate) fn set_back(&self) -> Option<ClockSetBack> {
        let now = self.now();
        let set_back = self.state().and_then(|state| state.set_back);
        set_back.filter(|set_back| now.saturating_since(set_back.at) < NAMED_FOR)
    }

    fn state(&self) -> MutexGuard<'_, Option<ClockState>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SteadyClock {
    #[allow(clippy::disallowed_methods)] // the clock that nobody can set is what this one is compared with
    fn now(&self) -> Timestamp {
        if self.wall.is_trusted() {
            return self.wall.now();
        }
        let mut state = self.state();
        let (shown, at) = (self.wall.now(), Instant::now());
        let Some(known) = *state else {
            *state = Some(ClockState { shown, at, ahead: None, set_back: None });
            return shown;
        };
        let expected = known.shown + at.saturating_duration_since(known.at);
        let ahead = shown.saturating_since(expected);
        let since = known.ahead.map_or(at, |(since, _)| since);
        if ahead <= AHEAD || at.saturating_duration_since(since) >= BELIEVED_AFTER {
            let back = expected.saturating_since(shown);
            let mut set_back = known.set_back;
            if back > AHEAD {
                let by_ms = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
                set_back = Some(ClockSetBack { at: shown, by_ms });
                tracing::error!(%shown, %expected, "the host's clock was set back: it had been ahead");
            }
            *state = Some(ClockState { shown, at, ahead: None, set_back });
            if known.ahead.is_some() {
                tracing::warn!(%shown, "the host's clock is believed again");
            }
            return shown;
        }
        let first = known.ahead.map_or(expected, |(_, trouble)| trouble.since);
        let ahead_ms = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        if known.ahead.is_none() {
            tracing::error!(%shown, %expected, "the host's clock has jumped ahead and is not believed: set it");
        }
        let trouble = ClockTrouble { since: first, ahead_ms };
        *state = Some(ClockState { ahead: Some((since, trouble)), ..known });
        expected
    }

    fn wall(&self) -> Timestamp {
        self.wall.wall()
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    /// A clock like a machine's: it can be set, and nobody vouches for it.
    #[derive(Debug, Clone)]
    struct Machine(Arc<ManualClock>);

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            self.0.now()
        }
    }

    const START: Timestamp = Timestamp::from_secs(1_790_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn clocks() -> (Arc<ManualClock>, SteadyClock) {
        let hand = Arc::new(ManualClock::at(START));
        (Arc::clone(&hand), SteadyClock::new(Arc::new(Machine(hand))))
    }

    async fn pass(hand: &ManualClock, time: Duration) {
        tokio::time::advance(time).await;
        hand.advance(time);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_ahead_for_a_moment_is_not_believed() {
        let (hand, steady) = clocks();
        assert_eq!(steady.now(), START);
        hand.advance(DAY);
        assert_eq!(steady.now(), START, "no time has passed");
        pass(&hand, Duration::from_secs(2)).await;
        assert_eq!(steady.now(), START + Duration::from_secs(2), "time goes on meanwhile");
        let trouble = steady.trouble().unwrap();
        assert_eq!((trouble.since, u128::from(trouble.ahead_ms)), (START, DAY.as_millis()));
        assert_eq!(
            steady.wall(),
            START + DAY + Duration::from_secs(2),
            "who asks for it sees the clock itself"
        );
        hand.set(START + Duration::from_secs(2));
        assert_eq!((steady.now(), steady.trouble()), (START + Duration::from_secs(2), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stays_ahead_is_right() {
        let (hand, steady) = clocks();
        assert_eq!(steady.now(), START);
        hand.advance(DAY);
        pass(&hand, Duration::from_secs(299)).await;
        assert_eq!(steady.now(), START + Duration::from_secs(299));
        // It began to be ahead when somebody looked.
        pass(&hand, Duration::from_secs(300)).await;
        assert_eq!((steady.now(), steady.trouble()), (hand.now(), None));
    }

    #[tokio::test(start_paused = true)]
    async fn small_steps_and_steps_back_are_followed() {
        let (hand, steady) = clocks();
        assert_eq!(steady.now(), START);
        hand.advance(Duration::from_secs(299));
        assert_eq!(steady.now(), hand.now());
        assert_eq!(steady.set_back(), None);
        hand.set(START - DAY);
        assert_eq!((steady.now(), steady.trouble()), (START - DAY, None));
        let set_back = steady.set_back().unwrap();
        assert_eq!((set_back.at, set_back.by_ms), (START - DAY, 86_400_000 + 299_000));
        pass(&hand, Duration::from_secs(3600)).await;
        assert_eq!(steady.set_back(), None, "an hour ago");
    }
}
