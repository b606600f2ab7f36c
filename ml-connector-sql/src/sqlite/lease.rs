//! One owner per file.

use ml_connector_core::{
    Timestamp,
    audit::{Lease, LeaseRequest},
    model::Partition,
};
use rusqlite::{Connection, params};

use super::writer::Batch;

/// Grants all that is wanted to one owner; another gets nothing until the lease has ended or is given back.
pub(super) fn lease(batch: &mut Batch<'_>, request: &LeaseRequest) -> rusqlite::Result<Vec<Lease>> {
    let connection = batch.connection();
    match request {
        LeaseRequest::Hold { owner, want, until, now } if *want > 0 => {
            hold(connection, owner, *want, *until, *now)
        }
        LeaseRequest::Hold { owner, .. } | LeaseRequest::Release { owner } => {
            connection
                .prepare_cached("UPDATE holder SET owner = NULL, parts = 0 WHERE owner = ?1")?
                .execute([owner])?;
            Ok(Vec::new())
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether nobody took the partition since. An expired lease is held until somebody does.
pub(super) fn is_held(connection: &Connection, lease: Lease) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT owner IS NOT NULL AND fence = ?1 AND parts > ?2 FROM holder")?
        .query_row(params![lease.fence.cast_signed(), lease.partition.number()], |row| row.get(0))
}

fn hold(
    connection: &Connection,
    owner: &str,
    want: usize,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Vec<Lease>> {
    let parts = want.min(Partition::COUNT.into());
    let held = connection
        .prepare_cached(
            "UPDATE holder
             SET fence = fence + (owner IS NOT ?1), owner = ?1, parts = ?2, until = ?3
             WHERE owner IS NULL OR owner = ?1 OR until <= ?4 OR until > ?5
             RETURNING fence",
        )?
        .query_map(
            params![owner, parts, until.as_millis(), now.as_millis(), (now + Lease::LONGEST).as_millis()],
            |row| row.get::<_, u64>(0),
        )?
        .next()
        .transpose()?;
    let grant = |fence| Partition::all().take(parts).map(|partition| Lease { partition, fence }).collect();
    Ok(held.map(grant).unwrap_or_default())
}
