//! Outcomes as rows.

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{Outcome, Recorded},
    model::Seq,
};
use rusqlite::{Connection, Row};

use crate::columns::OutcomeColumns;

/// What to write for an outcome.
pub(super) fn columns(outcome: &Outcome) -> rusqlite::Result<OutcomeColumns> {
    OutcomeColumns::of(outcome)
        .ok_or_else(|| rusqlite::Error::ToSqlConversionFailure("an outcome of a newer core".into()))
}

/// An entry's outcomes, in order.
pub(super) fn read(connection: &Connection, seq: i64, traces: bool) -> rusqlite::Result<Vec<Recorded>> {
    connection.prepare_cached(sql(traces))?.query_map([seq], recorded)?.collect()
}

/// What reads them.
pub(super) fn sql(traces: bool) -> &'static str {
    if traces {
        "SELECT at, what, attempt, due, uncertain, reason, receipt, note, actor, replay, trace
         FROM outcome WHERE seq = ?1 ORDER BY nth"
    } else {
        "SELECT at, what, attempt, due, uncertain, reason, receipt, note, actor, replay, NULL
         FROM outcome WHERE seq = ?1 ORDER BY nth"
    }
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
