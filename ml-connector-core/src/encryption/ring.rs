//! The keys of a host.

use std::{
    collections::HashMap,
    env, fmt, fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    key::{Key, KeyBytes, KeyId},
    kms::Kms,
    seal::{Binding, Cipher},
};
use crate::{Error, ErrorKind, Result, Secret, audit::sealed};

/// The keys that a host encrypts with: one that is active, older ones that still open what they sealed, and the names of
/// those that must not be used any more. Cheap to clone; all clones are one ring, so that [`replace`](Self::replace)
/// changes the keys of everything that uses it.
///
/// ```
/// use ml_connector_core::encryption::{Binding, Key, KeyRing};
///
/// let ring = KeyRing::new(Key::generate("2026-11")?);
/// let token = Binding { purpose: "token", connection: "", key: "books" };
/// let sealed = ring.seal(&token, b"1000.refresh")?;
/// assert_eq!(ring.open(&token, &sealed)?, &b"1000.refresh"[..]);
///
/// // Moved to another connection, it is nobody's.
/// assert!(ring.open(&Binding { key: "other", ..token }, &sealed).is_err());
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
///
/// # Where keys come from
/// [`parse`](Self::parse) reads a text, [`from_env`](Self::from_env) an environment variable, [`from_file`](Self::from_file)
/// a file, [`new`](Self::new) bytes of the host's own, and [`unwrap`](Self::unwrap) asks a key service. All texts have one
/// form: `id:key`, separated by commas, blanks or lines, with the active key first. `openssl rand -base64 32` makes a key.
///
/// ```
/// # use ml_connector_core::encryption::{Key, KeyRing};
/// # let (new, old) = (Key::generate("a")?.to_text(), Key::generate("b")?.to_text());
/// # let (new, old) = (&new.expose()[2..], &old.expose()[2..]);
/// let text = format!("2026-11:{new}, 2026-05:{old}, 2025-01:revoked");
/// assert_eq!(KeyRing::parse(&text)?.active().as_str(), "2026-11");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Arc<Keys>>>);

#[derive(Clone)]
struct Keys {
    active: Arc<Cipher>,
    /// `None`: revoked.
    others: HashMap<KeyId, Option<Arc<Cipher>>>,
}

impl KeyRing {
    /// A ring whose only key is active.
    #[must_use]
    pub fn new(active: Key) -> Self {
        let active = Arc::new(cipher(active));
        Self::of(Keys { active, others: HashMap::new() })
    }

    /// With an older key, which opens what it sealed and seals nothing more.
    #[must_use]
    pub fn with_old(self, key: Key) -> Self {
        let (id, cipher) = (key.id.clone(), Arc::new(cipher(key)));
        self.with(id, Some(cipher))
    }

    /// With a key that must not be used: what it sealed is refused with its id.
    #[must_use]
    pub fn with_revoked(self, id: impl Into<KeyId>) -> Self {
        self.with(id.into(), None)
    }

    fn with(self, id: KeyId, cipher: Option<Arc<Cipher>>) -> Self {
        let mut keys = Keys::clone(&self.keys());
        keys.others.insert(id, cipher);
        self.set(keys);
        self
    }

