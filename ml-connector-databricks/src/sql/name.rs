//! Names and literals: the one place where they are quoted.

use std::{fmt, sync::Arc};

use ml_connector_core::{Error, ErrorKind, Result};

/// An identifier in backticks.
pub(crate) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal. `''` means different things to different runtimes; a backslash does not.
pub(crate) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// The name of a catalog, a schema, a table or a volume as Unity Catalog keeps it: in lower case.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] for what Unity Catalog takes for no name.
pub(crate) fn object_name(setting: &'static str, name: &str) -> Result<Arc<str>> {
    let wrong = name.is_empty()
        || name.chars().count() > 255
        || name.chars().any(|c| matches!(c, '.' | ' ' | '/' | '\x7f') || c.is_control());
    if wrong {
        let message = "expected a name without periods, spaces and slashes, of at most 255 characters";
        return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", setting));
    }
    Ok(name.to_lowercase().into())
}

/// A table's three names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName {
    pub(crate) catalog: Arc<str>,
    pub(crate) schema: Arc<str>,
    pub(crate) table: Arc<str>,
}

impl TableName {
    /// Quoted, for SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}.{}", ident(&self.catalog), ident(&self.schema), ident(&self.table))
    }

    /// The table of its change log.
    pub(crate) fn change_log(&self) -> Self {
        Self { table: format!("{}_changes", self.table).into(), ..self.clone() }
    }
}

/// With periods, as Unity Catalog's API and people write it.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A volume's three names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeName {
    pub(crate) catalog: Arc<str>,
    pub(crate) schema: Arc<str>,
    pub(crate) volume: Arc<str>,
}

impl VolumeName {
    /// The path of what is in it, for SQL and for people.
    pub(crate) fn path(&self, inside: &[&str]) -> String {
        let mut path = format!("/Volumes/{}/{}/{}", self.catalog, self.schema, self.volume);
        for segment in inside {
            path.push('/');
            path.push_str(segment);
        }
        path
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.volume)
    }
}
