//! Tables: made once, and given the columns that they lack.

use ml_connector_core::model::{Column, Columns};

use super::{Layout, META, SqlType, TableName, change_log, ident, literal, type_of};

/// Deletion vectors: a MERGE then rewrites no files for a few rows, and writers of other rows do not conflict.
const PROPERTIES: &str = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')";

/// Makes a table of current states, clustered by its key.
pub(crate) fn create_table(table: &TableName, columns: &Columns, raw: bool) -> String {
    let layout = Layout::whole(columns, raw);
    let own = layout.meta().map(|(name, kind, comment)| {
        let null = if name == "_raw" { "" } else { " NOT NULL" };
        format!("{} {kind}{null} COMMENT {}", ident(name), literal(comment))
    });
    let own: Vec<String> = own.collect();
    let columns_of = columns.columns().iter().map(|column| {
        let comment = comment(column);
        let comment =
            if comment.is_empty() { String::new() } else { format!(" COMMENT {}", literal(&comment)) };
        format!("{} {}{comment}", ident(column.name), type_of(&column.kind))
    });
    let all: Vec<String> = own.into_iter().chain(columns_of).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  {}\n)\nUSING DELTA\nCLUSTER BY (`_connection`, `_id`)\nCOMMENT {}\n{PROPERTIES}",
        table.quoted(),
        all.join(",\n  "),
        literal(columns.comment),
    )
}

/// Makes a change log, which nobody can change.
pub(crate) fn create_change_log(table: &TableName, columns: &Columns) -> String {
    let column = |(name, kind, comment): (&str, &str, &str)| {
        let null = if name == "_raw" { "" } else { " NOT NULL" };
        format!("{} {kind}{null} COMMENT {}", ident(name), literal(comment))
    };
    let all: Vec<String> = META.into_iter().chain(change_log::OWN).map(column).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  {}\n)\nUSING DELTA\nCLUSTER BY (`_connection`, `_event_id`)\nCOMMENT {}\n\
         TBLPROPERTIES ('delta.appendOnly' = 'true')",
        table.quoted(),
        all.join(",\n  "),
        literal(&format!("Every change: {}", columns.comment)),
    )
}

/// Adds columns. A name with a path, such as `lines.element.unit`, adds a member to nested lines.
pub(crate) fn add_columns(table: &TableName, columns: &[(Vec<&str>, &SqlType, String)]) -> String {
    let added: Vec<String> = columns
        .iter()
        .map(|(path, kind, comment)| {
            let path: Vec<String> = path.iter().map(|name| ident(name)).collect();
            let comment =
                if comment.is_empty() { String::new() } else { format!(" COMMENT {}", literal(comment)) };
            format!("{} {kind}{comment}", path.join("."))
        })
        .collect();
    format!("ALTER TABLE {} ADD COLUMNS ({})", table.quoted(), added.join(", "))
}

/// What a column means, and what is to be known about its age.
pub(crate) fn comment(column: &Column) -> String {
    match (column.comment, column.refreshed_by) {
        (comment, None) => comment.to_owned(),
        ("", Some(what)) => format!("Read anew by {what}"),
        (comment, Some(what)) => format!("{comment}. Read anew by {what}"),
    }
}
