//! Whether the other side of a connection answers: what tells an outage from an entry that fails by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::model::Seq;

/// Of so many lanes it is known that they fail by themselves.
const MOST_KNOWN: usize = 1000;

/// The lanes that were not answered since somebody was, and those that were not although somebody was.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<MissedLanes>);

#[derive(Debug, Default)]
struct MissedLanes {
    /// Not answered since the last answer: the head of each, and how often.
    missed: BTreeMap<u64, (Seq, u32)>,
    /// Lanes that failed before another one was answered, and were not answered since: they fail by themselves until
    /// something else fails, too.
    alone: BTreeSet<u64>,
    /// Whether the last ping that was let through got no answer.
    unreachable: bool,
}

/// What it means that nobody answered a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Two lanes at least were not answered, and none was since: the other side is away.
    Everywhere,
    /// Others were answered since this lane failed first: it fails by itself.
    ByItself,
    /// Nothing else was tried since the last answer. So often in a row this lane was not answered.
    Alone(u32),
}

impl Pulse {
    /// The other side answered this lane. What it has not answered until now fails by itself.
    pub(crate) fn beat(&self, lane: u64) {
        let mut lanes = self.lanes();
        let missed = std::mem::take(&mut lanes.missed);
        lanes.unreachable = false;
        if lanes.alone.len() + missed.len() > MOST_KNOWN {
            lanes.alone.clear();
        }
        lanes.alone.extend(missed.into_keys());
        lanes.alone.remove(&lane);
    }

    /// Nobody answered the head of this lane.
    pub(crate) fn miss(&self, lane: u64, head: Seq) -> Missed {
        let mut lanes = self.lanes();
        let times =
            lanes.missed.get(&lane).filter(|(known, _)| *known == head).map_or(0, |(_, times)| *times);
        lanes.missed.insert(lane, (head, times.saturating_add(1)));
        match lanes.missed.keys().all(|lane| lanes.alone.contains(lane)) {
            true => Missed::ByItself,
            false if lanes.missed.len() > 1 => Missed::Everywhere,
            false => Missed::Alone(times.saturating_add(1)),
        }
    }

    /// What a ping has shown: `None` = a limit did not let it through, and what the last one has shown still holds. Tells
    /// whether the other side is out of reach.
    pub(crate) fn pinged(&self, is_unreachable: Option<bool>) -> bool {
        let mut lanes = self.lanes();
        lanes.unreachable = is_unreachable.unwrap_or(lanes.unreachable);
        lanes.unreachable
    }

    fn lanes(&self) -> MutexGuard<'_, MissedLanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: [(u64, Seq); 3] = [(1, Seq(11)), (2, Seq(12)), (3, Seq(13))];

    fn miss(pulse: &Pulse, nth: usize) -> Missed {
        pulse.miss(HEADS[nth].0, HEADS[nth].1)
    }

    #[test]
    fn a_ping_that_is_not_let_through_says_what_the_last_one_said() {
        let pulse = Pulse::default();
        assert!(!pulse.pinged(None), "a message that fails by itself does not wait for ever");
        assert!(pulse.pinged(Some(true)) && pulse.pinged(None));
        pulse.beat(1);
        assert!(!pulse.pinged(None), "somebody was answered since");
        assert!(!pulse.pinged(Some(false)) && !pulse.pinged(None));
    }

    #[test]
    fn two_lanes_without_an_answer_between_are_an_outage() {
        let pulse = Pulse::default();
        assert_eq!(
            [0, 0, 1].map(|nth| miss(&pulse, nth)),
            [Missed::Alone(1), Missed::Alone(2), Missed::Everywhere]
        );
    }

    #[test]
    fn what_fails_while_others_are_answered_fails_by_itself_until_another_fails_too() {
        let pulse = Pulse::default();
        assert_eq!([0, 1].map(|nth| miss(&pulse, nth)), [Missed::Alone(1), Missed::Everywhere]);
        pulse.beat(3);
        assert_eq!([0, 1, 0].map(|nth| miss(&pulse, nth)), [Missed::ByItself; 3]);
        assert_eq!(miss(&pulse, 2), Missed::Everywhere, "a lane that was answered a moment ago");
        assert_eq!(miss(&pulse, 0), Missed::Everywhere);
    }

    #[test]
    fn a_lane_fails_by_itself_until_it_is_answered() {
        let pulse = Pulse::default();
        miss(&pulse, 0);
        pulse.beat(3);
        assert_eq!(miss(&pulse, 0), Missed::ByItself);
        assert_eq!(pulse.miss(1, Seq(99)), Missed::ByItself, "what comes behind");
        pulse.beat(1);
        assert_eq!(pulse.miss(1, Seq(100)), Missed::Alone(1));
    }
}
