//! Messages to the run loop.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, oneshot};

use super::lanes::{LaneId, Survey};
use crate::{
    Timestamp,
    model::{ConnectionId, Partition},
    rate::QuotaKey,
};

/// One bit per partition fits into a word.
const _: () = assert!(Partition::COUNT as u32 <= u64::BITS);

/// What happened since the run loop looked last. Any number of senders, one reader.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    appended: AtomicU64,
    resumed: Mutex<Vec<ConnectionId>>,
    /// When each was last said to work again, on whichever host.
    heard: Mutex<BTreeMap<ConnectionId, Timestamp>>,
    admitted: Mutex<Vec<(QuotaKey, LaneId)>>,
    /// Who wants to know what waits.
    questions: Mutex<Vec<oneshot::Sender<Survey>>>,
    /// How many run loops there are in this process.
    runs: AtomicUsize,
    notify: Notify,
}

impl Mailbox {
    /// Something was appended to these partitions.
    pub(crate) fn wake(&self, partitions: &[Partition]) {
        let bits = partitions.iter().fold(0, |bits, partition| bits | 1 << partition.number());
        self.appended.fetch_or(bits, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// The same, but there is no hurry: it is found at the next look.
    pub(crate) fn wake_later(&self, partition: Partition) {
        self.appended.fetch_or(1 << partition.number(), Ordering::SeqCst);
    }

    /// Something may have been appended to any partition.
    pub(crate) fn wake_all(&self) {
        self.appended.store(u64::MAX, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// A connection may work again.
    pub(crate) fn resume(&self, connection: ConnectionId) {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.notify.notify_one();
    }

    /// A connection was said to work again at this time. Each time counts once, however often it is heard.
    pub(crate) fn hear_resumed(&self, connection: &ConnectionId, at: Timestamp) {
        let known = self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(connection.clone(), at);
        if known != Some(at) {
            self.resume(connection.clone());
        }
    }

    /// A lane that came through the gate of a quota was admitted.
    pub(crate) fn admitted(&self, gate: QuotaKey, lane: LaneId) {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).push((gate, lane));
        self.notify.notify_one();
    }

    /// Lanes that were admitted.
    pub(crate) fn take_admitted(&self) -> Vec<(QuotaKey, LaneId)> {
        std::mem::take(&mut *self.admitted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the run loop what waits; tells whether there is one to ask.
    pub(crate) fn ask(&self, answer: oneshot::Sender<Survey>) -> bool {
        if self.runs.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        self.notify.notify_one();
        true
    }

    /// Who wants to know what waits.
    pub(crate) fn take_questions(&self) -> Vec<oneshot::Sender<Survey>> {
        std::mem::take(&mut *self.questions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is a run loop in this process.
    pub(crate) fn is_running(&self) -> bool {
        self.runs.load(Ordering::SeqCst) > 0
    }

    /// Marks the time during which a run loop answers questions.
    pub(crate) fn running(&self) -> RunGuard<'_> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        RunGuard(self)
    }

    /// Returns when something happened after the last [`take_appended`](Self::take_appended).
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Whether something was appended to a partition; asks all at once, and forgets.
    pub(crate) fn take_appended(&self) -> impl Fn(Partition) -> bool + use<> {
        let bits = self.appended.swap(0, Ordering::SeqCst);
        move |partition| bits & 1 << partition.number() != 0
    }

    /// Connections that may work again.
    pub(crate) fn take_resumed(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *self.resumed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A run loop that answers questions. Dropping it leaves those it has not answered without an answer.
#[derive(Debug)]
pub(crate) struct RunGuard<'a>(&'a Mailbox);

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        if self.0.runs.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.take_questions();
        }
    }
}
