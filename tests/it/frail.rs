//! A log whose process dies at a commit: before it is made, or after it was made and before anybody heard of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ml_connector_core::{
    AuditLog, Error, ErrorKind, Result, Timestamp,
    audit::{
        Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, MemoryLog, Pending, PendingRequest,
        Query, Transaction,
    },
    model::{ConnectionId, Partition},
};
use tokio::sync::Notify;

/// Where a process dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    /// At which of its commits.
    pub(crate) at: usize,
    /// Whether that commit is made.
    pub(crate) applied: bool,
}

#[derive(Debug)]
pub(crate) struct Frail {
    log: Arc<MemoryLog>,
    death: Option<Death>,
    commits: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
}

impl Frail {
    pub(crate) fn new(log: &Arc<MemoryLog>, death: Option<Death>) -> Self {
        Self {
            log: Arc::clone(log),
            death,
            commits: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        }
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// Completes when the process dies.
    pub(crate) async fn died(&self) {
        while !self.dead.load(Ordering::Relaxed) {
            self.died.notified().await;
        }
    }

    fn alive(&self) -> Result<()> {
        match self.dead.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "the process is dead")),
            false => Ok(()),
        }
    }

    fn die(&self) -> Error {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
        Error::new(ErrorKind::Unavailable, "the process died")
    }
}

#[async_trait]
impl AuditLog for Frail {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        self.alive()?;
        let this = self.commits.fetch_add(1, Ordering::Relaxed);
        match self.death.filter(|death| death.at == this) {
            Some(Death { applied: false, .. }) => Err(self.die()),
            Some(_) => {
                self.log.commit(transactions, now).await?;
                Err(self.die())
            }
            None => self.log.commit(transactions, now).await,
        }
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.alive()?;
        self.log.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.alive()?;
        self.log.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.alive()?;
        self.log.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.alive()?;
        self.log.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.alive()?;
        self.log.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.alive()?;
        self.log.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.alive()?;
        self.log.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.alive()?;
        self.log.prune(before, limit).await
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.alive()?;
        self.log.remove_documents(of, connection, limit).await
    }
}
