//! The upsert: a row is written only if it is newer than the one that is there. Sent twice, it does nothing.

use super::{DELETED, DETAILED, INGESTED_AT, Layout, META, Source, SqlType, TableName, ident, source::Shape};

/// Writes rows into a table of current states. Parameters: `:ingested_at`, and `:batch` unless rows come from a file.
pub(crate) fn merge(table: &TableName, layout: &Layout, source: &Source<'_>) -> String {
    let mut shape: Shape = layout
        .meta()
        .filter(|(name, ..)| *name != INGESTED_AT)
        .map(|(name, kind, _)| (name.to_owned(), SqlType::Scalar(kind.to_owned())))
        .collect();
    if layout.detailed && !layout.says_detailed {
        shape.push((DETAILED.0.to_owned(), SqlType::Scalar(DETAILED.1.to_owned())));
    }
    shape.extend(layout.columns.iter().map(|column| (column.name.to_string(), column.kind.clone())));
    let rows = source.rows(&shape, &["_connection", "_id"], &["_epoch", "_n", "_event_id"]);

    let own: Vec<&str> = layout.meta().map(|(name, ..)| name).collect();
    let all: Vec<&str> =
        own.iter().copied().chain(layout.columns.iter().map(|column| &*column.name)).collect();
    let listed = own
        .iter()
        .copied()
        .filter(|name| *name != DETAILED.0)
        .chain(layout.columns.iter().filter(|column| column.listed).map(|column| &*column.name));
    // What is gone keeps what was last known of it, its JSON too.
    let gone = META.iter().map(|(name, ..)| *name);

    let newer = "(s.`_epoch` > t.`_epoch` OR (s.`_epoch` = t.`_epoch` AND s.`_n` > t.`_n`))";
    let mut sql = format!(
        "MERGE INTO {} AS t\nUSING {rows}\nON t.`_connection` = s.`_connection` AND t.`_id` = s.`_id`\n\
         WHEN MATCHED AND s.{} AND {newer} THEN UPDATE SET {}\n",
        table.quoted(),
        ident(DELETED),
        assigned(gone),
    );
    if layout.detailed {
        let detailed = ident(DETAILED.0);
        sql +=
            &format!("WHEN MATCHED AND NOT s.{detailed} AND {newer} THEN UPDATE SET {}\n", assigned(listed));
    }
    sql += &format!(
        "WHEN MATCHED AND {newer} THEN UPDATE SET {}\nWHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        assigned(all.iter().copied()),
        all.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", "),
        all.iter().map(|name| value(name)).collect::<Vec<_>>().join(", "),
    );
    sql
}

fn assigned<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{} = {}", ident(name), value(name))).collect::<Vec<_>>().join(", ")
}

/// What a column is set to.
pub(super) fn value(name: &str) -> String {
    if name == INGESTED_AT {
        "CAST(:ingested_at AS TIMESTAMP)".to_owned()
    } else {
        format!("s.{}", ident(name))
    }
}
