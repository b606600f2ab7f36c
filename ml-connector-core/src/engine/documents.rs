//! Documents of the log with their types: read together with the condition under which they may be replaced, and
//! written under it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::shared::Shared;
use crate::{
    Error, ErrorKind, Result,
    audit::{DocKey, DocumentWrite, Expected},
    snapshot::Snapshot,
};

/// A kind of document.
pub(crate) trait DocumentKind: Sized {
    fn decode(bytes: &Bytes) -> Result<Self>;
    fn encode(&self) -> Result<Bytes>;
}

/// A kind of document that is written as JSON.
pub(crate) trait JsonDocument: Serialize + DeserializeOwned {
    /// What errors call it.
    const NAME: &'static str;
}

impl<T: JsonDocument> DocumentKind for T {
    fn decode(bytes: &Bytes) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a document of the log cannot be read")
                .with_context("document", T::NAME)
                .with_source(source)
        })
    }

    fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a document of the log cannot be written")
                .with_context("document", T::NAME)
                .with_source(source)
        })
    }
}

/// What a source or a limiter keeps: bytes that the engine does not read.
impl DocumentKind for Bytes {
    fn decode(bytes: &Bytes) -> Result<Self> {
        Ok(bytes.clone())
    }

    fn encode(&self) -> Result<Bytes> {
        Ok(self.clone())
    }
}

impl DocumentKind for Snapshot {
    fn decode(bytes: &Bytes) -> Result<Self> {
        Self::from_bytes(bytes)
    }

    fn encode(&self) -> Result<Bytes> {
        self.to_bytes()
    }
}

/// A document as it was read.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) key: DocKey,
    /// The condition under which it may be replaced: nobody has written it since.
    pub(crate) expected: Expected,
    pub(crate) value: Option<T>,
}

impl<T: DocumentKind> Loaded<T> {
    /// There is none under this key.
    pub(crate) fn absent(key: DocKey) -> Self {
        Self { key, expected: Expected::Absent, value: None }
    }

    /// Replaces it, unless somebody has written it since.
    pub(crate) fn replace(&self, with: &T) -> Result<DocumentWrite> {
        Ok(DocumentWrite { key: self.key.clone(), expected: self.expected, value: Some(with.encode()?) })
    }
}

/// Writes a document, whatever is there.
pub(crate) fn put<T: DocumentKind>(key: DocKey, value: &T) -> Result<DocumentWrite> {
    Ok(DocumentWrite { key, expected: Expected::Any, value: Some(value.encode()?) })
}

/// Removes a document, whatever is there.
pub(crate) fn remove(key: DocKey) -> DocumentWrite {
    DocumentWrite { key, expected: Expected::Any, value: None }
}

impl Shared {
    /// Reads one document.
    pub(crate) async fn load<T: DocumentKind>(&self, key: DocKey) -> Result<Loaded<T>> {
        let missing = || Error::new(ErrorKind::Unexpected, "the log did not answer for a document");
        self.load_all(vec![key]).await?.pop().ok_or_else(missing)
    }

    /// Reads documents of one kind, in the order of their keys.
    pub(crate) async fn load_all<T: DocumentKind>(&self, keys: Vec<DocKey>) -> Result<Vec<Loaded<T>>> {
        let documents = self.log.documents(&keys).await?;
        let loaded = keys.into_iter().zip(documents).map(|(key, document)| {
            let Some(document) = document else { return Ok(Loaded::absent(key)) };
            let value = T::decode(&document.bytes)?;
            Ok(Loaded { key, expected: Expected::Version(document.version), value: Some(value) })
        });
        loaded.collect()
    }
}
