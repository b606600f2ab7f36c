//! Where a connection's records come from, and the proof that a row does.

use std::sync::{Arc, OnceLock};

use ml_connector_core::{
    Error, ErrorKind, Result, Scope,
    decode::Object,
    model::{Currency, Zone},
};
use url::Url;

use super::value::integer;

/// The company that a connection reads. Exact Online calls it a division.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The region's origin.
    pub(crate) base: Url,
    pub(crate) division: u32,
    /// What the company keeps its books in: the host's word, or else the company's once it has been read.
    pub(crate) currency: Arc<OnceLock<Currency>>,
    /// What the server's clocks show.
    pub(crate) zone: Zone,
}

impl Site {
    /// What the company keeps its books in. Nothing is read before it is known.
    pub(crate) fn currency(&self) -> Option<Currency> {
        self.currency.get().copied()
    }

    /// Checks that a row is the company's own. It has happened that Exact Online read and wrote in another company than
    /// was asked for.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] in the scope of the connection when it is another company's;
    /// [`ErrorKind::InvalidResponse`] when it says nothing of where it belongs.
    pub(crate) fn require_own(&self, row: &Object<'_>) -> Result<()> {
        let uri = row.object("__metadata").and_then(|metadata| metadata.some_text("uri"));
        let named = [integer(row, "Division"), uri.as_deref().and_then(division_in)];
        if let Some(other) = named.into_iter().flatten().find(|named| *named != i64::from(self.division)) {
            return Err(foreign(self.division, other));
        }
        if named == [None, None] {
            return Err(Error::new(
                ErrorKind::InvalidResponse,
                "a row does not say which company it belongs to",
            ));
        }
        Ok(())
    }
}

fn foreign(asked: u32, answered: i64) -> Error {
    Error::new(
        ErrorKind::ConfigInvalid,
        "Exact Online answered with a record of another company, so nothing more is read: ask Exact's support, and check \
         which companies the user who connected may see",
    )
    .with_scope(Scope::Connection)
    .with_context("division", asked)
    .with_context("answered", answered)
}

/// The company in the URL of a record: `https://…/api/v1/{division}/…`. `None`: the URL names none.
pub(crate) fn division_in(uri: &str) -> Option<i64> {
    let (_, rest) = uri.split_once("/api/v1/")?;
    rest.split('/').next()?.parse().ok()
}
