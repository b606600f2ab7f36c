//! What is known about one key.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    counter::{Counter, same},
    wanted,
};
use crate::{
    Timestamp,
    rate::{Cost, Permit, Quota, QuotaKey, Usage, WindowUsage},
};

/// Work that nobody reported as finished is over by then: a call may take half a minute.
const PERMIT_LIFE: Duration = Duration::from_secs(600);
/// When to ask again while only the end of other work makes room.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How long one word of the other side's is believed, and how long one that it repeats after that.
const FIRST_WORD: Duration = Duration::from_secs(3_600);
pub(super) const SECOND_WORD: Duration = Duration::from_secs(86_400);
/// Resets that differ by no more than this are the same: vendors name them in seconds from now.
const SAME_RESET: Duration = Duration::from_secs(60);
/// How long a charge waits for the first quota to be named.
const EARLY_LIFE: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) paused_until: Option<Timestamp>,
    /// Until when a pause of more than an hour was believed.
    first_word: Option<Timestamp>,
    /// What the other side says is left, and until when.
    pub(super) remaining: Option<(u32, Timestamp)>,
    /// When the count begins again, if the other side says that it is more than an hour away.
    far_reset: Option<FarReset>,
    /// What others spent before any quota was known, and when last.
    early: Option<(u32, Timestamp)>,
    pub(super) counters: Vec<Counter>,
    /// Whoever counted before is gone, and may have spent all there was until then.
    pub(super) lost: Option<Timestamp>,
    /// In the order of admission.
    under_way: VecDeque<UnderWayCost>,
    /// What was counted in rolling windows when it was sent, in the order of admission.
    sent: VecDeque<Sent>,
}

/// A count that begins again more than an hour from now, as the other side says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FarReset {
    at: Timestamp,
    /// Until when the first word of it was believed.
    believed_until: Timestamp,
    /// Whether something was left when it was named: a count that goes down is no slip.
    counts_down: bool,
}

/// Work that the other side counts when it arrives, at the latest when it is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sent {
    permit: Permit,
    at: Timestamp,
    quotas: Arc<[Quota]>,
    units: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct UnderWayCost {
    permit: Permit,
    units: u64,
    forgotten_at: Timestamp,
}

impl Account {
    /// The first instant at which `cost` has room after the costs `before` it; `now` or earlier when it has room.
    pub(super) fn ready_at(
        &mut self,
        cost: &Cost,
        before: &[Cost],
        now: Timestamp,
        latest: Timestamp,
    ) -> Timestamp {
        let mut ready = self.paused_until.unwrap_or(now);
        if let Some((left, reset)) = self.remaining {
            let earlier: u64 =
                before.iter().filter(|other| other.key == cost.key).map(|other| u64::from(other.units)).sum();
            if reset <= now {
                self.remaining = None;
            } else if u64::from(left) < earlier + u64::from(cost.units) + u64::from(cost.leave) {
                ready = ready.max(reset);
            }
        }
        for quota in &*cost.quotas {
            let wanted = wanted(cost, before, *quota);
            let room = match *quota {
                Quota::Concurrent { limit } => {
                    self.forget_lost_work(latest);
                    let busy: u64 = self.under_way.iter().map(|work| work.units).sum();
                    (busy + wanted > u64::from(limit)).then(|| now + ASK_AGAIN)
                }
                Quota::Rolling { limit, .. } | Quota::Aligned { limit, .. } => {
                    self.counter(*quota).and_then(|counter| counter.full_until(wanted, limit, latest))
                }
                // What is under way may fail as well.
                Quota::Errors { limit, .. } => {
                    self.forget_lost_work(latest);
                    let busy: u64 = self.under_way.iter().map(|work| work.units).sum();
                    let counter = self.counter(*quota);
                    counter.and_then(|counter| {
                        let full = counter.full_until(wanted, limit, latest);
                        full.or_else(|| {
                            counter.full_until(busy + wanted, limit, latest).map(|_| now + ASK_AGAIN)
                        })
                    })
                }
            };
            ready = room.map_or(ready, |at| ready.max(at));
        }
        ready
    }

