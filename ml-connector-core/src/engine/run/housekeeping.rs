//! Housekeeping: telling about connections, answering questions, pruning, keeping tokens alive.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::runner::Runner;
use crate::{
    Connector, Result,
    audit::EntryKind,
    engine::{
        feeds,
        lanes::{Finished, Hold, Proof, Survey},
        notices::standings,
        registry::SourceSlot,
        retry::LOG_PAUSE,
        shared::Shared,
        upkeep,
    },
    model::ConnectionId,
};

/// How often settled entries are pruned, and how many at once: webhooks wait meanwhile.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const PRUNE_PAGE: usize = 500;
/// How often it is looked whether a token that nobody uses has to be renewed. Vendors give it weeks.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(3600);

/// How often it is looked for acts that another process has not ended.
const ACTS_EVERY: Duration = Duration::from_secs(60);

/// After how many requests for partitions a lease that was just begun has ended.
const PATIENCE: u32 = 4;

impl Runner {
    /// Tells once that for longer than a lease lasts nothing has been granted.
    pub(crate) fn tell_granted(&mut self, is_granted: bool) {
        self.in_vain = if is_granted { 0 } else { self.in_vain.saturating_add(1) };
        if self.in_vain == PATIENCE {
            tracing::warn!("no partition is granted: this host stands by, another holds all of them");
        }
    }

    /// Tells once that a connection's reads or deliveries have stopped working, and once that they work again.
    pub(crate) fn tell(&mut self, connection: ConnectionId, kind: EntryKind, finished: &Finished) {
        let what = (connection, kind);
        let reason = match finished.hold {
            Hold::Outage(_) if self.parked.insert(what.clone()) => {
                Some(finished.reason.clone().unwrap_or_else(|| "it is not connected".into()))
            }
            Hold::Outage(_) => return,
            // Only a call that succeeded says that the connection works.
            _ if finished.proof == Proof::Works && self.parked.remove(&what) => None,
            _ => return,
        };
        if let Some(turns) = &self.turns {
            // Nobody listens when the loop has ended.
            let _ = turns.send((what.0, kind, reason));
        }
    }

    /// Makes sure that what sources do by themselves waits in the log.
    pub(crate) fn schedule(&mut self, which: impl Fn(&SourceSlot) -> bool) {
        let registry = self.shared.registry();
        let slots =
            registry.sources().filter(|slot| which(slot) && self.leases.contains_key(&slot.partition));
        let slots: Vec<_> = slots.cloned().collect();
        if slots.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.tellers.spawn(async move {
            for slot in slots {
                while let Err(error) = ensure(&shared, &slot).await {
                    tracing::error!(%error, connection = %slot.connection(), "a source cannot be scheduled: trying again");
                    tokio::time::sleep(LOG_PAUSE).await;
                }
            }
        });
    }

    /// Learns from the log which connections did not work when the process before ended.
    pub(crate) async fn recall(&mut self) {
        let ids: Vec<_> = self.shared.registry().connections().into_iter().collect();
        match standings(&self.shared, &ids).await {
            Ok(standings) => {
                let known = ids.into_iter().zip(standings).flat_map(|(id, standing)| {
                    standing.kinds().map(|kind| (id.clone(), kind)).collect::<Vec<_>>()
                });
                self.parked = known.collect();
            }
            Err(error) => tracing::error!(%error, "the log cannot say which connections work"),
        }
    }

    /// Answers who asked what waits.
    pub(crate) fn answer(&mut self) {
        let questions = self.shared.mailbox.take_questions();
        if questions.is_empty() {
            return;
        }
        let now = self.shared.clock.now();
        let mut survey = Survey { partitions: self.leases.len(), ..Survey::default() };
        for (role, work) in [&self.signals, &self.deliveries].into_iter().enumerate() {
            work.lanes.survey(now, |connection, lane| {
                survey.backlogs.entry(connection.clone()).or_default()[role].add(lane);
            });
            for (connection, until) in work.lanes.outages() {
                survey.backlogs.entry(connection.clone()).or_default()[role].paused_until = Some(until);
            }
        }
        for question in questions {
            // Whoever does not wait any more does not want to know.
            drop(question.send(survey.clone()));
        }
    }

    /// Removes what was settled long ago, from time to time.
    pub(crate) fn prune(&mut self) {
        let now = self.shared.clock.now();
        let Some(retention) = self.shared.settings.retention.filter(|_| now >= self.prune_at) else { return };
        self.prune_at = now + PRUNE_EVERY;
        let shared = Arc::clone(&self.shared);
        self.tellers.spawn(async move {
            loop {
                match shared.log.prune(now - retention, PRUNE_PAGE).await {
                    Ok(0) => return,
                    Ok(entries) => tracing::debug!(entries, "pruned"),
                    Err(error) => {
                        return tracing::warn!(%error, "the log cannot be pruned: trying again later");
                    }
                }
            }
        });
    }

    /// Goes on with acts that another process has not ended.
    pub(crate) fn go_on_with_acts(&mut self) {
        let now = self.shared.clock.now();
        if now < self.acts_at {
            return;
        }
        self.acts_at = now + ACTS_EVERY;
        let held: BTreeSet<_> = self.leases.keys().copied().collect();
        let connector = Connector { shared: Arc::clone(&self.shared) };
        self.tellers.spawn(async move {
            if let Err(error) = connector.go_on_with_acts(|entry| held.contains(&entry.partition)).await {
                tracing::warn!(%error, "an act cannot be gone on with: trying again");
            }
        });
    }

    /// Renews tokens that would die because no call uses them.
    pub(crate) fn keep_alive(&mut self) {
        let now = self.shared.clock.now();
        if now < self.keep_alive_at {
            return;
        }
        self.keep_alive_at = now + KEEP_ALIVE_EVERY;
        let registry = self.shared.registry();
        for (partition, connection, tokens) in registry.tokens() {
            if !self.leases.contains_key(&partition) {
                continue;
            }
            let (shared, connection, tokens) = (Arc::clone(&self.shared), connection.clone(), tokens.clone());
            self.tellers.spawn(async move {
                if let Err(error) = tokens.keep_alive(&shared.context).await {
                    tracing::warn!(%error, %connection, "the tokens of an idle connection are not renewed");
                }
            });
        }
    }
}

/// Makes sure that the next read of every feed, every sweep and the next look after the subscriptions wait in the log.
async fn ensure(shared: &Shared, slot: &Arc<SourceSlot>) -> Result<()> {
    feeds::ensure(shared, slot).await?;
    upkeep::ensure(shared, slot).await?;
    shared.mailbox.wake(&[slot.partition]);
    Ok(())
}
