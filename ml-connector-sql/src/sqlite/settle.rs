//! An outcome is added to an entry.

use ml_connector_core::{Timestamp, audit::Outcome, model::Seq};
use rusqlite::params;

use super::{chain, outcome::columns, writer::Batch};
use crate::chain::{OutcomeRow, Subject};

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
