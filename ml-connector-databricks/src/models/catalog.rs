//! Unity Catalog, and what is in volumes.

use serde::Deserialize;

/// A table as Unity Catalog describes it. `DESCRIBE` would cut nested types.
#[derive(Deserialize)]
pub(crate) struct Table {
    #[serde(default)]
    pub(crate) table_type: Option<String>,
    #[serde(default)]
    pub(crate) data_source_format: Option<String>,
    #[serde(default)]
    pub(crate) columns: Vec<TableColumn>,
    /// Its owner may do everything.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Rows that the filter hides do not match in a MERGE: they would be there twice.
    #[serde(default)]
    pub(crate) row_filter: Option<Function>,
}

#[derive(Deserialize)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) type_text: String,
    #[serde(default)]
    pub(crate) nullable: Option<bool>,
    #[serde(default)]
    pub(crate) mask: Option<Function>,
}

#[derive(Deserialize)]
pub(crate) struct Function {
    #[serde(default)]
    pub(crate) function_name: Option<String>,
}

/// Anything whose existence is asked for.
#[derive(Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) owner: Option<String>,
}

/// What a principal may do with something, also by what it lies in.
#[derive(Deserialize)]
pub(crate) struct Permissions {
    #[serde(default)]
    pub(crate) privilege_assignments: Vec<Assignment>,
}

#[derive(Deserialize)]
pub(crate) struct Assignment {
    #[serde(default)]
    pub(crate) privileges: Vec<Privilege>,
}

#[derive(Deserialize)]
pub(crate) struct Privilege {
    /// Such as `USE_SCHEMA`.
    #[serde(default)]
    pub(crate) privilege: String,
}

/// A page of a directory.
#[derive(Deserialize)]
pub(crate) struct Listing {
    /// `None` where it holds nothing.
    #[serde(default)]
    pub(crate) contents: Option<Vec<Entry>>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) is_directory: bool,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub(crate) last_modified: Option<i64>,
}
