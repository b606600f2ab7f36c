//! Connections that were forgotten on any host: the log says so, and every host obeys.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    connector::Connector,
    documents::{JsonDocument, Loaded},
    history::HISTORY,
    kept_hooks::HOOKS,
    registry::Registry,
    shared::Shared,
    writes,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, DocumentWrite, Transaction},
    model::{ConnectionId, Seq},
    token::TokenKey,
};

/// The collections of documents that belong to a connection.
const COLLECTIONS: [&str; 11] = [
    "snapshot",
    "ids",
    "feed",
    "checkpoint",
    "upkeep",
    "told",
    "standing",
    "watched",
    "root",
    HISTORY,
    HOOKS,
];
/// How many documents go at once: webhooks wait meanwhile.
const PAGE: usize = 500;
/// How often it is looked for what other hosts have forgotten.
const LOOK_EVERY_MS: u64 = 5_000;
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// When, and by which act.
    pub(crate) at: Timestamp,
    act: Seq,
    /// Whether a connection of the same name has begun anew since: what the log knows by that name is about the new one.
    #[serde(default)]
    is_anew: bool,
    /// Where its token was kept, if it said so: a host that goes on with the act may not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Arc<str>>,
}

impl Mark {
    /// Whether this act has forgotten it, and it is still forgotten.
    pub(crate) fn stands(&self, act: Seq) -> bool {
        self.act == act && !self.is_anew
    }

    /// Whether this act is done with, as far as marking goes: what begins anew after it is another connection.
    pub(crate) fn is_of(&self, act: Seq) -> bool {
        self.act >= act
    }

    /// Whether a connection of the same name has begun anew since.
    pub(crate) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Where its token was kept.
    pub(crate) fn token_key(&self) -> Option<TokenKey> {
        self.tokens.as_deref().map(TokenKey::from_stored)
    }
}

impl JsonDocument for Marks {
    const NAME: &'static str = "connections that are forgotten";
}

impl Connector {
    /// Says to all hosts that connections are forgotten, which are as this registry has them. An act that is gone on with
    /// says it once: what was attached since is another connection with the same name. Returns the mark of each.
    pub(crate) async fn mark_forgotten(
        &self,
        act: Seq,
        connections: &[ConnectionId],
        registry: &Registry,
    ) -> Result<BTreeMap<ConnectionId, Mark>> {
        for _ in 0..STALE_TRIES {
            let now = self.shared.clock.now();
            let known: Loaded<Marks> = self.shared.load(key()).await?;
            let Marks(mut marks) = known.value.clone().unwrap_or_default();
            marks.retain(|_, mark| now.saturating_since(mark.at) < KEPT);
            for connection in connections {
                if marks.get(connection).is_none_or(|mark| mark.act < act) {
                    let tokens = registry.tokens_of(connection).map(|tokens| tokens.key().as_str().into());
                    marks.insert(connection.clone(), Mark { at: now, act, is_anew: false, tokens });
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

    /// Whether it is time to look for what other hosts have forgotten, for one who asks: a webhook waits for it.
    pub(crate) fn is_time_for_forgotten(&self, now: Timestamp) -> bool {
        let (now, last) = (now.as_millis(), self.shared.forgotten_at.load(Ordering::Relaxed));
        let is_due = now.abs_diff(last) >= LOOK_EVERY_MS;
        is_due
            && self
                .shared
                .forgotten_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Detaches what other hosts have forgotten.
    pub(crate) async fn detach_forgotten(&self) -> Result<()> {
        self.detach(&self.forgotten().await?)
    }

    /// Detaches what other hosts have forgotten, and removes what this host may have written of it since.
    pub(crate) async fn obey_forgotten(&self) -> Result<()> {
        let (now, marks) = (self.shared.clock.now(), self.forgotten().await?);
        self.detach(&marks)?;
        for (connection, mark) in marks {
            let is_late = now.saturating_since(mark.at) < LATE;
            if is_late && mark.stands(mark.act) && self.shared.registry().is_forgotten(&connection) {
                self.forget_documents(&connection, mark.act).await?;
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

    /// Removes what is known of a connection that an act has forgotten, for as long as no other begins anew by its name.
    pub(crate) async fn forget_documents(&self, connection: &ConnectionId, act: Seq) -> Result<()> {
        for collection in COLLECTIONS {
            while self.forgotten().await?.get(connection).is_some_and(|mark| mark.stands(act)) {
                if self.shared.log.remove_documents(collection, connection, PAGE).await? == 0 {
                    break;
                }
            }
        }
        if self.shared.registry().is_forgotten(connection) {
            self.shared.hooks.forget(connection);
            self.shared.tallies.forget(connection);
        }
        Ok(())
    }
}

impl Shared {
    /// What is to be written with the first that a connection writes: that it begins anew, where one of the same name was
    /// forgotten. From then on no host removes anything by that name.
    pub(crate) async fn begin_anew(&self, connection: &ConnectionId) -> Result<Option<DocumentWrite>> {
        let known: Loaded<Marks> = self.load(key()).await?;
        let Some(Marks(mut marks)) = known.value.clone() else { return Ok(None) };
        // A host that has not heard of it yet still has the one that was forgotten.
        let begins = |mark: &&mut Mark| self.registry().is_attached_after(connection, mark.at);
        match marks.get_mut(connection).filter(begins) {
            Some(mark) if !mark.is_anew => mark.is_anew = true,
            _ => return Ok(None),
        }
        known.replace(&Marks(marks)).map(Some)
    }
}

fn key() -> DocKey {
    DocKey::new("forgotten", &"all".into(), "lately")
}