    /// Takes what was found to have room.
    pub(super) fn spend(&mut self, cost: &Cost, permit: Permit, latest: Timestamp) {
        for (i, quota) in cost.quotas.iter().enumerate() {
            if !cost.quotas[..i].iter().any(|earlier| same(*earlier, *quota))
                && let Some(counter) = self.counter(*quota)
                && !counter.counts_errors()
            {
                counter.spend(cost.units, latest);
            }
        }
        while self.sent.front().is_some_and(|sent| sent.at + PERMIT_LIFE <= latest) {
            self.sent.pop_front();
        }
        if cost.wants_report() && cost.units > 0 {
            let (quotas, units) = (Arc::clone(&cost.quotas), cost.units);
            self.sent.push_back(Sent { permit, at: latest, quotas, units });
        }
        if cost.counts_concurrency() {
            let units = u64::from(cost.units);
            match self.under_way.back_mut().filter(|last| last.permit == permit) {
                Some(last) => last.units += units,
                None => {
                    self.under_way.push_back(UnderWayCost {
                        permit,
                        units,
                        forgotten_at: latest + PERMIT_LIFE,
                    });
                }
            }
        }
        self.take_remaining(cost.units);
    }

    pub(super) fn usage(&mut self, key: QuotaKey, now: Timestamp, latest: Timestamp) -> Usage {
        self.forget_lost_work(latest);
        let windows = self.counters.iter_mut().map(|counter| {
            let quota = counter.quota();
            let room_at = counter.full_until(1, quota.limit(), latest).filter(|at| *at > now);
            WindowUsage::new(quota, counter.used(), room_at)
        });
        Usage {
            windows: windows.collect(),
            under_way: self.under_way.iter().map(|work| work.units).sum(),
            remaining: self.remaining.filter(|(_, reset)| *reset > now),
            paused_until: self.paused_until.filter(|until| *until > now),
            ..Usage::new(key)
        }
    }

    pub(super) fn charge(&mut self, units: u32, latest: Timestamp) {
        if self.counters.is_empty() {
            let known = self.early.map_or(0, |(known, _)| known);
            self.early = Some((known.saturating_add(units), latest));
        }
        let spent = self.counters.iter_mut().filter(|counter| !counter.counts_errors());
        spent.for_each(|counter| counter.spend(units, latest));
        self.take_remaining(units);
    }

    /// Work is over. Returns how many units it was, unless it was forgotten.
    pub(super) fn finish(&mut self, permit: Permit, latest: Timestamp) -> Option<u64> {
        while let Some(place) = self.sent.iter().position(|sent| sent.permit == permit)
            && let Some(Sent { at, quotas, units, .. }) = self.sent.remove(place)
        {
            for quota in quotas.iter().filter(|quota| matches!(quota, Quota::Rolling { .. })) {
                if let Some(counter) = self.counter(*quota) {
                    counter.move_on(units, at, latest);
                }
            }
        }
        let place = self.under_way.binary_search_by_key(&permit.id, |work| work.permit.id).ok()?;
        self.under_way.remove(place).map(|work| work.units)
    }

