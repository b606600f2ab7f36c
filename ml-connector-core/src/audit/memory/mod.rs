//! The log in memory.

mod leases;
mod rewrite;
mod state;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;

use self::state::Tables;
use super::{
    AuditLog, Backlog, Committed, DocKey, Document, Entry, Lease, LeaseRequest, Pending, PendingRequest,
    Query, Transaction,
};
use crate::{
    CheckStep, Result, Timestamp,
    model::{ConnectionId, Partition},
};
#[cfg(any(test, feature = "testing"))]
use crate::{Error, ErrorKind};

/// The log in memory: for tests, and for hosts that may lose everything with the process. It keeps the whole
/// contract otherwise, several owners included, and is what other implementations are compared with.
#[derive(Default)]
pub struct MemoryLog {
    state: Mutex<Tables>,
    appended: Notify,
    #[cfg(any(test, feature = "testing"))]
    failing: std::sync::atomic::AtomicUsize,
    /// 0 = commits may be as large as they are.
    #[cfg(any(test, feature = "testing"))]
    room: std::sync::atomic::AtomicUsize,
    #[cfg(any(test, feature = "testing"))]
    delay_ms: std::sync::atomic::AtomicU64,
    #[cfg(any(test, feature = "testing"))]
    refused: Mutex<Option<(&'static str, ErrorKind)>>,
    #[cfg(test)]
    reads: std::sync::atomic::AtomicUsize,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next `count` commits fail as a full disk would: nothing is applied.
    #[cfg(any(test, feature = "testing"))]
    pub fn fail_next_commits(&self, count: usize) {
        self.failing.store(count, std::sync::atomic::Ordering::SeqCst);
    }

    /// Makes commits that bring more bytes than this fail, as a disk does that is almost full; 0 = none.
    #[cfg(any(test, feature = "testing"))]
    pub fn fail_commits_over(&self, bytes: usize) {
        self.room.store(bytes, std::sync::atomic::Ordering::SeqCst);
    }

    /// Makes commits fail that append an entry whose body holds this text, as a value does that a database cannot take;
    /// `None` = none.
    #[cfg(any(test, feature = "testing"))]
    pub fn fail_commits_with(&self, refused: Option<(&'static str, ErrorKind)>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    /// Makes commits take so long from now on, as a busy disk would.
    #[cfg(any(test, feature = "testing"))]
    pub fn delay_commits(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(millis, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(any(test, feature = "testing"))]
    async fn check_fault(&self, transactions: &[Transaction]) -> Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let delay = Duration::from_millis(self.delay_ms.load(SeqCst));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let room = self.room.load(SeqCst);
        if room > 0 && transactions.iter().map(Transaction::payload_bytes).sum::<usize>() > room {
            return Err(
                Error::new(ErrorKind::Unavailable, "the disk is full").with_operation("memory_log.commit")
            );
        }
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, kind)) = refused {
            let bodies =
                transactions.iter().flat_map(|one| &one.append).filter_map(|entry| entry.body.as_ref());
            for body in bodies {
                if body.windows(text.len()).any(|part| part == text.as_bytes()) {
                    return Err(Error::new(kind, "an entry was refused").with_operation("memory_log.commit"));
                }
            }
        }
        match self.failing.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::new(ErrorKind::Unavailable, "this commit was told to fail")
                .with_operation("memory_log.commit")),
            Err(_) => Ok(()),
        }
    }

    /// How often the work list was asked for.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The keys of all documents.
    #[cfg(test)]
    pub(crate) fn document_keys(&self) -> Vec<DocKey> {
        self.state().document_keys()
    }

    fn state(&self) -> MutexGuard<'_, Tables> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the log holds is not shown.
impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("last", &self.state().end()).finish_non_exhaustive()
    }
}

#[async_trait]
impl AuditLog for MemoryLog {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        #[cfg(any(test, feature = "testing"))]
        self.check_fault(&transactions).await?;
        transactions.iter().try_for_each(Transaction::validate)?;
        let mut state = self.state();
        let before = state.newest_of_all;
        let committed = transactions.into_iter().map(|transaction| state.apply(transaction, now)).collect();
        let appended = state.newest_of_all != before;
        drop(state);
        if appended {
            self.appended.notify_waiters();
        }
        Ok(committed)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut state = self.state();
        match request {
            LeaseRequest::Hold { owner, want, until, now } => Ok(state.leases.hold(&owner, want, until, now)),
            LeaseRequest::Release { owner } => {
                state.leases.release(&owner);
                Ok(Vec::new())
            }
        }
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let state = self.state();
        let read = |&PendingRequest { lease, scope, after }: &PendingRequest| {
            state.leases.holds(lease).then(|| state.pending(lease.partition, scope, after, limit))
        };
        Ok(wanted.iter().map(read).collect())
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.document(key)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        Ok(self.state().query(query))
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        Ok(self.state().count(query, cap))
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        Ok(self.state().backlog(now))
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        let before = self.state().newest.clone();
        let news = async {
            loop {
                let appended = self.appended.notified();
                let now = self.state().newest.clone();
                let has_news = |partition: &Partition| now.get(partition) != before.get(partition);
                let news: Vec<Partition> = partitions.iter().copied().filter(has_news).collect();
                if !news.is_empty() {
                    return news;
                }
                appended.await;
            }
        };
        Ok(tokio::time::timeout(at_most, news).await.unwrap_or_default())
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        Ok(self.state().prune(before, limit))
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        Ok(self.state().remove_documents(&DocKey::new(collection, connection, ""), limit))
    }

    async fn check(&self) -> Vec<CheckStep> {
        let remedy = "use a log on disk or in a database: this one is lost with the process";
        vec![CheckStep::warning("durability", remedy).with_found("the log is in memory")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{EntryKind, NewEntry},
        model::Seq,
    };

    #[tokio::test(start_paused = true)]
    async fn waiting_names_the_partitions_that_have_news_and_no_others() {
        let log = MemoryLog::new();
        let entry = |lane| NewEntry {
            lane,
            ..NewEntry::new(Partition::new(5), EntryKind::Signal, "books".into(), Timestamp::default())
        };
        let commit = async |lane| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let transaction = Transaction { append: vec![entry(lane)], ..Transaction::default() };
            let committed = log.commit(vec![transaction], Timestamp::default()).await.unwrap();
            assert!(matches!(&committed[..], [Committed::Applied(appended)] if appended[0].seq() > Seq(0)));
        };
        let (five, six) = (Partition::new(5), Partition::new(6));
        for (asked, lane, expected) in
            [(vec![five, six], Some(1), vec![five]), (vec![six], Some(1), vec![]), (vec![five], None, vec![])]
        {
            let (news, ()) = tokio::join!(log.wait(&asked, Duration::from_secs(1)), commit(lane));
            assert_eq!(news.unwrap(), expected, "{asked:?}, {lane:?}");
        }
    }
}
