//! From a [`Query`] to a condition on `entry e`.

use std::collections::BTreeSet;

use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use ml_connector_core::{
    audit::{EntryKind, EntryState, Query, amount_key},
    model::ConnectionId,
};

use super::{
    server::Param,
    values::{number, text},
};

/// When a parked entry is due, as a number: a constant in SQL, so that its partial index is used.
const PARKED_DUE: i64 = i64::MAX;

/// So many of what connections have, by kind, are merged in the order of the log.
const MOST_MERGED: usize = 50;

/// A statement and its values.
#[derive(Default)]
pub(super) struct Sql {
    pub(super) text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Sql {
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        self.values.iter().map(|(value, of)| (&**value as _, of.clone())).collect()
    }

    /// The place of a value.
    fn value(&mut self, value: impl ToSql + Sync + Send + 'static, of: Type) -> String {
        self.values.push((Box::new(value), of));
        format!("${}", self.values.len())
    }

    fn text(&mut self, value: &str) -> String {
        self.value(text(value).into_owned(), Type::TEXT)
    }
}

/// The numbers of the entries that match, at most so many, in reading direction.
pub(super) fn matching(query: &Query, limit: usize) -> Sql {
    let mut sql = Sql::default();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let order = order(query);
    // What some connections have is read in the order of the log from as many places of an index, from each no more than is
    // wanted in all: the planner might else go through the whole log in its order, or read and sort all that they have. By a
    // range of one kind, and not as equal to it: with that, the order of the log is offered by another index, and taken where
    // the planner thinks that a connection has more of a kind than it has.
    if let Some(sources) = merged(query) {
        let mut rest = query.clone();
        (rest.connection, rest.within, rest.kind) = (None, None, None);
        let mut conditions = of_entry(&rest, &mut sql);
        conditions.extend(of_state(query));
        let rest = conditions.iter().map(|condition| format!(" AND {condition}")).collect::<String>();
        let sources = sources.into_iter().map(|(connection, kind)| {
            let connection = sql.text(connection.as_str());
            let kind = kind as u8;
            format!(
                "(SELECT e.seq FROM @entry e WHERE e.connection = {connection} AND e.kind BETWEEN {kind} AND {kind}{rest}
                  ORDER BY e.kind {order}, e.seq {order} LIMIT {limit})"
            )
        });
        let sources = sources.collect::<Vec<_>>().join(" UNION ALL ");
        sql.text = format!("SELECT e.seq FROM ({sources}) e ORDER BY e.seq {order} LIMIT {limit}");
        return sql;
    }
    let mut conditions = of_entry(query, &mut sql);
    conditions.extend(of_state(query));
    // What hardly any entry has is looked for first: the planner might else go through the log in its order, as the
    // limit is soon reached by guess.
    let named = named(query, &mut sql);
    if named.is_empty() {
        let all = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
        sql.text = format!("SELECT e.seq FROM @entry e WHERE {all} ORDER BY e.seq {order} LIMIT {limit}");
    } else {
        let rest = conditions.iter().map(|condition| format!(" AND {condition}")).collect::<String>();
        sql.text = format!(
            "WITH named AS MATERIALIZED (SELECT e.seq FROM @entry e WHERE {})
             SELECT e.seq FROM named JOIN @entry e USING (seq) WHERE TRUE{rest} ORDER BY e.seq {order} LIMIT {limit}",
            named.join(" AND ")
        );
    }
    sql
}

/// The connections and kinds whose entries match, where that is nearly all that is asked for and they are few.
fn merged(query: &Query) -> Option<Vec<(&ConnectionId, EntryKind)>> {
    let connections: Vec<&ConnectionId> = match (&query.connection, &query.within) {
        (Some(connection), None) => vec![connection],
        (Some(connection), Some(within)) => within.iter().filter(|one| *one == connection).take(1).collect(),
        (None, Some(within)) => within.iter().collect::<BTreeSet<_>>().into_iter().collect(),
        (None, None) => return None,
    };
    let kinds = query.kind.map_or_else(|| EntryKind::ALL.to_vec(), |kind| vec![kind]);
    let is_of_few = !matches!(query.state, None | Some(EntryState::Done))
        || query.acknowledged.is_some()
        || query.name.is_some()
        || query.destination.is_some()
        || query.amount_from.is_some()
        || query.amount_to.is_some()
        || query.currency.is_some()
        || query.error.is_some()
        || query.from.is_some()
        || query.to.is_some();
    let is_named = query.entity.is_some()
        || query.number.is_some()
        || query.receipt.is_some()
        || query.receipt_prefix.is_some()
        || query.family_of.is_some()
        || !query.seqs.is_empty();
    let many = connections.is_empty() || connections.len() * kinds.len() > MOST_MERGED;
    if is_of_few || is_named || many {
        return None;
    }
    let pairs = connections.into_iter().flat_map(|one| kinds.iter().map(move |kind| (one, *kind)));
    Some(pairs.collect())
}

/// `ASC` or `DESC`.
pub(super) fn order(query: &Query) -> &'static str {
    if query.newest_first { "DESC" } else { "ASC" }
}