    /// Work is over, and was in vain.
    pub(super) fn fail(&mut self, permit: Permit, latest: Timestamp) {
        let units = self.finish(permit, latest).unwrap_or(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let errors = self.counters.iter_mut().filter(|counter| counter.counts_errors());
        errors.for_each(|counter| counter.spend(units, latest));
    }

    /// An account of a key of which a host that is gone may have spent all there was.
    pub(super) fn spent_at(at: Option<Timestamp>) -> Self {
        Self { lost: at, ..Self::default() }
    }

    /// The other side says: not before. Returns until when it is believed, if that is earlier.
    pub(super) fn pause(&mut self, until: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut believed = until;
        if until > now + FIRST_WORD {
            let again = self.first_word.filter(|first| now < *first + SECOND_WORD);
            believed = match again {
                Some(first) if now >= first => until.min(now + SECOND_WORD),
                Some(first) => first,
                None => now + FIRST_WORD,
            };
            self.first_word = again.or(Some(believed));
        }
        self.paused_until = self.paused_until.max(Some(believed));
        (believed < until).then_some(believed)
    }

    /// The other side says how much is left. A reset that is more than an hour away is believed for an hour; for a day once
    /// it is named again: after that hour, or after an answer that left something. So the count of a day, which comes with
    /// every answer, holds, and a slip does not.
    pub(super) fn limit_to(&mut self, units: u32, reset: Timestamp, now: Timestamp) {
        let reset = if reset > now + FIRST_WORD { self.believed(units, reset, now) } else { reset };
        self.remaining = Some(match self.remaining {
            Some((left, same)) if same == reset => (left.min(units), reset),
            _ => (units, reset),
        });
    }

    fn believed(&mut self, units: u32, reset: Timestamp, now: Timestamp) -> Timestamp {
        let is_same =
            |far: &FarReset| reset.saturating_since(far.at).max(far.at.saturating_since(reset)) <= SAME_RESET;
        let known = self.far_reset.filter(is_same);
        let believed_until = known.map_or(now + FIRST_WORD, |far| far.believed_until);
        let counts_down = known.is_some_and(|far| far.counts_down);
        self.far_reset = Some(FarReset { at: reset, believed_until, counts_down: counts_down || units > 0 });
        if counts_down || now >= believed_until { reset.min(now + SECOND_WORD) } else { believed_until }
    }

    /// What was written down by a clock that was ahead by so much is taken to have been written down by the right one.
    pub(super) fn shift(&mut self, ahead: Duration) {
        let back = |at: &mut Timestamp| *at = *at - ahead;
        self.paused_until.iter_mut().for_each(back);
        self.first_word.iter_mut().for_each(back);
        self.remaining.iter_mut().for_each(|(_, reset)| back(reset));
        self.far_reset.iter_mut().for_each(|far| back(&mut far.believed_until));
        self.early.iter_mut().for_each(|(_, at)| back(at));
        self.lost.iter_mut().for_each(back);
        self.counters.iter_mut().for_each(|counter| counter.shift(ahead));
        self.under_way.iter_mut().for_each(|work| back(&mut work.forgotten_at));
        self.sent.iter_mut().for_each(|sent| back(&mut sent.at));
    }

    /// Whether a new account would answer the same.
    pub(super) fn is_idle(&mut self, now: Timestamp, latest: Timestamp) -> bool {
        self.forget_lost_work(latest);
        self.paused_until.is_none_or(|until| until <= now)
            && self.remaining.is_none_or(|(_, reset)| reset <= now)
            && self.early.is_none_or(|(_, at)| at + EARLY_LIFE <= latest)
            && self.counters.iter_mut().all(|counter| counter.is_empty(latest))
            && self.under_way.is_empty()
    }

    /// The counter of a quota, made when it is first named. Concurrency has none.
    fn counter(&mut self, quota: Quota) -> Option<&mut Counter> {
        if !self.counters.iter().any(|counter| counter.counts(quota)) {
            let mut counter = Counter::new(quota)?;
            if let Some((units, at)) = self.early.filter(|_| !counter.counts_errors()) {
                counter.spend(units, at);
            }
            if let Some(at) = self.lost {
                counter.assume_spent(self.early.map_or(at, |(_, early)| early.max(at)));
            }
            self.counters.push(counter);
        }
        self.counters.iter_mut().find(|counter| counter.counts(quota))
    }

    fn forget_lost_work(&mut self, latest: Timestamp) {
        while self.under_way.front().is_some_and(|work| work.forgotten_at <= latest) {
            self.under_way.pop_front();
        }
    }

    fn take_remaining(&mut self, units: u32) {
        if let Some((left, _)) = &mut self.remaining {
            *left = left.saturating_sub(units);
        }
    }
}
