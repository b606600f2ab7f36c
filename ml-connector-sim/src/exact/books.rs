//! The records of one company: writes, row versions, deletions.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::{Error, ErrorKind, Result, Timestamp};

use super::{config::Quirks, kind::Kind, schema, wall::Wall};
use crate::toolkit::{conditions::Conditions, json::Fields, seed::Seed};

/// The user in whose name everything is written.
pub(super) const USER: &str = "1e93a551-b0df-5ad1-9187-8c47f0505ff9";
pub(super) const USER_NAME: &str = "Sanne de Wit";
/// How long states that lists may still show are kept.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long deletions are told.
const DELETIONS: Duration = Duration::from_secs(61 * 86_400);

/// A header or a line.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) fields: Fields,
    /// Its number in the feed of its resource.
    pub(super) version: i64,
    /// Its number in the feed of ledger lines.
    pub(super) ledger: i64,
}

/// What a record looked like from an instant on.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) header: Row,
    pub(super) lines: Vec<Row>,
    pub(super) written: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) created: Timestamp,
    /// The id of its header in the ledger.
    pub(super) ledger_id: String,
    pub(super) state: State,
    /// What it looked like before, oldest first.
    before: Vec<State>,
}

impl Record {
    /// What lists show of it by now.
    pub(super) fn listed(&self, conditions: &Conditions, now: Timestamp) -> Option<&State> {
        if conditions.list_lag.is_zero() || conditions.lists_know(self.state.written, now) {
            return Some(&self.state);
        }
        self.before.iter().rev().find(|state| conditions.lists_know(state.written, now))
    }
}

/// A row of `sync/Deleted`.
#[derive(Debug, Clone)]
pub(super) struct Deleted {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) at: Timestamp,
    pub(super) key: String,
    pub(super) entity: u32,
}

/// Something that webhooks tell.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) kind: Kind,
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) lines: Vec<String>,
}

/// All records of a company.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) division: u32,
    pub(super) currency: String,
    pub(super) wall: Wall,
    pub(super) records: BTreeMap<Kind, BTreeMap<String, Record>>,
    pub(super) deleted: Vec<Deleted>,
    pub(super) happened: Vec<Happened>,
    pub(super) seed: Seed,
    pub(super) numbers: BTreeMap<&'static str, u32>,
    version: i64,
}

impl Books {
    pub(super) fn new(division: u32, currency: &str, wall: Wall, seed: u64) -> Self {
        Self {
            division,
            currency: currency.to_owned(),
            wall,
            records: BTreeMap::new(),
            deleted: Vec::new(),
            happened: Vec::new(),
            seed: Seed::new(seed ^ u64::from(division)),
            numbers: BTreeMap::new(),
            version: 58_200_000,
        }
    }

    pub(super) fn guid(&mut self) -> String {
        guid(&self.seed.hex())
    }

    /// The next number of a series.
    pub(super) fn number(&mut self, series: &'static str, first: u32) -> u32 {
        let next = self.numbers.entry(series).or_insert(first);
        *next += 1;
        *next - 1
    }

    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<&Record> {
        self.records.get(&kind)?.get(id)
    }

