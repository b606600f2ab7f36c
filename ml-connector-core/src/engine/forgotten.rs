//! Connections that were forgotten on any host: the log says so, and every host obeys.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    connector::Connector,
    documents::{JsonDocument, Loaded},
    history::HISTORY,
    writes,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Transaction},
    model::{ConnectionId, Seq},
};

/// The collections of documents that belong to a connection.
const COLLECTIONS: [&str; 10] =
    ["snapshot", "ids", "feed", "checkpoint", "upkeep", "told", "standing", "watched", "root", HISTORY];
/// How many documents go at once: webhooks wait meanwhile.
const PAGE: usize = 500;
/// How often it is looked for what other hosts have forgotten.
const LOOK_EVERY_MS: i64 = 5_000;
/// How long what was under way may still write something about a connection that is forgotten.
const LATE: Duration = Duration::from_secs(180);
/// A host that has not looked for so long has not been there.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How often the marks are written anew because another host writes them as well.
const STALE_TRIES: usize = 5;

/// What was forgotten lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Marks(BTreeMap<ConnectionId, Mark>);

/// Says that a connection was forgotten.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// When, and by which act.
    pub(crate) at: Timestamp,
    act: Seq,
}

impl JsonDocument for Marks {
    const NAME: &'static str = "connections that are forgotten";
}

impl Connector {
    /// Says to all hosts that connections are forgotten. An act that is gone on with says it once: what was attached since
    /// is another connection with the same name. Returns the mark of each.
    pub(crate) async fn mark_forgotten(
        &self,
        act: Seq,
        connections: &[ConnectionId],
    ) -> Result<BTreeMap<ConnectionId, Mark>> {
        for _ in 0..STALE_TRIES {
            let now = self.shared.clock.now();
            let known: Loaded<Marks> = self.shared.load(key()).await?;
            let Marks(mut marks) = known.value.clone().unwrap_or_default();
            marks.retain(|_, mark| now.saturating_since(mark.at) < KEPT);
            for connection in connections {
                let mark = marks.entry(connection.clone()).or_insert(Mark { at: now, act });
                if mark.act < act {
                    *mark = Mark { at: now, act };
                }
            }
            let documents = vec![known.replace(&Marks(marks.clone()))?];
            let transaction = Transaction { documents, ..Transaction::default() };
            if let Committed::Applied(_) = writes::commit(&self.shared, transaction).await? {
                marks.retain(|connection, _| connections.contains(connection));
                return Ok(marks);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "other hosts forget connections again and again"))
    }

    /// What was forgotten lately, as the log says.
    pub(crate) async fn forgotten(&self) -> Result<BTreeMap<ConnectionId, Mark>> {
        Ok(self.shared.load::<Marks>(key()).await?.value.unwrap_or_default().0)
    }

    /// Detaches what other hosts have forgotten. Looks every few seconds, however often it is called: a webhook waits for it.
    pub(crate) async fn detach_forgotten(&self) -> Result<()> {
        let now = self.shared.clock.now();
        let before = self.shared.forgotten_at.swap(now.as_millis(), Ordering::Relaxed);
        if now.as_millis().abs_diff(before) < LOOK_EVERY_MS.unsigned_abs() {
            self.shared.forgotten_at.store(before, Ordering::Relaxed);
            return Ok(());
        }
        self.detach(&self.forgotten().await?)
    }

    /// Detaches what other hosts have forgotten, and removes what this host may have written of it since.
    pub(crate) async fn obey_forgotten(&self) -> Result<()> {
        let (now, marks) = (self.shared.clock.now(), self.forgotten().await?);
        self.detach(&marks)?;
        for (connection, Mark { at, .. }) in marks {
            if self.shared.registry().is_forgotten(&connection) && now.saturating_since(at) < LATE {
                self.forget_documents(&connection).await?;
            }
        }
        Ok(())
    }

    fn detach(&self, marks: &BTreeMap<ConnectionId, Mark>) -> Result<()> {
        for (connection, Mark { at, .. }) in marks {
            if self.shared.registry().has_still(connection, *at) {
                tracing::warn!(%connection, "another host has forgotten this connection: it is detached");
                self.shared.change(|registry| registry.forget(std::slice::from_ref(connection), *at))?;
                self.shared.mailbox.wake_all();
            }
        }
        Ok(())
    }

    /// Removes what is known of a connection.
    pub(crate) async fn forget_documents(&self, connection: &ConnectionId) -> Result<()> {
        for collection in COLLECTIONS {
            while self.shared.log.remove_documents(collection, connection, PAGE).await? > 0 {}
        }
        self.shared.hooks.forget(connection);
        self.shared.tallies.forget(connection);
        Ok(())
    }
}

fn key() -> DocKey {
    DocKey::new("forgotten", &"all".into(), "lately")
}
