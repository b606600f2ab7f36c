//! Batches: started as tasks, and taken back into their lanes.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinError;
use tracing::Instrument;

use super::{
    runner::{Runner, RunningBatch},
    signals::resolve,
};
use crate::{
    audit::EntryKind,
    clock::SLICE,
    engine::{
        deliver::deliver,
        lanes::{Appetite, Batch, Evidence, Finished, Hold, Item, LaneId, SlotClass},
        registry::Registry,
    },
    model::ConnectionId,
};

/// How long work that panicked is left alone.
const PANIC_PAUSE: Duration = Duration::from_secs(30);
/// How many signals one read may answer.
const MAX_SIGNALS: usize = 1000;

impl Runner {
    /// Starts everything that may begin.
    pub(super) fn start(&mut self) {
        let registry = self.shared.registry();
        let now = self.shared.clock.now();
        self.classify(&registry);
        loop {
            let appetite = |connection: &ConnectionId, _| {
                let ahead = registry.source(connection).map(|slot| slot.source.info().coalesce);
                Appetite { max: MAX_SIGNALS, ahead: ahead.unwrap_or_default(), linger: Duration::ZERO }
            };
            let Some(batch) = self.signals.lanes.take(now, appetite) else { break };
            self.spawn(batch);
        }
        loop {
            let appetite = |connection: &ConnectionId, id: LaneId| {
                if let Some((max, linger)) = registry.digest(connection, id.lane) {
                    return Appetite { max, ahead: Duration::ZERO, linger };
                }
                let info = registry.sink(connection).map(|slot| slot.sink.info());
                let (max, linger) = info.map_or((1, Duration::ZERO), |info| (info.max_batch, info.linger));
                Appetite { max, ahead: Duration::ZERO, linger }
            };
            let Some(batch) = self.deliveries.lanes.take(now, appetite) else { break };
            self.spawn(batch);
        }
    }

    /// Tells lanes about connections that have come or gone.
    fn classify(&mut self, registry: &Arc<Registry>) {
        if self.classified.as_ref().is_some_and(|known| Arc::ptr_eq(known, registry)) {
            return;
        }
        self.classified = Some(Arc::clone(registry));
        let sources = registry.sources().map(|slot| {
            let info = slot.source.info();
            // Whoever clicks waits for what comes of it: such a source gathers nothing.
            (info.connection.clone(), SlotClass { system: info.system, is_prompt: info.coalesce.is_zero() })
        });
        self.signals.lanes.classify(sources.collect());
        let sinks = registry
            .sinks()
            .map(|(id, slot)| (id.clone(), SlotClass { system: slot.sink.info().system, is_prompt: false }));
        self.deliveries.lanes.classify(sinks.collect());
    }

    pub(super) fn spawn(&mut self, batch: Batch) {
        let Some(held) = self.leases.get(&batch.lane.partition) else { return };
        let lease = held.lease;
        let (shared, work) = (Arc::clone(&self.shared), batch.clone());
        let (connection, head) = (&batch.connection, batch.items.first());
        let seq = head.map_or(0, |item| item.seq.0);
        let abort = match batch.lane.kind {
            EntryKind::Signal => {
                let span = tracing::debug_span!("resolve", %connection, seq, signals = batch.items.len());
                self.tasks.spawn(resolve(shared, lease, work).instrument(span))
            }
            _ => {
                let attempt = head.map_or(0, |item| item.attempt + 1);
                let span = tracing::debug_span!("deliver", %connection, seq, attempt);
                self.tasks.spawn(deliver(shared, lease, work).instrument(span))
            }
        };
        let work = self.work(batch.lane.kind);
        work.lanes.begin(&batch.connection);
        self.running.insert(abort.id(), RunningBatch { batch, lease, abort });
    }

    /// Takes note of what became of a batch.
    pub(super) fn finish(&mut self, ended: std::result::Result<(tokio::task::Id, Finished), JoinError>) {
        let now = self.shared.clock.now();
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(RunningBatch { batch, lease, .. }) = self.running.remove(&id) else { return };
        let partition = batch.lane.partition;
        let work = self.work(batch.lane.kind);
        work.lanes.end(&batch.connection);
        let finished = match ended {
            Ok((_, finished)) => finished,
            Err(error) if error.is_cancelled() => return,
            Err(_) => {
                // What it did before is unknown.
                tracing::error!(connection = %batch.connection, "work panicked: it is tried again");
                let again = |item: &Item| Item { due: now + PANIC_PAUSE, uncertain: true, ..*item };
                Finished {
                    waits: batch.items.iter().map(again).collect(),
                    proof: Evidence::Answers,
                    ..Finished::again(&batch, Hold::Blocked)
                }
            }
        };
        // A partition that was lost and taken again has been read anew: what an earlier hold led to is in there.
        if self.leases.get(&partition).is_none_or(|held| held.lease != lease) {
            return;
        }
        if finished.fenced {
            self.lose(partition);
            self.renew_at = now;
        } else {
            self.work(batch.lane.kind).lanes.take_back(
                &batch,
                &finished.waits,
                finished.hold.clone(),
                finished.proof,
                now,
            );
            self.tell(batch.connection.clone(), batch.lane.kind, &finished);
        }
    }

    /// How long nothing is due.
    pub(super) fn pause(&self) -> Duration {
        let next = [&self.signals, &self.deliveries].into_iter().filter_map(|work| work.lanes.next_at());
        let next = next
            .chain(self.maintenance.next_at())
            .chain(self.shared.log_gate.next_at())
            .chain([self.renew_at])
            .min()
            .unwrap_or_default();
        next.saturating_since(self.shared.clock.now()).min(SLICE)
    }
}
