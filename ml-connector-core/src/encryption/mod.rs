//! Encryption at rest: what the connector stores says nothing to whoever reads the storage without a key.
//!
//! A [`KeyRing`] holds the keys. [`EncryptedTokens`] wraps a [`TokenStore`](crate::TokenStore), [`EncryptedLog`] an
//! [`AuditLog`](crate::AuditLog) whose stored form can be [replaced](crate::audit::RewriteLog): any of them, whatever
//! storage is beneath.
//!
//! The cipher is XChaCha20-Poly1305 with random nonces; each key encrypts by a subkey (HKDF-SHA256). A ciphertext names its
//! key and is bound to what it belongs to ([`Binding`]). `SECURITY.md` says what this protects against whom.

mod key;
mod kms;
mod log;
mod ring;
mod seal;
#[cfg(test)]
mod tests;
mod tokens;

pub use key::{Key, KeyBytes, KeyId};
pub use kms::Kms;
pub use log::{EncryptLog, EncryptedLog, EncryptionOptions, Reencrypted};
pub use ring::KeyRing;
pub use seal::Binding;
pub use tokens::{EncryptTokens, EncryptedTokens};
