//! The run loop: holds partitions, finds work, starts it, and takes note of what became of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::Future,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::{AbortHandle, JoinError, JoinSet},
};
use tracing::Instrument;

use super::housekeeping::{self, Turned};
use crate::engine::{
    Connector, Shared,
    deliver::deliver,
    lanes::{Appetite, Batch, Hold, Item, LaneId, Lanes},
    resolve::resolve,
};
use crate::{
    Result, Timestamp,
    audit::{EntryKind, Lease, LeaseRequest},
    clock::SLICE,
    model::{ConnectionId, Partition, Seq},
};

/// How long the log is trusted to tell about commits of other processes.
const HINT: Duration = Duration::from_secs(30);
/// How often what other processes commit is looked for at most: our own commits tell by themselves.
const HINT_GAP: Duration = Duration::from_millis(200);
/// How long work that panicked is left alone.
const PANIC_PAUSE: Duration = Duration::from_secs(30);
/// How much of the grace period is kept for giving partitions back, at least.
const LEAST_GIVE_BACK: Duration = Duration::from_millis(500);
/// How long to wait for a log that does not work.
pub(super) const LOG_PAUSE: Duration = Duration::from_secs(1);
/// How many signals one read may answer.
const MAX_SIGNALS: usize = 1000;

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The items that are not settled.
    pub(crate) waits: Vec<Item>,
    pub(crate) hold: Hold,
    /// The partition belongs to somebody else now.
    pub(crate) fenced: bool,
    /// Why the connection does not work, with [`Hold::Outage`].
    pub(crate) reason: Option<Arc<str>>,
}

impl Finished {
    /// Everything is off the work list.
    pub(crate) fn settled() -> Self {
        Self { waits: Vec::new(), hold: Hold::None, fenced: false, reason: None }
    }

    /// Nothing has changed; the batch comes again.
    pub(crate) fn again(batch: &Batch, hold: Hold) -> Self {
        Self::again_from(&batch.items, hold)
    }

    /// These items come again as they are.
    pub(crate) fn again_from(items: &[Item], hold: Hold) -> Self {
        Self { waits: items.to_vec(), hold, fenced: false, reason: None }
    }

    /// Somebody else works on the partition.
    pub(crate) fn fenced() -> Self {
        Self { fenced: true, ..Self::settled() }
    }
}

impl Connector {
    /// Does the work: reads what signals are about, delivers what follows, until `shutdown` completes. Call it once
    /// per host and log, and keep it running; webhooks are taken without it, too, and wait in the log.
    ///
    /// After the shutdown nothing new begins. Work under way may finish within the settings'
    /// [`grace`](crate::engine::Settings::grace); what does not is looked up at the next start. Then the partitions are given
    /// back.
    ///
    /// # Errors
    /// None at present: a log that does not work is tried again until it does. The result leaves room for failures
    /// that no patience can mend.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let owner: Arc<str> = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(self.shared.clock.now().as_secs()).unwrap_or(0),
            0,
        ))
        .to_string()
        .into();
        let mut runner = Runner::new(Arc::clone(&self.shared), owner);
        let _answers = self.shared.wake.running();
        self.shared.wake.all();
        // Whatever it waits for at that moment, be it a log that does not answer, it does not wait any longer.
        tokio::select! {
            biased;
            () = shutdown => {}
            () = runner.work_on() => {}
        }
        runner.stop().await;
        Ok(())
    }
}

pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Arc<str>,
    pub(super) leases: BTreeMap<Partition, Held>,
    pub(super) renew_at: Timestamp,
    /// How many requests in a row have granted nothing.
    pub(super) in_vain: u32,
    pub(super) signals: Work,
    pub(super) deliveries: Work,
    pub(super) tasks: JoinSet<Finished>,
    pub(super) running: HashMap<tokio::task::Id, Running>,
    /// What does not work of which connection, as the log was told.
    pub(super) parked: HashSet<(ConnectionId, EntryKind)>,
    /// To the task that tells the log; `None` when nothing more is told.
    pub(super) turns: Option<UnboundedSender<Turned>>,
    pub(super) tellers: JoinSet<()>,
    pub(super) prune_at: Timestamp,
    pub(super) save_at: Timestamp,
    /// What the log was told last of what was spent.
    pub(super) saved: Option<Bytes>,
    pub(super) keep_alive_at: Timestamp,
}

/// What waits and what is under way of one kind.
pub(super) struct Work {
    pub(super) lanes: Lanes,
    pub(super) under_way: usize,
    pub(super) max: usize,
}

/// A batch that is under way.
pub(super) struct Running {
    pub(super) batch: Batch,
    pub(super) lease: Lease,
    pub(super) abort: AbortHandle,
}

/// A partition that is held, and how far its work list has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) read_to: Seq,
}

