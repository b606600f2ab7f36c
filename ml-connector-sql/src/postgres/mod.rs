//! The log in a Postgres database that several hosts share.
//!
//! `apply` loads what a batch of transactions asks about, `batch` changes that in memory, `write` writes it; `writer` puts
//! calls together, and `server` sees to deadlines, repetitions and lost answers. `chain` links what is written, and
//! `verify` checks it.

mod apply;
mod batch;
mod chain;
mod error;
mod lease;
mod limiter;
mod news;
mod options;
mod outbox;
mod prune;
mod query;
mod rewrite;
mod schema;
mod search;
mod server;
mod token;
mod values;
mod verify;
mod write;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use deadpool_postgres::{
    Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
    tokio_postgres::{
        Config, Socket,
        tls::{MakeTlsConnect, TlsConnect},
    },
};
use futures_util::{FutureExt, StreamExt, stream};
use ml_connector_core::{
    AuditLog, CheckStep, Error, ErrorKind, Result, Timestamp,
    audit::{
        Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest, Query,
        Transaction,
    },
    model::{ConnectionId, Partition},
};

pub use self::{
    limiter::PostgresRateLimiter,
    options::{LeaseClock, PostgresOptions},
    token::PostgresTokenStore,
};
use self::{
    news::{Listen, News},
    server::Server,
    writer::Writer,
};

/// The log in a Postgres database, version 13 or later, that any number of hosts share. Cheap to clone: all clones and
/// token stores share a pool of connections. It needs the Tokio runtime that it was opened on.
#[derive(Clone)]
pub struct PostgresLog {
    server: Arc<Server>,
    writer: Arc<Writer>,
    news: Arc<News>,
    lease_clock: LeaseClock,
}

impl PostgresLog {
    /// Connects with a pool of its own, creates the schema or checks its version, and listens to other hosts.
    ///
    /// `tls` is [`NoTls`](deadpool_postgres::tokio_postgres::NoTls), or a connector of the host's choice. Give
    /// several hosts in `config`, with `target_session_attrs=read-write`, to follow a failover.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) when the role, its rights, the database's settings or the schema have
    /// to be changed: with `fsync`, `synchronous_commit` or `full_page_writes` off a commit would not last.
    /// [`Unavailable`](ErrorKind::Unavailable) when the database cannot be reached, or does not write.
    pub async fn connect<T>(config: &Config, tls: T, options: &PostgresOptions) -> Result<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let mut config = config.clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.deadline / 2);
        }
        if config.get_application_name().is_none() {
            config.application_name("ml-connector");
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
            .max_size(options.connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.deadline / 2))
            .create_timeout(Some(options.deadline / 2))
            .build()
            .map_err(|cause| {
                Error::new(ErrorKind::ConfigInvalid, "the pool cannot be built")
                    .with_operation("postgres_log.open")
                    .with_source(cause)
            })?;
        let log = Self::with_pool(pool, options).await?;
        let listen: Listen = Box::new(move || {
            let (config, tls) = (config.clone(), tls.clone());
            async move {
                let (client, mut connection) = config.connect(tls).await?;
                Ok((client, stream::poll_fn(move |context| connection.poll_message(context)).boxed()))
            }
            .boxed()
        });
        tokio::spawn(news::hear(Arc::downgrade(&log.news), options.schema.clone(), listen));
        Ok(log)
    }

    /// Opens the log with a pool of the host's, which may use it for its own work as well. Keep at least
    /// [`PostgresOptions::writers`] + 2 connections free for the log. It works through PgBouncer, also in transaction mode.
    /// A pool hears no notifications: what other hosts append is found within a second.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn with_pool(pool: Pool, options: &PostgresOptions) -> Result<Self> {
        let server = Arc::new(Server::new(pool, options));
        schema::open(&server, options.chain).await?;
        let news = Arc::new(News::default());
        let writer = Arc::new(Writer::start(&server, &news, options));
        tokio::spawn(news::tell(Arc::downgrade(&news), Arc::clone(&server)));
        tokio::spawn(news::look(Arc::downgrade(&news), Arc::clone(&server)));
        Ok(Self { server, writer, news, lease_clock: options.lease_clock })
    }

    /// Tokens in the same schema.
    #[must_use]
    pub fn token_store(&self) -> PostgresTokenStore {
        PostgresTokenStore::new(Arc::clone(&self.server))
    }

    /// Quotas that all hosts count together, in the same schema.
    #[must_use]
    pub fn rate_limiter(&self) -> PostgresRateLimiter {
        PostgresRateLimiter::new(Arc::clone(&self.server))
    }
}

#[async_trait]
impl AuditLog for PostgresLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        transactions.iter().try_for_each(Transaction::validate)?;
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.commit(transactions, now).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut request = lease::Request { request, clock: self.lease_clock };
        let held = self.server.write("postgres_log.lease", &mut request).await?;
        self.news.hold(held.iter().map(|lease| lease.partition));
        Ok(held)
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        query::pending(&self.server, wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        query::documents(&self.server, keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        query::entries(&self.server, query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        query::count(&self.server, query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        query::backlog(&self.server, now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        Ok(tokio::time::timeout(at_most, self.news.wait(partitions)).await.unwrap_or_default())
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.server.write("postgres_log.prune", &mut prune::Prune { before, limit }).await
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        let mut work = prune::Documents { begin: DocKey::new(collection, connection, ""), limit };
        self.server.write("postgres_log.remove_documents", &mut work).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.server.deadline())
    }

    async fn check(&self) -> Vec<CheckStep> {
        vec![schema::check(&self.server).await]
    }
}

/// What the log holds, and where, is not shown.
impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog").field("server", &self.server).finish_non_exhaustive()
    }
}
