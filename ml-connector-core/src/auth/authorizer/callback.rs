//! What a vendor's redirect carries.

use std::fmt;

use crate::{Error, ErrorKind, Result, Secret};

/// No vendor's callback comes near it.
const MAX_QUERY_BYTES: usize = 16 << 10;

/// The parameters of a vendor's redirect. They came through a browser: anybody can have written them. `Debug` shows
/// their names only.
#[derive(Clone, Default)]
pub struct Callback {
    parameters: Vec<(String, String)>,
}

impl Callback {
    /// Reads a query, with or without its question mark.
    pub(super) fn parse(query: &str) -> Result<Self> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(Error::new(ErrorKind::InvalidRequest, "the callback's query is too long")
                .with_context("bytes", query.len()));
        }
        let query = query.strip_prefix('?').unwrap_or(query);
        let parameters = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { parameters })
    }

    /// A parameter that is there once and not empty. One that is there twice means whatever its reader wants, and
    /// so means nothing.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut values =
            self.parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then_some(value)
    }

    /// Takes a parameter out.
    pub(super) fn take(&mut self, name: &str) -> Option<Secret> {
        let value = self.parameter(name).map(Secret::from);
        self.parameters.retain(|(key, _)| key != name);
        value
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.parameters.iter().map(|(name, _)| name)).finish()
    }
}