impl Runner {
    /// Works, and never ends.
    async fn work_on(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut hints = pin!(hints(&shared));
        self.recall().await;
        loop {
            self.renew().await;
            self.save_counts().await;
            self.discover().await;
            self.start();
            self.answer();
            self.prune();
            self.keep_alive();
            let pause = self.pause();
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.finish(ended),
                Some(_) = self.tellers.join_next() => {}
                () = shared.wake.wait() => {}
                () = &mut hints => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn new(shared: Arc<Shared>, owner: Arc<str>) -> Self {
        let work = |max| Work { lanes: Lanes::default(), under_way: 0, max };
        let (turns, told) = unbounded_channel();
        let mut tellers = JoinSet::new();
        tellers.spawn(housekeeping::tell_turns(Arc::clone(&shared), told));
        Self {
            signals: work(shared.settings.max_resolving),
            deliveries: work(shared.settings.max_delivering),
            shared,
            owner,
            leases: BTreeMap::new(),
            renew_at: Timestamp::default(),
            in_vain: 0,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            parked: HashSet::new(),
            turns: Some(turns),
            tellers,
            prune_at: Timestamp::default(),
            save_at: Timestamp::default(),
            saved: None,
            keep_alive_at: Timestamp::default(),
        }
    }

    pub(super) fn work(&mut self, kind: EntryKind) -> &mut Work {
        if kind == EntryKind::Signal { &mut self.signals } else { &mut self.deliveries }
    }

    /// Takes and renews partitions when it is time to.
    async fn renew(&mut self) {
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
        if let Err(error) = self.take_custody(&new).await {
            tracing::error!(%error, "partitions cannot be taken over: trying again");
            self.renew_at = now + LOG_PAUSE;
            return;
        }
        for (partition, lease) in held {
            self.leases.entry(partition).or_insert(Held { lease, read_to: Seq(0) });
        }
        let taken: Vec<Partition> = new.iter().map(|lease| lease.partition).collect();
        tracing::info!(held = self.leases.len(), taken = taken.len(), "partitions held");
        self.shared.wake.partitions(&taken);
        self.schedule(|slot| taken.contains(&slot.partition));
    }

    /// Asks for so many partitions, and ends what is under way in those that are lost. Nothing when the log does not
    /// answer.
    async fn hold(&mut self, want: usize, now: Timestamp) -> Option<BTreeMap<Partition, Lease>> {
        let lease = self.shared.settings.lease;
        let request = LeaseRequest::Hold { owner: Arc::clone(&self.owner), want, until: now + lease, now };
        let held: BTreeMap<Partition, Lease> = match self.shared.log.lease(request).await {
            Ok(held) => held.into_iter().map(|lease| (lease.partition, lease)).collect(),
            Err(error) => {
                tracing::error!(%error, "partitions cannot be leased: trying again");
                self.renew_at = now + LOG_PAUSE;
                return None;
            }
        };
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

    fn lose(&mut self, partition: Partition) {
        tracing::warn!(partition = partition.number(), "a partition belongs to another host now");
        self.leases.remove(&partition);
        self.signals.lanes.forget(partition);
        self.deliveries.lanes.forget(partition);
        // The new holder looks up what was under way; it must not be overtaken by us.
        self.running.values().filter(|running| running.batch.lane.partition == partition).for_each(
            |running| {
                running.abort.abort();
            },
        );
    }

    /// Starts everything that may begin.
    fn start(&mut self) {
        let registry = self.shared.registry();
        let now = self.shared.clock.now();
        while self.signals.under_way < self.signals.max {
            let appetite = |connection: &ConnectionId, _| {
                let ahead = registry.source(connection).map(|slot| slot.source.info().coalesce);
                Appetite { max: MAX_SIGNALS, ahead: ahead.unwrap_or_default(), linger: Duration::ZERO }
            };
            let Some(batch) = self.signals.lanes.take(now, appetite) else { break };
            self.spawn(batch);
        }
        while self.deliveries.under_way < self.deliveries.max {
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

    fn spawn(&mut self, batch: Batch) {
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
        self.work(batch.lane.kind).under_way += 1;
        self.running.insert(abort.id(), Running { batch, lease, abort });
    }

    /// Takes note of what became of a batch.
    fn finish(&mut self, ended: std::result::Result<(tokio::task::Id, Finished), JoinError>) {
        let now = self.shared.clock.now();
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(Running { batch, lease, .. }) = self.running.remove(&id) else { return };
        let partition = batch.lane.partition;
        self.work(batch.lane.kind).under_way -= 1;
        let finished = match ended {
            Ok((_, finished)) => finished,
            Err(error) if error.is_cancelled() => return,
            Err(_) => {
                // What it did before is unknown.
                tracing::error!(connection = %batch.connection, "work panicked: it is tried again");
                let again = |item: &Item| Item { due: now + PANIC_PAUSE, uncertain: true, ..*item };
                Finished {
                    waits: batch.items.iter().map(again).collect(),
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
            self.tell(batch.connection.clone(), batch.lane.kind, &finished);
            self.work(batch.lane.kind).lanes.finish(&batch, &finished.waits, finished.hold, now);
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let work = [&self.signals, &self.deliveries].into_iter().filter(|work| work.under_way < work.max);
        let next =
            work.filter_map(|work| work.lanes.next_at()).chain([self.renew_at]).min().unwrap_or_default();
        next.saturating_since(self.shared.clock.now()).min(SLICE)
    }

    /// Lets work under way finish, and gives the partitions back: all of it within the grace period.
    async fn stop(mut self) {
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
    async fn finish_all(&mut self) {
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

/// Looks for what other processes commit. Never ends.
async fn hints(shared: &Shared) {
    let all: Vec<Partition> = Partition::all().collect();
    loop {
        if let Err(error) = shared.log.wait(&all, HINT).await {
            tracing::debug!(%error, "the log cannot tell about other processes");
            tokio::time::sleep(LOG_PAUSE).await;
        }
        shared.wake.all();
        tokio::time::sleep(HINT_GAP).await;
    }
}
