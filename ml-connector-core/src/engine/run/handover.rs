//! From one host to the next: who held a partition, whether it was handed over, and what its quotas had left.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::runner::Runner;
use crate::{
    Error, ErrorKind, Result,
    audit::{DocKey, DocumentWrite, Expected, Lease, Transaction},
    model::{ConnectionId, Partition},
    rate::TakeOver,
};

/// How often the counts of long windows are written down: what a host that dies has spent since is not known.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Windows of this length or longer are written down from time to time. Shorter ones are waited for.
const LONG: Duration = Duration::from_secs(3600);

/// Who holds a partition, or held it last.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Custody {
    owner: Arc<str>,
    /// It ended its work, and wrote down what it had spent.
    handed_over: bool,
}

impl Runner {
    /// Goes on where others were: what they have spent is spent. Nothing of a partition may begin before.
    pub(crate) async fn take_custody(&self, taken: &[Lease]) -> Result<()> {
        let keys: Vec<DocKey> = Partition::all().map(custody_key).collect();
        let known = self.shared.log.documents(&keys).await?;
        let now = self.shared.clock.now();
        let (mut before, mut elsewhere) = (Vec::new(), Vec::new());
        for (partition, document) in Partition::all().zip(known) {
            let Some(document) = document else { continue };
            let custody: Custody = serde_json::from_slice(&document.bytes).map_err(unreadable)?;
            if !taken.iter().any(|lease| lease.partition == partition) {
                elsewhere.push(custody.owner);
            } else if custody.owner != self.owner && !before.contains(&custody) {
                before.push(custody);
            }
        }
        let mut done_with = Vec::new();
        for Custody { owner, handed_over } in before {
            let counts = self.shared.log.documents(&[counts_key(&owner)]).await?.pop().flatten();
            let lost = (!handed_over).then_some(now);
            let from = TakeOver { counts: counts.map(|document| document.bytes), lost };
            if let Some(now) = lost {
                tracing::warn!(%now, "a host ended without handing over: its short windows count as spent");
            }
            if let Err(error) = self.shared.context.limiter().take_over(&from, now).await {
                tracing::error!(%error, "what a host that is gone has spent cannot be taken over");
                let from = TakeOver { counts: None, lost: Some(now) };
                self.shared.context.limiter().take_over(&from, now).await?;
            }
            // Nobody else will ask.
            if !elsewhere.contains(&owner) {
                let key = counts_key(&owner);
                done_with.push(DocumentWrite { key, expected: Expected::Any, value: None });
            }
        }
        self.write_custody(taken.iter().copied(), false, done_with).await
    }

    /// Writes down what long windows hold, from time to time.
    pub(crate) async fn save_counts(&mut self) {
        let now = self.shared.clock.now();
        if now < self.save_at {
            return;
        }
        self.save_at = now + SAVE_EVERY;
        let saved = async {
            let counts = self.shared.context.limiter().counts(LONG, now).await?;
            if counts.is_none() || counts == self.saved {
                return Ok(counts);
            }
            let write = self.counts(counts.clone());
            let transaction = Transaction { documents: vec![write], ..Transaction::default() };
            self.shared.log.commit(vec![transaction], now).await.map(|_| counts)
        };
        match saved.await {
            Ok(counts) => self.saved = counts,
            Err(error) => tracing::warn!(%error, "what was spent cannot be written down: trying again later"),
        }
    }

    /// Tells the next holders everything that was spent.
    pub(crate) async fn hand_over(&self) -> Result<()> {
        let counts = self.shared.context.limiter().counts(Duration::ZERO, self.shared.clock.now()).await?;
        let leases = self.leases.values().map(|held| held.lease);
        self.write_custody(leases, true, vec![self.counts(counts)]).await
    }

    fn counts(&self, value: Option<Bytes>) -> DocumentWrite {
        DocumentWrite { key: counts_key(&self.owner), expected: Expected::Any, value }
    }

    /// Writes under the fences: what belongs to somebody else by now is theirs.
    async fn write_custody(
        &self,
        leases: impl Iterator<Item = Lease>,
        handed_over: bool,
        documents: Vec<DocumentWrite>,
    ) -> Result<()> {
        let custody = Custody { owner: Arc::clone(&self.owner), handed_over };
        let bytes: Bytes = serde_json::to_vec(&custody).map_err(unreadable)?.into();
        let held = leases.map(|lease| {
            let key = custody_key(lease.partition);
            let write = DocumentWrite { key, expected: Expected::Any, value: Some(bytes.clone()) };
            Transaction { fence: Some(lease), documents: vec![write], ..Transaction::default() }
        });
        let before = Transaction { documents, ..Transaction::default() };
        let transactions = std::iter::once(before).chain(held).collect();
        self.shared.log.commit(transactions, self.shared.clock.now()).await.map(drop)
    }
}

fn custody_key(partition: Partition) -> DocKey {
    DocKey::new("custody", &engine(), &partition.number().to_string())
}

fn counts_key(owner: &str) -> DocKey {
    DocKey::new("spent", &engine(), owner)
}

/// Stands where others have their connection.
fn engine() -> ConnectionId {
    ConnectionId::from("engine")
}

fn unreadable(source: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "who held a partition cannot be read").with_source(source)
}
