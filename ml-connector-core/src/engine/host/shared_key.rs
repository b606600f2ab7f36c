//! Keys that all hosts of a log share.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Committed, DocKey, Transaction},
    engine::{documents::JsonDocument, writes},
};

/// How often a key is read again because another host makes it at the same time.
const TRIES: usize = 4;

/// What a key is made of. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    seed: [Uuid; 2],
}

impl JsonDocument for StoredKey {
    const NAME: &'static str = "a key that hosts share";
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredKey(***)")
    }
}

impl StoredKey {
    fn key(&self, name: &str) -> [u8; 32] {
        let [first, second] = self.seed;
        let digest = Sha256::new().chain_update(name).chain_update(first).chain_update(second);
        digest.finalize().into()
    }
}

impl Connector {
    /// A random key of 32 bytes that all hosts of the log share, under a name of its own. Whoever asks first makes it; it
    /// stays the same after every restart. It is kept in the log, encrypted if the log is: good for what must not be forged
    /// by browsers, such as tokens of forms, and not against somebody who reads the database.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the log cannot be read, or not be written where there is no key yet.
    pub async fn shared_key(&self, name: &str) -> Result<[u8; 32]> {
        for _ in 0..TRIES {
            let known = self.shared.load::<StoredKey>(DocKey::new("key", &"all".into(), name)).await?;
            if let Some(stored) = &known.value {
                return Ok(stored.key(name));
            }
            let made = StoredKey { seed: [Uuid::new_v4(), Uuid::new_v4()] };
            let documents = vec![known.replace(&made)?];
            let transaction = Transaction { documents, ..Transaction::default() };
            if matches!(writes::commit(&self.shared, transaction).await?, Committed::Applied(_)) {
                return Ok(made.key(name));
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "other hosts write the same key again and again")
            .with_context("name", name))
    }
}
