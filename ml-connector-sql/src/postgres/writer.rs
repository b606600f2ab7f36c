//! The queue of commits. Whatever waits there when a writer gets to it shares one transaction.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Effect, Result, Timestamp,
    audit::{Committed, Transaction},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    PostgresOptions,
    apply::{Applied, Locked, apply, lock},
    batch::Job,
    error::{self, Failure},
    news::News,
    server::{Server, Session, Work},
};

/// The most transactions and bytes in one transaction of the database: bounds how long the first of them waits for the
/// last.
const MAX_GROUP: usize = 512;
const MAX_BYTES: usize = 8 << 20;

/// How long calls gather at most while another group is on its way to its `COMMIT`: they would wait for the same locks there.
/// After that it may be somebody else who holds it up, and others need not wait for that.
const GATHER: Duration = Duration::from_millis(25);

const OPERATION: &str = "postgres_log.commit";

/// The transactions of a call.
#[derive(Debug)]
struct Call {
    jobs: Vec<Job>,
    caller: oneshot::Sender<Result<Vec<Committed>>>,
}

/// What waits to be committed.
#[derive(Debug)]
struct Calls {
    calls: mpsc::Receiver<Call>,
    /// Held by a group until its `COMMIT` is on its way.
    gate: Arc<Semaphore>,
}

/// A queue in front of the connections that commit.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Call>,
    deadline: Duration,
}

impl Writer {
    /// Starts as many writers as the options say. They end when the queue is dropped and empty.
    pub(super) fn start(server: &Arc<Server>, news: &Arc<News>, options: &PostgresOptions) -> Self {
        let (queue, calls) = mpsc::channel(options.queue.max(1));
        let calls = Arc::new(Mutex::new(Calls { calls, gate: Arc::new(Semaphore::new(1)) }));
        for _ in 0..options.writers.max(1) {
            tokio::spawn(write(Arc::clone(&calls), Arc::clone(server), Arc::clone(news)));
        }
        Self { queue, deadline: options.deadline }
    }

    /// Commits transactions that [`Transaction::validate`] has seen.
    pub(super) async fn commit(
        &self,
        transactions: Vec<Transaction>,
        now: Timestamp,
    ) -> Result<Vec<Committed>> {
        let (caller, answer) = oneshot::channel();
        let jobs = transactions.into_iter().map(|transaction| Job { transaction, now }).collect();
        self.queue.try_send(Call { jobs, caller }).map_err(|_| {
            error::unavailable("too many commits wait for the database: look at its load")
                .with_operation(OPERATION)
        })?;
        // What still waits is not begun once nobody waits for it; what has begun may be applied.
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(error::unknown(OPERATION)),
            Err(_) => Err(Failure::Late.during(OPERATION).with_effect(Effect::Unknown)),
        }
    }
}

async fn write(calls: Arc<Mutex<Calls>>, server: Arc<Server>, news: Arc<News>) {
    loop {
        let Some((group, gate)) = next_group(&mut *calls.lock().await).await else { return };
        let mut work = Commit { gate, ..Commit::of(group.iter().flat_map(|call| &call.jobs)) };
        match server.write(OPERATION, &mut work).await {
            Ok(applied) => answer(group, applied, &news),
            Err(error) if group.len() == 1 || !error::is_about_a_value(&error) => {
                for call in group {
                    let _ = call.caller.send(Err(error::same(&error)));
                }
            }
            // A value of one of them: each is on its own.
            Err(_) => {
                for call in group {
                    let mut work = Commit::of(&call.jobs);
                    match server.write(OPERATION, &mut work).await {
                        Ok(applied) => answer(vec![call], applied, &news),
                        Err(error) => drop(call.caller.send(Err(error))),
                    }
                }
            }
        }
    }
}

async fn next_group(Calls { calls, gate }: &mut Calls) -> Option<(Vec<Call>, Option<OwnedSemaphorePermit>)> {
    let size = |call: &Call| {
        let entries = call.jobs.iter().flat_map(|job| &job.transaction.append);
        entries.map(|entry| entry.body.as_ref().map_or(0, |body| body.len())).sum::<usize>()
    };
    // Whoever has asked does not wait any more when its answer cannot come.
    let mut group = loop {
        let call = calls.recv().await?;
        if !call.caller.is_closed() {
            break vec![call];
        }
    };
    let gate = timeout(GATHER, Arc::clone(gate).acquire_owned()).await.ok().and_then(Result::ok);
    let (mut jobs, mut bytes) = (group[0].jobs.len(), size(&group[0]));
    while jobs < MAX_GROUP
        && bytes < MAX_BYTES
        && let Ok(call) = calls.try_recv()
    {
        if call.caller.is_closed() {
            continue;
        }
        (jobs, bytes) = (jobs + call.jobs.len(), bytes + size(&call));
        group.push(call);
    }
    Some((group, gate))
}

fn answer(group: Vec<Call>, applied: Applied, news: &News) {
    news.appended(applied.appended);
    let mut committed = applied.committed.into_iter();
    for Call { jobs, caller } in group {
        // The caller may have gone; what was written stays.
        let _ = caller.send(Ok(committed.by_ref().take(jobs.len()).collect()));
    }
}

/// What several calls commit together.
struct Commit<'a> {
    jobs: Vec<&'a Job>,
    locked: Option<Locked<'a>>,
    gate: Option<OwnedSemaphorePermit>,
}

impl<'a> Commit<'a> {
    fn of(jobs: impl IntoIterator<Item = &'a Job>) -> Self {
        Self { jobs: jobs.into_iter().collect(), locked: None, gate: None }
    }
}

impl Work for Commit<'_> {
    type Output = Applied;

    async fn lock(&mut self, session: &Session<'_>) -> std::result::Result<(), Failure> {
        self.locked = Some(lock(session, &self.jobs).await?);
        Ok(())
    }

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<Applied, Failure> {
        let locked = self.locked.take().ok_or(Failure::Overtaken)?;
        let applied = apply(session, &self.jobs, locked).await;
        // The next group can be put together while the disk takes this one.
        self.gate = None;
        applied
    }
}