    /// Reads keys from a text.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] says which item is wrong, by its position and id, never by its text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys = Vec::new();
        for item in items(text) {
            let (id, value) = item?;
            let bytes = value.map(|value| KeyBytes::try_from(&value[..])).transpose();
            let bytes = bytes.map_err(|error| error.with_context("key", &id))?;
            keys.push((id, bytes));
        }
        Self::from_list(keys)
    }

    /// Reads keys from an environment variable, such as `ML_CONNECTOR_KEY`; `None` when it is not set, or empty.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`], as [`parse`](Self::parse).
    pub fn from_env(name: &str) -> Result<Option<Self>> {
        let named = |error: Error| error.with_context("variable", name);
        match env::var(name) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Self::parse(Secret::from(text).expose()).map(Some).map_err(named),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => {
                Err(named(Error::new(ErrorKind::ConfigInvalid, "the variable is not text")))
            }
        }
    }

    /// Reads keys from a file, where `#` begins a comment. Blocks while it reads.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when it cannot be read; otherwise as [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |error: Error| error.with_context("file", path.display());
        let text = fs::read_to_string(path).map_err(|cause| {
            named(Error::new(ErrorKind::ConfigInvalid, "the file with the keys cannot be read"))
                .with_source(cause)
        })?;
        Self::parse(Secret::from(text).expose()).map_err(named)
    }

    /// Has keys unwrapped by a key service: each `id:key` of the text holds a key that [`Kms::wrap`] gave back. The
    /// service is asked here only; the keys then stay in memory.
    ///
    /// # Errors
    /// Those of the service; otherwise as [`parse`](Self::parse).
    pub async fn unwrap(text: &str, kms: &dyn Kms) -> Result<Self> {
        let mut keys = Vec::new();
        for item in items(text) {
            let (id, value) = item?;
            let bytes = match value {
                None => None,
                Some(wrapped) => {
                    let unwrapped = kms.unwrap(&id, &wrapped).await;
                    Some(unwrapped.map_err(|error| error.with_context("key", &id))?)
                }
            };
            keys.push((id, bytes));
        }
        Self::from_list(keys)
    }

    /// The first is active.
    fn from_list(keys: Vec<(KeyId, Option<KeyBytes>)>) -> Result<Self> {
        let mut keys = keys.into_iter();
        let invalid = |message| Error::new(ErrorKind::ConfigInvalid, message);
        let ring = match keys.next() {
            None => return Err(invalid("no key is given: expected id:key, with the key in Base64")),
            Some((id, None)) => {
                return Err(
                    invalid("the first key is the active one and cannot be revoked").with_context("key", id)
                );
            }
            Some((id, Some(bytes))) => Self::new(Key { id, bytes }),
        };
        for (id, bytes) in keys {
            if ring.keys().find(id.as_str()).is_some() {
                return Err(invalid("two keys have the same id").with_context("key", id));
            }
            let cipher = bytes.map(|bytes| Arc::new(Cipher::new(id.clone(), &bytes)));
            _ = ring.clone().with(id, cipher);
        }
        Ok(ring)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active(&self) -> KeyId {
        self.keys().active.id().clone()
    }

    /// Takes over the keys of another ring, for everything that uses this one. What is under way goes on with the keys it
    /// began with.
    pub fn replace(&self, other: &Self) {
        self.set(Keys::clone(&other.keys()));
    }

    /// Seals bytes with the active key.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the operating system gives no randomness.
    pub fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        self.keys().active.seal(binding, plain)
    }

    /// Opens what [`seal`](Self::seal) gave.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] with the key's id when the ring does not have it, or it is revoked;
    /// [`ErrorKind::Unexpected`] when the bytes were changed, cut off, sealed for another binding, or not sealed at all.
    pub fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Bytes> {
        let Some((id, rest)) = sealed::key_id(sealed) else {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "expected something encrypted, but this is in clear",
            )
            .with_context("purpose", binding.purpose));
        };
        let refused =
            |message| Error::new(ErrorKind::ConfigInvalid, message).with_context("key", id.escape_debug());
        match self.keys().find(id) {
            Some(Some(cipher)) => cipher.open(binding, rest),
            Some(None) => Err(refused("this was encrypted with a key that is revoked")),
            None => Err(refused("this was encrypted with a key that is not in the key ring")),
        }
    }

    /// Whether these bytes are sealed with the active key.
    pub(super) fn is_current(&self, sealed: &[u8]) -> bool {
        sealed::key_id(sealed).is_some_and(|(id, _)| id == self.keys().active.id().as_str())
    }

    fn of(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl Keys {
    /// `None`: unknown. `Some(None)`: revoked.
    fn find(&self, id: &str) -> Option<Option<&Cipher>> {
        if self.active.id().as_str() == id {
            return Some(Some(&self.active));
        }
        self.others.get(&KeyId::from(id)).map(Option::as_deref)
    }
}

/// The keys are shown by their ids.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys();
        let mut others: Vec<&str> = keys.others.keys().map(KeyId::as_str).collect();
        others.sort_unstable();
        f.debug_struct("KeyRing")
            .field("active", &keys.active.id().as_str())
            .field("others", &others)
            .finish()
    }
}

fn cipher(Key { id, bytes }: Key) -> Cipher {
    Cipher::new(id, &bytes)
}

type ListedKey = (KeyId, Option<Zeroizing<Vec<u8>>>);

/// The keys that a text lists; `None` for the bytes of one that is revoked.
fn items(text: &str) -> impl Iterator<Item = Result<ListedKey>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|word| !word.is_empty());
    words.enumerate().map(|(position, word)| {
        let invalid =
            |message| Error::new(ErrorKind::ConfigInvalid, message).with_context("position", position + 1);
        let (id, value) =
            word.split_once(':').ok_or_else(|| invalid("expected id:key, but there is no colon"))?;
        let id = KeyId::from(id);
        id.validate().map_err(|error| error.with_context("position", position + 1))?;
        if value == "revoked" {
            return Ok((id, None));
        }
        let bytes = STANDARD
            .decode(value)
            .map_err(|_| invalid("expected the key in Base64 after the colon").with_context("key", &id))?;
        Ok((id, Some(Zeroizing::new(bytes))))
    })
}
