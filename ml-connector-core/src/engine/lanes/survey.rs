//! The state of lanes as health shows it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    Timestamp,
    model::{ConnectionId, QuotaKey, Seq},
};

/// How many lanes are shown of each connection.
const LANES_SHOWN: usize = 10;

/// What waits of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BacklogHealth {
    /// How many entries are held in memory, at least: of a long lane only the first ones are.
    pub waiting: usize,
    /// Since when the oldest has been due.
    pub oldest: Option<Timestamp>,
    /// How late the oldest is, in seconds.
    pub lag_s: u64,
    /// How many lanes wait for somebody to repair something.
    pub parked_lanes: usize,
    /// The connection does not work, and nothing of it is tried before this instant.
    pub paused_until: Option<Timestamp>,
    /// The lanes that are furthest behind, ten at most.
    pub lanes: Vec<LaneHealth>,
}

/// What waits in one lane, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LaneHealth {
    /// Its number in the log, as 16 digits of base 16.
    pub lane: String,
    /// How many entries are due, of those held in memory.
    pub waiting: usize,
    /// Since when the oldest has been due.
    pub oldest: Option<Timestamp>,
    /// Whether it waits for somebody to repair something.
    pub parked: bool,
    /// The entry that everything else in it waits for.
    pub head: Option<Seq>,
    /// How many attempts of that have been counted.
    pub attempt: u32,
    /// When it was appended, where the log knows it.
    pub since: Option<Timestamp>,
    /// Where it goes, if it is a delivery.
    pub destination: Option<Arc<str>>,
    /// What it waits for.
    pub reason: WaitReason,
    /// When what it waits for is there, at the earliest. `None` = now, or nobody knows.
    pub next: Option<Timestamp>,
}

/// What a lane waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "waits_for")]
#[non_exhaustive]
pub enum WaitReason {
    /// Its head is being worked on.
    Work,
    /// Its turn: other lanes are ahead, or the run loop has not looked yet.
    Turn,
    /// Room in a quota.
    Quota {
        /// Its key.
        key: QuotaKey,
    },
    /// Its head has failed for a reason that passes by itself, and is tried again.
    Blocked,
    /// The connection does not work.
    Outage,
    /// Somebody has to repair something.
    Parked,
    /// The time that its route sets, or more to go with it: a schedule, a digest, a batch.
    Window,
    /// The other side, or the log, wants a pause.
    Pause,
}

impl BacklogHealth {
    /// Counts a lane.
    pub(crate) fn add(&mut self, lane: LaneHealth) {
        self.waiting += lane.waiting;
        self.parked_lanes += usize::from(lane.parked);
        self.oldest = self.oldest.into_iter().chain(lane.oldest).min();
        if lane.waiting > 0 || !matches!(lane.reason, WaitReason::Turn | WaitReason::Work) {
            let late = |lane: &LaneHealth| lane.oldest.or(lane.next).unwrap_or(Timestamp::MAX);
            let key = |lane: &LaneHealth| (late(lane), lane.head);
            let at = self.lanes.partition_point(|other| key(other) < key(&lane));
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
    pub(crate) backlogs: BTreeMap<ConnectionId, [BacklogHealth; 2]>,
}
