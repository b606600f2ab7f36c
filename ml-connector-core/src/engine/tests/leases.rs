//! A host that stands still between what it wrote down and what it sends: SIGSTOP, or a move to another machine.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use vendor::webhook;

use super::*;
use crate::{
    AuditLog, Clock, Result,
    audit::{
        Backlog, Committed, DocKey, Document, Lease, LeaseRequest, Outcome, Pending, PendingRequest,
        Transaction,
    },
    model::{ConnectionId, Partition, Status},
};

const LEASE: Duration = Duration::from_secs(15);
/// How long the host stands still.
const STILL: Duration = Duration::from_secs(40);

/// The log as a host sees it that stands still once, right after it wrote down that an attempt begins: nothing of it goes on
/// meanwhile, not even its lease.
#[derive(Debug)]
struct StandsStill {
    log: Arc<MemoryLog>,
    clock: Arc<TokioClock>,
    armed: AtomicBool,
    still: AtomicBool,
    goes_on_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl AuditLog for StandsStill {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        let begins = transactions
            .iter()
            .flat_map(|transaction| &transaction.settle)
            .any(|settlement| matches!(settlement.outcome, Outcome::Begun { .. }));
        let committed = self.log.commit(transactions, now).await;
        if begins && self.armed.swap(false, Ordering::SeqCst) {
            self.still.store(true, Ordering::SeqCst);
            tokio::time::sleep(STILL).await;
            self.still.store(false, Ordering::SeqCst);
            *self.goes_on_at.lock().unwrap() = Some(self.clock.now());
        }
        committed
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        while self.still.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.log.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.log.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.log.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.log.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.log.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.log.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.log.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.log.prune(before, limit).await
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.log.remove_documents(of, connection, limit).await
    }
}

fn host(world: &World, log: impl AuditLog) -> Connector {
    let settings = Settings { grace: world.grace, lease: LEASE, ..Settings::default() };
    Connector::builder()
        .audit_log(log)
        .rate_limiter(MemoryRateLimiter::new())
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .settings(settings)
        .source(LedgerSource::new("books", &world.ledger))
        .sink(BoardSink::new(&world.board, world.repeat, world.on_unknown))
        .route(Route::new("all").to("board", Destination::from("a")))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stood_still_before_it_sent_sends_nothing_until_it_is_the_owner_again() {
    for is_replaced in [false, true] {
        let world = World::new();
        let paused = Arc::new(StandsStill {
            log: Arc::clone(&world.log),
            clock: Arc::clone(&world.clock),
            armed: AtomicBool::new(true),
            still: AtomicBool::new(false),
            goes_on_at: Mutex::default(),
        });
        let first = host(&world, Arc::clone(&paused));
        let (stop_first, first_running) = start(&first);
        world.ledger.put("1", Status::Open, "2026-04-01");
        first.receive(webhook("account:books 1", "good")).await;
        tokio::time::sleep(secs(1)).await;
        assert!(paused.still.load(Ordering::SeqCst), "the attempt has begun");
        assert!(world.board.attempts.lock().unwrap().is_empty());

        let second = is_replaced.then(|| start(&host(&world, Arc::clone(&world.log))));
        tokio::time::sleep(STILL + secs(60)).await;
        assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
        let attempts = world.board.attempts.lock().unwrap().clone();
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        // It goes on where it was, and knows nothing of the time between.
        let goes_on = paused.goes_on_at.lock().unwrap().unwrap();
        assert_eq!(attempts[0] < goes_on, is_replaced);
        assert_ne!(attempts[0], goes_on, "sent without the lease");
        for (stop, running) in second.into_iter().chain([(stop_first, first_running)]) {
            drop(stop);
            running.await.unwrap();
        }
    }
}
