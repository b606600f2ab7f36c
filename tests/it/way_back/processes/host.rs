//! The process that is killed and paused: this test binary, started again with a job in its environment.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_bc::{BusinessCentral, post};
use ml_connector_core::{
    AuditLog, Connector, RateLimiter, Result, Timestamp,
    approval::{Approvals, Approvers, Policy},
    audit::{
        Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Outcome, Pending, PendingRequest,
        Query, Transaction,
    },
    engine::Settings,
    model::{ConnectionId, Partition, Status},
    rate::{Admission, Cost, Feedback, MemoryRateLimiter, QuotaKey, TakeOver, Usage},
};
use ml_connector_sim::bc::Set;
use ml_connector_slack::{History, Slack, channel, clicker};
use ml_connector_sql::SqliteLog;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{APPROVALS, CARA, ENDS_AFTER, ERP, LEASE, SECRET, office::SETS};
use crate::proof::pause::Halt;

/// Holds the settings of the process, as JSON.
pub(super) const JOB: &str = "WAY_BACK_JOB";
/// Set for a process that waits between the note that it is going to post, and the posting, to be paused.
pub(super) const WAITS: &str = "WAY_BACK_WAITS";
/// What it says on its output.
pub(super) const LISTENS: &str = "listens on ";
pub(super) const WORKS: &str = "works";

/// Works until its input is closed or it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host() {
    let Ok(job) = std::env::var(JOB) else { return };
    let job: Value = serde_json::from_str(&job).unwrap();
    let waits = std::env::var(WAITS).is_ok();
    let log = SqliteLog::open(PathBuf::from(job["database"].as_str().unwrap())).unwrap();
    let connector = connector(&job, log, waits);
    let router = axum::Router::new().nest_service("/hooks", connector.service());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\n{LISTENS}{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let looked_at = connector.clone();
    tokio::spawn(async move {
        while !works(&looked_at).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{WORKS}");
    });
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = stop.send(());
    });
    connector.run(async { drop(stopped.await) }).await;
}

/// Whether it has taken over, and knows what was there before.
async fn works(connector: &Connector) -> bool {
    let holds = connector.health().await.is_ok_and(|health| health.partitions > 0);
    let feeds = connector.progress(&ERP.into()).await.unwrap_or_default();
    holds && !feeds.is_empty() && feeds.iter().all(|feed| feed.baseline.is_some())
}

fn connector(job: &Value, log: SqliteLog, waits: bool) -> Connector {
    let halt = Halt::beside(Path::new(job["database"].as_str().unwrap()));
    let of = |name: &str| job[name].as_str().unwrap();
    let erp = BusinessCentral::builder(ERP)
        .tenant(of("tenant"))
        .environment(of("environment"))
        .company(of("company"), "HARBOR SUPPLY")
        .client(of("client"), of("client_secret"))
        .poster(of("poster"), of("poster_secret"))
        .login_url(of("erp"))
        .api_url(of("erp"))
        .webhook_secret(SECRET)
        .sets(SETS.map(Set::name))
        .coalesce(Duration::from_millis(200))
        .posting_ends_after(ENDS_AFTER)
        .build()
        .unwrap();
    let mut history = History::default();
    history.settle_ms = 2_000;
    let slack = Slack::builder("slack")
        .token(of("token"))
        .signing_secret(of("signing_secret"))
        .team("T07LEDGER1")
        .base_url(of("slack"))
        .history(history)
        .build()
        .unwrap();
    let approvers = Approvers::default().person("anna.verhoeven@ledgerworks.example").person(CARA);
    let approvals = Approvals::builder("approvals")
        .documents(ERP, "bill.*")
        .documents(ERP, "invoice.*")
        .awaiting(Status::Draft)
        .ask("slack", channel(APPROVALS), clicker())
        .command(ERP, post())
        .policy(Policy::default().allow(approvers))
        .build()
        .unwrap();
    let mut settings = Settings::default();
    settings.lease = LEASE;
    let tokens = log.token_store();
    Connector::builder()
        .audit_log(WaitingLog { inner: log, waits: Arc::new(AtomicBool::new(waits)), halt })
        .token_store(tokens)
        .rate_limiter(Trusting::default())
        .public_url(of("public"))
        .settings(settings)
        .connect(erp)
        .connect(slack)
        .connect(approvals)
        .build()
        .unwrap()
}

/// A limiter that does not take for spent what a process may have spent that died: nobody here comes near the limits of five
/// minutes, and each death would cost as long.
#[derive(Debug, Default)]
struct Trusting(MemoryRateLimiter);

#[async_trait]
impl RateLimiter for Trusting {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        self.0.admit(costs, now).await
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        self.0.report(key, feedback, now).await
    }

    async fn counts(&self, windows_from: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        self.0.counts(windows_from, now).await
    }

    async fn take_over(&self, _: &TakeOver, _: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        self.0.usage(now).await
    }
}

/// Waits right after the note that something is going to be written, before it is, for the process to be paused.
#[derive(Debug)]
struct WaitingLog {
    inner: SqliteLog,
    waits: Arc<AtomicBool>,
    halt: Halt,
}

#[async_trait]
impl AuditLog for WaitingLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        let begins = transactions
            .iter()
            .flat_map(|one| &one.settle)
            .any(|settlement| matches!(settlement.outcome, Outcome::Begun { note: Some(_), .. }));
        let committed = self.inner.commit(transactions, now).await;
        if begins && self.waits.swap(false, Ordering::SeqCst) {
            self.halt.wait().await;
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

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.inner.remove_documents(of, connection, limit).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.inner.prune(before, limit).await
    }
}
