//! What lies between a caller and a vendor, and how slowly a vendor's lists follow its writes.

use std::time::Duration;

use ml_connector_core::Timestamp;

use super::dice::Dice;

/// How unkind network and vendor are to every call, without anybody planting a [`Fault`](crate::Fault).
///
/// All of it is drawn from a seed, so that a test sees the same run every time, and waits on tokio's clock, which a
/// test may pause.
///
/// ```
/// use ml_connector_sim::Conditions;
///
/// let mut conditions = Conditions::unkind();
/// conditions.lost_answer_every = 0; // this client cannot repeat a write yet
/// # let _ = conditions;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conditions {
    /// Where chance comes from.
    pub seed: u64,
    /// Each call is delayed by up to so long on its way there, and again on its way back. A call is counted by the
    /// vendor's limits when it arrives.
    pub jitter: Duration,
    /// How long the vendor works on every call. A call that is worked on counts as one of those at once.
    pub latency: Duration,
    /// One answer in so many is lost after the vendor has acted; 0 loses none.
    pub lost_answer_every: u32,
    /// What was written is missing from lists for so long. Reading a record by its id finds it at once.
    pub list_lag: Duration,
    /// Pages have fewer rows than were asked for, and say that more follow: with cursors some pages by chance, with
    /// page numbers every page half as many.
    pub short_pages: bool,
}

impl Conditions {
    /// Nothing goes wrong and nothing takes time: for demos, and for tests of one exact instant.
    #[must_use]
    pub fn kind() -> Self {
        Self {
            seed: 1,
            jitter: Duration::ZERO,
            latency: Duration::ZERO,
            lost_answer_every: 0,
            list_lag: Duration::ZERO,
            short_pages: false,
        }
    }

    /// A network as it is: 0–200 ms of jitter each way, and nothing is lost. What simulators begin with, because a vendor
    /// counts calls when they arrive, and not when they are sent.
    #[must_use]
    pub fn ordinary() -> Self {
        Self { jitter: Duration::from_millis(200), ..Self::kind() }
    }

    /// What a client has to hold: 0–200 ms of jitter each way, short pages, lists two seconds behind, one lost
    /// answer in fifty.
    #[must_use]
    pub fn unkind() -> Self {
        Self {
            lost_answer_every: 50,
            list_lag: Duration::from_secs(2),
            short_pages: true,
            ..Self::ordinary()
        }
    }

    /// How many rows a numbered page has when so many were asked for: always the same, so that pages fit together.
    pub(crate) fn numbered_page(&self, asked: usize) -> usize {
        if self.short_pages { asked.div_ceil(2) } else { asked }
    }

    /// How many rows a page with a cursor has when so many were asked for: sometimes fewer, at least one.
    pub(crate) fn cursor_page(&self, dice: &mut Dice, asked: usize) -> usize {
        if !self.short_pages || asked < 2 || dice.below(2) == 0 {
            return asked;
        }
        let fewer = dice.below(u64::try_from(asked).unwrap_or(u64::MAX));
        usize::try_from(fewer).unwrap_or(asked).max(1)
    }

    /// Whether lists know by now what was written then.
    pub(crate) fn lists_know(&self, written: Timestamp, now: Timestamp) -> bool {
        written + self.list_lag <= now
    }
}

/// Conditions with their dice.
#[derive(Debug)]
pub(crate) struct Chance {
    conditions: Conditions,
    dice: Dice,
}

impl Chance {
    pub(crate) fn new(conditions: Conditions) -> Self {
        Self { dice: Dice::new(conditions.seed), conditions }
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// How long one way takes.
    pub(crate) fn way(&mut self) -> Duration {
        let most = u64::try_from(self.conditions.jitter.as_millis()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(self.dice.below(most.saturating_add(1)))
    }

    /// Whether this answer is lost.
    pub(crate) fn loses_answer(&mut self) -> bool {
        let every = u64::from(self.conditions.lost_answer_every);
        every > 0 && self.dice.below(every) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_conditions_draw_nothing() {
        let mut chance = Chance::new(Conditions::kind());
        for _ in 0..100 {
            assert_eq!((chance.way(), chance.loses_answer()), (Duration::ZERO, false));
            assert_eq!(Conditions::kind().cursor_page(&mut Dice::new(1), 200), 200);
        }
    }

    #[test]
    fn unkind_conditions_stay_within_their_bounds_and_are_the_same_in_every_run() {
        let run = || {
            let mut chance = Chance::new(Conditions::unkind());
            let (unkind, mut dice) = (Conditions::unkind(), Dice::new(1));
            (0..2000)
                .map(|_| (chance.way(), chance.loses_answer(), unkind.cursor_page(&mut dice, 200)))
                .collect::<Vec<_>>()
        };
        let drawn = run();
        assert_eq!(drawn, run());
        assert!(
            drawn.iter().all(|(way, _, rows)| *way <= Duration::from_millis(200) && (1..=200).contains(rows))
        );
        let lost = drawn.iter().filter(|(_, lost, _)| *lost).count();
        assert!((20..=60).contains(&lost), "{lost} of 2000 answers were lost, not about 40");
        assert!(drawn.iter().any(|(way, ..)| *way > Duration::from_millis(150)));
        assert!(drawn.iter().any(|(.., rows)| *rows < 100));
    }
}
