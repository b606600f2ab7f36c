//! Reading: the work list, documents, entries.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{DocKey, Document, Entry, EntryKind, EntryState, Index, Pending, PendingScope, Query},
    model::{ConnectionId, EntityRef, Partition, Seq},
};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};

use super::{outcome, signals};

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
    let (sql, values) = Select::of(query).finish(query);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| entry(connection, row))?;
    rows.collect()
}

/// A statement and its values as they grow together.
#[derive(Default)]
struct Select {
    /// Whose entries are gone through, in order, instead of all.
    settled: Option<EntryState>,
    conditions: String,
    values: Vec<Value>,
}

/// The family of an entry: up to where it began, and down from there.
const FAMILY: &str = "e.seq IN (
    WITH RECURSIVE
        up (seq, parent) AS (
            SELECT seq, parent FROM entry WHERE seq = ?
            UNION ALL SELECT p.seq, p.parent FROM entry p JOIN up ON p.seq = up.parent),
        family (seq) AS (
            SELECT seq FROM up WHERE parent IS NULL
            UNION ALL SELECT c.seq FROM entry c JOIN family ON c.parent = family.seq)
    SELECT seq FROM family)";

impl Select {
    fn of(query: &Query) -> Self {
        let Query { connection, kind, entity, number, name, state, receipt, error, from, to, .. } = query;
        let mut select = Self::default();
        let text = |text: &str| Value::from(text.to_owned());
        if let Some(connection) = connection {
            select.and("e.connection = ?", [text(connection.as_str())]);
        }
        match kind {
            // A constant, because only then SQLite uses the indexes that leave signals out.
            Some(EntryKind::Signal) => select.and("e.kind = 1", []),
            Some(kind) => select.and("e.kind <> 1 AND e.kind = ?", [(*kind as u8).into()]),
            None => {}
        }
        if let Some(EntityRef { kind, id }) = entity {
            select.and("e.entity_id = ? AND e.entity_kind = ?", [text(id), text(kind)]);
            match query.kind {
                Some(EntryKind::Signal) => {
                    select.and(&format!("e.seq IN ({})", signals::of_entity()), [text(id)]);
                }
                Some(_) => {}
                None => {
                    let others = "SELECT seq FROM entry WHERE kind <> 1 AND entity_id = ?";
                    let any = format!("e.seq IN ({others} UNION ALL {})", signals::of_entity());
                    select.and(&any, [text(id), text(id)]);
                }
            }
        }
        if let Some(number) = number {
            select.and("e.number = ?", [text(number)]);
        }
        if let Some(name) = name {
            select.and("e.name = ?", [text(name)]);
        }
        if let Some(receipt) = receipt {
            select.and("e.seq IN (SELECT seq FROM outcome WHERE receipt = ?)", [text(receipt)]);
        }
        if let Some(error) = error {
            let found = "EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = e.seq AND instr(reason, ?) > 0)";
            select.and(found, [text(error)]);
        }
        match state {
            Some(EntryState::Pending) if is_of_work_list(query) => {
                let each = connection
                    .iter()
                    .flat_map(|connection| Partition::all().map(|_| text(connection.as_str())));
                select.and(&first_pending(query), []);
                select.values.extend(each);
            }
            Some(state) if state.is_settled() && is_found_by_state(query, *state) => {
                select.settled = Some(*state);
            }
            Some(state) => select.and(&state_condition(*state), []),
            None => {}
        }
        if let Some(from) = from {
            select.and("e.at >= ?", [from.as_millis().into()]);
        }
        if let Some(to) = to {
            select.and("e.at < ?", [to.as_millis().into()]);
        }
        if let Some(seq) = query.family_of {
            select.and(FAMILY, [position(seq).into()]);
        }
        if !query.seqs.is_empty() {
            let seqs: Vec<String> = query.seqs.iter().map(|seq| position(*seq).to_string()).collect();
            let list = format!("[{}]", seqs.join(","));
            select.and("e.seq IN (SELECT value FROM json_each(?))", [list.into()]);
        }
        if let Some(after) = query.after {
            let beyond = if query.newest_first { '<' } else { '>' };
            select.and(&format!("{}.seq {beyond} ?", select.walked()), [position(after).into()]);
        }
        select
    }

    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.extend(values);
    }

    /// The table whose numbers come in order.
    fn walked(&self) -> char {
        if self.settled.is_some() { 's' } else { 'e' }
    }

    /// Which entries they are is found first: mostly an index alone can tell, and only the few that are returned are
    /// read in full.
    fn finish(mut self, query: &Query) -> (String, Vec<Value>) {
        let body = if query.bodies { "e.body" } else { "NULL" };
        let (order, walked) = (order(query), self.walked());
        let from = self.settled.map_or("entry e WHERE TRUE".to_owned(), |state| {
            format!("settled s CROSS JOIN entry e ON e.seq = s.seq WHERE s.state = {}", state as u8)
        });
        let sql = format!(
            "SELECT e.seq, e.part, e.kind, e.connection, e.parent, e.at, e.entity_kind, e.entity_id, e.number,
                    e.name, w.due, {body}
             FROM entry e LEFT JOIN work w ON w.part = e.part AND w.seq = e.seq
             WHERE e.seq IN (SELECT {walked}.seq FROM {from}{} ORDER BY {walked}.seq {order} LIMIT ?)
             ORDER BY e.seq {order}",
            self.conditions
        );
        self.values.push(limit(query));
        (sql, self.values)
    }
}

