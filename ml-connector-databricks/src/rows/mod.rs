//! From events to rows: one line of JSON each.

mod encode;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

pub(crate) use encode::{Origin, encode};
use ml_connector_core::model::{ConnectionId, EntityRef};

/// A row that is ready to be sent.
pub(crate) struct Row {
    /// Which delivery of the batch brought it.
    pub(crate) owner: usize,
    pub(crate) connection: ConnectionId,
    pub(crate) entity: EntityRef,
    pub(crate) n: u64,
    /// One JSON object, without line breaks.
    pub(crate) json: String,
}

impl Row {
    /// A digest of what the table tells rows apart by.
    pub(crate) fn key(&self) -> u64 {
        let mut digest = DefaultHasher::new();
        (&self.connection, &self.entity.id).hash(&mut digest);
        digest.finish()
    }
}

/// Of rows of one record only the latest: the others would only be overwritten.
pub(crate) fn latest(rows: &[Row]) -> Vec<&Row> {
    let mut kept: Vec<&Row> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(&ConnectionId, &str), usize> = HashMap::with_capacity(rows.len());
    for row in rows {
        match places.entry((&row.connection, &row.entity.id)) {
            std::collections::hash_map::Entry::Occupied(place) => {
                let there = &mut kept[*place.get()];
                if row.n > there.n {
                    *there = row;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(row);
            }
        }
    }
    kept
}

/// A JSON array for a parameter.
pub(crate) fn array(rows: &[&Row]) -> String {
    let mut array = String::with_capacity(rows.iter().map(|row| row.json.len() + 1).sum::<usize>() + 2);
    array.push('[');
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            array.push(',');
        }
        array.push_str(&row.json);
    }
    array.push(']');
    array
}

/// One object per line, for a file.
pub(crate) fn lines(rows: &[&Row]) -> String {
    let mut lines = String::with_capacity(rows.iter().map(|row| row.json.len() + 1).sum());
    for row in rows {
        lines.push_str(&row.json);
        lines.push('\n');
    }
    lines
}

/// Where to cut so that no part is larger than `most`, and no row is cut. A row that is larger stands alone.
pub(crate) fn cuts(rows: &[Row], most: usize, most_rows: usize) -> Vec<std::ops::Range<usize>> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, row) in rows.iter().enumerate() {
        let size = row.json.len() + 1;
        if at > start && (bytes + size > most || at - start == most_rows) {
            parts.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < rows.len() {
        parts.push(start..rows.len());
    }
    parts
}
