//! What the run loop holds: partitions, lanes, and batches under way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::{AbortHandle, JoinSet},
};

use super::{
    maintenance::Maintenance,
    turns::{Turned, tell_turns},
};
use crate::{
    Timestamp,
    audit::{EntryKind, Lease, PendingRequest, PendingScope},
    engine::{
        lanes::{Batch, Finished, Lanes},
        registry::Registry,
        shared::Shared,
        trouble::Down,
    },
    model::{ConnectionId, Partition, Seq},
};

pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Arc<str>,
    pub(super) leases: BTreeMap<Partition, HeldPartition>,
    pub(super) renew_at: Timestamp,
    /// The latest time that the clock has shown.
    pub(super) latest: Timestamp,
    /// What waits and was appended by a clock that was ahead, and when by that clock.
    pub(super) from_ahead: HashMap<Seq, Timestamp>,
    /// How many requests in a row have granted nothing.
    pub(super) in_vain: u32,
    /// The connections as lanes know them.
    pub(super) classified: Option<Arc<Registry>>,
    pub(super) signals: Work,
    pub(super) deliveries: Work,
    pub(super) tasks: JoinSet<Finished>,
    pub(super) running: HashMap<tokio::task::Id, RunningBatch>,
    /// What does not work of which connection, as the log was told.
    pub(super) parked: HashMap<(ConnectionId, EntryKind), Down>,
    /// Connections of which the log has still to say whether they work, and when it is asked.
    pub(super) to_recall: BTreeSet<ConnectionId>,
    pub(super) recall_at: Timestamp,
    /// To the task that tells the log; `None` when nothing more is told.
    pub(super) turns: Option<UnboundedSender<Turned>>,
    pub(super) tellers: JoinSet<()>,
    pub(super) prune_at: Timestamp,
    pub(super) save_at: Timestamp,
    /// What the log was told last of what was spent.
    pub(super) saved: Option<Bytes>,
    pub(super) keep_alive_at: Timestamp,
    /// Whether the host was told that the log takes no writes.
    pub(super) log_is_down: bool,
    pub(super) acts_at: Timestamp,
    pub(super) put_off_at: Timestamp,
    pub(super) forgotten_at: Timestamp,
    #[cfg(feature = "metrics")]
    pub(super) gauges_at: Timestamp,
    pub(super) maintenance: Maintenance,
}

/// What waits of one kind.
pub(super) struct Work {
    pub(super) lanes: Lanes,
}

/// A batch that is under way.
pub(super) struct RunningBatch {
    pub(super) batch: Batch,
    pub(super) lease: Lease,
    pub(super) abort: AbortHandle,
}

/// A partition that is held, and how far its work list has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldPartition {
    pub(super) lease: Lease,
    pub(super) read_to: Seq,
}

impl HeldPartition {
    /// What of its work list is not read yet.
    pub(super) fn rest(&self) -> PendingRequest {
        PendingRequest { lease: self.lease, scope: PendingScope::Partition, after: self.read_to }
    }
}

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, owner: Arc<str>) -> Self {
        let work = |max| Work { lanes: Lanes::with_slots(max) };
        let (turns, told) = unbounded_channel();
        let mut tellers = JoinSet::new();
        tellers.spawn(tell_turns(Arc::clone(&shared), told));
        Self {
            classified: None,
            signals: work(shared.settings.max_resolving),
            deliveries: work(shared.settings.max_delivering),
            shared,
            owner,
            leases: BTreeMap::new(),
            renew_at: Timestamp::default(),
            latest: Timestamp::default(),
            from_ahead: HashMap::new(),
            in_vain: 0,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            parked: HashMap::new(),
            to_recall: BTreeSet::new(),
            recall_at: Timestamp::default(),
            turns: Some(turns),
            tellers,
            prune_at: Timestamp::default(),
            save_at: Timestamp::default(),
            saved: None,
            keep_alive_at: Timestamp::default(),
            log_is_down: false,
            acts_at: Timestamp::default(),
            put_off_at: Timestamp::default(),
            forgotten_at: Timestamp::default(),
            #[cfg(feature = "metrics")]
            gauges_at: Timestamp::default(),
            maintenance: Maintenance::default(),
        }
    }

    pub(super) fn work(&mut self, kind: EntryKind) -> &mut Work {
        if kind == EntryKind::Signal { &mut self.signals } else { &mut self.deliveries }
    }
}
