//! A table as rows are written into it.

use std::sync::Arc;

use ml_connector_core::model::{Column, ColumnType, Columns, Fields};

use super::{SqlType, type_of};

/// What every table has beside its records' columns: name, type, what it is for. None is ever null.
pub(crate) const META: [(&str, &str, &str); 10] = [
    ("_connection", "STRING", "The host's name for the connection that the record was read through"),
    ("_system", "STRING", "The system of that connection, such as zoho_books"),
    ("_account", "STRING", "The organization, division or company in that system"),
    ("_id", "STRING", "The record's id in that system. With _connection the key of the table"),
    ("_event_id", "STRING", "The event that wrote the row, as the connector's log knows it"),
    ("_epoch", "BIGINT", "Which log the numbers in _n come from: a later log has a greater one"),
    (
        "_n",
        "BIGINT",
        "The number of the change among all changes of the record. A row is never replaced by an earlier change",
    ),
    ("_occurred_at", "TIMESTAMP", "When the change was noticed"),
    (INGESTED_AT, "TIMESTAMP", "When the row was sent"),
    (DELETED, "BOOLEAN", "The record is gone in its system. The other columns keep what was last known"),
];
/// Sent once per statement, not with every row.
pub(crate) const INGESTED_AT: &str = "_ingested_at";
/// Marks a tombstone.
pub(crate) const DELETED: &str = "_deleted";
/// Only of kinds whose lists show less than their details.
pub(crate) const DETAILED: (&str, &str, &str) = (
    "_detailed",
    "BOOLEAN",
    "Whether the record was read as a whole. Else it comes from a list, which has fewer columns",
);
/// Only where the host wants it.
pub(crate) const RAW: (&str, &str, &str) = ("_raw", "STRING", "The record's JSON as the system wrote it");

/// A column of a record, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As the table spells it.
    pub(crate) name: Arc<str>,
    /// The type that rows are decoded to.
    pub(crate) kind: SqlType,
    /// How its values are written.
    pub(crate) wire: Wire,
    /// Its place among the record's columns.
    pub(crate) place: usize,
    /// Whether rows of lists have it.
    pub(crate) listed: bool,
}

/// How the values of a column are written: under the names that the table has, or not at all where it lacks a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As they are.
    Plain,
    /// Lines: a name for each nested column, in the record's order, or the record's name for it where the table lacks it.
    Lines(Vec<Result<(Arc<str>, Self), &'static str>>),
}

impl Wire {
    /// Values of this column for a table that has this type.
    pub(crate) fn of(column: &ColumnType, has: &SqlType) -> Self {
        let (ColumnType::List(fields), SqlType::Rows(members)) = (column, has) else { return Self::Plain };
        let wire = |column: &Column| {
            let member = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(column.name));
            let (name, kind) = member.ok_or(column.name)?;
            Ok((Arc::from(name.as_str()), Self::of(&column.kind, kind)))
        };
        Self::Lines(Fields::columns(fields).iter().map(wire).collect())
    }
}

/// What of a record goes into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<Target>,
    /// Places of columns that the table lacks: rows that have a value there are refused.
    pub(crate) refused: Vec<usize>,
    /// Whether rows with a value for a member of lines that the table lacks are refused.
    pub(crate) strict: bool,
    /// Whether rows of lists are told from whole records, and leave the columns alone that lists do not have.
    pub(crate) detailed: bool,
    /// Whether the table says which rows are whole.
    pub(crate) says_detailed: bool,
    /// A column that is not ours, and must have a value: no row can be inserted, unless it has a default.
    pub(crate) demands: Option<Arc<str>>,
    /// Whether the record's JSON is kept.
    pub(crate) raw: bool,
}

impl Layout {
    /// All that a new table gets.
    pub(crate) fn whole(columns: &Columns, raw: bool) -> Self {
        let target = |(place, column): (usize, &Column)| {
            let kind = type_of(&column.kind);
            let wire = Wire::of(&column.kind, &kind);
            Target { name: column.name.into(), kind, wire, place, listed: column.listed }
        };
        Self {
            columns: columns.columns().iter().enumerate().map(target).collect(),
            refused: Vec::new(),
            strict: false,
            detailed: columns.whole().is_some(),
            says_detailed: columns.whole().is_some(),
            demands: None,
            raw,
        }
    }

    /// The columns of the connector's own that the table has.
    pub(crate) fn meta(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        META.into_iter().chain(self.says_detailed.then_some(DETAILED)).chain(self.raw.then_some(RAW))
    }
}