/// What hardly any entry has, and that has an index.
fn named(query: &Query, sql: &mut Sql) -> Vec<String> {
    let mut conditions = Vec::new();
    if let Some(entity) = &query.entity {
        let (id, kind) = (sql.text(&entity.id), sql.text(&entity.kind));
        conditions.push(format!("e.entity_id = {id} AND e.entity_kind = {kind}"));
    }
    if let Some(number) = &query.number {
        conditions.push(format!("e.number = {}", sql.text(number)));
    }
    if let Some(receipt) = &query.receipt {
        let receipt = sql.text(receipt);
        conditions.push(format!("e.seq IN (SELECT seq FROM @outcome WHERE receipt = {receipt})"));
    }
    if let Some(prefix) = &query.receipt_prefix {
        // No text that means something holds the last character of all.
        let (from, beyond) = (sql.text(prefix), sql.text(&format!("{prefix}{}", char::MAX)));
        conditions.push(format!(
            "e.seq IN (SELECT seq FROM @outcome WHERE receipt >= {from} AND receipt < {beyond})"
        ));
    }
    if let Some(seq) = query.family_of {
        let seq = sql.value(number(seq), Type::INT8);
        let root = format!("(SELECT root FROM @entry WHERE seq = {seq})");
        conditions.push(format!("(e.seq = {root} OR e.root <> e.seq AND e.root = {root})"));
    }
    if !query.seqs.is_empty() {
        let seqs: Vec<i64> = query.seqs.iter().copied().map(number).collect();
        let seqs = sql.value(seqs, Type::INT8_ARRAY);
        conditions.push(format!("e.seq = ANY({seqs})"));
    }
    conditions
}

/// What the entry itself says.
fn of_entry(query: &Query, sql: &mut Sql) -> Vec<String> {
    let mut conditions = Vec::new();
    if let Some(connection) = &query.connection {
        conditions.push(format!("e.connection = {}", sql.text(connection.as_str())));
    }
    if let Some(within) = &query.within {
        let within: Vec<String> =
            within.iter().map(|connection| text(connection.as_str()).into_owned()).collect();
        conditions.push(format!("e.connection = ANY({})", sql.value(within, Type::TEXT_ARRAY)));
    }
    match query.kind {
        Some(EntryKind::Signal) => conditions.push("e.kind = 1".to_owned()),
        // The constant, because some indexes leave signals out.
        Some(kind) => conditions.push(format!("e.kind <> 1 AND e.kind = {}", kind as u8)),
        None => {}
    }
    if let Some(name) = &query.name {
        conditions.push(format!("e.name = {}", sql.text(name)));
    }
    if let Some(destination) = &query.destination {
        conditions.push(format!("e.destination = {}", sql.text(destination)));
    }
    if let Some(from) = query.amount_from {
        conditions.push(format!("e.amount >= {}", sql.value(amount_key(from), Type::BYTEA)));
    }
    if let Some(to) = query.amount_to {
        conditions.push(format!("e.amount <= {}", sql.value(amount_key(to), Type::BYTEA)));
    }
    if let Some(currency) = &query.currency {
        conditions.push(format!("e.currency = {}", sql.text(currency.as_str())));
    }
    if let Some(error) = &query.error {
        // Only outcomes of an attempt have reasons that are errors. `OFFSET` keeps the planner from reading all outcomes: they
        // are looked at of those entries alone that match in everything else.
        let error = sql.text(error);
        conditions.push(format!(
            "EXISTS (SELECT 1 FROM @outcome o
                     WHERE o.seq = e.seq AND o.what IN (2, 3, 5, 6) AND strpos(o.reason, {error}) > 0 OFFSET 0)"
        ));
    }
    if let Some(from) = query.from {
        conditions.push(format!("e.at >= {}", from.as_millis()));
    }
    if let Some(to) = query.to {
        conditions.push(format!("e.at < {}", to.as_millis()));
    }
    if let Some(after) = query.after {
        let beyond = if query.newest_first { '<' } else { '>' };
        conditions.push(format!("e.seq {beyond} {}", number(after)));
    }
    conditions
}

/// What the work list and `settled` say. On the work list, and dead or the like, are few.
fn of_state(query: &Query) -> Vec<String> {
    let settled =
        |state: EntryState| format!("e.seq IN (SELECT seq FROM @settled WHERE state = {})", state as u8);
    // Who is known to wait or to be dead, and by whether somebody knows of it, is one question.
    match (query.state, query.acknowledged) {
        (Some(EntryState::Dead), Some(is)) => {
            let dead = EntryState::Dead as u8;
            let sql =
                format!("e.seq IN (SELECT seq FROM @settled WHERE state = {dead} AND acknowledged = {is})");
            return vec![sql];
        }
        (Some(EntryState::Parked), Some(is)) => {
            let sql =
                format!("e.seq IN (SELECT seq FROM @work WHERE due = {PARKED_DUE} AND acknowledged = {is})");
            return vec![sql];
        }
        _ => {}
    }
    let state = query.state.map(|state| match state {
        EntryState::Pending => format!("e.seq IN (SELECT seq FROM @work WHERE due < {PARKED_DUE})"),
        EntryState::Parked => format!("e.seq IN (SELECT seq FROM @work WHERE due = {PARKED_DUE})"),
        EntryState::Done => "NOT EXISTS (SELECT 1 FROM @work w WHERE w.part = e.part AND w.seq = e.seq)
             AND NOT EXISTS (SELECT 1 FROM @settled s WHERE s.seq = e.seq)"
            .to_owned(),
        state => settled(state),
    });
    let acknowledged = query.acknowledged.map(|is| {
        format!(
            "e.seq IN (SELECT seq FROM @work WHERE due = {PARKED_DUE} AND acknowledged = {is}
                       UNION ALL SELECT seq FROM @settled WHERE state = {} AND acknowledged = {is})",
            EntryState::Dead as u8
        )
    });
    state.into_iter().chain(acknowledged).collect()
}
