//! What the log has to find again: names that are the same each time, and say nothing without the key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::XChaCha20Poly1305;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::{
    key::KeyBytes,
    seal::{decrypt, derived, encrypt, subkey},
};
use crate::{
    Error, ErrorKind, Result,
    audit::DocKey,
    model::{DedupeKey, EntityRef},
};

/// Begins a text that can be read back with the key.
const READABLE: &str = "mlk1:";
/// Begins a text that cannot.
const ONE_WAY: &str = "mlh1:";

const NONCE: usize = 24;
const TAG: usize = 16;

/// The key that belongs to one log for as long as it lives, whatever the key ring is: entries are found by what was
/// written with it. It is stored in the log, sealed with the key ring.
///
/// Values that come back are encrypted with a nonce that is their own HMAC, as SIV does: the same value gives the same
/// text, and the nonce repeats for no other. Values that only have to be equal are an HMAC. Either kind is bound to its
/// column.
pub(super) struct IndexKey {
    mac: Hmac<Sha256>,
    cipher: XChaCha20Poly1305,
}

impl IndexKey {
    pub(super) fn new(bytes: &KeyBytes) -> Self {
        let mac = Hmac::new_from_slice(&*subkey(bytes, "index-name")).expect("HMAC takes keys of any length");
        Self { mac, cipher: derived(bytes, "index-value") }
    }

    /// The text that stands for a value in a column.
    pub(super) fn conceal(&self, column: &str, value: &str) -> Result<String> {
        let mut bytes = Vec::with_capacity(NONCE + value.len() + TAG);
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&self.mac(column, value)[..NONCE]);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(value.as_bytes());
        let tag = encrypt(&self.cipher, nonce, column.as_bytes(), &mut bytes[NONCE..])?;
        bytes.extend_from_slice(&tag);
        Ok(encoded(READABLE, &bytes))
    }

    /// The value that a text stands for; `None` = the text is in clear.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it was changed, or is another column's.
    pub(super) fn reveal(&self, column: &str, text: &str) -> Result<Option<String>> {
        let Some(encoded) = text.strip_prefix(READABLE) else { return Ok(None) };
        let changed = || {
            Error::new(ErrorKind::Unexpected, "a search key was changed, or is another column's")
                .with_context("column", column)
        };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| changed())?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let (value, tag) = rest.split_last_chunk::<TAG>().ok_or_else(changed)?;
        let mut value = value.to_vec();
        decrypt(&self.cipher, *nonce, column.as_bytes(), &mut value, *tag).ok_or_else(changed)?;
        String::from_utf8(value).map(Some).map_err(|_| changed())
    }

    /// A record: its kind stays, its id is concealed, and is another for each kind.
    pub(super) fn entity(&self, entity: &EntityRef) -> Result<EntityRef> {
        let id = self.conceal(&entity_column(&entity.kind), &entity.id)?;
        Ok(EntityRef { kind: entity.kind.clone(), id: id.into() })
    }

    pub(super) fn dedupe(&self, key: &DedupeKey) -> DedupeKey {
        DedupeKey::from(self.one_way("dedupe", key.as_str()))
    }

    /// A document's key: its collection and its connection stay.
    pub(super) fn document(&self, key: &DocKey) -> DocKey {
        let (head, rest) = split(key);
        DocKey::from_stored(&format!("{head}{}", self.one_way("document", rest)))
    }

    fn one_way(&self, column: &str, value: &str) -> String {
        encoded(ONE_WAY, &self.mac(column, value))
    }

    fn mac(&self, column: &str, value: &str) -> [u8; 32] {
        let mut mac = self.mac.clone();
        // A column has no byte that is zero.
        mac.update(column.as_bytes());
        mac.update(b"\0");
        mac.update(value.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

pub(super) fn entity_column(kind: &str) -> String {
    let column = ["entity/", kind].concat();
    if column.contains('\0') { column.replace('\0', "/") } else { column }
}

fn encoded(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    text
}

pub(super) fn is_named(key: &DedupeKey) -> bool {
    key.as_str().starts_with(ONE_WAY)
}

/// Whether a document's key is one that [`IndexKey::document`] made.
pub(super) fn is_filed(key: &DocKey) -> bool {
    split(key).1.starts_with(ONE_WAY)
}

/// Collection and connection, and the rest.
fn split(key: &DocKey) -> (&str, &str) {
    let text = key.as_str();
    let second = text.match_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    text.split_at(second)
}
