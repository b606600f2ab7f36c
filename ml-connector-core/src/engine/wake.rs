//! Tells the run loop that something may have to be done.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::model::{ConnectionId, Partition};

/// One bit per partition fits into a word.
const _: () = assert!(Partition::COUNT as u32 <= u64::BITS);

/// What happened since the run loop looked last.
#[derive(Debug, Default)]
pub(super) struct Wake {
    appended: AtomicU64,
    resumed: Mutex<Vec<ConnectionId>>,
    notify: Notify,
}

impl Wake {
    /// Something was appended to these partitions.
    pub(super) fn partitions(&self, partitions: &[Partition]) {
        let bits = partitions.iter().fold(0, |bits, partition| bits | 1 << partition.number());
        self.appended.fetch_or(bits, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// The same, but there is no hurry: it is found at the next look.
    pub(super) fn at_the_next_look(&self, partition: Partition) {
        self.appended.fetch_or(1 << partition.number(), Ordering::SeqCst);
    }

    /// Something may have been appended to any partition.
    pub(super) fn all(&self) {
        self.appended.store(u64::MAX, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// A connection may work again.
    pub(super) fn resume(&self, connection: ConnectionId) {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.notify.notify_one();
    }

    /// Returns when something happened after the last [`take_appended`](Self::take_appended).
    pub(super) async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Whether something was appended to a partition; asks all at once, and forgets.
    pub(super) fn take_appended(&self) -> impl Fn(Partition) -> bool + use<> {
        let bits = self.appended.swap(0, Ordering::SeqCst);
        move |partition| bits & 1 << partition.number() != 0
    }

    /// Connections that may work again.
    pub(super) fn take_resumed(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *self.resumed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
