//! The change log: one row for every event, never changed. It only appends, so that streams can read it.

use super::{INGESTED_AT, META, Source, SqlType, TableName, ident, merge::value, source::Shape};

/// What a change log has beside the columns of the connector's own.
pub(crate) const OWN: [(&str, &str, &str); 2] = [
    ("_changes", "STRING", "What changed, such as paid, updated"),
    ("_raw", "STRING", "The record's JSON as the system wrote it; null of what is gone"),
];

/// Appends rows whose event is not there yet. Parameters as of [`merge`](super::merge()).
pub(crate) fn append(table: &TableName, source: &Source<'_>) -> String {
    let columns = || META.into_iter().chain(OWN);
    let shape: Shape = columns()
        .filter(|(name, ..)| *name != INGESTED_AT)
        .map(|(name, kind, _)| (name.to_owned(), SqlType::Scalar(kind.to_owned())))
        .collect();
    let names: Vec<&str> = columns().map(|(name, ..)| name).collect();
    format!(
        "MERGE INTO {} AS t\nUSING {}\nON t.`_connection` = s.`_connection` AND t.`_event_id` = s.`_event_id` \
         AND t.`_epoch` = s.`_epoch`\nWHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        table.quoted(),
        source.rows(&shape, &["_connection", "_event_id", "_epoch"], &["_n"]),
        names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", "),
        names.iter().map(|name| value(name)).collect::<Vec<_>>().join(", "),
    )
}
