//! Forgetting what is old and settled.

use ml_connector_core::Timestamp;
use rusqlite::{Connection, params};

/// How many roots are looked at in one go.
const CHUNK: usize = 256;

/// Removes settled families that began before `before`, the oldest first, `limit` families at most.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let (mut families, mut entries) = (0, 0);
    let mut cursor = (i64::MIN, 0);
    loop {
        let roots = roots(connection, before, cursor)?;
        let Some(last) = roots.last() else { return Ok(entries) };
        cursor = *last;
        for (_, root) in roots {
            if families == limit {
                return Ok(entries);
            }
            let removed = remove(connection, &family(connection, root)?)?;
            families += usize::from(removed > 0);
            entries += removed;
        }
    }
}

/// Times and numbers of what began before `before`, after the cursor. Walks through the index by time, so that
/// young entries are not even looked at.
fn roots(
    connection: &Connection,
    before: Timestamp,
    (at, seq): (i64, i64),
) -> rusqlite::Result<Vec<(i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT at, seq FROM entry INDEXED BY entry_at
             WHERE at < ?1 AND (at, seq) > (?2, ?3) AND parent IS NULL
             ORDER BY at, seq LIMIT ?4",
        )?
        .query_map(params![before.as_millis(), at, seq, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The family's members with their partitions.
fn family(connection: &Connection, root: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    connection
        .prepare_cached(
            "WITH RECURSIVE family (seq, part) AS (
                 SELECT seq, part FROM entry WHERE seq = ?1
                 UNION ALL SELECT c.seq, c.part FROM entry c JOIN family ON c.parent = family.seq)
             SELECT part, seq FROM family",
        )?
        .query_map([root], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Removes the family unless a member is unsettled; returns how many entries went.
fn remove(connection: &Connection, family: &[(i64, i64)]) -> rusqlite::Result<usize> {
    let mut unsettled = connection.prepare_cached("SELECT 1 FROM work WHERE part = ?1 AND seq = ?2")?;
    for (part, seq) in family {
        if unsettled.exists([part, seq])? {
            return Ok(0);
        }
    }
    let mut signals = connection.prepare_cached(
        "DELETE FROM signal_entity
         WHERE (entity_id, seq) IN (SELECT entity_id, seq FROM entry WHERE seq = ?1 AND kind = 1)",
    )?;
    let mut settled =
        connection.prepare_cached("DELETE FROM settled WHERE state IN (3, 4, 5) AND seq = ?1")?;
    let mut outcomes = connection.prepare_cached("DELETE FROM outcome WHERE seq = ?1")?;
    let mut entry = connection.prepare_cached("DELETE FROM entry WHERE seq = ?1")?;
    for (_, seq) in family {
        signals.execute([seq])?;
        settled.execute([seq])?;
        outcomes.execute([seq])?;
        entry.execute([seq])?;
    }
    Ok(family.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, sqlite::schema};

    const OLD_FAMILY: &str = "
        INSERT INTO entry (seq, part, kind, connection, parent, at, entity_id) VALUES
            (1, 0, 1, 'books', NULL, 5, '7'), (2, 0, 2, 'books', 1, 5, '7'), (3, 0, 3, 'books', 2, 5, '7');
        INSERT INTO outcome (seq, nth, at, what) VALUES (1, 1, 5, 4), (3, 1, 5, 1), (3, 2, 5, 4);
        INSERT INTO signal_entity VALUES ('7', 1);
        INSERT INTO settled VALUES (3, 1), (3, 2), (5, 3);";

    #[test]
    fn nothing_is_left_of_a_family_in_any_table() {
        let directory = tempfile::TempDir::new().unwrap();
        let connection = schema::open(&directory.path().join("log.db"), &SqliteOptions::default()).unwrap();
        connection.execute_batch(OLD_FAMILY).unwrap();
        assert_eq!(prune(&connection, Timestamp::from_millis(6), 10).unwrap(), 3);
        for table in ["entry", "work", "outcome", "signal_entity", "settled"] {
            let left = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
            assert_eq!(left, Ok(0), "in {table}");
        }
    }
}
