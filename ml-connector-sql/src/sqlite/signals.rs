//! Which signals are about an entity: an index that is written when nobody waits for it.

use ml_connector_core::model::{Partition, Seq};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

/// How many entries the index may be behind: so many a search looks through, and so many are indexed in one go.
pub(super) const LATE: u64 = 4096;

/// The last number given to an entry, and up to where signals that wait are indexed.
pub(super) fn progress(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    connection
        .prepare_cached("SELECT last, indexed FROM head")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Indexes the next entries, and returns up to where.
pub(super) fn index_more(connection: &Connection) -> rusqlite::Result<u64> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let (last, from) = progress(&transaction)?;
    let to = last.min(from + LATE);
    // In the order of the index, so that neighbors are written together.
    transaction
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO signal_entity (entity_id, seq)
             SELECT e.entity_id, w.seq FROM work w CROSS JOIN entry e ON e.seq = w.seq
             WHERE w.part IN ({}) AND w.seq > ?1 AND w.seq <= ?2 AND w.kind = 1 AND e.entity_id IS NOT NULL
             ORDER BY e.entity_id",
            all_partitions()
        ))?
        .execute([from, to])?;
    transaction.prepare_cached("UPDATE head SET indexed = ?1")?.execute([to])?;
    transaction.commit()?;
    Ok(to)
}

/// Indexes a signal that is not on the work list, or not any more.
pub(super) fn index(connection: &Connection, seq: Seq) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO signal_entity (entity_id, seq)
             SELECT entity_id, seq FROM entry WHERE seq = ?1 AND entity_id IS NOT NULL",
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
