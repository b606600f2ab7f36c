//! From a [`Query`] to one SELECT. Which entries match is found first, by an index wherever there is one; then only the
//! few that are returned are read in full.

use std::collections::BTreeSet;

use ml_connector_core::{
    Timestamp,
    audit::{EntryKind, EntryState, Query, amount_key},
    model::{ConnectionId, EntityRef, Partition, Seq},
};
use rusqlite::{Connection, types::Value};

use super::signals;

/// More ways than this are not gone one by one: SQLite joins up to 500 SELECTs.
const MOST_WALKS: usize = 400;

/// When a parked entry is due, as a number: a constant in SQL, so that its partial index is used.
const PARKED_DUE: i64 = i64::MAX;

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

/// A condition and its values.
#[derive(Debug, Clone, Default)]
struct Condition {
    sql: String,
    values: Vec<Value>,
}

impl Condition {
    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// A way through some entries in the order of their numbers.
#[derive(Debug)]
struct Walk {
    /// What is gone through; `e` is the entry.
    tables: &'static str,
    /// Whose numbers come in order.
    walked: char,
    condition: Condition,
}

impl Walk {
    fn new(tables: &'static str, walked: char, sql: String, values: Vec<Value>) -> Self {
        Self { tables, walked, condition: Condition { sql, values } }
    }
}

/// The numbers of the entries that match, at most so many, as a SELECT with its values.
pub(super) fn matching(
    connection: &Connection,
    query: &Query,
    limit: usize,
) -> rusqlite::Result<(String, Vec<Value>)> {
    let (walks, filter) = (walks(connection, query)?, filter(query, limit));
    let order = order(query);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = Vec::new();
    let selects: Vec<String> = walks
        .into_iter()
        .map(|walk| {
            let Walk { tables, walked, condition } = walk;
            let after = query.after.map(|after| {
                let beyond = if query.newest_first { '<' } else { '>' };
                format!(" AND {walked}.seq {beyond} {}", position(after))
            });
            values.extend(condition.values);
            values.extend(filter.values.iter().cloned());
            format!(
                "SELECT {walked}.seq FROM {tables} WHERE {}{}{} ORDER BY {walked}.seq {order} LIMIT {limit}",
                condition.sql,
                filter.sql,
                after.unwrap_or_default()
            )
        })
        .collect();
    let sql = match &selects[..] {
        [one] => one.clone(),
        [] => "SELECT seq FROM entry WHERE FALSE".to_owned(),
        many => {
            let many: Vec<String> = many.iter().map(|one| format!("SELECT seq FROM ({one})")).collect();
            format!("SELECT seq FROM ({}) ORDER BY seq {order} LIMIT {limit}", many.join(" UNION ALL "))
        }
    };
    Ok((sql, values))
}

/// `ASC` or `DESC`.
pub(super) fn order(query: &Query) -> &'static str {
    if query.newest_first { "DESC" } else { "ASC" }
}

