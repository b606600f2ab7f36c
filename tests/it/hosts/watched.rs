//! A log that says when a settlement was refused.

use std::time::Duration;

use async_trait::async_trait;
use ml_connector_core::{
    AuditLog, CheckStep, Result, Timestamp,
    audit::{
        Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest, Query,
        Transaction,
    },
    model::{ConnectionId, Partition},
};
use ml_connector_sql::PostgresLog;

/// What is said, and of which entry.
pub(super) const REFUSED: &str = "refused to settle ";

/// Prints a line for each outcome that came too late.
#[derive(Debug)]
pub(super) struct WatchedLog(pub(super) PostgresLog);

#[async_trait]
impl AuditLog for WatchedLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        let settled: Vec<Vec<_>> = transactions
            .iter()
            .map(|it| it.settle.iter().map(|settlement| settlement.seq).collect())
            .collect();
        let committed = self.0.commit(transactions, now).await?;
        for (seqs, committed) in settled.iter().zip(&committed) {
            if *committed == Committed::Fenced {
                seqs.iter().for_each(|seq| println!("{REFUSED}{seq}"));
            }
        }
        Ok(committed)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.0.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.0.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.0.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.0.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.0.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.0.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.0.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.0.prune(before, limit).await
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.0.remove_documents(of, connection, limit).await
    }

    fn deadline(&self) -> Option<Duration> {
        self.0.deadline()
    }

    async fn check(&self) -> Vec<CheckStep> {
        self.0.check().await
    }
}
