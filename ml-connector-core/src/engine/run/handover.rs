//! Handover from one host to the next: who held a partition, whether it was handed over, and what was spent of quotas.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::runner::Runner;
use crate::{
    Result,
    audit::{DocKey, DocumentWrite, Expected, Lease, Transaction},
    engine::documents::{self, JsonDocument},
    model::{ConnectionId, Partition},
    rate::TakeOver,
};

/// How often the counts of long windows are written down: what a host that dies has spent since is not known.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Windows of this length or longer are written down from time to time. Shorter ones are waited for.
const LONG: Duration = Duration::from_secs(3600);

/// Who holds a partition, or held it last.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    owner: Arc<str>,
    /// Whether it ended its work and wrote down what it had spent.
    handed_over: bool,
}

impl JsonDocument for Holder {
    const NAME: &'static str = "who holds a partition";
}

impl Runner {
    /// Goes on where others were: what they have spent is spent. Nothing of a partition may begin before.
    pub(crate) async fn take_over(&self, taken: &[Lease]) -> Result<()> {
        let known = self.shared.load_all::<Holder>(Partition::all().map(holder_key).collect()).await?;
        let now = self.shared.clock.now();
        let (mut before, mut elsewhere) = (Vec::new(), Vec::new());
        for (partition, known) in Partition::all().zip(known) {
            let Some(holder) = known.value else { continue };
            if !taken.iter().any(|lease| lease.partition == partition) {
                elsewhere.push(holder.owner);
            } else if holder.owner != self.owner && !before.contains(&holder) {
                before.push(holder);
            }
        }
        let mut done_with = Vec::new();
        for Holder { owner, handed_over } in before {
            let counts = self.shared.load::<Bytes>(counts_key(&owner)).await?.value;
            let lost = (!handed_over).then_some(now);
            let from = TakeOver { counts, lost };
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
                done_with.push(documents::remove(counts_key(&owner)));
            }
        }
        self.write_holder(taken.iter().copied(), false, done_with).await
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
        self.write_holder(leases, true, vec![self.counts(counts)]).await
    }

    fn counts(&self, value: Option<Bytes>) -> DocumentWrite {
        DocumentWrite { key: counts_key(&self.owner), expected: Expected::Any, value }
    }

    /// Writes under the fences: what belongs to somebody else by now is theirs.
    async fn write_holder(
        &self,
        leases: impl Iterator<Item = Lease>,
        handed_over: bool,
        documents: Vec<DocumentWrite>,
    ) -> Result<()> {
        let holder = Holder { owner: Arc::clone(&self.owner), handed_over };
        let mut transactions = vec![Transaction { documents, ..Transaction::default() }];
        for lease in leases {
            let documents = vec![documents::put(holder_key(lease.partition), &holder)?];
            transactions.push(Transaction { fence: Some(lease), documents, ..Transaction::default() });
        }
        self.shared.log.commit(transactions, self.shared.clock.now()).await.map(drop)
    }
}

/// The name stands in stored documents, so it stays what it is.
fn holder_key(partition: Partition) -> DocKey {
    DocKey::new("custody", &engine(), &partition.number().to_string())
}

fn counts_key(owner: &str) -> DocKey {
    DocKey::new("spent", &engine(), owner)
}

/// Stands where others have their connection.
fn engine() -> ConnectionId {
    ConnectionId::from("engine")
}
