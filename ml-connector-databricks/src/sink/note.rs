//! What is noted of a statement before it is waited for.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{Error, ErrorKind, Result, model::Delivery};
use serde::{Deserialize, Serialize};

/// What is noted before a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The statement's id.
    pub(super) statement: Arc<str>,
    /// Whether the deliveries are done with it: it carries all their rows, and nothing comes after it.
    pub(super) settles: bool,
}

impl Note {
    pub(super) fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a note cannot be written").with_source(source)
        })
    }

    pub(super) fn read(delivery: &Delivery) -> Option<Self> {
        serde_json::from_slice(delivery.note.as_ref()?).ok()
    }
}
