//! Secrets by name, kept in the token store.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Kept, Stored, Swap, TokenKey, TokenStore};
use crate::{Error, ErrorKind, Result, Secret};

/// The format written here.
const FORMAT: u8 = 1;
const MAX_NAME: usize = 64;

/// Secrets that are kept in a [`TokenStore`] under names: client secrets, bot tokens, webhook and signing secrets. Give it
/// an encrypted store (feature `encryption`), and neither settings nor the environment hold any of them.
///
/// [`get`](Self::get) gives a reference that builders take like a text. A change reaches everything that was built with
/// it, without a restart. The secret before is accepted as well until [`retire`](Self::retire) is called. Hosts that
/// share a store see each other's changes after [`reload`](Self::reload).
///
/// ```
/// use ml_connector_core::{Secret, token::{MemoryTokenStore, NamedSecrets}};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let secrets = NamedSecrets::new(MemoryTokenStore::new());
/// secrets.set("slack/signing", "old").await?;
/// let signing = secrets.get("slack/signing").await?; // to `Slack::builder(…).signing_secret(signing)`
///
/// secrets.set("slack/signing", "new").await?;
/// assert_eq!(signing.accepted().collect::<Vec<_>>(), ["new", "old"]);
/// secrets.retire("slack/signing").await?; // when the vendor signs with the new one
/// assert_eq!(signing.accepted().collect::<Vec<_>>(), ["new"]);
/// # Ok::<_, ml_connector_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct NamedSecrets {
    store: Arc<dyn TokenStore>,
    /// What was given away, with the version it has.
    known: Arc<Mutex<HashMap<String, (u64, Secret)>>>,
}

/// What is stored.
#[derive(Serialize, Deserialize)]
struct StoredSecret {
    format: u8,
    current: Kept,
    before: Option<Kept>,
}

impl NamedSecrets {
    /// The secrets of a store.
    #[must_use]
    pub fn new(store: impl TokenStore) -> Self {
        Self { store: Arc::new(store), known: Arc::default() }
    }

