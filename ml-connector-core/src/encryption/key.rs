//! One key: its name and its bytes.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result, Secret, model::text_id};

text_id! {
    /// The name of a key, such as `2026-11`. It stands in every ciphertext and in error texts, and is no secret.
    ///
    /// 1–32 characters of `a-z`, `0-9`, `-` and `_`.
    KeyId,
}

const MAX_ID: usize = 32;

impl KeyId {
    /// Checks that the id can stand in a ciphertext.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the rule. The text is left out: it may be a key in the wrong place.
    pub fn validate(&self) -> Result<()> {
        let text = self.as_str();
        let fits = (1..=MAX_ID).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if fits {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ConfigInvalid, "a key's id must be 1–32 characters of a-z, 0-9, - and _"))
    }
}

/// 32 secret bytes, wiped when dropped. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct KeyBytes(Zeroizing<[u8; Self::LEN]>);

impl KeyBytes {
    /// How many bytes a key has.
    pub const LEN: usize = 32;

    /// The bytes themselves. Call it where they are wrapped or written to a store for secrets, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// New bytes from the operating system's source of randomness.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when there is none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        fill_random(&mut *bytes)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for KeyBytes {
    type Error = Error;

    fn try_from(bytes: &[u8]) -> Result<Self> {
        let mut key = Zeroizing::new([0; Self::LEN]);
        if bytes.len() != Self::LEN {
            return Err(
                Error::new(ErrorKind::ConfigInvalid, "a key has 32 bytes").with_context("bytes", bytes.len())
            );
        }
        key.copy_from_slice(bytes);
        // A placeholder that somebody forgot to replace.
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "all bytes of the key are equal: give a random one",
            ));
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(***)")
    }
}

/// A key of a [`KeyRing`](super::KeyRing).
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub id: KeyId,
    /// What it encrypts with.
    pub bytes: KeyBytes,
}

impl Key {
    /// A key from bytes of the host's own.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the id is malformed, or these are not 32 random bytes.
    pub fn new(id: impl Into<KeyId>, bytes: &[u8]) -> Result<Self> {
        let id = id.into();
        id.validate()?;
        let bytes = KeyBytes::try_from(bytes).map_err(|error| error.with_context("key", &id))?;
        Ok(Self { id, bytes })
    }

    /// A new key from the operating system's source of randomness.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the id is malformed; [`ErrorKind::Unexpected`] when there is no randomness.
    pub fn generate(id: impl Into<KeyId>) -> Result<Self> {
        let id = id.into();
        id.validate()?;
        Ok(Self { id, bytes: KeyBytes::generate()? })
    }

    /// The key as [`KeyRing::parse`](super::KeyRing::parse) reads it: `2026-11:` and the bytes in Base64.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let encoded = Zeroizing::new(STANDARD.encode(self.bytes.expose()));
        Secret::from(format!("{}:{}", self.id, *encoded))
    }
}

/// # Errors
/// [`ErrorKind::Unexpected`] when the operating system gives no randomness.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| {
        Error::new(ErrorKind::Unexpected, "the operating system gives no random bytes").with_source(cause)
    })
}
