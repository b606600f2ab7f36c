//! The log in a SQLite file.

mod apply;
mod backlog;
mod chain;
mod error;
mod files;
mod lease;
mod links;
mod news;
mod outcome;
mod prune;
mod query;
mod reader;
mod rewrite;
mod schema;
mod search;
mod settle;
mod signals;
mod token;
mod work;
mod writer;

use std::{
    mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ml_connector_core::{
    AuditLog, CheckStep, Error, ErrorKind, Result, Timestamp,
    audit::{
        Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest, Query,
        Transaction,
    },
    model::{ConnectionId, Partition},
};

pub use self::token::SqliteTokenStore;
use self::{files::Files, news::News, reader::Readers, writer::Writer};
use crate::chain::Chain;

/// The log in a SQLite file. Cheap to clone: all clones and token stores share one writer thread and a few
/// readers. Dropping the last of them writes what is queued and closes the file.
#[derive(Debug, Clone)]
pub struct SqliteLog {
    store: Arc<Store>,
}

/// How a file is opened. The default suits everybody who does not know better.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How many writes may wait for the writer thread; one more is refused with
    /// [`Unavailable`](ErrorKind::Unavailable), which a webhook answers with 503. Default: 4096.
    pub queue: usize,
    /// How long to wait for a lock that another process holds. Default: 5 s.
    pub busy_timeout: Duration,
    /// Refuse writes that would make the file larger. Default: no limit but the disk's.
    pub max_size_bytes: Option<u64>,
    /// Keep a [chain](ml_connector_core::audit::ChainedLog), as evidence of tampering. It begins with what is appended from
    /// then on, and a file that has one keeps it: whoever opens it. Begin it while no other program has the file open.
    /// Default: no.
    pub chain: bool,
}

#[derive(Debug)]
struct Store {
    // Readers close first: the last connection to close merges the write-ahead log into the file.
    readers: Readers,
    writer: Writer,
    news: Arc<News>,
    pruning: Mutex<prune::Known>,
    chain: Arc<Chain>,
}

impl Store {
    fn pruning(&self) -> MutexGuard<'_, prune::Known> {
        self.pruning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue: 4096, busy_timeout: Duration::from_secs(5), max_size_bytes: None, chain: false }
    }
}

impl SqliteOptions {
    /// Sets how many writes may wait.
    #[must_use]
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Sets how long to wait for another process.
    #[must_use]
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Limits the size of the file.
    #[must_use]
    pub fn with_max_size_bytes(mut self, max_size_bytes: u64) -> Self {
        self.max_size_bytes = Some(max_size_bytes);
        self
    }

    /// Keeps a chain, as evidence of tampering.
    #[must_use]
    pub fn with_chain(mut self) -> Self {
        self.chain = true;
        self
    }
}

impl SqliteLog {
    /// Opens the file, or creates it for its owner only (mode 0600 where the platform has modes), and brings
    /// its schema up to date. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) when the path cannot be opened or written, is no SQLite file
    /// of ours, is damaged, or was written by a newer version; [`Unavailable`](ErrorKind::Unavailable) when it
    /// is locked or the disk is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &SqliteOptions::default())
    }

    /// Opens the file with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self> {
        // SQLite gives names such as `:memory:` and `file:…` a meaning; an absolute path has none of them.
        let path = &std::path::absolute(path).map_err(|cause| {
            Error::new(ErrorKind::ConfigInvalid, "the database needs a path")
                .with_operation("sqlite_log.open")
                .with_source(cause)
        })?;
        let mut connection = schema::open(path, options)?;
        let chain = Arc::new(Chain::default());
        if options.chain {
            self::chain::begin(&mut connection).map_err(|cause| error::opening(&cause))?;
        }
        if self::chain::is_kept(&connection).map_err(|cause| error::opening(&cause))? {
            chain.begin();
        }
        let news = Arc::new(News::after(schema::last(&connection).map_err(|cause| error::opening(&cause))?));
        let files = Arc::new(Files::of(path));
        let (told, linked) = (Arc::clone(&news), Arc::clone(&chain));
        let writer = Writer::start(connection, Arc::clone(&files), options.queue, told, linked)?;
        let readers = Readers::start(path, files, options)?;
        Ok(Self { store: Arc::new(Store { readers, writer, news, pruning: Mutex::default(), chain }) })
    }

    /// Tokens in the same file.
    #[must_use]
    pub fn token_store(&self) -> SqliteTokenStore {
        SqliteTokenStore::new(Arc::clone(&self.store))
    }
}

#[async_trait]
impl AuditLog for SqliteLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        transactions.iter().try_for_each(Transaction::validate)?;
        self.store
            .writer
            .run("sqlite_log.commit", move |batch| {
                transactions
                    .iter()
                    .map(|transaction| batch.savepoint(|batch| apply::apply(batch, transaction, now)))
                    .collect()
            })
            .await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.store
            .writer
            .run("sqlite_log.lease", move |batch| batch.savepoint(|batch| lease::lease(batch, &request)))
            .await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        let wanted = wanted.to_vec();
        self.store
            .readers
            .run("sqlite_log.pending", move |connection| {
                let read = |&PendingRequest { lease, scope, after }: &PendingRequest| {
                    let is_held = lease::is_held(connection, lease)?;
                    is_held
                        .then(|| query::pending(connection, lease.partition, scope, after, limit))
                        .transpose()
                };
                wanted.iter().map(read).collect()
            })
            .await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        let keys = keys.to_vec();
        self.store
            .readers
            .run("sqlite_log.documents", move |connection| {
                keys.iter().map(|key| query::document(connection, key)).collect()
            })
            .await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        let query = query.clone();
        self.store.readers.run("sqlite_log.query", move |connection| query::entries(connection, &query)).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        let query = query.clone();
        self.store
            .readers
            .run("sqlite_log.count", move |connection| query::count(connection, &query, cap))
            .await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.store.readers.run("sqlite_log.backlog", move |connection| backlog::read(connection, now)).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.store.news.wait(&self.store.readers, partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        loop {
            // What is known is lost with a call that fails or is given up, and found out again.
            let mut known = mem::take(&mut *self.store.pruning());
            let (plan, known) = self
                .store
                .readers
                .run("sqlite_log.prune", move |connection| {
                    let plan = prune::plan(connection, &mut known, before, limit)?;
                    Ok((plan, known))
                })
                .await?;
            if plan.is_empty() {
                *self.store.pruning() = known;
                return Ok(0);
            }
            let removed = self
                .store
                .writer
                .run("sqlite_log.prune", move |batch| {
                    batch.savepoint(|batch| prune::remove_linked(batch, &plan))
                })
                .await?;
            // Nothing: others were faster, so that the plan was wrong.
            if removed > 0 {
                *self.store.pruning() = known;
                return Ok(removed);
            }
        }
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        let begin = DocKey::new(collection, connection, "");
        self.store
            .writer
            .run("sqlite_log.remove_documents", move |batch| {
                batch.savepoint(|batch| apply::remove_documents(batch.connection(), &begin, limit))
            })
            .await
    }

    async fn check(&self) -> Vec<CheckStep> {
        let looked =
            self.store.writer.run("sqlite_log.check", |batch| schema::look(batch.connection())).await;
        looked.map_or_else(|error| vec![CheckStep::of("durability", Err::<(), _>(&error))], schema::steps)
    }
}