    /// A reference to a secret.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when there is none of this name, or the name is malformed: 1–64 characters of `a-z`,
    /// `0-9`, `-`, `_` and `/`. Otherwise those of the store.
    pub async fn get(&self, name: &str) -> Result<Secret> {
        let stored = self.load(name).await?;
        let (version, blob) = stored.ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "there is no secret of this name: store it with `set` first")
                .with_context("name", name)
        })?;
        Ok(self.learn(name, version, &blob))
    }

    /// Stores a secret. The one before stays good beside it until [`retire`](Self::retire); of three, the oldest goes.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when it is empty, or the name is malformed. Otherwise those of the store.
    pub async fn set(&self, name: &str, value: impl Into<Secret>) -> Result<()> {
        let value = value.into();
        if value.is_empty() {
            return Err(
                Error::new(ErrorKind::ConfigInvalid, "the secret is empty").with_context("name", name)
            );
        }
        let change = |blob: Option<StoredSecret>| match blob {
            Some(blob) if blob.current.0.expose() == value.expose() => None,
            before => {
                let current = Kept(value.clone());
                Some(StoredSecret { format: FORMAT, current, before: before.map(|blob| blob.current) })
            }
        };
        self.change(name, change).await.map(drop)
    }

    /// Stops accepting the secret before. Returns whether there was one.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::ConfigInvalid`] when the name is malformed.
    pub async fn retire(&self, name: &str) -> Result<bool> {
        let change = |blob: Option<StoredSecret>| {
            let blob = blob.filter(|blob| blob.before.is_some())?;
            Some(StoredSecret { before: None, ..blob })
        };
        self.change(name, change).await
    }

    /// Reads every secret again that was given away, as another host may have changed it. Call it every few minutes where
    /// hosts share a store. One that is gone keeps its last text.
    ///
    /// # Errors
    /// Those of the store; the other secrets are then read again nevertheless.
    pub async fn reload(&self) -> Result<()> {
        let names: Vec<String> = self.known().keys().cloned().collect();
        let mut failed = Ok(());
        for name in names {
            match self.load(&name).await {
                Ok(Some((version, blob))) => drop(self.learn(&name, version, &blob)),
                Ok(None) => {}
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    async fn change(
        &self,
        name: &str,
        change: impl Fn(Option<StoredSecret>) -> Option<StoredSecret>,
    ) -> Result<bool> {
        let key = key(name)?;
        loop {
            let stored = self.load(name).await?;
            let expected = stored.as_ref().map(|(version, _)| *version);
            let Some(next) = change(stored.map(|(_, blob)| blob)) else { return Ok(false) };
            let bytes = serde_json::to_vec(&next)
                .map_err(|_| Error::new(ErrorKind::Unexpected, "the secret could not be encoded"))?;
            if let Swap::Stored { version } =
                self.store.swap(&key, expected, Some(Bytes::from(bytes))).await?
            {
                if self.known().contains_key(name) {
                    self.learn(name, version, &next);
                }
                return Ok(true);
            }
        }
    }

    async fn load(&self, name: &str) -> Result<Option<(u64, StoredSecret)>> {
        let Some(Stored { version, bytes }) = self.store.load(&key(name)?).await? else { return Ok(None) };
        // The decoder's own message may quote what it read.
        let unreadable = |_| {
            Error::new(ErrorKind::Unexpected, "what is stored under this name is no secret")
                .with_context("name", name)
        };
        let blob: StoredSecret = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if blob.format > FORMAT {
            let error = Error::new(ErrorKind::ConfigInvalid, "the secret was stored by a later release");
            return Err(error.with_context("name", name));
        }
        Ok(Some((version, blob)))
    }

    /// Tells everybody who holds a reference, unless they know.
    fn learn(&self, name: &str, version: u64, blob: &StoredSecret) -> Secret {
        let (current, before) = (&blob.current.0, blob.before.as_ref().map(|kept| &kept.0));
        let mut known = self.known();
        let (told, secret) =
            known.entry(name.to_owned()).or_insert_with(|| (version, Secret::named(current, before)));
        if *told < version {
            *told = version;
            secret.follow(current, before);
        }
        secret.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (u64, Secret)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for NamedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = self.known().keys().cloned().collect();
        names.sort_unstable();
        f.debug_struct("NamedSecrets").field("store", &self.store).field("given", &names).finish()
    }
}

fn key(name: &str) -> Result<TokenKey> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/'));
    if fits {
        return Ok(TokenKey::secret(name));
    }
    // The text is left out: it may be a secret in the wrong place.
    Err(Error::new(
        ErrorKind::ConfigInvalid,
        "a secret's name must be 1–64 characters of a-z, 0-9, -, _ and /",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::MemoryTokenStore;

    #[tokio::test]
    async fn a_change_reaches_references_here_and_on_other_hosts_after_a_reload() {
        let store = Arc::new(MemoryTokenStore::new());
        let (one, other) = (NamedSecrets::new(Arc::clone(&store)), NamedSecrets::new(store));
        assert_eq!(one.get("bot").await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
        one.set("bot", "first").await.unwrap();
        let (here, there) = (one.get("bot").await.unwrap(), other.get("bot").await.unwrap());
        one.set("bot", "second").await.unwrap();
        one.set("bot", "second").await.unwrap();
        let texts = |secret: &Secret| secret.accepted().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(texts(&here), ["second", "first"], "the same once more changes nothing");
        assert_eq!(texts(&there), ["first"]);
        other.reload().await.unwrap();
        assert_eq!(texts(&there), ["second", "first"]);
        assert!(other.retire("bot").await.unwrap());
        assert!(!other.retire("bot").await.unwrap() && !other.retire("none").await.unwrap());
        one.reload().await.unwrap();
        assert_eq!(texts(&here), ["second"]);
        assert_eq!(texts(&one.get("bot").await.unwrap()), ["second"]);
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_and_not_shown() {
        let store = Arc::new(MemoryTokenStore::new());
        let secrets = NamedSecrets::new(Arc::clone(&store));
        for (name, value) in [("", "x"), ("Planted secret", "x"), ("bot", "")] {
            let error = secrets.set(name, value).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(!format!("{error:?}").contains("Planted"), "{error:?}");
        }
        store.swap(&TokenKey::secret("bot"), None, Some("\"planted\"".into())).await.unwrap();
        let error = secrets.get("bot").await.unwrap_err();
        assert!(!format!("{error:?} {secrets:?}").contains("planted"), "{error:?}");
    }
}
