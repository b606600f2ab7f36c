//! The document that says that a log is encrypted, and with which key it begins.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::{Binding, KeyRing, key::KeyBytes, seal::subkey};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{ChainKey, Committed, Document, DocumentWrite, Expected, Query, RewriteLog, Transaction, sealed},
    model::Seq,
};

/// The form written here. A higher one was written by a later release.
const FORM: u8 = 1;

const BINDING: Binding<'static> = Binding { purpose: "log.marker", connection: "", key: "" };

/// What is known of an encrypted log.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) index_key: KeyBytes,
    pub(super) clear_amounts: bool,
    /// Whether there may still be something in clear.
    pub(super) clear_left: bool,
    /// How far a re-encryption has come.
    pub(super) progress: Option<KeyProgress>,
    /// Whether the log's chain has a key.
    pub(super) chained: bool,
}

/// How far what is stored has been encrypted with a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyProgress {
    pub(super) key: Arc<str>,
    /// Entries first: up to here.
    pub(super) entry: Option<Seq>,
    /// Then documents: up to here.
    pub(super) document: Option<Arc<str>>,
    /// How many were looked at.
    pub(super) entries: u64,
    pub(super) documents: u64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    form: u8,
    index_key: String,
    clear_amounts: bool,
    clear_left: bool,
    progress: Option<KeyProgress>,
    #[serde(default)]
    chained: bool,
}

/// What the host wants of a log that it opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpeningTerms {
    pub(super) clear_amounts: bool,
    pub(super) takes_clear: bool,
}

impl Marker {
    /// Reads the marker, or makes the log an encrypted one. It is sealed with the active key afterwards.
    pub(super) async fn open(log: &dyn RewriteLog, ring: &KeyRing, wanted: OpeningTerms) -> Result<Self> {
        loop {
            match Self::load(log).await? {
                None => {
                    let clear_left = holds_something(log).await?;
                    if clear_left && !wanted.takes_clear {
                        return Err(refused(
                            "the log holds entries in clear, where encryption is required: open it with `encrypting`, \
                             which encrypts what is there",
                        )
                        .with_context("active", ring.active()));
                    }
                    let clear_amounts = wanted.clear_amounts;
                    let index_key = KeyBytes::generate()?;
                    let marker =
                        Self { index_key, clear_amounts, clear_left, progress: None, chained: false };
                    if marker.store(log, ring, Expected::Absent).await? {
                        return Ok(marker);
                    }
                }
                Some(document) => {
                    let marker = Self::read(ring, &document)?;
                    marker.check(wanted)?;
                    if ring.is_current(&document.bytes)
                        || marker.store(log, ring, Expected::Version(document.version)).await?
                    {
                        return Ok(marker);
                    }
                }
            }
        }
    }

    /// Changes the marker as it is now.
    pub(super) async fn change(
        log: &dyn RewriteLog,
        ring: &KeyRing,
        change: impl Fn(&mut Self),
    ) -> Result<Self> {
        loop {
            let document =
                Self::load(log).await?.ok_or_else(|| refused("the log's encryption marker is gone"))?;
            let mut marker = Self::read(ring, &document)?;
            change(&mut marker);
            if marker.store(log, ring, Expected::Version(document.version)).await? {
                return Ok(marker);
            }
        }
    }

    /// What the log's chain is linked with. It is as old as the log, so that links outlast every rotation.
    pub(super) fn chain_key(&self) -> ChainKey {
        ChainKey::new(&subkey(&self.index_key, "chain"))
    }

    fn check(&self, wanted: OpeningTerms) -> Result<()> {
        if self.clear_left && !wanted.takes_clear {
            return Err(refused(
                "what the log held in clear is not encrypted yet: open it with `encrypting`, and call `reencrypt` until it \
                 is done",
            ));
        }
        if self.clear_amounts != wanted.clear_amounts {
            return Err(refused(
                "whether amounts stay in clear is settled when a log is first encrypted: open it as it was then",
            )
            .with_context("clear_amounts", self.clear_amounts));
        }
        Ok(())
    }

    async fn load(log: &dyn RewriteLog) -> Result<Option<Document>> {
        Ok(log.documents(&[sealed::marker_key()]).await?.pop().flatten())
    }

    fn read(ring: &KeyRing, document: &Document) -> Result<Self> {
        let unreadable = || {
            Error::new(
                ErrorKind::Unexpected,
                "the log's encryption marker is damaged: restore it from a backup",
            )
            .with_operation("encrypted_log.open")
        };
        let opened = ring.open(&BINDING, &document.bytes);
        let bytes =
            Zeroizing::new(opened.map_err(|error| error.with_operation("encrypted_log.open"))?.to_vec());
        let Written { form, index_key, clear_amounts, clear_left, progress, chained } =
            serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        if form > FORM {
            return Err(refused("the log was encrypted by a later release: update this program"));
        }
        let index_key = Zeroizing::new(index_key);
        let index_key = Zeroizing::new(STANDARD.decode(&*index_key).map_err(|_| unreadable())?);
        let index_key = KeyBytes::try_from(&index_key[..]).map_err(|_| unreadable())?;
        Ok(Self { index_key, clear_amounts, clear_left, progress, chained })
    }

    /// Whether it was as expected.
    async fn store(&self, log: &dyn RewriteLog, ring: &KeyRing, expected: Expected) -> Result<bool> {
        let Self { index_key, clear_amounts, clear_left, progress, chained } = self.clone();
        let index_key = STANDARD.encode(index_key.expose());
        let mut written = Written { form: FORM, index_key, clear_amounts, clear_left, progress, chained };
        let plain = serde_json::to_vec(&written).map(Zeroizing::new);
        zeroize::Zeroize::zeroize(&mut written.index_key);
        let plain = plain.map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "the encryption marker could not be encoded").with_source(cause)
        })?;
        let sealed = Bytes::from(ring.seal(&BINDING, &plain)?);
        let write = DocumentWrite { key: sealed::marker_key(), expected, value: Some(sealed) };
        let transaction = Transaction { documents: vec![write], ..Transaction::default() };
        let committed = log.commit(vec![transaction], Timestamp::default()).await?;
        Ok(matches!(committed[..], [Committed::Applied(_)]))
    }
}

async fn holds_something(log: &dyn RewriteLog) -> Result<bool> {
    let entries = log.count(&Query::default(), 1).await?;
    Ok(entries > 0 || !log.stored_documents(None, 1).await?.is_empty())
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_operation("encrypted_log.open")
}
