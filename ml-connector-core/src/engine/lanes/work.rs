//! Work as lanes hand it out, and what comes back.

use std::time::Duration;

use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    engine::trouble::Down,
    model::{ConnectionId, Partition, Seq},
    rate::QuotaKey,
};

/// A lane: what keeps order among its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId {
    pub(crate) kind: EntryKind,
    pub(crate) partition: Partition,
    pub(crate) lane: u64,
}

/// An entry of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: Seq,
    /// [`Pending::NEVER`] when it is parked.
    pub(crate) due: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) uncertain: bool,
}

impl Item {
    /// Whether it waits for somebody to repair something.
    pub(crate) fn is_parked(self) -> bool {
        self.due == Pending::NEVER
    }

    /// The same item, parked.
    pub(crate) fn parked(self) -> Self {
        Self { due: Pending::NEVER, uncertain: false, ..self }
    }

    /// The earliest instant of the next attempt. Of a parked item it is any time: its lane keeps the pause.
    pub(crate) fn not_before(self) -> Timestamp {
        if self.is_parked() { Timestamp::default() } else { self.due }
    }
}

impl From<&Pending> for Item {
    fn from(pending: &Pending) -> Self {
        let Pending { seq, due, attempt, uncertain, .. } = *pending;
        Self { seq, due, attempt, uncertain }
    }
}

/// A head that waits for room in a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PutOff {
    pub(crate) connection: ConnectionId,
    pub(crate) head: Seq,
    pub(crate) key: QuotaKey,
    pub(crate) since: Timestamp,
    /// There is no room before.
    pub(crate) until: Timestamp,
}

/// What may be taken from a lane at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite {
    pub(crate) max: usize,
    /// Signals that fall due within this time are answered by the same read.
    pub(crate) ahead: Duration,
    /// How long a delivery waits for others to go with.
    pub(crate) linger: Duration,
}

/// Work that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) lane: LaneId,
    pub(crate) connection: ConnectionId,
    pub(crate) items: Vec<Item>,
    /// Since when the first of the items has failed for reasons that pass.
    pub(crate) blocked_since: Option<Timestamp>,
    /// The quota whose gate it came through: the next lane may follow once this one is admitted.
    pub(crate) gate: Option<QuotaKey>,
}

/// What the lane has to wait for apart from its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    #[default]
    None,
    /// The head failed for a reason that passes.
    Blocked,
    /// One of the batch made all of it fail: at most so many go together next.
    Split(usize),
    /// Something else than the lane is not ready before.
    Until(Timestamp),
    /// What came of the head could not be written down. It is tried again after a pause that grows: each time costs calls.
    Unwritten,
    /// There is no room in a quota before.
    Quota(QuotaKey, Timestamp),
    /// Somebody has to repair something. The head is tried again from time to time.
    Parked,
    /// Nothing of the connection works, at least until then. One batch is tried from time to time.
    Outage(Timestamp),
    /// The other side is not there, or cannot answer, at least until then. It passes by itself: one batch is tried, soon at
    /// first and then after longer and longer pauses.
    Down(Timestamp),
}

impl Hold {
    /// What a batch waits for whose entries wait for different things.
    pub(crate) fn or_stronger(self, other: Self) -> Self {
        let rank = |hold: &Self| match hold {
            Self::None => 0,
            Self::Split(_) => 1,
            Self::Until(_) | Self::Unwritten | Self::Quota(..) => 2,
            Self::Blocked => 3,
            Self::Parked => 4,
            Self::Down(_) => 5,
            Self::Outage(_) => 6,
        };
        if rank(&other) >= rank(&self) { other } else { self }
    }
}

/// What a batch has shown of its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// Nothing: no call was made, or none came through.
    #[default]
    Nothing,
    /// The other side answers, but refused what it was asked.
    Answers,
    /// A call succeeded: it works.
    Works,
}

/// The result of a batch.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The items that are not settled.
    pub(crate) waits: Vec<Item>,
    pub(crate) hold: Hold,
    /// The partition belongs to another host now.
    pub(crate) fenced: bool,
    /// Why the connection does not work, with [`Hold::Outage`] and [`Hold::Down`].
    pub(crate) down: Option<Down>,
    pub(crate) proof: Evidence,
}

impl Finished {
    /// Everything is off the work list.
    pub(crate) fn settled() -> Self {
        Self { waits: Vec::new(), hold: Hold::None, fenced: false, down: None, proof: Evidence::Nothing }
    }

    /// Nothing has changed; the batch comes again.
    pub(crate) fn again(batch: &Batch, hold: Hold) -> Self {
        Self::again_from(&batch.items, hold)
    }

    /// These items come again as they are.
    pub(crate) fn again_from(items: &[Item], hold: Hold) -> Self {
        Self { waits: items.to_vec(), hold, ..Self::settled() }
    }

    /// Another host works on the partition.
    pub(crate) fn fenced() -> Self {
        Self { fenced: true, ..Self::settled() }
    }
}
