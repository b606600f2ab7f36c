//! Rows that a MERGE passed over, although they were noticed after what the table has: the numbers of changes went back.

use super::{Source, SqlType, TableName, source::Shape};

/// Of rows from a source those that the table has in a later version with an earlier instant: connection, id, and both
/// instants. Parameter: `:batch`, unless rows come from a file.
pub(crate) fn overtaken(table: &TableName, source: &Source<'_>) -> String {
    let scalar = |(name, kind): (&str, &str)| (name.to_owned(), SqlType::Scalar(kind.to_owned()));
    let shape: Shape = [
        ("_connection", "STRING"),
        ("_id", "STRING"),
        ("_event_id", "STRING"),
        ("_epoch", "BIGINT"),
        ("_n", "BIGINT"),
        ("_occurred_at", "TIMESTAMP"),
    ]
    .map(scalar)
    .into();
    format!(
        "SELECT s.`_connection`, s.`_id`, t.`_occurred_at`, s.`_occurred_at`\nFROM {} AS t\nJOIN {}\n\
         ON t.`_connection` = s.`_connection` AND t.`_id` = s.`_id`\n\
         WHERE (t.`_epoch` > s.`_epoch` OR (t.`_epoch` = s.`_epoch` AND t.`_n` > s.`_n`)) AND t.`_occurred_at` < \
         s.`_occurred_at`",
        table.quoted(),
        source.rows(&shape, &["_connection", "_id"], &["_epoch", "_n", "_event_id"]),
    )
}

/// Marks as deleted what a connection's rows of earlier logs are that no later log has written over: the record was gone
/// before the later log began. Rows of another account that the connection read once stay as they are: nobody has looked there
/// since. Parameters: `:connection`, `:account`, `:epoch`, `:at`.
pub(crate) fn bury(table: &TableName) -> String {
    format!(
        "UPDATE {} SET `_deleted` = true, `_ingested_at` = CAST(:at AS TIMESTAMP)\n\
         WHERE `_connection` = :connection AND `_account` = :account AND `_epoch` < CAST(:epoch AS BIGINT)\n  \
         AND NOT `_deleted`",
        table.quoted(),
    )
}
