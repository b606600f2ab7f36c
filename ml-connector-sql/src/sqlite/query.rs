//! Reading: the work list, documents, entries.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{DocKey, Document, Entry, EntryKind, Index, Pending, PendingScope, Query, Repeats},
    model::{ConnectionId, EntityRef, Money, Partition, Seq},
};
use rusqlite::{
    Connection, OptionalExtension, Row, params_from_iter,
    types::{Type, Value},
};

use super::{
    outcome,
    search::{self, position},
};
use crate::columns;

/// Unsettled entries of a partition.
pub(super) fn pending(
    connection: &Connection,
    partition: Partition,
    scope: PendingScope,
    after: Seq,
    limit: usize,
) -> rusqlite::Result<Vec<Pending>> {
    const COLUMNS: &str = "SELECT seq, kind, connection, lane, due, attempt, uncertain FROM work";
    let (condition, lane): (_, Vec<Value>) = match scope {
        PendingScope::Partition => ("part = ?1 AND seq > ?2", vec![]),
        // Deliveries have an index by lane. SQLite uses it when the kind is a constant and the partition is no
        // alternative, which is what the plus says.
        PendingScope::Lane(EntryKind::Delivery, lane) => {
            ("kind = 3 AND lane = ?4 AND +part = ?1 AND seq > ?2", vec![lane.cast_signed().into()])
        }
        PendingScope::Lane(kind, lane) => (
            "kind = ?5 AND lane = ?4 AND part = ?1 AND seq > ?2",
            vec![lane.cast_signed().into(), (kind as u8).into()],
        ),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = vec![partition.number().into(), position(after).into(), limit.into()];
    values.extend(lane);
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE {condition} ORDER BY seq LIMIT ?3"))?
        .query_map(params_from_iter(values), pending_row)?
        .collect()
}

/// A document, unless it was deleted.
pub(super) fn document(connection: &Connection, key: &DocKey) -> rusqlite::Result<Option<Document>> {
    connection
        .prepare_cached("SELECT version, bytes FROM document WHERE key = ?1 AND bytes IS NOT NULL")?
        .query_row([key.as_str()], |row| {
            Ok(Document { version: row.get(0)?, bytes: row.get::<_, Vec<u8>>(1)?.into() })
        })
        .optional()
}

/// Entries that match every criterion.
pub(super) fn entries(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Entry>> {
    let (sql, values) = select(connection, query)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| entry(connection, row, query.bodies))?;
    let mut fits = query.budget();
    rows.take_while(|read| read.as_ref().map_or(true, &mut fits)).collect()
}

/// How many match, `cap` at most.
pub(super) fn count(connection: &Connection, query: &Query, cap: usize) -> rusqlite::Result<usize> {
    let (matching, values) = search::matching(connection, query, cap)?;
    connection
        .prepare_cached(&format!("SELECT count(*) FROM ({matching})"))?
        .query_row(params_from_iter(values), |row| row.get(0))
}

fn select(connection: &Connection, query: &Query) -> rusqlite::Result<(String, Vec<Value>)> {
    let (matching, values) = search::matching(connection, query, query.effective_limit())?;
    let (trace, body) = if query.bodies { ("e.trace", "e.body") } else { ("NULL", "NULL") };
    let order = search::order(query);
    let sql = format!(
        "SELECT e.seq, e.part, e.kind, e.connection, e.parent, e.at, e.entity_kind, e.entity_id, e.number, e.name,
                e.amount, e.currency, e.destination, w.due, w.acknowledged, r.count, r.last, {trace}, {body}
         FROM entry e LEFT JOIN work w ON w.part = e.part AND w.seq = e.seq LEFT JOIN repeated r ON r.seq = e.seq
         WHERE e.seq IN ({matching}) ORDER BY e.seq {order}"
    );
    Ok((sql, values))
}

fn pending_row(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        seq: Seq(row.get(0)?),
        kind: kind(row, 1)?,
        connection: ConnectionId::new(row.get::<_, Arc<str>>(2)?),
        lane: row.get::<_, i64>(3)?.cast_unsigned(),
        due: Timestamp::from_millis(row.get(4)?),
        attempt: row.get(5)?,
        uncertain: row.get(6)?,
    })
}

fn entry(connection: &Connection, row: &Row<'_>, bodies: bool) -> rusqlite::Result<Entry> {
    let seq: i64 = row.get(0)?;
    let due: Option<i64> = row.get(13)?;
    let entity = row.get::<_, Option<Arc<str>>>(6)?.zip(row.get::<_, Option<Arc<str>>>(7)?);
    let mut entry = Entry::new(
        Seq(row.get(0)?),
        Partition::new(row.get(1)?),
        kind(row, 2)?,
        ConnectionId::new(row.get::<_, Arc<str>>(3)?),
        Timestamp::from_millis(row.get(5)?),
    );
    entry.parent = row.get::<_, Option<u64>>(4)?.map(Seq);
    entry.index = Index {
        entity: entity.map(|(kind, id)| EntityRef { kind, id }),
        number: row.get(8)?,
        name: row.get(9)?,
        amount: amount(row)?,
        destination: row.get(12)?,
    };
    let repeats = row.get::<_, Option<u64>>(15)?.zip(row.get::<_, Option<i64>>(16)?);
    entry.repeats = repeats.map(|(count, last)| Repeats { count, last: Timestamp::from_millis(last) });
    entry.trace = row.get::<_, Option<Vec<u8>>>(17)?.map(Bytes::from);
    entry.body = row.get::<_, Option<Vec<u8>>>(18)?.map(Bytes::from);
    entry.outcomes = outcome::read(connection, seq, bodies)?;
    let acknowledged = row.get::<_, Option<bool>>(14)?.unwrap_or_default();
    (entry.state, entry.acknowledged) =
        columns::standing(due.map(Timestamp::from_millis), acknowledged, &entry.outcomes);
    Ok(entry)
}

fn amount(row: &Row<'_>) -> rusqlite::Result<Option<Money>> {
    let Some((key, code)) = row.get::<_, Option<Vec<u8>>>(10)?.zip(row.get::<_, Option<String>>(11)?) else {
        return Ok(None);
    };
    let unreadable = || rusqlite::Error::InvalidColumnType(10, "amount".to_owned(), Type::Blob);
    columns::money(&key, &code).map(Some).ok_or_else(unreadable)
}

/// The kind that a column holds.
pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<EntryKind> {
    let number: u8 = row.get(column)?;
    EntryKind::from_u8(number).ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(column, number.into()))
}

#[cfg(test)]
mod plans;
