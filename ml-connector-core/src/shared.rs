//! Implements the storage traits, the transport and the clock for `Arc<T>`.
#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    AuditLog, CheckStep, Clock, HttpTransport, RateLimiter, Result, Timestamp, TokenStore,
    audit::{
        Backlog, Committed, DocKey, Document, DocumentRewrite, Entry, EntryRewrite, KeyedChain, Lease,
        LeaseRequest, Pending, PendingRequest, Query, Rename, RewriteLog, StoredDocument, StoredEntry,
        Transaction,
    },
    http::{Limits, TransportError},
    model::{ConnectionId, Partition, Seq},
    rate::{Admission, Cost, Feedback, QuotaKey, TakeOver, Usage},
    token::{Stored, Swap, TokenKey},
};

#[async_trait]
impl<T: AuditLog + ?Sized> AuditLog for Arc<T> {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        (**self).commit(transactions, now).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        (**self).lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        (**self).pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        (**self).documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        (**self).query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        (**self).count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        (**self).backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        (**self).wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        (**self).prune(before, limit).await
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        (**self).remove_documents(collection, connection, limit).await
    }

    fn deadline(&self) -> Option<Duration> {
        (**self).deadline()
    }

    async fn check(&self) -> Vec<CheckStep> {
        (**self).check().await
    }
}

#[async_trait]
impl<T: RewriteLog + ?Sized> RewriteLog for Arc<T> {
    async fn stored_entries(&self, after: Seq, limit: usize) -> Result<Vec<StoredEntry>> {
        (**self).stored_entries(after, limit).await
    }

    async fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Result<Vec<StoredDocument>> {
        (**self).stored_documents(after, limit).await
    }

    async fn rename(&self, names: Vec<Rename>) -> Result<()> {
        (**self).rename(names).await
    }

    async fn rewrite(&self, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) -> Result<()> {
        (**self).rewrite(entries, documents).await
    }

    async fn key_chain(&self, keyed: KeyedChain) -> Result<bool> {
        (**self).key_chain(keyed).await
    }
}

#[async_trait]
impl<T: TokenStore + ?Sized> TokenStore for Arc<T> {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        (**self).load(key).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        (**self).swap(key, expected, value).await
    }

    async fn check(&self) -> Vec<CheckStep> {
        (**self).check().await
    }
}

#[async_trait]
impl<T: RateLimiter + ?Sized> RateLimiter for Arc<T> {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        (**self).admit(costs, now).await
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        (**self).report(key, feedback, now).await
    }

    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        (**self).counts(at_least, now).await
    }

    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        (**self).take_over(from, now).await
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        (**self).usage(now).await
    }
}

#[async_trait]
impl<T: HttpTransport + ?Sized> HttpTransport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        (**self).send(request, limits).await
    }
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn wall(&self) -> Timestamp {
        (**self).wall()
    }

    fn is_trusted(&self) -> bool {
        (**self).is_trusted()
    }
}
