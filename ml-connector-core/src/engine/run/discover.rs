//! Finding work: what waits in the log, as far as there is room for it in memory.

use std::sync::atomic::Ordering;

use super::runner::{HeldPartition, Runner};
use crate::{
    audit::{EntryKind, Lease, Pending, PendingScope},
    engine::{
        lanes::{LaneId, Place},
        retry::LOG_PAUSE,
    },
    model::{Partition, Seq},
};

/// How many entries of the work list are read at once.
const PAGE: usize = 500;
/// How many pages are read before what they hold may begin.
const PAGES: usize = 16;

impl Runner {
    /// Reads what waits in the log and is not known yet, as far as there is room for it.
    pub(crate) async fn discover(&mut self) {
        self.deliveries.lanes.widen(self.shared.registry().max_batch());
        let appended = self.shared.mailbox.take_appended();
        let partitions: Vec<Partition> =
            self.leases.keys().copied().filter(|partition| appended(*partition)).collect();
        for partition in partitions {
            self.read_appended(partition).await;
        }
        for place in self.signals.lanes.take_unread(self.shared.clock.now()) {
            self.read_unread(place).await;
        }
        for (lane, after) in self.deliveries.lanes.take_hungry() {
            self.refill(lane, after).await;
        }
        for (gate, lane) in self.shared.mailbox.take_admitted() {
            self.deliveries.lanes.pass(Some(&gate), lane);
        }
        for connection in self.shared.mailbox.take_resumed() {
            self.recall_later(|id, _| *id == connection);
            self.signals.lanes.resume(&connection);
            self.deliveries.lanes.resume(&connection);
            self.schedule(|slot| *slot.connection() == connection);
        }
    }

    /// Reads what was appended to a partition's work list.
    async fn read_appended(&mut self, partition: Partition) {
        let Some(HeldPartition { lease, mut read_to }) = self.leases.get(&partition).copied() else { return };
        for nth in 0.. {
            if nth == PAGES {
                // What was found may begin meanwhile.
                self.shared.mailbox.wake(&[partition]);
                break;
            }
            let Some(page) = self.page(lease, PendingScope::Partition, read_to, PAGE).await else {
                self.shared.mailbox.wake_later(partition);
                break;
            };
            let now = self.shared.clock.now();
            // Acts are no work of lanes: housekeeping looks after them.
            if page.iter().any(|pending| pending.kind == EntryKind::Act) {
                self.shared.acts_open.store(true, Ordering::Relaxed);
            }
            let work = page.iter().filter(|pending| pending.kind != EntryKind::Act);
            work.for_each(|pending| self.work(pending.kind).lanes.add(partition, pending, now));
            read_to = page.last().map_or(read_to, |last| last.seq);
            if page.len() < PAGE {
                break;
            }
        }
        if let Some(held) = self.leases.get_mut(&partition) {
            held.read_to = read_to;
        }
    }

    /// Reads a connection's signals that were passed over, until there is no room again.
    async fn read_unread(&mut self, Place { partition, connection, from, to }: Place) {
        let Some(HeldPartition { lease, read_to }) = self.leases.get(&partition).copied() else { return };
        let is_wanted = |pending: &&Pending| {
            pending.kind == EntryKind::Signal
                && pending.connection == connection
                && pending.seq <= read_to
                && to.is_none_or(|to| pending.seq < to)
        };
        let mut after = Seq(from.0.saturating_sub(1));
        loop {
            let page = self.page(lease, PendingScope::Partition, after, PAGE).await;
            let now = self.shared.clock.now();
            let lanes = &mut self.signals.lanes;
            let wanted = page.iter().flatten().filter(is_wanted);
            wanted.for_each(|pending| lanes.add_again(partition, pending, now));
            let last = page.as_ref().and_then(|page| page.get(PAGE - 1)).map(|last| last.seq);
            after = last.unwrap_or(after);
            let ends = last.is_none_or(|last| last >= read_to || to.is_some_and(|to| last >= to));
            if page.is_none() || !ends && lanes.is_full(partition, &connection) {
                return lanes.still_unread(partition, &connection, Seq(after.0 + 1));
            }
            if ends {
                return;
            }
        }
    }

    /// Reads the next deliveries of a lane.
    async fn refill(&mut self, id: LaneId, after: Seq) {
        let Some(HeldPartition { lease, read_to }) = self.leases.get(&id.partition).copied() else { return };
        let window = self.deliveries.lanes.window();
        match self.page(lease, PendingScope::Lane(id.kind, id.lane), after, window).await {
            Some(page) => {
                // What was appended since the work list was read is found there.
                let known = page.partition_point(|pending| pending.seq <= read_to);
                self.deliveries.lanes.refill(id, &page[..known], known == window);
            }
            None => self.deliveries.lanes.stay_hungry(id),
        }
    }

    /// One page of a work list. Without one, the partition may not be held any more: that is found out soon.
    async fn page(
        &mut self,
        lease: Lease,
        scope: PendingScope,
        after: Seq,
        limit: usize,
    ) -> Option<Vec<Pending>> {
        match self.shared.log.pending(lease, scope, after, limit).await {
            Ok(page) => {
                let now = self.shared.clock.now();
                Some(page.into_iter().map(|pending| self.righted(pending, now)).collect())
            }
            Err(error) => {
                tracing::error!(%error, partition = lease.partition.number(), "the work list cannot be read");
                self.renew_at = self.renew_at.min(self.shared.clock.now() + LOG_PAUSE);
                None
            }
        }
    }
}
