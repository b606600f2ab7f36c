//! How a transaction changes the database.

use std::sync::Arc;

use ml_connector_core::{
    Timestamp,
    audit::{
        Appended, Backlog, Committed, DocKey, DocumentWrite, EntryKind, EntryState, Expected, NewEntry,
        Outcome, Parent, Pending, Settlement, Transaction, amount_key,
    },
    model::{DedupeKey, Seq},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    chain, lease, settle, signals,
    work::{self, Waits},
    writer::Batch,
};
use crate::chain::{EntryRow, Subject, Tag};

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
        settle_entry(batch, settlement, now)?;
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

/// Removes documents whose keys begin so, tombstones as well.
pub(super) fn remove_documents(
    connection: &Connection,
    begin: &DocKey,
    limit: usize,
) -> rusqlite::Result<usize> {
    // A key goes on after a `/`; `0` is the next character. Keys are compared byte by byte.
    let end = format!("{}0", begin.as_str().strip_suffix('/').unwrap_or_default());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM document WHERE key IN (SELECT key FROM document WHERE key >= ?1 AND key < ?2 LIMIT ?3)",
        )?
        .execute(params![begin.as_str(), end, limit])
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
        if entry.counts_as_repeat {
            count_repeat(connection, seq, now)?;
        }
        return Ok(Appended::Duplicate(seq));
    }
    let seq = batch.next_seq();
    let (partition, kind) = (entry.partition.number(), entry.kind as u8);
    let entity = entry.index.entity.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO entry (seq, part, kind, connection, parent, at, entity_kind, entity_id, number, name,
                                amount, currency, destination, dedupe, trace, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
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
            entry.index.amount.map(|money| amount_key(money.amount)),
            entry.index.amount.as_ref().map(|money| money.currency.as_str()),
            entry.index.destination,
            entry.dedupe.as_ref().map(DedupeKey::as_str),
            entry.trace.as_deref(),
            entry.body.as_deref(),
        ])?;
    if batch.links.are_kept() {
        let digest = digest(seq, entry, parent, now);
        chain::link(batch, partition, Subject { seq: seq.0.cast_signed(), nth: 0 }, &digest)?;
    }
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
            batch.backlog.add(entry.connection.as_str(), kind, Backlog::slot(entry.due, false), 1);
            batch.grown |= 1 << partition;
        }
        None => {
            match &entry.dead {
                Some(error) => {
                    file_as_settled(connection, seq, EntryState::Dead)?;
                    settle::insert(batch, seq, &Outcome::Dead { error: Arc::clone(error) }, None, now)?;
                }
                None => file_as_settled(connection, seq, EntryState::Done)?,
            }
            if entry.kind == EntryKind::Signal {
                signals::index(connection, seq)?;
            }
        }
    }
    if let Some(replayed) = entry.replays {
        settle_entry(batch, &Settlement::new(replayed, Outcome::Replayed { replay: seq }), now)?;
    }
    Ok(Appended::New(seq))
}

/// The digest of an entry's row.
fn digest(seq: Seq, entry: &NewEntry, parent: Option<Seq>, now: Timestamp) -> Tag {
    let index = &entry.index;
    let entity = index.entity.as_ref();
    EntryRow {
        seq: seq.0.cast_signed(),
        part: entry.partition.number().into(),
        kind: (entry.kind as u8).into(),
        connection: entry.connection.as_str(),
        parent: parent.map(|seq| seq.0.cast_signed()),
        at: now.as_millis(),
        entity_kind: entity.map(|entity| &*entity.kind),
        entity_id: entity.map(|entity| &*entity.id),
        number: index.number.as_deref(),
        name: index.name.as_deref(),
        amount: index.amount.map(|money| amount_key(money.amount)).as_deref(),
        currency: index.amount.as_ref().map(|money| money.currency.as_str()),
        destination: index.destination.as_deref(),
        dedupe: entry.dedupe.as_ref().map(DedupeKey::as_str),
        trace: entry.trace.as_deref(),
        body: entry.body.as_deref(),
    }
    .digest()
}

/// Makes an entry that is not on the work list findable by what became of it.
fn file_as_settled(connection: &Connection, seq: Seq, state: EntryState) -> rusqlite::Result<()> {
    let sql = match state {
        // The dead are looked for by connection.
        EntryState::Dead => {
            "INSERT INTO settled (state, seq, connection, kind, acknowledged)
             SELECT ?1, seq, connection, kind, 0 FROM entry WHERE seq = ?2"
        }
        _ => "INSERT INTO settled (state, seq) VALUES (?1, ?2)",
    };
    connection.prepare_cached(sql)?.execute(params![state as u8, seq.0.cast_signed()])?;
    Ok(())
}

fn count_repeat(connection: &Connection, seq: Seq, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO repeated (seq, count, last) VALUES (?1, 1, ?2)
             ON CONFLICT (seq) DO UPDATE SET count = count + 1, last = excluded.last",
        )?
        .execute(params![seq.0.cast_signed(), now.as_millis()])?;
    Ok(())
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

/// Records an outcome if it fits the state of its entry, which the work list and `settled` know.
fn settle_entry(batch: &mut Batch<'_>, settlement: &Settlement, now: Timestamp) -> rusqlite::Result<()> {
    let Settlement { seq, outcome, trace } = settlement;
    let (seq, connection) = (*seq, batch.connection());
    let fits = match outcome {
        Outcome::Begun { attempt, .. } => work::begin(batch, seq, *attempt)?,
        Outcome::Retry { attempt, due, uncertain, .. } => work::update(batch, seq, |waits| {
            let acknowledged = waits.acknowledged && *due == Pending::NEVER;
            Some(Waits { attempt: *attempt, due: *due, uncertain: *uncertain, acknowledged })
        })?,
        Outcome::Parked { .. } => {
            work::update(batch, seq, |waits| Some(Waits { due: Pending::NEVER, uncertain: false, ..waits }))?
        }
        Outcome::Acknowledged { .. } => {
            let parked = work::update(batch, seq, |waits| {
                let is_news = waits.due == Pending::NEVER && !waits.acknowledged;
                is_news.then_some(Waits { acknowledged: true, ..waits })
            })?;
            parked || acknowledge_dead(connection, seq)?
        }
        Outcome::Discarded { .. } => refile(connection, seq, EntryState::Dead, EntryState::Discarded)?,
        Outcome::Replayed { .. } => refile(connection, seq, EntryState::Dead, EntryState::Replayed)?,
        ends => {
            let state = ends.state().unwrap_or(EntryState::Done);
            if work::remove(batch, seq)? {
                file_as_settled(connection, seq, state)?;
                signals::index(connection, seq)?;
                true
            } else {
                state == EntryState::Done && refile(connection, seq, EntryState::Cancelled, EntryState::Done)?
            }
        }
    };
    if fits { settle::insert(batch, seq, outcome, trace.as_deref(), now) } else { Ok(()) }
}

fn acknowledge_dead(connection: &Connection, seq: Seq) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE settled SET acknowledged = 1 WHERE state = 4 AND seq = ?1 AND acknowledged = 0",
        )?
        .execute([seq.0.cast_signed()])?;
    Ok(changed == 1)
}

/// Changes the state of an entry that is not on the work list. Tells whether it was in the state before.
fn refile(connection: &Connection, seq: Seq, from: EntryState, to: EntryState) -> rusqlite::Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM settled WHERE state = ?1 AND seq = ?2")?
        .execute(params![from as u8, seq.0.cast_signed()])?;
    if removed == 1 {
        file_as_settled(connection, seq, to)?;
    }
    Ok(removed == 1)
}