fn order(query: &Query) -> &'static str {
    if query.newest_first { "DESC" } else { "ASC" }
}

fn limit(query: &Query) -> Value {
    i64::try_from(query.effective_limit()).unwrap_or(i64::MAX).into()
}

/// Whether nothing is asked for but what the work list itself says.
fn is_of_work_list(query: &Query) -> bool {
    let Query { entity, number, name, receipt, error, from, to, seqs, family_of, .. } = query;
    entity.is_none()
        && number.is_none()
        && name.is_none()
        && receipt.is_none()
        && error.is_none()
        && from.is_none()
        && to.is_none()
        && seqs.is_empty()
        && family_of.is_none()
}

/// The first pending entries of every partition, among which are the first of all: the work list may be long, and is
/// sorted within a partition only.
fn first_pending(query: &Query) -> String {
    let kind = query.kind.map(|kind| format!(" AND kind = {}", kind as u8)).unwrap_or_default();
    let connection = query.connection.as_ref().map_or("", |_| " AND connection = ?");
    let beyond = if query.newest_first { '<' } else { '>' };
    let after = query.after.map(|after| format!(" AND seq {beyond} {}", position(after))).unwrap_or_default();
    let (order, limit) = (order(query), query.effective_limit());
    let of = |partition: Partition| {
        format!(
            "SELECT seq FROM (
                 SELECT seq FROM work WHERE part = {} AND due < 9223372036854775807{kind}{connection}{after}
                 ORDER BY seq {order} LIMIT {limit})",
            partition.number()
        )
    };
    let all: Vec<String> = Partition::all().map(of).collect();
    format!("e.seq IN ({})", all.join(" UNION ALL "))
}

/// Whether nothing that is asked for leaves fewer entries to look at than those in that state. Of the dead there are
/// few at any time.
fn is_found_by_state(query: &Query, state: EntryState) -> bool {
    let Query { entity, number, receipt, from, to, seqs, family_of, .. } = query;
    let is_timeless = from.is_none() && to.is_none();
    entity.is_none()
        && number.is_none()
        && receipt.is_none()
        && seqs.is_empty()
        && family_of.is_none()
        && (is_timeless || state == EntryState::Dead)
}

