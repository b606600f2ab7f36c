//! What a table has, against what its source has.

use std::{fmt, sync::Arc};

use ml_connector_core::{Error, ErrorKind, Result, Scope, model::Columns};

use super::Tables;
use crate::{
    config::DriftPolicy,
    models::{Table, TableColumn},
    sql::{DETAILED, Layout, META, OWN, RAW, SqlType, TableName, Target, Wire, comment, type_of},
};

/// How a table differs from its source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drift {
    /// The table, with its catalog and schema.
    pub table: Arc<str>,
    /// The column; of nested lines with the path before it. Empty for the table as a whole.
    pub column: Arc<str>,
    /// What differs.
    pub difference: Difference,
}

/// What differs between a table and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The table lacks the column: it is not written.
    Missing,
    /// The column has another type, which holds the values all the same.
    OtherType(Arc<str>),
    /// A mask shows the column to the service principal otherwise than it is.
    Masked,
    /// A row filter may hide rows from the service principal.
    RowFilter,
    /// A row that was written was not seen when it was written again, so that it is there twice: a policy hides it from the
    /// service principal. Nothing is written until there is one of it.
    HiddenRows,
    /// Changes that came later have smaller numbers than the rows that are there, which therefore stay: the connector's log
    /// was put back to an earlier state, or a connector with another log writes the same records.
    Overtaken,
    /// The table was dropped while it was written to, and is made anew: what was written before is missing.
    MadeAnew,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the table lacks the column"),
            Self::OtherType(has) => write!(f, "the column is {has}"),
            Self::Masked => f.write_str("a mask is on the column"),
            Self::HiddenRows => f.write_str(
                "a policy hides rows from the service principal, and rows are doubled: exempt it, and delete the doubles",
            ),
            Self::Overtaken => f.write_str(
                "rows have greater numbers than changes that came after them: the connector's log was put back, or another \
                 connector writes the same records",
            ),
            Self::MadeAnew => f.write_str(
                "the table was dropped and is made anew, without what was written before: ask for the past again",
            ),
            Self::RowFilter => f.write_str(
                "a row filter is on the table: exempt the service principal, or rows will be doubled",
            ),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, difference } = self;
        match &**column {
            "" => write!(f, "{table}: {difference}"),
            column => write!(f, "{table}, column {column}: {difference}"),
        }
    }
}

/// What an inspection found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) drift: Vec<Drift>,
    /// What is to be added where tables evolve: where, what, and what it means.
    pub(crate) missing: Vec<(Vec<String>, SqlType, String)>,
}

