//! How a transaction changes the database.

use ml_connector_core::{
    Timestamp,
    audit::{
        Appended, Committed, DocKey, DocumentWrite, EntryKind, EntryState, Expected, NewEntry, Outcome,
        Parent, Pending, Settlement, Transaction,
    },
    model::{DedupeKey, Seq},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{lease, outcome, signals, writer::Batch};

/// Applies a transaction that [`Transaction::validate`] has seen.
pub(super) fn apply(
    batch: &mut Batch<'_>,
    transaction: &Transaction,
    now: Timestamp,
) -> rusqlite::Result<Committed> {
    let Transaction { fence, documents, append, settle } = transaction;
    let connection = batch.connection();
    if let Some(lease) = fence
        && !lease::is_held(connection, *lease)?
    {
        return Ok(Committed::Fenced);
    }
    for write in documents {
        if !is_as_expected(connection, write)? {
            return Ok(Committed::Stale(write.key.clone()));
        }
    }
    for write in documents {
        write_document(connection, write)?;
    }
    let mut appended: Vec<Appended> = Vec::with_capacity(append.len());
    for entry in append {
        let parent = match entry.parent {
            Parent::None => None,
            Parent::Entry(seq) => existing(connection, seq)?,
            Parent::Nth(position) => appended.get(position).map(|appended| appended.seq()),
        };
        appended.push(append_entry(batch, entry, parent, now)?);
    }
    for settlement in settle {
        settle_entry(connection, settlement, now)?;
    }
    Ok(Committed::Applied(appended))
}

fn is_as_expected(connection: &Connection, write: &DocumentWrite) -> rusqlite::Result<bool> {
    let found = |key: &DocKey| {
        connection
            .prepare_cached("SELECT version FROM document WHERE key = ?1 AND bytes IS NOT NULL")?
            .query_row([key.as_str()], |row| row.get::<_, u64>(0))
            .optional()
    };
    Ok(match write.expected {
        Expected::Any => true,
        Expected::Absent => found(&write.key)?.is_none(),
        Expected::Version(expected) => found(&write.key)? == Some(expected),
    })
}

fn write_document(connection: &Connection, write: &DocumentWrite) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO document (key, version, bytes) VALUES (?1, 1, ?2)
             ON CONFLICT (key) DO UPDATE SET version = version + 1, bytes = excluded.bytes",
        )?
        .execute(params![write.key.as_str(), write.value.as_deref()])?;
    Ok(())
}

fn append_entry(
    batch: &mut Batch<'_>,
    entry: &NewEntry,
    parent: Option<Seq>,
    now: Timestamp,
) -> rusqlite::Result<Appended> {
    let connection = batch.connection();
    if let Some(key) = &entry.dedupe
        && let Some(seq) = find_duplicate(connection, key)?
    {
        return Ok(Appended::Duplicate(seq));
    }
    let seq = batch.next_seq();
    let (partition, kind) = (entry.partition.number(), entry.kind as u8);
    let entity = entry.index.entity.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO entry (seq, part, kind, connection, parent, at, entity_kind, entity_id, number, name,
                                dedupe, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            seq.0,
            partition,
            kind,
            entry.connection.as_str(),
            parent.map(|seq| seq.0),
            now.as_millis(),
            entity.map(|entity| &entity.kind),
            entity.map(|entity| &entity.id),
            entry.index.number,
            entry.index.name,
            entry.dedupe.as_ref().map(DedupeKey::as_str),
            entry.body.as_deref(),
        ])?;
    match entry.lane {
        Some(lane) => {
            connection
                .prepare_cached(
                    "INSERT INTO work (part, seq, kind, connection, lane, due, attempt, uncertain)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
                )?
                .execute(params![
                    partition,
                    seq.0,
                    kind,
                    entry.connection.as_str(),
                    lane.cast_signed(),
                    entry.due.as_millis()
                ])?;
        }
        None => file_as_settled(connection, seq, entry.kind == EntryKind::Signal, EntryState::Done)?,
    }
    Ok(Appended::New(seq))
}

/// Makes an entry that is not on the work list findable by what became of it, and a signal by its entity.
fn file_as_settled(
    connection: &Connection,
    seq: Seq,
    is_signal: bool,
    state: EntryState,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO settled (state, seq) VALUES (?1, ?2)")?
        .execute(params![state as u8, seq.0.cast_signed()])?;
    if is_signal { signals::index(connection, seq) } else { Ok(()) }
}

fn find_duplicate(connection: &Connection, key: &DedupeKey) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM entry WHERE dedupe = ?1")?
        .query_row([key.as_str()], |row| row.get(0).map(Seq))
        .optional()
}

fn existing(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM entry WHERE seq = ?1")?
        .query_row([seq.0.cast_signed()], |row| row.get(0).map(Seq))
        .optional()
}

/// Changes the work list first: where that has no such row, the outcome comes too late and is not recorded.
fn settle_entry(connection: &Connection, settlement: &Settlement, now: Timestamp) -> rusqlite::Result<()> {
    let seq = settlement.seq.0.cast_signed();
    let is_listed = match &settlement.outcome {
        Outcome::Begun { attempt, .. } => {
            connection
                .prepare_cached(
                    "UPDATE work SET attempt = ?2, uncertain = 1
                 WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1",
                )?
                .execute(params![seq, attempt])?
                == 1
        }
        Outcome::Retry { attempt, due, uncertain, .. } => {
            connection
                .prepare_cached(
                    "UPDATE work SET attempt = ?2, due = ?3, uncertain = ?4
                 WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1",
                )?
                .execute(params![seq, attempt, due.as_millis(), uncertain])?
                == 1
        }
        Outcome::Parked { .. } => {
            connection
                .prepare_cached(
                    "UPDATE work SET due = ?2, uncertain = 0
                 WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1",
                )?
                .execute(params![seq, Pending::NEVER.as_millis()])?
                == 1
        }
        outcome => match take_off_work_list(connection, settlement.seq)? {
            Some(is_signal) => {
                file_as_settled(connection, settlement.seq, is_signal, outcome.state())?;
                true
            }
            None => false,
        },
    };
    if is_listed { outcome::insert(connection, seq, &settlement.outcome, now) } else { Ok(()) }
}

/// Tells whether it was a signal; nothing if there is no such row.
fn take_off_work_list(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<bool>> {
    connection
        .prepare_cached(
            "DELETE FROM work WHERE part = (SELECT part FROM entry WHERE seq = ?1) AND seq = ?1
             RETURNING kind = 1",
        )?
        .query_row([seq.0.cast_signed()], |row| row.get(0))
        .optional()
}
