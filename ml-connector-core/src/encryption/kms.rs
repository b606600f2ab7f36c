//! A service that keeps the key to the keys.

use std::fmt::Debug;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::key::{Key, KeyBytes, KeyId};
use crate::Result;

/// A key service, such as those of clouds or an HSM: it wraps keys with one of its own, which never leaves it. What the
/// host stores is worth nothing to whoever may not ask the service.
///
/// A key is wrapped once ([`Key::wrap`]) and unwrapped at every start ([`KeyRing::unwrap`](super::KeyRing::unwrap)).
#[async_trait]
pub trait Kms: Debug + Send + Sync + 'static {
    /// Encrypts a key. The key's id should be bound to it, where the service has a context for that.
    ///
    /// # Errors
    /// Those of the service.
    async fn wrap(&self, key: &Key) -> Result<Vec<u8>>;

    /// Decrypts what [`wrap`](Self::wrap) gave for the key of this id.
    ///
    /// # Errors
    /// Those of the service.
    async fn unwrap(&self, id: &KeyId, wrapped: &[u8]) -> Result<KeyBytes>;
}

impl Key {
    /// The key, wrapped by a service, as [`KeyRing::unwrap`](super::KeyRing::unwrap) reads it: a text to keep in settings.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn wrap(&self, kms: &dyn Kms) -> Result<String> {
        let wrapped = kms.wrap(self).await?;
        Ok(format!("{}:{}", self.id, STANDARD.encode(wrapped)))
    }
}
