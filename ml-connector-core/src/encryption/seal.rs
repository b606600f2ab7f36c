//! The form of what is sealed, and the cipher.
//!
//! ```text
//! D1 6D 6C 63 | 01   | length | id of the key | nonce    | ciphertext | tag
//! mark        | form | 1 byte | 1–32 bytes    | 24 bytes |            | 16 bytes
//! ```

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key::{KeyBytes, KeyId, fill_random};
use crate::{Error, ErrorKind, Result, audit::sealed};

const NONCE: usize = 24;
const TAG: usize = 16;

/// What a ciphertext belongs to. It can be opened with the same three values only, so that nobody can move it to another
/// connection, another column or another key. None of them is stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// What it is for: `token`, `document`, `entry.body`.
    pub purpose: &'a str,
    /// Whose it is; empty where that is part of the key.
    pub connection: &'a str,
    /// What it is filed under.
    pub key: &'a str,
}

impl Binding<'_> {
    fn associated_data(&self, key: &KeyId) -> Vec<u8> {
        let parts = ["ml-connector/1", key.as_str(), self.purpose, self.connection, self.key];
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
        for part in parts {
            // A part's length keeps it apart from the next.
            data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// A key that is ready to encrypt with.
pub(super) struct Cipher {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl Cipher {
    pub(super) fn new(id: KeyId, bytes: &KeyBytes) -> Self {
        Self { id, cipher: derived(bytes, "seal") }
    }

    pub(super) fn id(&self) -> &KeyId {
        &self.id
    }

    /// # Errors
    /// [`ErrorKind::Unexpected`] when there is no randomness, or more than 256 GiB to encrypt.
    pub(super) fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        let id = self.id.as_str().as_bytes();
        let head = sealed::MARK.len() + 1 + id.len();
        let mut bytes = Vec::with_capacity(head + NONCE + plain.len() + TAG);
        bytes.extend_from_slice(sealed::MARK);
        bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(id);
        // Asked of the operating system each time: bytes kept here would be used twice after a fork, or by two machines that go on
        // from one snapshot.
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let text = &mut bytes[head + NONCE..];
        let tag = encrypt(&self.cipher, nonce, &binding.associated_data(&self.id), text)?;
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// # Errors
    /// [`ErrorKind::Unexpected`] when this was not sealed with this key for this binding, or was changed since.
    pub(super) fn open(&self, binding: &Binding<'_>, rest: &[u8]) -> Result<Bytes> {
        let changed = || {
            Error::new(
                ErrorKind::Unexpected,
                "what is sealed here was changed, or belongs to something else: restore it from a backup",
            )
            .with_context("key", &self.id)
            .with_context("purpose", binding.purpose)
        };
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or_else(changed)?;
        let mut text = text.to_vec();
        let data = binding.associated_data(&self.id);
        decrypt(&self.cipher, *nonce, &data, &mut text, *tag).ok_or_else(changed)?;
        Ok(text.into())
    }
}

/// A cipher for one purpose: no two purposes share a key.
pub(super) fn derived(bytes: &KeyBytes, purpose: &str) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*subkey(bytes, purpose)).into())
}

/// A key for one purpose, by HKDF-SHA256.
pub(super) fn subkey(bytes: &KeyBytes, purpose: &str) -> Zeroizing<[u8; KeyBytes::LEN]> {
    let mut key = Zeroizing::new([0; KeyBytes::LEN]);
    let info = [b"ml-connector/1/", purpose.as_bytes()];
    Hkdf::<Sha256>::new(None, bytes.expose())
        .expand_multi_info(&info, &mut *key)
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    key
}

pub(super) fn encrypt(
    cipher: &XChaCha20Poly1305,
    nonce: [u8; NONCE],
    data: &[u8],
    text: &mut [u8],
) -> Result<Tag> {
    cipher
        .encrypt_inout_detached(&XNonce::from(nonce), data, text.into())
        .map_err(|_| Error::new(ErrorKind::Unexpected, "there is too much to encrypt at once"))
}

pub(super) fn decrypt(
    cipher: &XChaCha20Poly1305,
    nonce: [u8; NONCE],
    data: &[u8],
    text: &mut [u8],
    tag: [u8; TAG],
) -> Option<()> {
    cipher.decrypt_inout_detached(&XNonce::from(nonce), data, text.into(), &Tag::from(tag)).ok()
}
