//! A row that is ready to be sent, and many of them in one piece.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use bytes::Bytes;
use ml_connector_core::model::{ConnectionId, EntityRef};

/// How much of its record a row says. What says less leaves columns as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// A tombstone: none of the record's columns.
    Gone,
    /// A row of a list: the columns that lists have.
    Listed,
    /// All columns.
    Whole,
}

/// A row that is ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Which delivery of the batch brought it.
    pub(crate) owner: usize,
    pub(crate) connection: ConnectionId,
    pub(crate) entity: EntityRef,
    pub(crate) epoch: u64,
    pub(crate) n: u64,
    pub(crate) form: Form,
    /// Where its JSON is in the text of its batch: one object and a line break.
    pub(crate) text: Range<usize>,
}

impl Row {
    /// A row is only written over by one of a later version.
    pub(crate) fn version(&self) -> (u64, u64) {
        (self.epoch, self.n)
    }

    /// A digest of what the table tells rows apart by.
    pub(crate) fn key(&self) -> u64 {
        digest(&(&self.connection, &self.entity.id))
    }

    /// A digest of what tells this change from every other.
    pub(crate) fn change(&self) -> u64 {
        digest(&(&self.connection, &self.entity.id, self.epoch, self.n))
    }

    /// How long its JSON is, with a separator.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

fn digest(of: &impl Hash) -> u64 {
    let mut digest = DefaultHasher::new();
    of.hash(&mut digest);
    digest.finish()
}

/// The rows of a batch, and their JSON in one piece: what is sent of it is not copied once more.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) text: Bytes,
}

impl Rows {
    pub(super) fn json(&self, row: &Row) -> &str {
        let line = &self.text[row.text.start..row.text.end - 1];
        std::str::from_utf8(line).expect("the encoder writes UTF-8")
    }

    /// A JSON array for a parameter.
    pub(crate) fn array(&self, rows: &[&Row]) -> String {
        let mut array = String::with_capacity(rows.iter().map(|row| row.bytes()).sum::<usize>() + 2);
        array.push('[');
        for (i, row) in rows.iter().enumerate() {
            if i > 0 {
                array.push(',');
            }
            array.push_str(self.json(row));
        }
        array.push(']');
        array
    }

    /// One object per line, for a file.
    pub(crate) fn lines(&self, rows: &[&Row]) -> Bytes {
        let adjoin = rows.windows(2).all(|pair| pair[0].text.end == pair[1].text.start);
        match (rows.first(), rows.last()) {
            (Some(first), Some(last)) if adjoin => self.text.slice(first.text.start..last.text.end),
            _ => rows.iter().flat_map(|row| &self.text[row.text.clone()]).copied().collect(),
        }
    }
}

/// Where to cut so that no part is larger than `most`, and no row is cut. A row that is larger stands alone.
pub(crate) fn cuts(rows: &[&Row], most: usize, most_rows: usize) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, row) in rows.iter().enumerate() {
        let size = row.bytes();
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
