//! Connections that do not work at present: their lanes wait, and one of them finds out whether it works again.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::work::LaneId;
use crate::{Timestamp, model::ConnectionId};

#[derive(Debug, Default)]
pub(super) struct Outages(HashMap<ConnectionId, Outage>);

#[derive(Debug)]
struct Outage {
    since: Timestamp,
    failures: u32,
    until: Timestamp,
    probing: bool,
    /// Until when the first word of a pause of more than an hour was believed.
    first_word: Option<Timestamp>,
    /// In the order in which they are tried: one that failed comes again behind all others.
    lanes: VecDeque<LaneId>,
}

/// How long one word of the other side's is believed, and how long one that it repeats after that: a slip of its must not
/// stop a connection for years.
const FIRST_WORD: Duration = Duration::from_secs(3_600);
const SECOND_WORD: Duration = Duration::from_secs(86_400);

impl Outage {
    /// As much of a pause that the other side names as is believed.
    fn believed(&mut self, until: Timestamp, now: Timestamp) -> Timestamp {
        if until <= now + FIRST_WORD {
            return until;
        }
        match self.first_word {
            Some(first) if now >= first => until.min(now + SECOND_WORD),
            Some(first) => first,
            None => *self.first_word.insert(now + FIRST_WORD),
        }
    }
}

impl Outages {
    pub(super) fn includes(&self, connection: &ConnectionId) -> bool {
        self.0.contains_key(connection)
    }

    /// Which connections do not work, and when each is tried again.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConnectionId, Timestamp)> {
        self.0.iter().map(|(connection, outage)| (connection, outage.until))
    }

    /// When a connection that does not work is tried again.
    pub(super) fn until(&self, connection: &ConnectionId) -> Option<Timestamp> {
        self.0.get(connection).map(|outage| outage.until)
    }

    /// Since when a connection has not worked; `None` = it does.
    pub(super) fn since(&self, connection: &ConnectionId) -> Option<Timestamp> {
        self.0.get(connection).map(|outage| outage.since)
    }

    /// A batch said that nothing of the connection works. Returns when to try again, as `pause` says after so many
    /// earlier tries.
    pub(super) fn begin(
        &mut self,
        connection: &ConnectionId,
        pause: fn(u32, Timestamp) -> Timestamp,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Timestamp {
        let new = || Outage {
            since: now,
            failures: 0,
            until: now,
            probing: false,
            first_word: None,
            lanes: VecDeque::new(),
        };
        let outage = self.0.entry(connection.clone()).or_insert_with(new);
        // What was under way when the outage began says the same once more.
        if outage.probing || outage.failures == 0 {
            outage.failures = outage.failures.saturating_add(1);
            outage.probing = false;
        }
        let not_before = outage.believed(not_before, now);
        outage.until = pause(outage.failures - 1, now).max(not_before).max(outage.until);
        outage.until
    }

    /// The connection works, or is tried without waiting. Returns the lanes that waited.
    pub(super) fn end(&mut self, connection: &ConnectionId) -> VecDeque<LaneId> {
        self.0.remove(connection).map(|outage| outage.lanes).unwrap_or_default()
    }

    /// A lane waits for the end of the outage. Tells whether there is one.
    pub(super) fn wait(&mut self, connection: &ConnectionId, id: LaneId) -> bool {
        let outage = self.0.get_mut(connection);
        outage.map(|outage| outage.lanes.push_back(id)).is_some()
    }

    /// Takes the lane that finds out whether a connection works again, if it is time to.
    pub(super) fn probe(
        &mut self,
        connection: &ConnectionId,
        at: Timestamp,
        waits: impl Fn(&LaneId) -> bool,
    ) -> Option<LaneId> {
        let outage = self.0.get_mut(connection)?;
        if outage.until != at || outage.probing {
            return None;
        }
        while let Some(id) = outage.lanes.pop_front() {
            if waits(&id) {
                outage.probing = true;
                return Some(id);
            }
        }
        // Nothing waits for it: whatever comes next finds out.
        self.0.remove(connection);
        None
    }

    /// A probe came back without a result: returns when the next lane may try.
    pub(super) fn probe_again(&mut self, connection: &ConnectionId) -> Option<Timestamp> {
        let outage = self.0.get_mut(connection).filter(|outage| outage.probing)?;
        outage.probing = false;
        Some(outage.until)
    }
}
