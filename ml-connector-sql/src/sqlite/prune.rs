//! Forgetting what is old and settled.

use ml_connector_core::Timestamp;
use rusqlite::{Connection, params};

/// How many roots are looked at in one go.
const CHUNK: usize = 256;

/// Removes settled families that began before `before`, `limit` families at most.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let (mut families, mut entries, mut after) = (0, 0, 0);
    loop {
        let roots = roots(connection, before, after)?;
        let Some(last) = roots.last() else { return Ok(entries) };
        after = *last;
        for root in roots {
            if families == limit {
                return Ok(entries);
            }
            let removed = remove(connection, &family(connection, root)?)?;
            families += usize::from(removed > 0);
            entries += removed;
        }
    }
}

fn roots(connection: &Connection, before: Timestamp, after: i64) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT seq FROM entry WHERE seq > ?1 AND at < ?2 AND parent IS NULL ORDER BY seq LIMIT ?3",
        )?
        .query_map(params![after, before.as_millis(), CHUNK], |row| row.get(0))?
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
    let mut outcomes = connection.prepare_cached("DELETE FROM outcome WHERE seq = ?1")?;
    let mut entry = connection.prepare_cached("DELETE FROM entry WHERE seq = ?1")?;
    for (_, seq) in family {
        signals.execute([seq])?;
        outcomes.execute([seq])?;
        entry.execute([seq])?;
    }
    Ok(family.len())
}
