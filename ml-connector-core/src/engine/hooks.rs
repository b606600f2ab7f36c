//! Which webhooks were accepted, and which were not proven to come from the vendor: counted for the connection that was
//! meant, and for the endpoint where nobody can say which that was. What is counted here is written into the log by
//! `kept_hooks`.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    model::{ConnectionId, EndpointId},
};

/// So many in a row are no accident, and one that was accepted so short a while ago says that the secret is right.
const REFUSED_IN_A_ROW: u64 = 3;
const RIGHT_LATELY: Duration = Duration::from_secs(600);
/// A secret that was right once is not taken for wrong because of a burst: anybody can send one.
const NO_BURST: Duration = Duration::from_secs(600);
/// Whatever was refused so long ago says nothing any more.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How often what was counted is written down.
const EVERY_MS: i64 = 60_000;

/// Whose webhooks they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Connection(ConnectionId),
    /// Some connection's of the endpoint: nobody can say which was meant.
    Endpoint(EndpointId),
}

/// What was counted here, and is not in the log yet.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    counted: Mutex<Counted>,
    write_at_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Counted {
    new: HashMap<Whose, Seen>,
    /// What is being written.
    writing: HashMap<Whose, Seen>,
}

/// What has come of webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) accepted_at: Option<Timestamp>,
    /// How many were refused since, and when the first and the last were.
    pub(crate) refused: u64,
    refused_from: Timestamp,
    refused_at: Timestamp,
}

impl Seen {
    /// Whether it looks as if the secret were wrong. Anybody can send what is not signed, so one that is accepted from time
    /// to time outweighs what is refused.
    pub(crate) fn are_refused(&self, now: Timestamp) -> bool {
        let last = self.refused_at;
        let was_right = |accepted: Timestamp| {
            last.saturating_since(accepted) < RIGHT_LATELY
                || last.saturating_since(self.refused_from) < NO_BURST
        };
        self.refused >= REFUSED_IN_A_ROW
            && now.saturating_since(last) < STALE
            && !self.accepted_at.is_some_and(was_right)
    }

    /// What two have seen, on two hosts or one after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        let accepted_at = self.accepted_at.max(other.accepted_at);
        let mut both = Self { accepted_at, ..Self::default() };
        let [first, second] = if self.refused_at <= other.refused_at { [self, other] } else { [other, self] };
        for one in [first, second] {
            // One that was accepted later outweighs them.
            if one.refused > 0 && accepted_at.is_none_or(|at| one.refused_at >= at) {
                both.refuse(one.refused, one.refused_from, one.refused_at);
            }
        }
        both
    }

    fn refuse(&mut self, count: u64, from: Timestamp, at: Timestamp) {
        if self.refused == 0 || from.saturating_since(self.refused_at) >= STALE {
            (self.refused, self.refused_from) = (0, from);
        }
        self.refused_from = self.refused_from.min(from);
        (self.refused, self.refused_at) = (self.refused + count, at);
    }
}

impl Hooks {
    pub(crate) fn accepted(&self, whose: Whose, now: Timestamp) {
        let seen = Seen { accepted_at: Some(now), ..Seen::default() };
        self.counted().new.insert(whose, seen);
    }

    pub(crate) fn refused(&self, whose: Whose, now: Timestamp) {
        self.counted().new.entry(whose).or_default().refuse(1, now, now);
    }

    pub(crate) fn forget(&self, connection: &ConnectionId) {
        let whose = Whose::Connection(connection.clone());
        let mut counted = self.counted();
        counted.new.remove(&whose);
        counted.writing.remove(&whose);
    }

    /// What is not in the log yet.
    pub(crate) fn of(&self, whose: &Whose) -> Seen {
        let counted = self.counted();
        let [writing, new] = [&counted.writing, &counted.new].map(|seen| seen.get(whose).copied());
        writing.unwrap_or_default().and(new.unwrap_or_default())
    }

    /// Whether it is time to write, for one who asks.
    pub(crate) fn is_time(&self, now: Timestamp) -> bool {
        let (now, at) = (now.as_millis(), self.write_at_ms.load(Ordering::Relaxed));
        // A clock that went back far does not stop it.
        let is_due = now >= at || at - now > EVERY_MS;
        let next = now + EVERY_MS;
        is_due
            && !self.counted().new.is_empty()
            && self.write_at_ms.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// What is to be written now, until [`written`](Self::written) says how that went.
    pub(crate) fn begin_to_write(&self) -> Vec<(Whose, Seen)> {
        let mut counted = self.counted();
        if !counted.writing.is_empty() {
            return Vec::new();
        }
        counted.writing = std::mem::take(&mut counted.new);
        counted.writing.iter().map(|(whose, seen)| (whose.clone(), *seen)).collect()
    }

    /// One of those is in the log, or has to be written another time.
    pub(crate) fn written(&self, whose: &Whose, is_written: bool) {
        let mut counted = self.counted();
        if let Some(seen) = counted.writing.remove(whose).filter(|_| !is_written) {
            let new = counted.new.entry(whose.clone()).or_default();
            *new = seen.and(*new);
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn seen(accepted: Option<i64>, refused: &[i64]) -> Seen {
        let mut seen = Seen { accepted_at: accepted.map(at), ..Seen::default() };
        refused.iter().for_each(|secs| seen.refuse(1, at(*secs), at(*secs)));
        seen
    }

    #[test]
    fn what_two_hosts_have_seen_is_put_together_by_when_it_was() {
        let both = |one: Seen, other: Seen| {
            assert_eq!(one.and(other), other.and(one));
            let both = one.and(other);
            (both.accepted_at, both.refused, both.refused_from, both.refused_at)
        };
        let none = Timestamp::default();
        assert_eq!(both(seen(None, &[10, 20]), seen(None, &[15])), (None, 3, at(10), at(20)));
        assert_eq!(both(seen(Some(5), &[10]), seen(Some(30), &[])), (Some(at(30)), 0, none, none));
        assert_eq!(both(seen(Some(30), &[40]), seen(Some(5), &[10])), (Some(at(30)), 1, at(40), at(40)));
        assert_eq!(both(seen(Some(7), &[7]), Seen::default()), (Some(at(7)), 1, at(7), at(7)));
        let day = 86_400;
        assert_eq!(both(seen(None, &[10]), seen(None, &[10 + day])).1, 1, "what is so old says nothing");
    }

    #[test]
    fn what_is_being_written_is_known_all_the_time_and_what_was_not_written_comes_again() {
        let (hooks, books) = (Hooks::default(), Whose::Connection("books".into()));
        assert!(!hooks.is_time(at(0)));
        hooks.refused(books.clone(), at(1));
        assert!(hooks.is_time(at(1)) && !hooks.is_time(at(2)));
        assert_eq!(hooks.begin_to_write().len(), 1);
        hooks.refused(books.clone(), at(2));
        assert_eq!((hooks.of(&books).refused, hooks.begin_to_write().len()), (2, 0));
        hooks.written(&books, false);
        assert_eq!((hooks.of(&books).refused, hooks.begin_to_write()[0].1.refused), (2, 2));
        hooks.written(&books, true);
        assert_eq!(hooks.of(&books), Seen::default());
    }
}
