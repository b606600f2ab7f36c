//! Forgetting what is old and settled.
//!
//! A large family takes many calls, and the thread that writes has no time for more than to delete: which entries go
//! is found out by a thread that reads, and remembered from call to call.

use std::collections::HashMap;

use ml_connector_core::Timestamp;
use rusqlite::Connection;

use super::{chain, schema, writer::Batch};

/// What was found out about old families, by the numbers of their roots, lest it be found out at every call.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<i64, Family>);

#[derive(Debug)]
enum Family {
    /// It stays while this member, of this partition, is on the work list.
    Kept { part: i64, seq: i64 },
    /// It was settled as a whole when the entry `last` was the last one. These members are left, in order.
    Going { last: u64, members: Vec<i64> },
}

/// What goes next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In this order.
    entries: Vec<i64>,
    /// What began their families.
    roots: Vec<i64>,
    /// The last entry that was there.
    last: u64,
}

impl Plan {
    /// Whether there is nothing to remove.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Finds the next entries of settled families that began before `before`, the oldest family and the latest entry
/// first, `limit` at most.
pub(super) fn plan(
    connection: &Connection,
    known: &mut Known,
    before: Timestamp,
    limit: usize,
) -> rusqlite::Result<Plan> {
    let mut plan = Plan { last: schema::last(connection)?, ..Plan::default() };
    // Through the index by time, so that young entries are not even looked at.
    let mut roots = connection.prepare_cached(
        "SELECT seq FROM entry INDEXED BY entry_at WHERE at < ?1 AND parent IS NULL ORDER BY at, seq",
    )?;
    let mut roots = roots.query([before.as_millis()])?;
    while plan.entries.len() < limit
        && let Some(row) = roots.next()?
    {
        let root = row.get(0)?;
        let mut members = match look(connection, known.0.remove(&root), root)? {
            Family::Going { members, .. } => members,
            kept @ Family::Kept { .. } => {
                known.0.insert(root, kept);
                continue;
            }
        };
        let left = members.len().saturating_sub(limit - plan.entries.len());
        plan.entries.extend(members.drain(left..).rev());
        plan.roots.push(root);
        if left > 0 {
            known.0.insert(root, Family::Going { last: plan.last, members });
        }
    }
    Ok(plan)
}

/// Removes what was planned, and says so in the chain.
pub(super) fn remove_linked(batch: &mut Batch<'_>, plan: &Plan) -> rusqlite::Result<usize> {
    let connection = batch.connection();
    if !batch.links.are_kept() {
        return remove(connection, plan);
    }
    let linked = chain::linked(connection, &plan.entries)?;
    let removed = remove(connection, plan)?;
    if removed > 0 {
        chain::removed(batch, &linked)?;
    }
    Ok(removed)
}

/// Removes what was planned, unless one of the families has got another member since. Returns how many entries went.
pub(super) fn remove(connection: &Connection, plan: &Plan) -> rusqlite::Result<usize> {
    if has_joined(connection, plan.last, &plan.roots)? {
        return Ok(0);
    }
    let mut signals = connection.prepare_cached(
        "DELETE FROM signal_entity
         WHERE (entity_id, seq) IN (SELECT entity_id, seq FROM entry WHERE seq = ?1 AND kind = 1)",
    )?;
    // Almost all are done or dropped; the other states are looked through for the rest.
    let mut settled = connection.prepare_cached("DELETE FROM settled WHERE state IN (3, 5) AND seq = ?1")?;
    let mut others =
        connection.prepare_cached("DELETE FROM settled WHERE state IN (4, 6, 7, 8) AND seq = ?1")?;
    let mut repeated = connection.prepare_cached("DELETE FROM repeated WHERE seq = ?1")?;
    let mut outcomes = connection.prepare_cached("DELETE FROM outcome WHERE seq = ?1")?;
    let mut entry = connection.prepare_cached("DELETE FROM entry WHERE seq = ?1")?;
    let mut removed = 0;
    for seq in &plan.entries {
        signals.execute([seq])?;
        if settled.execute([seq])? == 0 {
            others.execute([seq])?;
        }
        repeated.execute([seq])?;
        outcomes.execute([seq])?;
        removed += entry.execute([seq])?;
    }
    Ok(removed)
}

/// Whether the family goes or stays. All of it is gone through only if what is known of it does not say.
fn look(connection: &Connection, known: Option<Family>, root: i64) -> rusqlite::Result<Family> {
    match known {
        Some(Family::Kept { part, seq }) if is_unsettled(connection, part, seq)? => {
            Ok(Family::Kept { part, seq })
        }
        Some(Family::Going { last, members }) if !has_joined(connection, last, &[root])? => {
            Ok(Family::Going { last, members })
        }
        _ => go_through(connection, root),
    }
}

fn is_unsettled(connection: &Connection, part: i64, seq: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM work WHERE part = ?1 AND seq = ?2")?.exists([part, seq])
}

/// Whether an entry after `last` belongs to one of these families.
fn has_joined(connection: &Connection, last: u64, roots: &[i64]) -> rusqlite::Result<bool> {
    let mut reached = connection.prepare_cached(
        "WITH RECURSIVE up (seq, parent) AS (
             SELECT seq, parent FROM entry WHERE seq > ?1 AND parent IS NOT NULL
             UNION SELECT p.seq, p.parent FROM entry p JOIN up ON p.seq = up.parent)
         SELECT seq FROM up WHERE parent IS NULL",
    )?;
    let mut reached = reached.query([last])?;
    while let Some(row) = reached.next()? {
        if roots.contains(&row.get(0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn go_through(connection: &Connection, root: i64) -> rusqlite::Result<Family> {
    let mut family = connection.prepare_cached(
        "WITH RECURSIVE family (seq, part) AS (
             SELECT seq, part FROM entry WHERE seq = ?1
             UNION ALL SELECT c.seq, c.part FROM entry c JOIN family ON c.parent = family.seq)
         SELECT f.part, f.seq, w.seq IS NOT NULL FROM family f LEFT JOIN work w ON w.part = f.part AND w.seq = f.seq",
    )?;
    let mut family = family.query([root])?;
    let mut members = Vec::new();
    while let Some(row) = family.next()? {
        let (part, seq) = (row.get(0)?, row.get(1)?);
        if row.get(2)? {
            return Ok(Family::Kept { part, seq });
        }
        members.push(seq);
    }
    // A child has a larger number than its parent.
    members.sort_unstable();
    Ok(Family::Going { last: schema::last(connection)?, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteOptions;

    const OLD_FAMILY: &str = "
        INSERT INTO entry (seq, part, kind, connection, parent, at, entity_id) VALUES
            (1, 0, 1, 'books', NULL, 5, '7'), (2, 0, 2, 'books', 1, 5, '7'), (3, 0, 3, 'books', 2, 5, '7');
        INSERT INTO outcome (seq, nth, at, what) VALUES (1, 1, 5, 4), (3, 1, 5, 1), (3, 2, 5, 4);
        INSERT INTO signal_entity VALUES ('7', 1);
        INSERT INTO settled (state, seq) VALUES (3, 1), (8, 2), (5, 3);
        INSERT INTO repeated VALUES (1, 2, 5);
        UPDATE head SET last = 3;";
    const OLD: Timestamp = Timestamp::from_millis(6);

    fn with_old_family() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::TempDir::new().unwrap();
        let connection = schema::open(&directory.path().join("log.db"), &SqliteOptions::default()).unwrap();
        connection.execute_batch(OLD_FAMILY).unwrap();
        (directory, connection)
    }

    #[test]
    fn nothing_is_left_of_a_family_in_any_table() {
        let (_directory, connection) = with_old_family();
        let plan = plan(&connection, &mut Known::default(), OLD, 10).unwrap();
        assert_eq!(remove(&connection, &plan), Ok(3));
        for table in ["entry", "work", "outcome", "signal_entity", "settled", "repeated"] {
            let left = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
            assert_eq!(left, Ok(0), "in {table}");
        }
    }

    #[test]
    fn a_family_is_gone_through_once() {
        let (_directory, connection) = with_old_family();
        let mut known = Known::default();
        let first = plan(&connection, &mut known, OLD, 1).unwrap();
        assert_eq!(remove(&connection, &first), Ok(1));
        // Only who goes through it again would come to know of these.
        connection.execute_batch("INSERT INTO work VALUES (0, 2, 2, 'books', 1, 0, 0, 0, 0)").unwrap();
        assert_eq!(plan(&connection, &mut known, OLD, 1).unwrap().entries, [2]);
        assert_eq!(plan(&connection, &mut Known::default(), OLD, 1).unwrap().entries, [0; 0]);
        let mut known = Known::default();
        assert!(plan(&connection, &mut known, OLD, 1).unwrap().is_empty());
        assert!(matches!(known.0[&1], Family::Kept { part: 0, seq: 2 }), "{known:?}");
        connection.execute_batch("DELETE FROM work").unwrap();
        assert_eq!(plan(&connection, &mut known, OLD, 9).unwrap().entries, [2, 1]);
    }

    #[test]
    fn whoever_joins_a_family_is_noticed_at_every_step() {
        const JOIN: &str = "
            INSERT INTO entry (seq, part, kind, connection, parent, at) VALUES
                (4, 0, 2, 'books', NULL, 9), (5, 0, 3, 'books', 4, 9), (6, 0, 3, 'books', 1, 9);
            INSERT INTO work VALUES (0, 6, 3, 'books', 1, 0, 0, 0, 0);
            UPDATE head SET last = 6;";
        let (_directory, connection) = with_old_family();
        let mut known = Known::default();
        let first = plan(&connection, &mut known, OLD, 1).unwrap();
        connection.execute_batch(JOIN).unwrap();
        assert_eq!(remove(&connection, &first), Ok(0), "after the plan");
        assert!(plan(&connection, &mut known, OLD, 1).unwrap().is_empty(), "between two plans");
        connection.execute_batch("DELETE FROM work").unwrap();
        assert_eq!(plan(&connection, &mut known, OLD, 9).unwrap().entries, [6, 3, 2, 1]);
    }
}
