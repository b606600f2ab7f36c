//! Outcomes as rows.

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{Outcome, Recorded},
    model::Seq,
};
use rusqlite::{Connection, Row, params};

use super::{chain, writer::Batch};
use crate::{
    chain::{OutcomeRow, Subject},
    columns::OutcomeColumns,
};

/// What to write for an outcome.
pub(super) fn columns(outcome: &Outcome) -> rusqlite::Result<OutcomeColumns> {
    OutcomeColumns::of(outcome)
        .ok_or_else(|| rusqlite::Error::ToSqlConversionFailure("an outcome of a newer core".into()))
}

/// Adds an outcome to an entry.
pub(super) fn insert(
    batch: &mut Batch<'_>,
    seq: Seq,
    outcome: &Outcome,
    trace: Option<&[u8]>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let connection = batch.connection();
    let columns = columns(outcome)?;
    let nth = connection
        .prepare_cached(
            "INSERT INTO outcome (seq, nth, at, what, attempt, due, uncertain, reason, receipt, actor, replay,
                                  note, trace)
             VALUES (?1, (SELECT coalesce(max(nth), 0) + 1 FROM outcome WHERE seq = ?1),
                     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             RETURNING nth",
        )?
        .query_row(params![
            seq.0.cast_signed(),
            now.as_millis(),
            columns.what,
            columns.attempt,
            columns.due.map(Timestamp::as_millis),
            columns.uncertain,
            columns.reason,
            columns.receipt,
            columns.actor,
            columns.replay.map(|replay| replay.0.cast_signed()),
            columns.note.as_deref(),
            trace,
        ], |row| row.get(0))?;
    if !batch.links.are_kept() {
        return Ok(());
    }
    let row = OutcomeRow {
        seq: seq.0.cast_signed(),
        at: now.as_millis(),
        what: columns.what.into(),
        attempt: columns.attempt.map(Into::into),
        due: columns.due.map(Timestamp::as_millis),
        uncertain: columns.uncertain.map(Into::into),
        reason: columns.reason.as_deref(),
        receipt: columns.receipt.as_deref(),
        actor: columns.actor.as_deref(),
        replay: columns.replay.map(|replay| replay.0.cast_signed()),
        note: columns.note.as_deref(),
        trace,
    };
    let part = connection
        .prepare_cached("SELECT part FROM entry WHERE seq = ?1")?
        .query_row([seq.0.cast_signed()], |row| row.get(0))?;
    chain::link(batch, part, Subject { seq: row.seq, nth }, &row.digest())
}

/// An entry's outcomes, in order.
pub(super) fn read(connection: &Connection, seq: i64, traces: bool) -> rusqlite::Result<Vec<Recorded>> {
    let sql = if traces {
        "SELECT at, what, attempt, due, uncertain, reason, receipt, note, actor, replay, trace
         FROM outcome WHERE seq = ?1 ORDER BY nth"
    } else {
        "SELECT at, what, attempt, due, uncertain, reason, receipt, note, actor, replay, NULL
         FROM outcome WHERE seq = ?1 ORDER BY nth"
    };
    connection.prepare_cached(sql)?.query_map([seq], recorded)?.collect()
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let bytes = |column| row.get::<_, Option<Vec<u8>>>(column).map(|bytes| bytes.map(Bytes::from));
    let what = row.get(1)?;
    let columns = OutcomeColumns {
        what,
        attempt: row.get(2)?,
        due: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        uncertain: row.get(4)?,
        reason: row.get(5)?,
        receipt: row.get(6)?,
        note: bytes(7)?,
        actor: row.get(8)?,
        replay: row.get::<_, Option<u64>>(9)?.map(Seq),
    };
    let outcome = columns.outcome().ok_or(rusqlite::Error::IntegralValueOutOfRange(1, what.into()))?;
    Ok(Recorded { at: Timestamp::from_millis(row.get(0)?), outcome, trace: bytes(10)? })
}
