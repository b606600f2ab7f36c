//! The work list, and what it counts up to.

use ml_connector_core::{Timestamp, audit::Backlog, model::Seq};
use rusqlite::{OptionalExtension, Row, params};

use super::writer::Batch;

/// What of a row can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) uncertain: bool,
    pub(super) acknowledged: bool,
}

/// Notes that an attempt begins. Like every function here it tells whether the entry is on the list.
pub(super) fn begin(batch: &Batch<'_>, seq: Seq, attempt: u32) -> rusqlite::Result<bool> {
    let changed = batch
        .connection()
        .prepare_cached(
            "UPDATE work SET attempt = ?2, uncertain = 1
             WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1",
        )?
        .execute(params![seq.0.cast_signed(), attempt])?;
    Ok(changed == 1)
}

/// Changes what an entry waits for; `None` leaves it as if it were not on the list.
pub(super) fn update(
    batch: &mut Batch<'_>,
    seq: Seq,
    change: impl FnOnce(Waits) -> Option<Waits>,
) -> rusqlite::Result<bool> {
    let connection = batch.connection();
    let found = connection
        .prepare_cached(
            "SELECT kind, connection, due, acknowledged, part, attempt, uncertain FROM work
             WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1",
        )?
        .query_row([seq.0.cast_signed()], |row| {
            let waits = Waits {
                due: due(row)?,
                attempt: row.get(5)?,
                uncertain: row.get(6)?,
                acknowledged: row.get(3)?,
            };
            let Some(changed) = change(waits) else { return Ok(None) };
            batch.count(row, -1)?;
            batch.backlog.add(row.get_ref(1)?.as_str()?, row.get(0)?, slot(changed), 1);
            Ok(Some((row.get::<_, u8>(4)?, changed)))
        })
        .optional()?
        .flatten();
    let Some((part, Waits { due, attempt, uncertain, acknowledged })) = found else { return Ok(false) };
    connection
        .prepare_cached(
            "UPDATE work SET due = ?3, attempt = ?4, uncertain = ?5, acknowledged = ?6
             WHERE part = ?1 AND seq = ?2",
        )?
        .execute(params![part, seq.0.cast_signed(), due.as_millis(), attempt, uncertain, acknowledged])?;
    Ok(true)
}

/// Takes an entry off the list.
pub(super) fn remove(batch: &mut Batch<'_>, seq: Seq) -> rusqlite::Result<bool> {
    let removed = batch
        .connection()
        .prepare_cached(
            "DELETE FROM work WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1
             RETURNING kind, connection, due, acknowledged",
        )?
        .query_row([seq.0.cast_signed()], |row| batch.count(row, -1))
        .optional()?;
    Ok(removed.is_some())
}

impl Batch<'_> {
    /// Counts a row that begins with kind, connection, due and acknowledged.
    fn count(&mut self, row: &Row<'_>, count: i64) -> rusqlite::Result<()> {
        let slot = Backlog::slot(due(row)?, row.get(3)?);
        self.backlog.add(row.get_ref(1)?.as_str()?, row.get(0)?, slot, count);
        Ok(())
    }
}

fn slot(waits: Waits) -> i64 {
    Backlog::slot(waits.due, waits.acknowledged)
}

fn due(row: &Row<'_>) -> rusqlite::Result<Timestamp> {
    row.get(2).map(Timestamp::from_millis)
}
