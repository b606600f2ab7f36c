//! Tokens, encrypted.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Binding, KeyRing};
use crate::{
    CheckStep, Error, ErrorKind, Result, TokenStore,
    audit::sealed,
    token::{Stored, Swap, TokenKey},
};

/// A token store whose blobs are encrypted, each bound to its key. Keys and versions stay as they are.
///
/// ```
/// use ml_connector_core::{encryption::{EncryptTokens, Key, KeyRing}, token::MemoryTokenStore};
///
/// let tokens = MemoryTokenStore::new().encrypted(KeyRing::new(Key::generate("2026-11")?));
/// # let _: &dyn ml_connector_core::TokenStore = &tokens;
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EncryptedTokens<T> {
    inner: T,
    ring: KeyRing,
    takes_clear: bool,
}

/// Encrypts a token store.
pub trait EncryptTokens: TokenStore + Sized {
    /// Encrypts what is stored from now on. A blob that is in clear is refused: nobody but somebody who may write to the
    /// storage can have put it there. See [`EncryptedTokens::accepting_clear`].
    fn encrypted(self, ring: KeyRing) -> EncryptedTokens<Self> {
        EncryptedTokens { inner: self, ring, takes_clear: false }
    }
}

impl<T: TokenStore> EncryptTokens for T {}

impl<T: TokenStore> EncryptedTokens<T> {
    /// Takes blobs in clear as well, from before encryption was switched on. They are encrypted when they are next
    /// written, or by [`reencrypt`](Self::reencrypt).
    #[must_use]
    pub fn accepting_clear(self) -> Self {
        Self { takes_clear: true, ..self }
    }

    /// Encrypts a token with the active key, if it is not yet. Returns whether it was written.
    ///
    /// # Errors
    /// Those of the store, and those of [`KeyRing::open`].
    pub async fn reencrypt(&self, key: &TokenKey) -> Result<bool> {
        loop {
            let Some(stored) = self.inner.load(key).await? else { return Ok(false) };
            if self.ring.is_current(&stored.bytes) {
                return Ok(false);
            }
            let version = stored.version;
            let plain = self.open(key, stored)?.bytes;
            // A conflict: somebody wrote it meanwhile, with the active key or an older one.
            if let Swap::Stored { .. } = self.swap(key, Some(version), Some(plain)).await? {
                return Ok(true);
            }
        }
    }

    fn open(&self, key: &TokenKey, stored: Stored) -> Result<Stored> {
        let Stored { version, bytes } = stored;
        if sealed::key_id(&bytes).is_none() {
            if self.takes_clear {
                return Ok(Stored { version, bytes });
            }
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the token is stored in clear, where encryption with the active key is required: if it is from before, \
                 open the store with `accepting_clear` until it is encrypted",
            )
            .with_context("active", self.ring.active()));
        }
        Ok(Stored { version, bytes: self.ring.open(&binding(key), &bytes)? })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: TokenStore> TokenStore for EncryptedTokens<T> {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        self.inner.load(key).await?.map(|stored| self.open(key, stored)).transpose()
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let sealed = value.map(|plain| self.ring.seal(&binding(key), &plain)).transpose()?;
        Ok(match self.inner.swap(key, expected, sealed.map(Bytes::from)).await? {
            Swap::Conflict(Some(stored)) => Swap::Conflict(Some(self.open(key, stored)?)),
            other => other,
        })
    }

    async fn check(&self) -> Vec<CheckStep> {
        let mut steps = self.inner.check().await;
        let key = format!("encrypted with key {}", self.ring.active());
        steps.push(CheckStep::passed("encryption").with_found(key));
        steps
    }
}

fn binding(key: &TokenKey) -> Binding<'_> {
    Binding { purpose: "token", connection: "", key: key.as_str() }
}
