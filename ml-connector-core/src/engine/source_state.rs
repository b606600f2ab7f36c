//! What the log keeps about a source beside its records: since when it is watched, and the state it verifies requests
//! with.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    documents::{self, DocumentKind, JsonDocument, Loaded},
    registry::SourceSlot,
    shared::Shared,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, DocumentWrite, Transaction},
    model::Revision,
};

/// How old a state that proves a signature wrong may be. Forgers cannot make us read the log more often.
const RELOAD: Duration = Duration::from_secs(5);

/// How often the beginning is written again because another host wrote meanwhile.
const STALE_TRIES: usize = 5;

/// Marks an instant of the vendor's clock.
const BY_VENDOR: &str = " by the vendor's clock";
/// An instant that was written so long ago belongs to a clock that nobody knows any more.
const ADJUST_WITHIN: Duration = Duration::from_secs(3600);

/// Vendors' clocks and ours differ, as long as no answer has told how much.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Vendors truncate stamps to the second.
const TRUNCATED: Duration = Duration::from_secs(2);

/// Since when a connection is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WatchedSince {
    at: Timestamp,
    /// Whether it is by the vendor's clock.
    by_vendor: bool,
}

impl DocumentKind for WatchedSince {
    fn decode(bytes: &Bytes) -> Result<Self> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let (millis, by_vendor) = text.strip_suffix(BY_VENDOR).map_or((text, false), |millis| (millis, true));
        let at = millis.parse().ok().map(Timestamp::from_millis);
        at.map(|at| Self { at, by_vendor }).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the log does not say since when a connection is watched")
        })
    }

    fn encode(&self) -> Result<Bytes> {
        let mark = if self.by_vendor { BY_VENDOR } else { "" };
        Ok(format!("{}{mark}", self.at.as_millis()).into())
    }
}

/// What a connection reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReadAccount {
    /// The digest of the system and the accounts.
    account: Revision,
    /// Since when, where it read another account before.
    moved_at: Option<Timestamp>,
}

impl JsonDocument for ReadAccount {
    const NAME: &'static str = "what a connection reads";
}

impl ReadAccount {
    fn now(slot: &SourceSlot) -> Revision {
        let info = slot.source.info();
        let mut accounts: Vec<&str> = info.accounts.iter().map(|account| account.as_str()).collect();
        accounts.sort_unstable();
        Revision::of(format!("{}\n{}", info.system, accounts.join("\n")).as_bytes())
    }
}

/// A connection that reads another account than before: what is to be written with its new beginning.
pub(crate) struct Moved {
    pub(crate) documents: Vec<DocumentWrite>,
}

impl Shared {
    /// Whether the connection reads another account than when it was asked last. What was known under its name is then
    /// about the other account.
    pub(crate) async fn moved(&self, slot: &SourceSlot) -> Result<Option<Moved>> {
        let key = DocKey::new("watched", slot.connection(), "account");
        let known = self.load::<ReadAccount>(key).await?;
        let (account, now) = (ReadAccount::now(slot), self.clock.now());
        match &known.value {
            Some(reads) if reads.account == account => Ok(None),
            Some(_) => {
                let watched = DocKey::new("watched", slot.connection(), "since");
                let mut documents = vec![
                    known.replace(&ReadAccount { account, moved_at: Some(now) })?,
                    documents::put(watched, &WatchedSince { at: now, by_vendor: false })?,
                ];
                // What is subscribed at the old account has to be ended there.
                if let Some(state) = self.load::<Bytes>(slot.upkeep_state_key()).await?.value {
                    documents.push(documents::put(slot.former_upkeep_state_key(), &state)?);
                    documents.push(documents::remove(slot.upkeep_state_key()));
                }
                Ok(Some(Moved { documents }))
            }
            None => {
                let first = vec![known.replace(&ReadAccount { account, moved_at: None })?];
                let first = Transaction { documents: first, ..Transaction::default() };
                // Stale: another host has written the same.
                self.log.commit(vec![first], now).await.map(|_| None)
            }
        }
    }

