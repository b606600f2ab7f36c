//! What was appended: told by this process at once, and looked for where another may have.

#![allow(clippy::disallowed_methods)] // waiting is measured by tokio's clock, which a test may pause

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ml_connector_core::{Result, model::Partition};
use rusqlite::Connection;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{reader::Readers, schema};

/// How often a waiting process looks for entries that another process appended.
const POLL: Duration = Duration::from_secs(1);

/// What this process knows about new entries.
#[derive(Debug)]
pub(super) struct News {
    notify: Notify,
    /// How often something was appended to the work list of each partition, as far as this process knows.
    counts: Mutex<[u64; Partition::COUNT as usize]>,
    /// Up to which entry it has looked, and when.
    looked_to: AtomicU64,
    looked_at: Mutex<Option<Instant>>,
}

impl News {
    /// What is there up to this entry is no news.
    pub(super) fn after(last: u64) -> Self {
        Self {
            notify: Notify::new(),
            counts: Mutex::new([0; Partition::COUNT as usize]),
            looked_to: AtomicU64::new(last),
            looked_at: Mutex::new(None),
        }
    }

    /// Something was appended to these partitions, one bit for each.
    pub(super) fn tell(&self, bits: u64) {
        if bits != 0 {
            let mut counts = self.counts();
            for (place, count) in counts.iter_mut().enumerate() {
                *count += bits >> place & 1;
            }
            drop(counts);
            self.notify.notify_waiters();
        }
    }

    /// Those of these partitions to which something is appended after the call, as soon as there are any.
    pub(super) async fn wait(
        &self,
        readers: &Readers,
        partitions: &[Partition],
        at_most: Duration,
    ) -> Result<Vec<Partition>> {
        let (until, before) = (Instant::now() + at_most, *self.counts());
        loop {
            let told = self.notify.notified();
            // Also while this process appends all the time.
            if self.is_due() {
                self.look(readers).await?;
            }
            let now = *self.counts();
            let has_news = |partition: &Partition| {
                let place = usize::from(partition.number());
                now[place] != before[place]
            };
            let news: Vec<Partition> = partitions.iter().copied().filter(has_news).collect();
            if !news.is_empty() || Instant::now() >= until {
                return Ok(news);
            }
            // Told, or time to look again.
            let _ = timeout_at(until.min(Instant::now() + POLL), told).await;
        }
    }

    /// Whether it is time to look; then somebody else does not.
    fn is_due(&self) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = looked_at.is_none_or(|at| at.elapsed() >= POLL);
        if is_due {
            *looked_at = Some(Instant::now());
        }
        is_due
    }

    async fn look(&self, readers: &Readers) -> Result<()> {
        let after = self.looked_to.load(Ordering::SeqCst);
        let look = move |connection: &Connection| Ok((grown(connection, after)?, schema::last(connection)?));
        let (bits, last) = readers.run("sqlite_log.wait", look).await?;
        self.looked_to.fetch_max(last, Ordering::SeqCst);
        self.tell(bits);
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, [u64; Partition::COUNT as usize]> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The partitions whose work lists have entries after this one.
fn grown(connection: &Connection, after: u64) -> rusqlite::Result<u64> {
    let mut is_grown = connection.prepare_cached("SELECT 1 FROM work WHERE part = ?1 AND seq > ?2")?;
    Partition::all().try_fold(0, |bits, partition| {
        let part = partition.number();
        Ok(bits | u64::from(is_grown.exists((part, after.cast_signed()))?) << part)
    })
}
