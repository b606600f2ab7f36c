//! Outcomes as rows.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{Outcome, Recorded},
};
use rusqlite::{Connection, Row, params};

/// An outcome's columns; which of them are set depends on `what`.
#[derive(Default)]
struct Columns<'a> {
    what: i64,
    attempt: Option<u32>,
    due: Option<Timestamp>,
    uncertain: Option<bool>,
    reason: Option<&'a str>,
    receipt: Option<&'a str>,
    note: Option<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(outcome: &'a Outcome) -> Option<Self> {
        let columns = match outcome {
            Outcome::Begun { attempt, note } => {
                Self { what: 1, attempt: Some(*attempt), note: note.as_deref(), ..Self::default() }
            }
            Outcome::Retry { attempt, due, error, uncertain, note } => Self {
                what: 2,
                attempt: Some(*attempt),
                due: Some(*due),
                uncertain: Some(*uncertain),
                reason: Some(error),
                note: note.as_deref(),
                ..Self::default()
            },
            Outcome::Parked { error } => Self { what: 3, reason: Some(error), ..Self::default() },
            Outcome::Done { receipt } => Self { what: 4, receipt: receipt.as_deref(), ..Self::default() },
            Outcome::Dead { error } => Self { what: 5, reason: Some(error), ..Self::default() },
            Outcome::Dropped { reason } => Self { what: 6, reason: Some(reason), ..Self::default() },
            _ => return None,
        };
        Some(columns)
    }
}

/// Adds an outcome to an entry.
pub(super) fn insert(
    connection: &Connection,
    seq: i64,
    outcome: &Outcome,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(columns) = Columns::of(outcome) else {
        return Err(rusqlite::Error::ToSqlConversionFailure("an outcome of a newer core".into()));
    };
    connection
        .prepare_cached(
            "INSERT INTO outcome (seq, nth, at, what, attempt, due, uncertain, reason, receipt, note)
             VALUES (?1, (SELECT coalesce(max(nth), 0) + 1 FROM outcome WHERE seq = ?1),
                     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            seq,
            now.as_millis(),
            columns.what,
            columns.attempt,
            columns.due.map(Timestamp::as_millis),
            columns.uncertain,
            columns.reason,
            columns.receipt,
            columns.note,
        ])?;
    Ok(())
}

/// An entry's outcomes, in order.
pub(super) fn read(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<Recorded>> {
    connection
        .prepare_cached(
            "SELECT at, what, attempt, due, uncertain, reason, receipt, note
             FROM outcome WHERE seq = ?1 ORDER BY nth",
        )?
        .query_map([seq], recorded)?
        .collect()
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let reason = || row.get::<_, Arc<str>>(5);
    let note = || row.get::<_, Option<Vec<u8>>>(7).map(|note| note.map(Bytes::from));
    let outcome = match row.get(1)? {
        1 => Outcome::Begun { attempt: row.get(2)?, note: note()? },
        2 => Outcome::Retry {
            attempt: row.get(2)?,
            due: Timestamp::from_millis(row.get(3)?),
            error: reason()?,
            uncertain: row.get(4)?,
            note: note()?,
        },
        3 => Outcome::Parked { error: reason()? },
        4 => Outcome::Done { receipt: row.get(6)? },
        5 => Outcome::Dead { error: reason()? },
        6 => Outcome::Dropped { reason: reason()? },
        unknown => return Err(rusqlite::Error::IntegralValueOutOfRange(1, unknown)),
    };
    Ok(Recorded { at: Timestamp::from_millis(row.get(0)?), outcome })
}
