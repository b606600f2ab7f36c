//! Partitions: taken, renewed, lost, and given back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::runner::{HeldPartition, Runner};
use crate::{
    Timestamp,
    audit::{EntryKind, Lease, LeaseRequest},
    clock::SLICE,
    context::WriteLease,
    engine::{history, kept_hooks, retry::LOG_PAUSE},
    model::{Partition, Seq},
};

/// How much of the grace period is kept for giving partitions back, at least.
const LEAST_GIVE_BACK: Duration = Duration::from_millis(500);

impl Runner {
    /// Takes and renews partitions when it is time to.
    pub(super) async fn renew(&mut self) {
        let now = self.shared.clock.now();
        if now < self.renew_at {
            return;
        }
        let Some(held) = self.hold(usize::from(Partition::COUNT), now).await else { return };
        let new: Vec<Lease> =
            held.values().copied().filter(|lease| !self.leases.contains_key(&lease.partition)).collect();
        self.tell_granted(!held.is_empty());
        if new.is_empty() {
            return;
        }
        if let Err(error) = self.take_over(&new).await {
            tracing::error!(%error, "partitions cannot be taken over: trying again");
            self.renew_at = now + LOG_PAUSE;
            return;
        }
        self.find_ahead().await;
        for (partition, lease) in held {
            self.leases.entry(partition).or_insert(HeldPartition { lease, read_to: Seq(0) });
        }
        let taken: Vec<Partition> = new.iter().map(|lease| lease.partition).collect();
        tracing::info!(held = self.leases.len(), taken = taken.len(), "partitions held");
        self.shared.mailbox.wake(&taken);
        self.recall_later(|_, of| taken.iter().any(|partition| of.contains(partition)));
        self.schedule(|slot| taken.contains(&slot.partition));
    }

    /// Asks for so many partitions, and ends what is under way in those that are lost. Nothing when the log does not
    /// answer.
    pub(super) async fn hold(&mut self, want: usize, now: Timestamp) -> Option<BTreeMap<Partition, Lease>> {
        let lease = self.shared.settings.lease;
        let (asked, wall) = (WriteLease::instant(), self.shared.clock.wall());
        let request = LeaseRequest::Hold { owner: Arc::clone(&self.owner), want, until: now + lease, now };
        let held: BTreeMap<Partition, Lease> = match self.shared.log.lease(request).await {
            Ok(held) => held.into_iter().map(|lease| (lease.partition, lease)).collect(),
            Err(error) => {
                tracing::error!(%error, "partitions cannot be leased: trying again");
                self.renew_at = now + LOG_PAUSE;
                return None;
            }
        };
        self.shared.lease.renew(asked, wall, lease, held.values().copied());
        self.renew_at = now + lease / 3;
        let lost: Vec<Partition> = self
            .leases
            .iter()
            .filter(|(partition, known)| held.get(*partition) != Some(&known.lease))
            .map(|(partition, _)| *partition)
            .collect();
        lost.into_iter().for_each(|partition| self.lose(partition));
        Some(held)
    }

    pub(super) fn lose(&mut self, partition: Partition) {
        tracing::warn!(partition = partition.number(), "a partition belongs to another host now");
        self.leases.remove(&partition);
        // Whoever holds it now says whether its connections work.
        let registry = self.shared.registry();
        self.parked.retain(|(connection, kind), _| {
            let of = match kind {
                EntryKind::Signal => registry.source(connection).map(|slot| slot.partition),
                _ => registry.sink(connection).map(|slot| slot.partition),
            };
            of != Some(partition)
        });
        self.signals.lanes.forget(partition);
        self.deliveries.lanes.forget(partition);
        // The new holder looks up what was under way; it must not be overtaken by us.
        self.running.values().filter(|running| running.batch.lane.partition == partition).for_each(
            |running| {
                running.abort.abort();
            },
        );
    }

    /// Lets work under way finish, and gives the partitions back: all of it within the grace period.
    pub(super) async fn stop(mut self) {
        let grace = self.shared.settings.grace;
        let give_back = (grace / 10).max(LEAST_GIVE_BACK);
        if tokio::time::timeout(grace.saturating_sub(give_back), self.finish_all()).await.is_err() {
            tracing::warn!(
                under_way = self.tasks.len(),
                "the grace period is over: what is under way will be looked up"
            );
            self.tasks.shutdown().await;
            self.tellers.shutdown().await;
        }
        let given_back = async {
            history::write(&self.shared).await;
            kept_hooks::write(&self.shared).await;
            if let Err(error) = self.hand_over().await {
                tracing::warn!(%error, "what was spent could not be handed over: the next host waits instead");
            }
            self.shared.log.lease(LeaseRequest::Release { owner: Arc::clone(&self.owner) }).await.map(drop)
        };
        match tokio::time::timeout(give_back, given_back).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "partitions could not be given back: they expire by themselves");
            }
            Err(_) => tracing::warn!("the log does not answer: partitions expire by themselves"),
        }
    }

    /// Waits until nothing is under way. Meanwhile the partitions stay ours: nobody may repeat what we are sending.
    pub(super) async fn finish_all(&mut self) {
        while !self.tasks.is_empty() || !self.tellers.is_empty() {
            if self.tasks.is_empty() {
                self.turns = None;
            }
            let renew_in = self.renew_at.saturating_since(self.shared.clock.now()).min(SLICE);
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.finish(ended),
                Some(_) = self.tellers.join_next() => {}
                () = tokio::time::sleep(renew_in), if !self.leases.is_empty() => {
                    let now = self.shared.clock.now();
                    if now >= self.renew_at {
                        self.hold(self.leases.len(), now).await;
                    }
                }
            }
        }
    }
}