/// A place in the log that may lie beyond its end.
pub(super) fn position(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

/// Whether something is asked for that hardly any entry has, and that has an index.
fn is_named(query: &Query) -> bool {
    query.entity.is_some()
        || query.number.is_some()
        || query.receipt.is_some()
        || query.receipt_prefix.is_some()
        || !query.seqs.is_empty()
        || query.family_of.is_some()
}

/// Whether something is asked for that has an index, though many may have it.
fn is_grouped(query: &Query) -> bool {
    query.destination.is_some()
        || query.amount_from.is_some()
        || query.amount_to.is_some()
        || query.name.is_some() && query.kind.is_some_and(|kind| kind != EntryKind::Signal)
        || query.acknowledged.is_some()
}

/// Which entries are gone through.
fn walks(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Walk>> {
    const ENTRIES: &str = "entry e";
    const BY_CONNECTION: &str = "entry e INDEXED BY entry_connection";
    const BY_TIME: &str = "entry e INDEXED BY entry_at";
    const SETTLED: &str = "settled s CROSS JOIN entry e ON e.seq = s.seq";
    const DEAD: &str = "settled s INDEXED BY settled_dead CROSS JOIN entry e ON e.seq = s.seq";
    const PARKED: &str = "work p INDEXED BY work_parked CROSS JOIN entry e ON e.seq = p.seq";
    let one = |tables, walked, condition: String| vec![Walk::new(tables, walked, condition, Vec::new())];
    let chosen_by_sqlite = || one(ENTRIES, 'e', "TRUE".to_owned());
    if is_named(query) || is_of_work_list(query) {
        return Ok(chosen_by_sqlite());
    }
    let connections = match (&query.connection, &query.within) {
        (Some(connection), _) => Some(vec![connection.clone()]),
        // Each once: what is found on two ways counts twice.
        (None, within) => {
            within.clone().map(|within| within.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
        }
    };
    let kinds: Vec<EntryKind> = query.kind.map_or(EntryKind::ALL.to_vec(), |kind| vec![kind]);
    let each = |connections: &[ConnectionId], tables, walked, condition: &str| {
        let ways = connections.iter().flat_map(|connection| kinds.iter().map(move |kind| (connection, kind)));
        let walk = |(connection, kind): (&ConnectionId, &EntryKind)| {
            let sql = format!("{condition}{walked}.connection = ? AND {walked}.kind = {}", *kind as u8);
            Walk::new(tables, walked, sql, vec![connection.as_str().to_owned().into()])
        };
        Some(ways.map(walk).collect::<Vec<_>>()).filter(|walks| walks.len() <= MOST_WALKS)
    };
    // Of those that need or needed somebody there are few at any time.
    match query.state {
        Some(EntryState::Parked) => return Ok(one(PARKED, 'p', format!("p.due = {PARKED_DUE}"))),
        // They are listed by connection and kind: one kind is found without reading those of another.
        Some(EntryState::Dead) if connections.is_some() || query.kind.is_some() => {
            let of = connections.map_or_else(|| dead_connections(connection), Ok)?;
            let walks = each(&of, DEAD, 's', "s.state = 4 AND ");
            return Ok(walks.unwrap_or_else(|| one(SETTLED, 's', "s.state = 4".to_owned())));
        }
        Some(
            state @ (EntryState::Dead | EntryState::Cancelled | EntryState::Discarded | EntryState::Replayed),
        ) => {
            return Ok(one(SETTLED, 's', format!("s.state = {}", state as u8)));
        }
        _ => {}
    }
    if is_grouped(query) {
        return Ok(chosen_by_sqlite());
    }
    if query.from.is_some() || query.to.is_some() {
        let from = query.from.map_or(i64::MIN, Timestamp::as_millis);
        let to = query.to.map_or(i64::MAX, Timestamp::as_millis);
        let values = vec![from.into(), to.into()];
        return Ok(vec![Walk::new(BY_TIME, 'e', "e.at >= ? AND e.at < ?".to_owned(), values)]);
    }
    let connections = match connections {
        // Some kinds are rare: they are found by connection, too.
        None if query.kind.is_some() => Some(all_connections(connection)?),
        connections => connections,
    };
    match (query.state, connections) {
        (Some(state @ (EntryState::Done | EntryState::Dropped)), None) => {
            Ok(one(SETTLED, 's', format!("s.state = {}", state as u8)))
        }
        (_, Some(of)) => Ok(each(&of, BY_CONNECTION, 'e', "").unwrap_or_else(chosen_by_sqlite)),
        (_, None) => Ok(chosen_by_sqlite()),
    }
}

/// Whoever has entries, looked up one after the other.
fn all_connections(connection: &Connection) -> rusqlite::Result<Vec<ConnectionId>> {
    connections_in(connection, "entry WHERE TRUE")
}

/// Whoever has entries that were given up, in the same way.
fn dead_connections(connection: &Connection) -> rusqlite::Result<Vec<ConnectionId>> {
    connections_in(connection, "settled INDEXED BY settled_dead WHERE state = 4")
}

fn connections_in(connection: &Connection, rows: &str) -> rusqlite::Result<Vec<ConnectionId>> {
    connection
        .prepare_cached(&format!(
            "WITH RECURSIVE next (connection) AS (
                 SELECT min(connection) FROM {rows}
                 UNION ALL
                 SELECT (SELECT min(connection) FROM {rows} AND connection > next.connection)
                 FROM next WHERE next.connection IS NOT NULL)
             SELECT connection FROM next WHERE connection IS NOT NULL"
        ))?
        .query_map([], |row| row.get::<_, String>(0).map(ConnectionId::new))?
        .collect()
}

/// Whether something is in a [list].
const IS_LISTED: &str = "IN (SELECT value FROM json_each(?))";

/// Connections as one value, however many they are: a statement takes 32,766 values, and has this one for every walk.
fn list(connections: &[ConnectionId]) -> Value {
    let quoted =
        |id: &ConnectionId| format!("\"{}\"", id.as_str().replace('\\', "\\\\").replace('"', "\\\""));
    let ids: Vec<String> = connections.iter().map(quoted).collect();
    Value::from(format!("[{}]", ids.join(",")))
}

/// What every entry has to meet, whichever way it is found. A plus keeps SQLite from choosing an index by that: another
/// leaves fewer entries.
fn filter(query: &Query, limit: usize) -> Condition {
    let mut filter = Condition::default();
    let text = |text: &str| Value::from(text.to_owned());
    if let Some(connection) = &query.connection {
        // Second in the indexes by record, number and name. Without a kind a record is found through its signals, too.
        let is_second = match query.kind {
            Some(kind) => kind != EntryKind::Signal && (query.entity.is_some() || query.name.is_some()),
            None => false,
        };
        let is_second = is_second || query.entity.is_none() && query.number.is_some();
        let plus = if is_second { "" } else { "+" };
        filter.and(&format!("{plus}e.connection = ?"), [text(connection.as_str())]);
    }
    if let Some(within) = &query.within {
        filter.and(&format!("+e.connection {IS_LISTED}"), [list(within)]);
    }
    match query.kind {
        Some(EntryKind::Signal) => filter.and("+e.kind = 1", []),
        // A constant, because only then SQLite uses the indexes that leave signals out.
        Some(kind) => filter.and(&format!("e.kind <> 1 AND +e.kind = {}", kind as u8), []),
        None => {}
    }
    if let Some(entity) = &query.entity {
        entity_filter(query, entity, &mut filter);
    }
    if let Some(number) = &query.number {
        filter.and("e.number = ?", [text(number)]);
    }
    if let Some(name) = &query.name {
        filter.and("e.name = ?", [text(name)]);
    }
    if let Some(destination) = &query.destination {
        filter.and("e.destination = ?", [text(destination)]);
    }
    amount_filter(query, &mut filter);
    if let Some(currency) = &query.currency {
        filter.and("e.currency = ?", [text(currency.as_str())]);
    }
    if let Some(receipt) = &query.receipt {
        filter.and("e.seq IN (SELECT seq FROM outcome WHERE receipt = ?)", [text(receipt)]);
    }
    if let Some(prefix) = &query.receipt_prefix {
        // No text that means something holds the last character of all.
        let beyond = format!("{prefix}{}", char::MAX);
        let found = "e.seq IN (SELECT seq FROM outcome WHERE receipt >= ? AND receipt < ?)";
        filter.and(found, [text(prefix), beyond.into()]);
    }
    if let Some(error) = &query.error {
        // Only outcomes of an attempt have reasons that are errors.
        let found = "EXISTS (SELECT 1 FROM outcome o
                             WHERE o.seq = e.seq AND o.what IN (2, 3, 5, 6) AND instr(o.reason, ?) > 0)";
        filter.and(found, [text(error)]);
    }
    if let Some(state) = query.state {
        state_filter(query, state, limit, &mut filter);
    }
    if let Some(acknowledged) = query.acknowledged {
        acknowledged_filter(query, acknowledged, &mut filter);
    }
    if let Some(from) = query.from {
        filter.and("+e.at >= ?", [from.as_millis().into()]);
    }
    if let Some(to) = query.to {
        filter.and("+e.at < ?", [to.as_millis().into()]);
    }
    if let Some(seq) = query.family_of {
        filter.and(FAMILY, [position(seq).into()]);
    }
    if !query.seqs.is_empty() {
        let seqs: Vec<String> = query.seqs.iter().map(|seq| position(*seq).to_string()).collect();
        filter.and("e.seq IN (SELECT value FROM json_each(?))", [format!("[{}]", seqs.join(",")).into()]);
    }
    filter
}

fn entity_filter(query: &Query, EntityRef { kind, id }: &EntityRef, filter: &mut Condition) {
    let text = |text: &str| Value::from(text.to_owned());
    filter.and("e.entity_id = ? AND e.entity_kind = ?", [text(id), text(kind)]);
    match query.kind {
        Some(EntryKind::Signal) => {
            filter.and(&format!("e.seq IN ({})", signals::of_entity()), [text(id)]);
        }
        Some(_) => {}
        None => {
            let others = "SELECT seq FROM entry WHERE kind <> 1 AND entity_id = ?";
            let any = format!("e.seq IN ({others} UNION ALL {})", signals::of_entity());
            filter.and(&any, [text(id), text(id)]);
        }
    }
}

fn amount_filter(query: &Query, filter: &mut Condition) {
    let key = |amount| Value::from(amount_key(amount));
    const FOUND: &str = "SELECT seq FROM entry INDEXED BY entry_amount WHERE";
    match (query.amount_from, query.amount_to) {
        (None, None) => {}
        (Some(from), None) => filter.and(&format!("e.seq IN ({FOUND} amount >= ?)"), [key(from)]),
        (None, Some(to)) => filter.and(&format!("e.seq IN ({FOUND} amount <= ?)"), [key(to)]),
        (Some(from), Some(to)) => {
            filter.and(&format!("e.seq IN ({FOUND} amount BETWEEN ? AND ?)"), [key(from), key(to)]);
        }
    }
}

fn acknowledged_filter(query: &Query, acknowledged: bool, filter: &mut Condition) {
    let is = u8::from(acknowledged);
    match query.state {
        Some(EntryState::Dead) => {
            let of = "SELECT 1 FROM settled k WHERE k.state = 4 AND k.seq = e.seq";
            filter.and(&format!("EXISTS ({of} AND k.acknowledged = {is})"), []);
        }
        Some(EntryState::Parked) => {
            let of = "SELECT 1 FROM work k WHERE k.part = e.part AND k.seq = e.seq";
            filter.and(&format!("EXISTS ({of} AND k.acknowledged = {is})"), []);
        }
        Some(_) => filter.and("FALSE", []),
        None => {
            let dead = format!("SELECT seq FROM settled WHERE state = 4 AND acknowledged = {is}");
            let parked = format!("SELECT seq FROM work WHERE due = {PARKED_DUE} AND acknowledged = {is}");
            filter.and(&format!("e.seq IN ({dead} UNION ALL {parked})"), []);
        }
    }
}

fn state_filter(query: &Query, state: EntryState, limit: usize, filter: &mut Condition) {
    match state {
        EntryState::Pending if is_of_work_list(query) => {
            let connection = query.connection.iter().map(|of| Value::from(of.as_str().to_owned()));
            let of: Vec<Value> = connection.chain(query.within.as_deref().map(list)).collect();
            filter.and(&first_pending(query, limit), []);
            filter.values.extend(Partition::all().flat_map(|_| of.iter().cloned()));
        }
        EntryState::Pending => {
            let listed = "SELECT 1 FROM work l WHERE l.part = e.part AND l.seq = e.seq";
            filter.and(&format!("EXISTS ({listed} AND l.due < {PARKED_DUE})"), []);
        }
        EntryState::Parked => {
            let listed = "SELECT 1 FROM work l WHERE l.part = e.part AND l.seq = e.seq";
            filter.and(&format!("EXISTS ({listed} AND l.due = {PARKED_DUE})"), []);
        }
        settled => {
            let state = settled as u8;
            filter.and(
                &format!("EXISTS (SELECT 1 FROM settled t WHERE t.state = {state} AND t.seq = e.seq)"),
                [],
            );
        }
    }
}

/// Whether nothing is asked for but what the work list itself says.
fn is_of_work_list(query: &Query) -> bool {
    let Query { entity, number, name, receipt, receipt_prefix, error, from, to, seqs, family_of, .. } = query;
    query.state == Some(EntryState::Pending)
        && entity.is_none()
        && number.is_none()
        && name.is_none()
        && receipt.is_none()
        && receipt_prefix.is_none()
        && query.destination.is_none()
        && query.amount_from.is_none()
        && query.amount_to.is_none()
        && query.currency.is_none()
        && query.acknowledged.is_none()
        && error.is_none()
        && from.is_none()
        && to.is_none()
        && seqs.is_empty()
        && family_of.is_none()
}

/// The first pending entries of every partition, among which are the first of all: the work list may be long, and is
/// sorted within a partition only.
fn first_pending(query: &Query, limit: usize) -> String {
    let kind = query.kind.map(|kind| format!(" AND kind = {}", kind as u8)).unwrap_or_default();
    let connection = query.connection.as_ref().map_or("", |_| " AND connection = ?");
    let within = query.within.as_ref().map(|_| format!(" AND connection {IS_LISTED}")).unwrap_or_default();
    let beyond = if query.newest_first { '<' } else { '>' };
    let after = query.after.map(|after| format!(" AND seq {beyond} {}", position(after))).unwrap_or_default();
    let (order, limit) = (order(query), i64::try_from(limit).unwrap_or(i64::MAX));
    let of = |partition: Partition| {
        format!(
            "SELECT seq FROM (
                 SELECT seq FROM work WHERE part = {} AND due < {PARKED_DUE}{kind}{connection}{within}{after}
                 ORDER BY seq {order} LIMIT {limit})",
            partition.number()
        )
    };
    let all: Vec<String> = Partition::all().map(of).collect();
    format!("e.seq IN ({})", all.join(" UNION ALL "))
}