fn state_condition(state: EntryState) -> String {
    match state {
        EntryState::Pending => {
            let listed = "SELECT 1 FROM work l WHERE l.part = e.part AND l.seq = e.seq";
            format!("EXISTS ({listed} AND l.due < 9223372036854775807)")
        }
        EntryState::Parked => "e.seq IN (SELECT seq FROM work WHERE due = 9223372036854775807)".to_owned(),
        settled => {
            let state = settled as u8;
            format!("EXISTS (SELECT 1 FROM settled s WHERE s.state = {state} AND s.seq = e.seq)")
        }
    }
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

fn entry(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let seq: i64 = row.get(0)?;
    let due: Option<i64> = row.get(10)?;
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
    };
    entry.body = row.get::<_, Option<Vec<u8>>>(11)?.map(Bytes::from);
    entry.outcomes = outcome::read(connection, seq)?;
    entry.state = match (due.map(Timestamp::from_millis), entry.outcomes.last()) {
        (Some(Pending::NEVER), _) => EntryState::Parked,
        (Some(_), _) => EntryState::Pending,
        (None, Some(last)) => last.outcome.state(),
        (None, None) => EntryState::Done,
    };
    Ok(entry)
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<EntryKind> {
    let number: u8 = row.get(column)?;
    EntryKind::from_u8(number).ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(column, number.into()))
}

/// A place in the log that may lie beyond its end.
fn position(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, sqlite::schema};

    fn check(query: &Query, expected: &str) {
        let directory = tempfile::TempDir::new().unwrap();
        let connection = schema::open(&directory.path().join("log.db"), &SqliteOptions::default()).unwrap();
        let (sql, values) = Select::of(query).finish(query);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        assert!(plan.iter().any(|step| step.contains(expected)), "{plan:#?} uses {expected}");
        assert!(!plan.iter().any(|step| step == "SCAN e"), "{plan:#?} does not read every entry");
    }

    fn query(set: impl FnOnce(&mut Query)) -> Query {
        let mut query = Query::default();
        set(&mut query);
        query
    }

    #[test]
    fn searches_use_their_indexes() {
        let entity = EntityRef::new("invoice", "1");
        let of_entity = |kind| query(|q| (q.entity, q.kind) = (Some(entity.clone()), kind));
        check(&of_entity(None), "SEARCH e USING INTEGER PRIMARY KEY");
        check(&of_entity(None).with_connection("books".into()), "SEARCH e USING INTEGER PRIMARY KEY");
        check(&of_entity(Some(EntryKind::Signal)), "SEARCH e USING INTEGER PRIMARY KEY");
        let events = of_entity(Some(EntryKind::Event));
        check(&events, "entry_entity (entity_id=?)");
        check(&events.with_connection("books".into()), "entry_entity (entity_id=? AND connection=?)");
        check(&query(|q| q.number = Some("INV-1".into())), "entry_number (number=?)");
        check(&query(|q| q.receipt = Some("message/1".into())), "outcome_receipt (receipt=?)");
        check(&query(|q| q.state = Some(EntryState::Dead)), "SEARCH s USING PRIMARY KEY (state=?)");
        let mut done = query(|q| (q.state, q.newest_first) = (Some(EntryState::Done), true));
        check(&done, "SEARCH s USING PRIMARY KEY (state=?)");
        done.after = Some(Seq(9));
        check(&done, "SEARCH s USING PRIMARY KEY (state=? AND seq<?)");
        check(&query(|q| q.state = Some(EntryState::Parked)), "work_parked");
        check(&query(|q| q.state = Some(EntryState::Pending)), "SEARCH e USING INTEGER PRIMARY KEY");
        check(&Query::family_of(Seq(1)), "entry_parent (parent=?)");
        check(&Query::entries(vec![Seq(1)]), "SEARCH e USING INTEGER PRIMARY KEY");
        let (from, to) = (Some(Timestamp::from_secs(1)), Some(Timestamp::from_secs(2)));
        check(&query(|q| (q.from, q.to) = (from, to)), "entry_at (at>? AND at<?)");
    }
}
