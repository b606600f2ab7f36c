//! The state of lanes as health shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Timestamp, model::ConnectionId};

/// How many lanes are shown of each connection.
const LANES_SHOWN: usize = 10;

/// What waits of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// How many entries are held in memory, in turn: of a long lane the first ones only, so there are at least so many.
    pub waiting: usize,
    /// Since when the oldest has been due.
    pub oldest: Option<Timestamp>,
    /// How late the oldest is, in seconds.
    pub lag_s: u64,
    /// How many lanes wait for somebody to repair something.
    pub parked_lanes: usize,
    /// Nothing of the connection is tried before, as it does not work.
    pub paused_until: Option<Timestamp>,
    /// The lanes that are furthest behind, ten at most.
    pub lanes: Vec<LaneHealth>,
}

/// What waits in one lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LaneHealth {
    /// Its number in the log.
    pub lane: u64,
    /// How many entries are due, of those held in memory.
    pub waiting: usize,
    /// Since when the oldest has been due.
    pub oldest: Option<Timestamp>,
    /// Whether it waits for somebody to repair something.
    pub parked: bool,
    /// What it has to wait for is not there before: a pause, room in a quota, the next try.
    pub paused_until: Option<Timestamp>,
}

impl Backlog {
    /// Counts a lane.
    pub(crate) fn add(&mut self, lane: LaneHealth) {
        self.waiting += lane.waiting;
        self.parked_lanes += usize::from(lane.parked);
        self.oldest = self.oldest.into_iter().chain(lane.oldest).min();
        if lane.waiting > 0 {
            let late = |lane: &LaneHealth| lane.oldest.unwrap_or(Timestamp::MAX);
            let at = self.lanes.partition_point(|other| (late(other), other.lane) < (late(&lane), lane.lane));
            if at < LANES_SHOWN {
                self.lanes.insert(at, lane);
                self.lanes.truncate(LANES_SHOWN);
            }
        }
    }
}

/// What the run loop knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// How many partitions it holds.
    pub(crate) partitions: usize,
    /// About each connection: of signals, and of deliveries.
    pub(crate) backlogs: BTreeMap<ConnectionId, [Backlog; 2]>,
}
