//! How much waits, counted as it comes and goes: nobody has to look at the work list for that.

use std::collections::HashMap;

use ml_connector_core::{
    Timestamp,
    audit::{Backlog, EntryKind},
    model::ConnectionId,
};
use rusqlite::{Connection, params};

use super::query;

/// What a group of transactions adds to the counts and takes from them.
#[derive(Debug, Default, Clone)]
pub(super) struct Change(HashMap<(u8, i64), Vec<(ConnectionId, i64)>>);

impl Change {
    /// Adds so many entries of a kind and slot.
    pub(super) fn add(&mut self, connection: &str, kind: u8, slot: i64, count: i64) {
        let counts = self.0.entry((kind, slot)).or_default();
        match counts.iter_mut().find(|(of, _)| of.as_str() == connection) {
            Some((_, known)) => *known += count,
            None => counts.push((ConnectionId::new(connection), count)),
        }
    }

    /// Writes the counts that have changed.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let counts = self.0.iter().flat_map(|(place, counts)| counts.iter().map(move |count| (place, count)));
        for ((kind, slot), (of, count)) in counts.filter(|(_, (_, count))| *count != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO backlog (connection, kind, slot, count) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (connection, kind, slot) DO UPDATE SET count = count + excluded.count",
                )?
                .execute(params![of.as_str(), kind, slot, count])?;
            if *count < 0 {
                connection
                    .prepare_cached(
                        "DELETE FROM backlog WHERE connection = ?1 AND kind = ?2 AND slot = ?3 AND count = 0",
                    )?
                    .execute(params![of.as_str(), kind, slot])?;
            }
        }
        Ok(())
    }
}

/// A row for each connection and kind.
pub(super) fn read(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Backlog>> {
    let mut counts = connection.prepare_cached(
        "SELECT connection, kind, slot, count FROM backlog ORDER BY connection, kind, slot",
    )?;
    let mut counts = counts.query([])?;
    let mut rows: Vec<Backlog> = Vec::new();
    while let Some(count) = counts.next()? {
        let kind: EntryKind = query::kind(count, 1)?;
        let of = count.get_ref(0)?.as_str()?;
        if rows.last().is_none_or(|row| row.connection.as_str() != of || row.kind != kind) {
            rows.push(Backlog::new(ConnectionId::new(of), kind));
        }
        if let Some(row) = rows.last_mut() {
            row.add(count.get(2)?, count.get(3)?, now);
        }
    }
    Ok(rows)
}