/// Compares a table with what goes into it.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] in the scope of the lane for a table into which nothing may be written: rows would be
/// doubled, or digits lost.
pub(crate) fn inspect(tables: &Tables, name: &TableName, table: &Table, columns: &Columns) -> Result<Found> {
    require_delta(name, table)?;
    let mut drift = Vec::new();
    let mut differs = |column: &str, difference| {
        drift.push(Drift { table: name.to_string().into(), column: column.into(), difference });
    };
    if is_filtered(tables, name, table)? {
        differs("", Difference::RowFilter);
    }
    let find = |wanted: &str| find(table, wanted);
    for (meta, ..) in META {
        require_own(name, table, meta, matches!(meta, "_connection" | "_id" | "_epoch" | "_n"))?;
    }
    for masked in table.columns.iter().filter(|column| column.mask.is_some()) {
        differs(&masked.name, Difference::Masked);
    }

    let mut layout = Layout {
        columns: Vec::new(),
        refused: Vec::new(),
        strict: tables.policy == DriftPolicy::Quarantine,
        detailed: columns.whole().is_some(),
        says_detailed: columns.whole().is_some() && find(DETAILED.0).is_some(),
        demands: None,
        raw: tables.raw && find(RAW.0).is_some(),
    };
    let mut missing = Vec::new();
    let own = columns.whole().is_some().then_some(DETAILED).into_iter().chain(tables.raw.then_some(RAW));
    for (own, kind, comment) in own.filter(|(own, ..)| find(own).is_none()) {
        differs(own, Difference::Missing);
        missing.push((vec![own.to_owned()], SqlType::Scalar(kind.to_owned()), comment.to_owned()));
    }
    for (place, column) in columns.columns().iter().enumerate() {
        let wanted = type_of(&column.kind);
        let Some(there) = find(column.name) else {
            differs(column.name, Difference::Missing);
            if tables.policy == DriftPolicy::Quarantine {
                layout.refused.push(place);
            }
            missing.push((vec![column.name.to_owned()], wanted, comment(column)));
            continue;
        };
        let has = SqlType::parse(&there.type_text);
        if !has.holds(&wanted) {
            let message =
                format!("the table's column is {has}, and its values are {wanted}: give it that type");
            return Err(refused(name, message).with_context("column", column.name));
        }
        for (path, kind) in has.lacks(&wanted) {
            differs(&format!("{}.{}", column.name, path.join(".")), Difference::Missing);
            let path = path.into_iter().flat_map(|member| ["element", member]);
            let path = std::iter::once(column.name).chain(path).map(str::to_owned).collect();
            missing.push((path, kind.clone(), String::new()));
        }
        if matches!(has, SqlType::Scalar(_)) && has != wanted {
            differs(column.name, Difference::OtherType(has.to_string().into()));
        }
        layout.columns.push(Target {
            name: there.name.as_str().into(),
            wire: Wire::of(&column.kind, &has),
            kind: has,
            place,
            listed: column.listed,
        });
    }
    let is_ours = |name: &str| {
        META.iter().chain([&DETAILED, &RAW]).any(|(own, ..)| own.eq_ignore_ascii_case(name))
            || layout.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
    };
    let demands = |column: &&TableColumn| column.nullable == Some(false) && !is_ours(&column.name);
    layout.demands = table.columns.iter().find(demands).map(|column| column.name.as_str().into());
    Ok(Found { layout, drift, missing })
}

/// Looks whether changes can be appended to a change log.
///
/// # Errors
/// As of [`inspect`]: a filter would hide changes that are there, and they would be appended once more.
pub(crate) fn inspect_change_log(tables: &Tables, name: &TableName, table: &Table) -> Result<()> {
    require_delta(name, table)?;
    is_filtered(tables, name, table)?;
    for (own, ..) in META.into_iter().chain(OWN) {
        require_own(name, table, own, matches!(own, "_connection" | "_event_id" | "_epoch"))?;
    }
    Ok(())
}

fn find<'a>(table: &'a Table, wanted: &str) -> Option<&'a TableColumn> {
    table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(wanted))
}

/// Whether a row filter is on a table that is written to all the same.
fn is_filtered(tables: &Tables, name: &TableName, table: &Table) -> Result<bool> {
    if table.row_filter.as_ref().is_none_or(|filter| filter.function_name.is_none()) {
        return Ok(false);
    }
    if tables.allow_row_filter {
        return Ok(true);
    }
    let message = "a row filter is on the table: exempt the service principal, or rows would be doubled; then set \
                   allow_row_filter";
    Err(refused(name, message))
}

fn require_own(name: &TableName, table: &Table, own: &str, decides: bool) -> Result<()> {
    let Some(column) = find(table, own) else {
        let message = "the table lacks a column of the connector's own: it was not made for it";
        return Err(refused(name, message).with_context("column", own));
    };
    if column.mask.is_some() && decides {
        let message = "a mask is on a column that decides which row is written: exempt the service principal";
        return Err(refused(name, message).with_context("column", own));
    }
    Ok(())
}

fn require_delta(name: &TableName, table: &Table) -> Result<()> {
    let is_table = matches!(table.table_type.as_deref(), None | Some("MANAGED" | "EXTERNAL"));
    let is_delta =
        table.data_source_format.as_deref().is_none_or(|format| format.eq_ignore_ascii_case("delta"));
    if is_table && is_delta {
        return Ok(());
    }
    Err(refused(
        name,
        "expected a Delta table of that name, found something else: rename it, or choose another name",
    ))
}

fn refused(name: &TableName, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_scope(Scope::Lane).with_context("table", name)
}
