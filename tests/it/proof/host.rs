//! The process that is killed: this test binary, started again with a job in its environment.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use ml_connector_core::{
    AttemptNotes, AuditLog, Connector, Context, Repeat, Result, Sink, SinkInfo, SystemClock, Timestamp,
    audit::{
        Appended, Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest,
        Query, Transaction,
    },
    model::{ConnectionId, Delivery, DeliveryPlan, Lookup, Partition, Receipt, Seq},
};
use ml_connector_sql::SqliteLog;
use tokio::sync::oneshot;

use super::{
    ledger::{BoardSink, LedgerSource, Remote, connector},
    pause::Halt,
};

/// What the process has to do, and where it has to die.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) database: PathBuf,
    pub(crate) vendor: SocketAddr,
    pub(crate) generation: u64,
    pub(crate) fail_point: Option<FailPoint>,
    pub(crate) repeat: Repeat,
    /// Webhooks are answered before they are stored: a defect that the tests have to find.
    pub(crate) answers_early: bool,
}

/// Where the process dies, counted from its start: around a commit, or around a post and thus between it and the
/// commits before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailPoint {
    BeforeCommit(u64),
    AfterCommit(u64),
    BeforePost(u64),
    AfterPost(u64),
    /// It waits there to be paused.
    HaltsBeforePost(u64),
}

impl fmt::Display for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeCommit(nth) => write!(f, "before-commit {nth}"),
            Self::AfterCommit(nth) => write!(f, "after-commit {nth}"),
            Self::BeforePost(nth) => write!(f, "before-post {nth}"),
            Self::AfterPost(nth) => write!(f, "after-post {nth}"),
            Self::HaltsBeforePost(nth) => write!(f, "halts-before-post {nth}"),
        }
    }
}

impl FromStr for FailPoint {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (point, nth) = text.split_once(' ').ok_or("expected a point and a number")?;
        let nth = nth.parse().map_err(|_| "expected a number")?;
        match point {
            "before-commit" => Ok(Self::BeforeCommit(nth)),
            "after-commit" => Ok(Self::AfterCommit(nth)),
            "before-post" => Ok(Self::BeforePost(nth)),
            "after-post" => Ok(Self::AfterPost(nth)),
            "halts-before-post" => Ok(Self::HaltsBeforePost(nth)),
            other => Err(format!("no such point: {other}")),
        }
    }
}

impl Job {
    /// This test binary, as [`host`] with this job.
    pub(crate) fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["proof::host::host", "--exact", "--nocapture"])
            .env("PROOF_DATABASE", &self.database)
            .env("PROOF_VENDOR", self.vendor.to_string())
            .env("PROOF_GENERATION", self.generation.to_string())
            .env("PROOF_REPEATS", (self.repeat == Repeat::Safe).to_string())
            .env("PROOF_ANSWERS_EARLY", self.answers_early.to_string());
        if let Some(point) = self.fail_point {
            command.env("PROOF_FAIL_POINT", point.to_string());
        }
        command
    }

    fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            database: variable("PROOF_DATABASE")?.into(),
            vendor: variable("PROOF_VENDOR")?.parse().unwrap(),
            generation: variable("PROOF_GENERATION")?.parse().unwrap(),
            fail_point: variable("PROOF_FAIL_POINT").map(|text| text.parse().unwrap()),
            repeat: if variable("PROOF_REPEATS")? == "true" { Repeat::Safe } else { Repeat::AfterLookup },
            answers_early: variable("PROOF_ANSWERS_EARLY")? == "true",
        })
    }
}

/// Says on its output where it takes webhooks, and works until its input is closed or it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host() {
    let Some(job) = Job::from_environment() else { return };
    let remote = Remote { address: job.vendor, generation: job.generation };
    let source = LedgerSource::new(remote.clone());
    let point = job.fail_point;
    let sink = FailingSink::new(BoardSink::new(remote, job.repeat), point, Halt::beside(&job.database));
    let log = match SqliteLog::open(&job.database) {
        Ok(log) => log,
        Err(error) => return println!("\ncannot open: {error}"),
    };
    let log = FailingLog { inner: log, point, commits: AtomicU64::new(0), answers_early: job.answers_early };
    let connector = connector(log, SystemClock, source, sink);
    serve(connector).await;
}

/// Says where it takes webhooks, and works until its input is closed.
pub(crate) async fn serve(connector: Connector) {
    let router = Router::new().nest_service("/hooks", connector.service());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nlistens on {}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = stop.send(());
    });
    connector.run(async { drop(stopped.await) }).await;
}

/// No destructor runs, nothing is flushed.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Kills its process around a commit.
#[derive(Debug)]
struct FailingLog {
    inner: SqliteLog,
    point: Option<FailPoint>,
    commits: AtomicU64,
    answers_early: bool,
}

impl FailingLog {
    /// Says that it is done, and would begin long after.
    fn commit_later(&self, transactions: Vec<Transaction>, now: Timestamp) -> Vec<Committed> {
        let applied = |transaction: &Transaction| {
            Committed::Applied(transaction.append.iter().map(|_| Appended::New(Seq(0))).collect())
        };
        let early = transactions.iter().map(applied).collect();
        let log = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(600)).await;
            let _ = log.commit(transactions, now).await;
        });
        early
    }
}

#[async_trait]
impl AuditLog for FailingLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        let nth = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if self.point == Some(FailPoint::BeforeCommit(nth)) {
            die();
        }
        let is_intake = transactions.iter().all(|transaction| transaction.fence.is_none());
        let committed = match self.answers_early && is_intake {
            true => Ok(self.commit_later(transactions, now)),
            false => self.inner.commit(transactions, now).await,
        };
        if self.point == Some(FailPoint::AfterCommit(nth)) {
            die();
        }
        committed
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.inner.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.inner.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.inner.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.inner.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.inner.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.inner.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.inner.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.inner.prune(before, limit).await
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.inner.remove_documents(of, connection, limit).await
    }
}

/// Kills its process around a post, or waits there to be paused.
#[derive(Debug)]
pub(crate) struct FailingSink {
    inner: BoardSink,
    point: Option<FailPoint>,
    posts: AtomicU64,
    halt: Halt,
}

impl FailingSink {
    pub(crate) fn new(inner: BoardSink, point: Option<FailPoint>, halt: Halt) -> Self {
        Self { inner, point, posts: AtomicU64::new(0), halt }
    }
}

#[async_trait]
impl Sink for FailingSink {
    fn info(&self) -> &SinkInfo {
        self.inner.info()
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        self.inner.plan(delivery)
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let nth = self.posts.fetch_add(1, Ordering::SeqCst) + 1;
        if self.point == Some(FailPoint::BeforePost(nth)) {
            die();
        }
        if self.point == Some(FailPoint::HaltsBeforePost(nth)) {
            self.halt.wait().await;
        }
        let results = self.inner.deliver(ctx, batch, notes).await;
        if self.point == Some(FailPoint::AfterPost(nth)) {
            die();
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.inner.look_up(ctx, delivery).await
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
