//! Outcomes as rows.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{Outcome, Recorded},
    model::Seq,
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
    actor: Option<&'a str>,
    replay: Option<i64>,
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
            Outcome::Acknowledged { by, why } => Self::of_actor(7, by, why),
            Outcome::Cancelled { by, why } => Self::of_actor(8, by, why),
            Outcome::Discarded { by, why } => Self::of_actor(9, by, why),
            Outcome::Replayed { replay } => {
                Self { what: 10, replay: Some(replay.0.cast_signed()), ..Self::default() }
            }
            _ => return None,
        };
        Some(columns)
    }

    fn of_actor(what: i64, by: &'a str, why: &'a str) -> Self {
        Self { what, actor: Some(by), reason: Some(why), ..Self::default() }
    }
}

/// Adds an outcome to an entry.
pub(super) fn insert(
    connection: &Connection,
    seq: Seq,
    outcome: &Outcome,
    trace: Option<&[u8]>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(columns) = Columns::of(outcome) else {
        return Err(rusqlite::Error::ToSqlConversionFailure("an outcome of a newer core".into()));
    };
    connection
        .prepare_cached(
            "INSERT INTO outcome (seq, nth, at, what, attempt, due, uncertain, reason, receipt, actor, replay,
                                  note, trace)
             VALUES (?1, (SELECT coalesce(max(nth), 0) + 1 FROM outcome WHERE seq = ?1),
                     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            seq.0.cast_signed(),
            now.as_millis(),
            columns.what,
            columns.attempt,
            columns.due.map(Timestamp::as_millis),
            columns.uncertain,
            columns.reason,
            columns.receipt,
            columns.actor,
            columns.replay,
            columns.note,
            trace,
        ])?;
    Ok(())
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
        7 => Outcome::Acknowledged { by: row.get(8)?, why: reason()? },
        8 => Outcome::Cancelled { by: row.get(8)?, why: reason()? },
        9 => Outcome::Discarded { by: row.get(8)?, why: reason()? },
        10 => Outcome::Replayed { replay: Seq(row.get(9)?) },
        unknown => return Err(rusqlite::Error::IntegralValueOutOfRange(1, unknown)),
    };
    let trace = row.get::<_, Option<Vec<u8>>>(10)?.map(Bytes::from);
    Ok(Recorded { at: Timestamp::from_millis(row.get(0)?), outcome, trace })
}
