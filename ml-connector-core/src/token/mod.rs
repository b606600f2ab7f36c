//! Where tokens are kept.

mod blob;
#[cfg(test)]
mod explore;
mod health;
mod machine;
mod manager;
mod memory;
mod named;
mod rotation;

use std::fmt::Debug;

use async_trait::async_trait;
#[cfg(test)]
pub(crate) use blob::ReceivedAnswer;
pub(crate) use blob::{Blob, Cause, Kept};
use bytes::Bytes;
pub use health::TokenHealth;
pub(crate) use health::health;
pub(crate) use machine::{Configured, Granted, Input, Rules, TokenOutcome};
pub(crate) use manager::{Endpoint, Manager, told};
pub use memory::MemoryTokenStore;
pub use named::NamedSecrets;
pub use rotation::Rotation;
use sha2::{Digest, Sha256};

use crate::{CheckStep, Result, model::ConnectionId};

/// Versioned blobs, one per key: enough for a refresh token that must never be lost or raced.
///
/// # Contract
/// - [`swap`](Self::swap) is atomic and durable when it returns, and linearizable per key with every other call.
/// - A key's version grows for ever, also across a delete: a version is never seen twice.
/// - The blob is opaque. It holds secrets: encrypt it at rest, and show it nowhere.
#[async_trait]
pub trait TokenStore: Debug + Send + Sync + 'static {
    /// The blob under this key.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when storage cannot be read.
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>>;

    /// Replaces the blob if it is still at version `expected` (`None`: if there is none). `value: None` deletes.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when storage cannot be written; whether it was is then
    /// unknown. Another version is no error, but [`Swap::Conflict`].
    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap>;

    /// Checks the store itself, above all whether its data survives a power failure. The engine tries a write apart
    /// from this.
    async fn check(&self) -> Vec<CheckStep> {
        Vec::new()
    }
}

/// The name of a token: a connection's own, or one that connections share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKey(String);

impl TokenKey {
    /// The connection's only token.
    #[must_use]
    pub fn new(connection: &ConnectionId) -> Self {
        Self(connection.to_string())
    }

    /// A token that several connections share, because the vendor keeps one chain for all of them: for an app and a person,
    /// say, whose companies are connections of their own. A name such as `exact/app-1/person@example.com`, without the
    /// secret parts. Connections with one token need one [`Affinity`](crate::model::Affinity), so that one host owns them.
    #[must_use]
    pub fn shared(name: &str) -> Self {
        Self(format!("shared#{name}"))
    }

    /// What is known of the consents that a connection waits for. No connection is named so.
    pub(crate) fn consents(connection: &ConnectionId) -> Self {
        Self(format!("{connection}#consents"))
    }

    /// A secret of the host's, by its name. No connection is named so.
    pub(crate) fn secret(name: &str) -> Self {
        Self(format!("secret#{name}"))
    }

    /// A key as it was written down.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A blob and its version. `Debug` shows the version only.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version.
    pub version: u64,
    /// The blob.
    pub bytes: Bytes,
}

impl Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Done.
    Stored {
        /// The version now; of a delete, the version it had.
        version: u64,
    },
    /// Not done: this is there instead.
    Conflict(Option<Stored>),
}

/// Tells one text from another without holding any of it.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