    pub(super) fn of(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    fn draw(&mut self) -> i64 {
        self.version += 1;
        self.version
    }

    /// Writes a new record. Its ids are those it has, or new ones.
    pub(super) fn insert(
        &mut self,
        kind: Kind,
        mut header: Fields,
        lines: Vec<Fields>,
        now: Timestamp,
    ) -> String {
        let shape = kind.shape();
        let mut id = header.text(shape.key);
        if id.is_empty() {
            id = self.guid();
            header.set(shape.key, &id);
        }
        let ledger_id = self.guid();
        let stamps = [("Created", self.wall.at(now).json()), ("Modified", self.wall.at(now).json())];
        let division = self.division;
        let complete = |path: &str, fields: &mut Fields| {
            for (name, stamp) in &stamps {
                put(path, fields, name, stamp);
            }
            put(path, fields, "Division", division);
            for (who, name) in [("Creator", "CreatorFullName"), ("Modifier", "ModifierFullName")] {
                put(path, fields, who, USER);
                put(path, fields, name, USER_NAME);
            }
        };
        complete(shape.path, &mut header);
        let header_row = self.row(id.clone(), header);
        let mut rows = Vec::new();
        for (nth, mut fields) in lines.into_iter().enumerate() {
            let Some((_, path)) = shape.lines else { continue };
            let mut line_id = fields.text("ID");
            if line_id.is_empty() {
                line_id = self.guid();
                fields.set("ID", &line_id);
            }
            complete(path, &mut fields);
            put(path, &mut fields, shape.key, &id);
            put(path, &mut fields, "LineNumber", nth + 1);
            rows.push(self.row(line_id, fields));
        }
        let lines = rows.iter().map(|row| row.id.clone()).collect();
        let state = State { header: header_row, lines: rows, written: now };
        let record = Record { kind, created: now, ledger_id, state, before: Vec::new() };
        self.records.entry(kind).or_default().insert(id.clone(), record);
        self.happened.push(Happened { kind, action: "Create", id: id.clone(), lines });
        id
    }

    fn row(&mut self, id: String, fields: Fields) -> Row {
        Row { id, fields, version: self.draw(), ledger: self.draw() }
    }

    /// Changes a record. Row versions and `Modified` follow from what is different afterwards.
    pub(super) fn change(
        &mut self,
        kind: Kind,
        id: &str,
        quirks: &Quirks,
        now: Timestamp,
        act: impl FnOnce(&mut State),
    ) -> Result<()> {
        let mut record = self.get(kind, id).cloned().ok_or_else(missing)?;
        let old = record.state.clone();
        act(&mut record.state);
        let shape = kind.shape();
        let stamp = self.wall.at(now).json();
        let header_changed = differs(&old.header, &record.state.header);
        record.state.header.version = self.draw();
        if header_changed || quirks.ledger_rows_change_together {
            record.state.header.ledger = self.draw();
        }
        if header_changed || !quirks.line_changes_are_silent {
            put(shape.path, &mut record.state.header.fields, "Modified", &stamp);
        }
        for row in &mut record.state.lines {
            let changed =
                old.lines.iter().find(|known| known.id == row.id).is_none_or(|old| differs(old, row));
            row.version = self.draw();
            if changed || quirks.ledger_rows_change_together {
                row.ledger = self.draw();
            }
            if let (true, Some((_, path))) = (changed, shape.lines) {
                put(path, &mut row.fields, "Modified", &stamp);
            }
        }
        for gone in &old.lines {
            if kind.is_entry() && record.state.lines.iter().all(|row| row.id != gone.id) {
                self.note_deleted(&gone.id, 1, now);
            }
        }
        record.state.written = now;
        // Lists show at most one state that is older than what is remembered.
        record.before.push(old);
        let recent = record.before.iter().position(|state| state.written + REMEMBERED > now);
        record.before.drain(..recent.unwrap_or(record.before.len()).saturating_sub(1));
        let lines = record.state.lines.iter().map(|row| row.id.clone()).collect();
        self.records.entry(kind).or_default().insert(id.to_owned(), record);
        self.happened.push(Happened { kind, action: "Update", id: id.to_owned(), lines });
        Ok(())
    }

    /// Deletes a record with its lines.
    pub(super) fn delete(&mut self, kind: Kind, id: &str, now: Timestamp) -> Result<()> {
        let record = self.records.get_mut(&kind).and_then(|known| known.remove(id)).ok_or_else(missing)?;
        if let Some(entity) = kind.shape().entity {
            self.note_deleted(id, entity, now);
        }
        let lines: Vec<String> = record.state.lines.into_iter().map(|row| row.id).collect();
        if kind.is_entry() {
            self.note_deleted(&record.ledger_id, 1, now);
            lines.iter().for_each(|line| self.note_deleted(line, 1, now));
        }
        self.happened.push(Happened { kind, action: "Delete", id: id.to_owned(), lines });
        Ok(())
    }

    fn note_deleted(&mut self, key: &str, entity: u32, now: Timestamp) {
        let (id, version) = (self.guid(), self.draw());
        self.deleted.retain(|deleted| deleted.at + DELETIONS > now);
        self.deleted.push(Deleted { id, version, at: now, key: key.to_owned(), entity });
    }

    /// Gives every row another version, as a move to another database does. Deletions of before are told no more.
    pub(super) fn move_database(&mut self) {
        self.version = 1_200_000;
        self.deleted.clear();
        let mut next = self.version;
        let mut draw = || {
            next += 1;
            next
        };
        for record in self.records.values_mut().flat_map(BTreeMap::values_mut) {
            let State { header, lines, .. } = &mut record.state;
            for row in std::iter::once(header).chain(lines) {
                (row.version, row.ledger) = (draw(), draw());
            }
            record.before.clear();
        }
        self.version = next;
    }

    /// The highest row version so far.
    pub(super) fn highest(&self) -> i64 {
        self.version
    }
}

/// Sets a property that the resource has.
pub(super) fn put(path: &str, fields: &mut Fields, name: &str, value: impl serde::Serialize) {
    if schema::edm(path, name).is_some() {
        fields.set(name, value);
    }
}

fn differs(old: &Row, new: &Row) -> bool {
    let text = |row: &Row| serde_json::to_string(&row.fields).unwrap_or_default();
    text(old) != text(new)
}

pub(super) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such record in the simulated company")
}

/// A GUID of 64 hexadecimal digits.
pub(super) fn guid(hex: &str) -> String {
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