    /// Since when the connection reads its account, where it read another one before: what was known earlier is about that.
    pub(crate) async fn moved_at(&self, slot: &SourceSlot) -> Result<Option<Timestamp>> {
        if let Some(moved_at) = slot.moved_at.get() {
            return Ok(*moved_at);
        }
        let key = DocKey::new("watched", slot.connection(), "account");
        let Some(reads) = Box::pin(self.load::<ReadAccount>(key)).await?.value else { return Ok(None) };
        if reads.account != ReadAccount::now(slot) {
            // Nobody has noticed yet: nothing that is known is about this account.
            return Ok(Some(Timestamp::MAX));
        }
        Ok(*slot.moved_at.get_or_init(|| async { reads.moved_at }).await)
    }

    /// Since when a connection is watched: the instant at which any host saw it first, by the vendor's clock once an
    /// answer has told it.
    pub(crate) async fn watched_since(&self, slot: &SourceSlot) -> Result<Timestamp> {
        if let Some(edge) = slot.watched_edge.get() {
            return Ok(*edge);
        }
        let watched = match slot.watched_since.get() {
            Some(watched) => *watched,
            None => *Box::pin(slot.watched_since.get_or_try_init(|| self.watch(slot))).await?,
        };
        if slot.vendor_clock.ahead_ms().is_none() {
            return Ok(watched);
        }
        Box::pin(slot.watched_edge.get_or_try_init(|| self.watch_by_vendor(slot))).await.copied()
    }

    /// How much a record's stamps may be off when they are compared with [`watched_since`](Self::watched_since).
    pub(crate) fn stamp_margin(slot: &SourceSlot) -> Duration {
        if slot.watched_edge.get().is_some() { TRUNCATED } else { CLOCK_SKEW }
    }

    /// Writes since when a connection is watched by the vendor's clock, unless that was written before.
    async fn watch_by_vendor(&self, slot: &SourceSlot) -> Result<Timestamp> {
        let key = DocKey::new("watched", slot.connection(), "since");
        for _ in 0..STALE_TRIES {
            let stored = self.load::<WatchedSince>(key.clone()).await?;
            let now = self.clock.now();
            let Some(watched) = stored.value else { return Ok(now) };
            if watched.by_vendor || now.saturating_since(watched.at) > ADJUST_WITHIN {
                return Ok(watched.at);
            }
            let at = slot.vendor_clock.shows(watched.at).unwrap_or(watched.at);
            let write = stored.replace(&WatchedSince { at, by_vendor: true })?;
            let adjusted = Transaction { documents: vec![write], ..Transaction::default() };
            if let [Committed::Applied(_)] = self.log.commit(vec![adjusted], now).await?[..] {
                return Ok(at);
            }
            // Another host has written another instant: all hosts go by that one.
        }
        Err(others_write())
    }

    /// Writes that a connection is watched from now on, unless a host wrote that before.
    async fn watch(&self, slot: &SourceSlot) -> Result<Timestamp> {
        let key = DocKey::new("watched", slot.connection(), "since");
        let now = self.clock.now();
        for _ in 0..STALE_TRIES {
            let write = Loaded::absent(key.clone()).replace(&WatchedSince { at: now, by_vendor: false })?;
            let mut documents = vec![write];
            documents.extend(self.begin_anew(slot.connection()).await?);
            let first = Transaction { documents, ..Transaction::default() };
            if let [Committed::Applied(_)] = self.log.commit(vec![first], now).await?[..] {
                return Ok(now);
            }
            if let Some(watched) = self.load::<WatchedSince>(key.clone()).await?.value {
                return Ok(watched.at);
            }
        }
        Err(others_write())
    }

    /// The state with which a source verifies requests.
    pub(crate) async fn upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        match slot.upkeep_state.get() {
            Some(cached) => Ok(cached.state),
            None => Box::pin(self.load_upkeep_state(slot)).await,
        }
    }

    /// Another state than the one that did not fit, if another host has stored one meanwhile.
    pub(crate) async fn newer_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let now = self.clock.now();
        let known = slot.upkeep_state.get();
        if known
            .as_ref()
            .is_some_and(|known| now >= known.loaded_at && now.saturating_since(known.loaded_at) < RELOAD)
        {
            return Ok(None);
        }
        let loaded = self.load_upkeep_state(slot).await?;
        Ok(loaded.filter(|loaded| known.is_none_or(|known| known.state.as_ref() != Some(loaded))))
    }

    async fn load_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let state = self.load::<Bytes>(slot.upkeep_state_key()).await?.value;
        slot.upkeep_state.set(state.clone(), self.clock.now());
        Ok(state)
    }
}

fn others_write() -> Error {
    Error::new(ErrorKind::Unavailable, "other hosts write at the same time, again and again")
}
