//! Housekeeping: telling about connections, answering questions, pruning, keeping tokens alive.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::runner::Runner;
#[cfg(feature = "metrics")]
use crate::engine::gauges;
use crate::{
    Connector, Result, Timestamp,
    audit::EntryKind,
    engine::{
        feeds, history, kept_hooks,
        lanes::{Evidence, Finished, Hold, PutOff, Survey},
        notices::{ConnectionNews, standings},
        registry::SourceSlot,
        retry::LOG_PAUSE,
        shared::Shared,
        trouble::{Down, Trouble, TroubleKind},
        upkeep,
        writes::try_when_due,
    },
    model::{ConnectionId, Partition},
};

/// How often settled entries are pruned, and how many at once: webhooks wait meanwhile.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const PRUNE_PAGE: usize = 500;
/// How often it is looked whether a token that nobody uses has to be renewed. Vendors give it weeks.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(3600);

/// How long the other side has to be away before it is told.
const TELL_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked for what waits for limits.
const PUT_OFF_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked for acts that another process has not ended.
const ACTS_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked for connections that other hosts have forgotten.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(30);

/// How often gauges are shown.
#[cfg(feature = "metrics")]
const GAUGES_EVERY: Duration = Duration::from_secs(60);

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

    /// Tells once that a connection's reads or deliveries have stopped working, once more when that does not pass by
    /// itself any longer, and once that they work again.
    pub(crate) fn tell(&mut self, connection: ConnectionId, kind: EntryKind, finished: &Finished) {
        let what = (connection, kind);
        let down = match finished.hold {
            // Most failures that pass are over before somebody has read of them.
            Hold::Down(_) if !self.is_out_long(&what) => return,
            Hold::Outage(_) | Hold::Down(_) => {
                let unknown = || Down { reason: "it is not connected".into(), passes: false };
                let down = finished.down.clone().unwrap_or_else(unknown);
                let is_known = self.parked.get(&what).is_some_and(|known| !known.passes || down.passes);
                if is_known {
                    return;
                }
                self.parked.insert(what.clone(), down.clone());
                Some(down)
            }
            // Only a call that succeeded says that the connection works.
            _ if finished.proof == Evidence::Works && self.parked.remove(&what).is_some() => None,
            _ => return,
        };
        let (at, connection) = (self.shared.clock.now(), Some(what.0.clone()));
        let (kind_of_trouble, reason) = match &down {
            Some(down) => (TroubleKind::ConnectionDown, Arc::clone(&down.reason)),
            None => (TroubleKind::ConnectionResumed, "it works again".into()),
        };
        self.shared.troubles.tell(Trouble { at, kind: kind_of_trouble, connection, seq: None, reason });
        self.turned(
            what.0,
            down.map_or(ConnectionNews::Works(kind), |down| ConnectionNews::Down(kind, down)),
        );
    }

    fn turned(&self, connection: ConnectionId, turn: ConnectionNews) {
        if let Some(turns) = &self.turns {
            // Nobody listens when the loop has ended.
            let _ = turns.send((connection, turn));
        }
    }

    /// Tells of deliveries that have waited for room in a quota for longer than they may fail: once each, and of each quota
    /// the one that has waited for longest.
    pub(crate) fn tell_put_off(&mut self) {
        let now = self.shared.clock.now();
        if now < self.put_off_at {
            return;
        }
        self.put_off_at = now + PUT_OFF_EVERY;
        let mut put_off = self.deliveries.lanes.take_put_off(now - self.shared.settings.max_block);
        put_off.sort_by_key(|waits| (waits.since, waits.head));
        let mut told = BTreeSet::new();
        for PutOff { connection, head, key, since, until } in put_off {
            if told.insert((connection.clone(), key.clone())) {
                let reason =
                    format!("waits for room in the limit {key} since {since}, until {until} at least");
                self.shared.trouble(TroubleKind::PutOff, &connection, head, reason.into());
            }
        }
    }

    fn is_out_long(&self, (connection, kind): &(ConnectionId, EntryKind)) -> bool {
        let work = if *kind == EntryKind::Signal { &self.signals } else { &self.deliveries };
        let since = work.lanes.out_since(connection);
        since.is_some_and(|since| self.shared.clock.now().saturating_since(since) >= TELL_AFTER)
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

    /// Asks the log anew which connections work: those of partitions that are held newly, and those that were attached.
    pub(crate) fn recall_later(&mut self, which: impl Fn(&ConnectionId, &BTreeSet<Partition>) -> bool) {
        let registry = self.shared.registry();
        let of = |id: &ConnectionId| {
            let source = registry.source(id).map(|slot| slot.partition);
            source.into_iter().chain(registry.sink(id).map(|slot| slot.partition)).collect()
        };
        let again = registry.connections().into_iter().filter(|id| which(id, &of(id)));
        self.to_recall.extend(again);
        self.recall_at = Timestamp::default();
    }

    /// Learns from the log which connections did not work when another process looked after them.
    pub(crate) async fn recall(&mut self) {
        let now = self.shared.clock.now();
        if self.to_recall.is_empty() || now < self.recall_at {
            return;
        }
        let ids: Vec<_> = self.to_recall.iter().cloned().collect();
        match standings(&self.shared, &ids).await {
            Ok(standings) => {
                for (id, standing) in ids.into_iter().zip(standings) {
                    for (kind, down) in standing.downs() {
                        self.parked.insert((id.clone(), kind), down);
                        // It may still have to be told.
                        self.turned(id.clone(), ConnectionNews::Due);
                    }
                }
                self.to_recall.clear();
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot say which connections work: asking again");
                self.recall_at = now + LOG_PAUSE;
            }
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

    /// Tells once that the log takes no writes, and once that it does again. Where nothing else waits for it, it is tried
    /// here.
    pub(crate) fn tell_log(&mut self) {
        try_when_due(&self.shared, &mut self.tellers);
        let known = self.shared.log_gate.known();
        if known.is_some() == self.log_is_down {
            return;
        }
        self.log_is_down = known.is_some();
        let (kind, reason) = match known {
            Some(trouble) => (TroubleKind::LogDown, trouble.reason),
            None => (TroubleKind::LogResumed, "writes are taken again".into()),
        };
        let at = self.shared.clock.now();
        self.shared.troubles.tell(Trouble { at, kind, connection: None, seq: None, reason });
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

    /// Writes down what has happened, from time to time.
    pub(crate) fn write_history(&mut self) {
        if self.shared.tallies.is_time(self.shared.clock.now()) {
            let shared = Arc::clone(&self.shared);
            self.tellers.spawn(async move { history::write(&shared).await });
        }
        if self.shared.hooks.is_time(self.shared.clock.now()) {
            let shared = Arc::clone(&self.shared);
            self.tellers.spawn(async move { kept_hooks::write(&shared).await });
        }
    }

    /// Shows gauges, from time to time.
    #[cfg(feature = "metrics")]
    pub(crate) fn show_gauges(&mut self) {
        let now = self.shared.clock.now();
        if now < self.gauges_at {
            return;
        }
        self.gauges_at = now + GAUGES_EVERY;
        let shared = Arc::clone(&self.shared);
        self.tellers.spawn(async move {
            if let Err(error) = gauges::show(&shared).await {
                tracing::debug!(%error, "gauges are not shown");
            }
        });
    }

    /// Goes on with acts that another process has not ended.
    pub(crate) fn go_on_with_acts(&mut self) {
        let now = self.shared.clock.now();
        if now < self.acts_at || !self.shared.acts_open.swap(false, Ordering::Relaxed) {
            return;
        }
        self.acts_at = now + ACTS_EVERY;
        let held: BTreeSet<_> = self.leases.keys().copied().collect();
        let connector = Connector { shared: Arc::clone(&self.shared) };
        self.tellers.spawn(async move {
            let ended = connector.go_on_with_acts(|entry| held.contains(&entry.partition)).await;
            if let Err(error) = &ended {
                tracing::warn!(%error, "an act cannot be gone on with: trying again");
            }
            if !matches!(ended, Ok(true)) {
                connector.shared.acts_open.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Detaches what other hosts have forgotten.
    pub(crate) fn obey_forgotten(&mut self) {
        let now = self.shared.clock.now();
        if now < self.forgotten_at {
            return;
        }
        self.forgotten_at = now + FORGOTTEN_EVERY;
        let connector = Connector { shared: Arc::clone(&self.shared) };
        self.tellers.spawn(async move {
            if let Err(error) = connector.obey_forgotten().await {
                tracing::warn!(%error, "the log cannot say what other hosts have forgotten: asking again");
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
