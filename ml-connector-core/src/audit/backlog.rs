//! How much is on the work list, and since when.

use std::time::Duration;

use serde::Serialize;

use super::{EntryKind, Pending};
use crate::{Timestamp, model::ConnectionId};

/// What one connection has on the work list, of one kind. Exact to the minute: what falls due within the minute of `now`
/// counts as due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Of what kind.
    pub kind: EntryKind,
    /// How many entries are due, or under way.
    pub due: u64,
    /// How many fall due later.
    pub later: u64,
    /// How many are parked and not acknowledged.
    pub parked: u64,
    /// How many are parked and acknowledged.
    pub acknowledged: u64,
    /// The minute in which the oldest due entry fell due.
    pub oldest: Option<Timestamp>,
    /// How many of the due entries have been due for at least as long as each of [`Backlog::AGES`].
    pub older_than: [u64; Self::AGES.len()],
}

/// What parked entries count under, which no minute reaches.
const PARKED: i64 = i64::MAX;
const ACKNOWLEDGED: i64 = PARKED - 1;
const MINUTE_MS: i64 = 60_000;

impl Backlog {
    /// The ages that are told apart: a minute, 5 and 15 minutes, an hour, 6 hours, a day.
    pub const AGES: [Duration; 6] = [
        Duration::from_secs(60),
        Duration::from_secs(5 * 60),
        Duration::from_secs(15 * 60),
        Duration::from_secs(3600),
        Duration::from_secs(6 * 3600),
        Duration::from_secs(24 * 3600),
    ];

    /// Nothing yet. For implementations of [`AuditLog`](super::AuditLog), like the functions below.
    #[must_use]
    pub fn new(connection: ConnectionId, kind: EntryKind) -> Self {
        Self {
            connection,
            kind,
            due: 0,
            later: 0,
            parked: 0,
            acknowledged: 0,
            oldest: None,
            older_than: [0; Self::AGES.len()],
        }
    }

    /// What an entry counts under: the minute in which it falls due, or one of two numbers for what is parked. A store
    /// that counts as it goes keeps one number of entries for each connection, kind and slot.
    #[must_use]
    pub fn slot(due: Timestamp, acknowledged: bool) -> i64 {
        match due {
            Pending::NEVER if acknowledged => ACKNOWLEDGED,
            Pending::NEVER => PARKED,
            due => due.as_millis().div_euclid(MINUTE_MS),
        }
    }

    /// Adds so many entries of a slot.
    pub fn add(&mut self, slot: i64, count: u64, now: Timestamp) {
        let this_minute = now.as_millis().div_euclid(MINUTE_MS);
        match slot {
            PARKED => self.parked += count,
            ACKNOWLEDGED => self.acknowledged += count,
            later if later > this_minute => self.later += count,
            minute => {
                self.due += count;
                let since = Timestamp::from_millis(minute.saturating_mul(MINUTE_MS));
                self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
                let minutes = u64::try_from(this_minute - minute).unwrap_or(u64::MAX);
                for (age, older) in Self::AGES.iter().zip(&mut self.older_than) {
                    *older += if minutes >= age.as_secs() / 60 { count } else { 0 };
                }
            }
        }
    }

    /// Whether nothing is on the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due + self.later + self.parked + self.acknowledged == 0
    }
}
