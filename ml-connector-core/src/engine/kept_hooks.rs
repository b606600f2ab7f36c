//! Which webhooks were accepted and refused, in documents that all hosts add to: so a wrong secret is seen after a restart,
//! and on every host.

use std::sync::Arc;

use super::{
    documents::{JsonDocument, Loaded},
    hooks::{Seen, Whose},
    shared::Shared,
    writes::commit,
};
use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Transaction},
};

/// The collection of its documents.
pub(crate) const HOOKS: &str = "hooks";
/// How many are written at once.
const PAGE: usize = 200;
/// How often documents are read again because another host wrote one meanwhile.
const STALE_TRIES: usize = 8;

impl JsonDocument for Seen {
    const NAME: &'static str = "which webhooks were accepted and refused";
}

fn key(whose: &Whose) -> DocKey {
    match whose {
        Whose::Connection(connection) => DocKey::new(HOOKS, connection, "own"),
        Whose::Endpoint(endpoint) => DocKey::new("endpoint_hooks", &"all".into(), endpoint.as_str()),
    }
}

impl Shared {
    /// What has come of webhooks: on all hosts, up to about a minute ago, and on this host up to now.
    pub(crate) async fn seen_hooks(&self, whose: &[Whose]) -> Result<Vec<Seen>> {
        let stored = self.load_all::<Seen>(whose.iter().map(key).collect()).await?;
        let both =
            |(whose, stored): (&Whose, Option<Seen>)| stored.unwrap_or_default().and(self.hooks.of(whose));
        Ok(whose.iter().zip(stored.into_iter().map(|loaded| loaded.value)).map(both).collect())
    }
}

/// Writes down what was counted. What cannot be written is kept for the next time.
pub(crate) async fn write(shared: &Arc<Shared>) {
    if shared.log_gate.known().is_some() {
        return;
    }
    for page in shared.hooks.begin_to_write().chunks(PAGE) {
        let written = write_page(shared, page).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "which webhooks were accepted cannot be written down: trying again later");
        }
        page.iter().for_each(|(whose, _)| shared.hooks.written(whose, written.is_ok()));
    }
}

async fn write_page(shared: &Shared, page: &[(Whose, Seen)]) -> Result<()> {
    for _ in 0..STALE_TRIES {
        let known = shared.load_all::<Seen>(page.iter().map(|(whose, _)| key(whose)).collect()).await?;
        let add = |(known, (_, seen)): (&Loaded<Seen>, &(Whose, Seen))| {
            known.replace(&known.value.unwrap_or_default().and(*seen))
        };
        let documents = known.iter().zip(page).map(add).collect::<Result<_>>()?;
        let transaction = Transaction { documents, ..Transaction::default() };
        if let Committed::Applied(_) = commit(shared, transaction).await? {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Conflict, "other hosts kept writing the same"))
}

impl Connector {
    /// Writes down what was counted, when it is time to, on a host that takes webhooks and does no work.
    pub(crate) fn write_hooks_of_intake(&self, now: Timestamp) {
        if !self.shared.mailbox.is_running() && self.shared.hooks.is_time(now) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { write(&shared).await });
        }
    }
}
