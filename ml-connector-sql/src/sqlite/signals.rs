//! Which signals are about an entity: an index that is written when nobody waits for it.

use ml_connector_core::model::{Partition, Seq};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

/// How many entries the index may be behind: so many a search looks through, and so many are indexed in one go.
pub(super) const LATE: u64 = 1024;

/// How many times as many are passed in one go, where no signals wait among them.
const FRUITLESS: usize = 256;

/// The last number given to an entry, and up to where signals that wait are indexed.
pub(super) fn progress(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    connection
        .prepare_cached("SELECT last, indexed FROM head")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Indexes the next signals that wait, and returns up to where.
pub(super) fn index_more(connection: &Connection) -> rusqlite::Result<u64> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let (last, mut to) = progress(&transaction)?;
    for _ in 0..FRUITLESS {
        let from = to;
        to = last.min(from + LATE);
        if index_range(&transaction, from, to)? > 0 || to == last {
            break;
        }
    }
    transaction.prepare_cached("UPDATE head SET indexed = ?1")?.execute([to])?;
    transaction.commit()?;
    Ok(to)
}

/// In the order of the index, so that neighbors are written together.
fn index_range(connection: &Connection, after: u64, to: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO signal_entity (entity_id, seq)
             SELECT e.entity_id, w.seq FROM work w CROSS JOIN entry e ON e.seq = w.seq
             WHERE w.part IN ({}) AND w.seq > ?1 AND w.seq <= ?2 AND w.kind = 1 AND e.entity_id IS NOT NULL
             ORDER BY e.entity_id",
            all_partitions()
        ))?
        .execute([after, to])
}

/// Indexes an entry that is not on the work list, or not any more, if it is a signal.
pub(super) fn index(connection: &Connection, seq: Seq) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO signal_entity (entity_id, seq)
             SELECT entity_id, seq FROM entry WHERE seq = ?1 AND kind = 1 AND entity_id IS NOT NULL",
        )?
        .execute(params![seq.0.cast_signed()])?;
    Ok(())
}

/// Selects the numbers of the signals that may be about an entity, whose id is the one parameter.
pub(super) fn of_entity() -> String {
    format!(
        "SELECT seq FROM signal_entity WHERE entity_id = ?
         UNION ALL
         SELECT seq FROM work WHERE part IN ({}) AND seq > (SELECT indexed FROM head) AND kind = 1",
        all_partitions()
    )
}

/// The work list is sorted within a partition: a range of numbers is looked up in each.
fn all_partitions() -> String {
    let numbers: Vec<String> = Partition::all().map(|partition| partition.number().to_string()).collect();
    numbers.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, sqlite::schema};

    const SIGNALS: &str = "
        INSERT INTO entry (seq, part, kind, connection, at, entity_id) VALUES
            (1, 0, 1, 'books', 5, '7'), (2, 63, 1, 'books', 5, '8'), (3, 0, 1, 'books', 5, NULL),
            (4, 0, 3, 'books', 5, '7'), (1999, 0, 1, 'books', 5, '7');
        INSERT INTO work SELECT part, seq, kind, connection, 1, 0, 0, 0, 0 FROM entry WHERE seq <> 2;
        UPDATE head SET last = 2000;";

    fn index_of(connection: &Connection) -> Vec<(String, u64)> {
        let mut rows = connection.prepare("SELECT entity_id, seq FROM signal_entity").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn signals_that_wait_are_indexed_part_by_part_and_found_before_and_after() {
        let directory = tempfile::TempDir::new().unwrap();
        let connection = schema::open(&directory.path().join("log.db"), &SqliteOptions::default()).unwrap();
        connection.execute_batch(SIGNALS).unwrap();
        let found = || -> Vec<u64> {
            let sql = format!(
                "SELECT seq FROM entry WHERE entity_id = '7' AND kind = 1 AND seq IN ({})",
                of_entity()
            );
            let mut found = connection.prepare(&sql).unwrap();
            found.query_map(["7"], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(found(), [1, 1999], "nothing is indexed");

        let seven = |seq| ("7".to_owned(), seq);
        assert_eq!(index_more(&connection), Ok(LATE));
        assert_eq!(index_of(&connection), [seven(1)], "what is settled or has no entity is left out");
        assert_eq!(found(), [1, 1999], "one is indexed");
        index(&connection, Seq(1)).unwrap();
        assert_eq!(index_more(&connection), Ok(2000));
        assert_eq!(index_of(&connection), [seven(1), seven(1999)], "each is indexed once");
        connection.execute_batch("DELETE FROM work").unwrap();
        assert_eq!(found(), [1, 1999], "the index has all");
        assert_eq!(index_more(&connection), Ok(2000), "there is no more");
    }
}
