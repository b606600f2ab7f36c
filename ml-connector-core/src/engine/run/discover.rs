//! Finding work: what waits in the log, as far as there is room for it in memory.

use std::sync::atomic::Ordering;

use super::runner::{HeldPartition, Runner};
use crate::{
    audit::{EntryKind, Pending, PendingRequest, PendingScope},
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
        self.read_appended(partitions).await;
        for place in self.signals.lanes.take_unread(self.shared.clock.now()) {
            self.read_unread(place).await;
        }
        let hungry = self.deliveries.lanes.take_hungry();
        self.refill(hungry).await;
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

    /// Reads what was appended to the work lists of partitions, a page of each at a time.
    async fn read_appended(&mut self, mut partitions: Vec<Partition>) {
        for _ in 0..PAGES {
            let held = partitions.iter().filter_map(|partition| self.leases.get(partition));
            let wanted: Vec<PendingRequest> = held.map(HeldPartition::rest).collect();
            let pages = self.pages(&wanted, PAGE).await;
            partitions.clear();
            for (request, page) in wanted.iter().zip(pages) {
                let partition = request.lease.partition;
                match page {
                    Some(page) if self.take_note(partition, &page) => partitions.push(partition),
                    Some(_) => {}
                    None => self.shared.mailbox.wake_later(partition),
                }
            }
            if partitions.is_empty() {
                return;
            }
        }
        // What was found may begin meanwhile.
        self.shared.mailbox.wake(&partitions);
    }

    /// Takes note of the next page of a partition's work list. Tells whether there may be another.
    fn take_note(&mut self, partition: Partition, page: &[Pending]) -> bool {
        let now = self.shared.clock.now();
        // Acts are no work of lanes: housekeeping looks after them.
        if page.iter().any(|pending| pending.kind == EntryKind::Act) {
            self.shared.acts_open.store(true, Ordering::Relaxed);
        }
        let work = page.iter().filter(|pending| pending.kind != EntryKind::Act);
        work.for_each(|pending| self.work(pending.kind).lanes.add(partition, pending, now));
        if let Some((held, last)) = self.leases.get_mut(&partition).zip(page.last()) {
            held.read_to = last.seq;
        }
        page.len() == PAGE
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
            let wanted = PendingRequest { lease, scope: PendingScope::Partition, after };
            let page = self.pages(&[wanted], PAGE).await.pop().flatten();
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

    /// Reads the next deliveries of lanes.
    async fn refill(&mut self, hungry: Vec<(LaneId, Seq)>) {
        let window = self.deliveries.lanes.window();
        let held = hungry.into_iter().filter_map(|(id, after)| {
            let HeldPartition { lease, read_to } = *self.leases.get(&id.partition)?;
            let scope = PendingScope::Lane(id.kind, id.lane);
            Some(((id, read_to), PendingRequest { lease, scope, after }))
        });
        let (lanes, wanted): (Vec<_>, Vec<_>) = held.unzip();
        let pages = self.pages(&wanted, window).await;
        for ((id, read_to), page) in lanes.into_iter().zip(pages) {
            match page {
                Some(page) => {
                    // What was appended since the work list was read is found there.
                    let known = page.partition_point(|pending| pending.seq <= read_to);
                    self.deliveries.lanes.refill(id, &page[..known], known == window);
                }
                None => self.deliveries.lanes.stay_hungry(id),
            }
        }
    }

    /// A page of each work list, in one call. Without one, the partition may not be held any more: that is found out soon.
    async fn pages(&mut self, wanted: &[PendingRequest], limit: usize) -> Vec<Option<Vec<Pending>>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let pages = self.shared.log.pending(wanted, limit).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the work list cannot be read");
            vec![None; wanted.len()]
        });
        if pages.contains(&None) {
            self.renew_at = self.renew_at.min(self.shared.clock.now() + LOG_PAUSE);
        }
        let now = self.shared.clock.now();
        let righted =
            |page: Vec<Pending>| page.into_iter().map(|pending| self.righted(pending, now)).collect();
        pages.into_iter().map(|page| page.map(righted)).collect()
    }
}
