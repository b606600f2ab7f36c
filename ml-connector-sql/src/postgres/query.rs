//! Reading: the work list, documents, entries.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use deadpool_postgres::tokio_postgres::{
    Row,
    types::{FromSqlOwned, Type},
};
use ml_connector_core::{
    Result, Timestamp,
    audit::{
        Backlog, DocKey, Document, Entry, EntryKind, Index, Pending, PendingRequest, PendingScope, Query,
        Recorded, Repeats,
    },
    model::{ConnectionId, EntityRef, Money, Seq},
};

use super::{
    error::Failure,
    search,
    server::{Param, Server},
    values::{kind, number, partition, seq, text, unsigned},
};
use crate::columns::{self, OutcomeColumns};

type Read<T> = std::result::Result<T, Failure>;

/// Unsettled entries of leased partitions: one statement for all whole partitions, and one for the lanes of each kind.
pub(super) async fn pending(
    server: &Server,
    wanted: &[PendingRequest],
    limit: usize,
) -> Result<Vec<Option<Vec<Pending>>>> {
    let mut pages = vec![None; wanted.len()];
    let kinds = EntryKind::ALL.into_iter().map(Some);
    for kind in [None].into_iter().chain(kinds) {
        let of_kind = |(_, request): &(usize, &PendingRequest)| match request.scope {
            PendingScope::Partition => kind.is_none(),
            PendingScope::Lane(of, _) => kind == Some(of),
        };
        let these: Vec<_> = wanted.iter().enumerate().filter(of_kind).collect();
        if !these.is_empty() {
            read_pages(server, kind, &these, limit, &mut pages).await?;
        }
    }
    Ok(pages)
}

/// Reads work lists, or lanes of one kind.
async fn read_pages(
    server: &Server,
    kind: Option<EntryKind>,
    wanted: &[(usize, &PendingRequest)],
    limit: usize,
    pages: &mut [Option<Vec<Pending>>],
) -> Result<()> {
    const OPERATION: &str = "postgres_log.pending";
    let column = |value: fn(&PendingRequest) -> i64| -> Vec<i64> {
        wanted.iter().map(|(_, request)| value(request)).collect()
    };
    let parts = column(|request| request.lease.partition.number().into());
    let fences = column(|request| request.lease.fence.cast_signed());
    let afters = column(|request| number(request.after));
    let lanes = column(|request| match request.scope {
        PendingScope::Partition => 0,
        PendingScope::Lane(_, lane) => lane.cast_signed(),
    });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params: [Param<'_>; 5] = [
        (&parts, Type::INT8_ARRAY),
        (&fences, Type::INT8_ARRAY),
        (&afters, Type::INT8_ARRAY),
        (&lanes, Type::INT8_ARRAY),
        (&limit, Type::INT8),
    ];
    // The kind is a constant, because deliveries have an index by lane.
    let of_lane = kind.map(|kind| format!("AND w.kind = {} AND w.lane = wanted.lane", kind as u8));
    // A row in any case: whether the lease is held, from the same state of the database.
    let sql = format!(
        "SELECT held.is, w.seq, w.kind, w.connection, w.lane, w.due, w.attempt, w.uncertain, wanted.nth
         FROM (SELECT nth, part::smallint AS part, fence, after, lane
               FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                    WITH ORDINALITY AS given (part, fence, after, lane, nth)) wanted
         CROSS JOIN LATERAL (SELECT EXISTS (
             SELECT 1 FROM @partition p WHERE p.part = wanted.part AND p.fence = wanted.fence AND p.owner IS NOT NULL) AS is) held
         LEFT JOIN LATERAL (
             SELECT * FROM @work w WHERE w.part = wanted.part AND w.seq > wanted.after {} ORDER BY w.seq LIMIT $5) w
             ON held.is
         ORDER BY wanted.nth, w.seq",
        of_lane.unwrap_or_default()
    );
    let rows = server.read(OPERATION, &sql, &params).await?;
    let mut read = |row: &Row| -> Read<()> {
        let nth = usize::try_from(row.try_get::<_, i64>(8)? - 1).unwrap_or(usize::MAX);
        let page = wanted.get(nth).and_then(|(place, _)| pages.get_mut(*place));
        if row.try_get(0)?
            && let Some(page) = page
        {
            let page = page.get_or_insert_default();
            if row.try_get::<_, Option<i64>>(1)?.is_some() {
                page.push(pending_row(row)?);
            }
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut read).map_err(|failure| failure.during(OPERATION))
}

fn pending_row(row: &Row) -> Read<Pending> {
    Ok(Pending {
        seq: seq(row, 1)?,
        kind: kind(row, 2)?,
        connection: ConnectionId::new(row.try_get::<_, &str>(3)?),
        lane: row.try_get::<_, i64>(4)?.cast_unsigned(),
        due: Timestamp::from_millis(row.try_get(5)?),
        attempt: unsigned(row, 6)?,
        uncertain: row.try_get(7)?,
    })
}

/// Documents, unless they were deleted.
pub(super) async fn documents(server: &Server, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
    const OPERATION: &str = "postgres_log.documents";
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<String> = keys.iter().map(|key| text(key.as_str()).into_owned()).collect();
    let sql = "SELECT key, version, bytes FROM @document WHERE key = ANY($1) AND bytes IS NOT NULL";
    let rows = server.read(OPERATION, sql, &[(&wanted, Type::TEXT_ARRAY)]).await?;
    let read = |row: &Row| -> Read<(String, Document)> {
        let (version, bytes) =
            (row.try_get::<_, i64>(1)?.cast_unsigned(), row.try_get::<_, Vec<u8>>(2)?.into());
        Ok((row.try_get(0)?, Document { version, bytes }))
    };
    let found: Read<HashMap<String, Document>> = rows.iter().map(read).collect();
    let found = found.map_err(|failure| failure.during(OPERATION))?;
    Ok(wanted.iter().map(|key| found.get(key).cloned()).collect())
}

/// How many entries match, `cap` at most.
pub(super) async fn count(server: &Server, query: &Query, cap: usize) -> Result<usize> {
    const OPERATION: &str = "postgres_log.count";
    let matching = search::matching(query, cap);
    let sql = format!("SELECT count(*) FROM ({}) AS found", matching.text);
    let rows = server.read(OPERATION, &sql, &matching.params()).await?;
    let count = rows.first().and_then(|row| row.try_get::<_, i64>(0).ok());
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
}

/// How much waits: a row for each connection and kind.
pub(super) async fn backlog(server: &Server, now: Timestamp) -> Result<Vec<Backlog>> {
    const OPERATION: &str = "postgres_log.backlog";
    let rows = server
        .read(
            OPERATION,
            "SELECT connection, kind, slot, sum(count)::bigint FROM @backlog
             GROUP BY connection, kind, slot HAVING sum(count) <> 0 ORDER BY connection, kind, slot",
            &[],
        )
        .await?;
    let read = || -> Read<Vec<Backlog>> {
        let mut all: Vec<Backlog> = Vec::new();
        for row in &rows {
            let (of, kind): (&str, EntryKind) = (row.try_get(0)?, kind(row, 1)?);
            if all.last().is_none_or(|last| last.connection.as_str() != of || last.kind != kind) {
                all.push(Backlog::new(ConnectionId::new(of), kind));
            }
            let count =
                u64::try_from(row.try_get::<_, i64>(3)?).map_err(|_| Failure::Unreadable("a count"))?;
            if let Some(last) = all.last_mut() {
                last.add(row.try_get(2)?, count, now);
            }
        }
        Ok(all)
    };
    read().map_err(|failure| failure.during(OPERATION))
}

/// Entries that match every criterion, with their outcomes: one statement, so that they belong together.
pub(super) async fn entries(server: &Server, query: &Query) -> Result<Vec<Entry>> {
    const OPERATION: &str = "postgres_log.query";
    let matching = search::matching(query, query.effective_limit());
    let [body, trace, traces] = if query.bodies {
        ["e.body", "e.trace", "trace"]
    } else {
        ["NULL::bytea", "NULL::bytea", "NULL::bytea"]
    };
    let sql = format!(
        "SELECT e.seq, e.part, e.kind, e.connection, e.parent, e.at, e.entity_kind, e.entity_id, e.number, e.name, e.amount,
                e.currency, e.destination, w.due, w.acknowledged, r.count, r.last, {trace}, {body},
                o.at, o.what, o.attempt, o.due, o.uncertain, o.reason, o.receipt, o.actor, o.replay, o.note, o.trace
         FROM @entry e
         LEFT JOIN @work w ON w.part = e.part AND w.seq = e.seq
         LEFT JOIN @repeated r ON r.seq = e.seq
         CROSS JOIN LATERAL (
             SELECT array_agg(at ORDER BY nth) AS at, array_agg(what ORDER BY nth) AS what,
                    array_agg(attempt ORDER BY nth) AS attempt, array_agg(due ORDER BY nth) AS due,
                    array_agg(uncertain ORDER BY nth) AS uncertain, array_agg(reason ORDER BY nth) AS reason,
                    array_agg(receipt ORDER BY nth) AS receipt, array_agg(actor ORDER BY nth) AS actor,
                    array_agg(replay ORDER BY nth) AS replay, array_agg(note ORDER BY nth) AS note,
                    array_agg({traces} ORDER BY nth) AS trace
             FROM @outcome WHERE seq = e.seq) o
         WHERE e.seq IN ({}) ORDER BY e.seq {}",
        within_budget(query, &matching.text),
        search::order(query)
    );
    let rows = server.read(OPERATION, &sql, &matching.params()).await?;
    let entries: Read<Vec<Entry>> = rows.iter().map(entry).collect();
    entries.map_err(|failure| failure.during(OPERATION))
}

/// Only the first of those that match whose bodies have so many bytes together, so that no others are sent.
fn within_budget(query: &Query, matching: &str) -> String {
    let Some(most) = query.max_bytes.filter(|_| query.bodies) else { return matching.to_owned() };
    format!(
        "SELECT seq FROM (
             SELECT b.seq, sum(coalesce(octet_length(b.body), 0)) OVER (
                 ORDER BY b.seq {} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
             FROM @entry b WHERE b.seq IN ({matching})) AS sums
         WHERE coalesce(before, 0) < {}",
        search::order(query),
        most.max(1)
    )
}

fn entry(row: &Row) -> Read<Entry> {
    let shared =
        |column| -> Read<Option<Arc<str>>> { Ok(row.try_get::<_, Option<&str>>(column)?.map(Arc::from)) };
    let bytes =
        |column| -> Read<Option<Bytes>> { Ok(row.try_get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from)) };
    let mut entry = Entry::new(
        seq(row, 0)?,
        partition(row, 1)?,
        kind(row, 2)?,
        ConnectionId::new(row.try_get::<_, &str>(3)?),
        Timestamp::from_millis(row.try_get(5)?),
    );
    entry.parent = row.try_get::<_, Option<i64>>(4)?.map(|parent| Seq(parent.cast_unsigned()));
    let entity = shared(6)?.zip(shared(7)?);
    entry.index = Index {
        entity: entity.map(|(kind, id)| EntityRef { kind, id }),
        number: shared(8)?,
        name: shared(9)?,
        amount: amount(row)?,
        destination: shared(12)?,
    };
    let repeats = row.try_get::<_, Option<i64>>(15)?.zip(row.try_get::<_, Option<i64>>(16)?);
    entry.repeats = repeats
        .map(|(count, last)| Repeats { count: count.cast_unsigned(), last: Timestamp::from_millis(last) });
    entry.trace = bytes(17)?;
    entry.body = bytes(18)?;
    entry.outcomes = outcomes(row)?;
    let due = row.try_get::<_, Option<i64>>(13)?.map(Timestamp::from_millis);
    let acknowledged = row.try_get::<_, Option<bool>>(14)?.unwrap_or_default();
    (entry.state, entry.acknowledged) = columns::standing(due, acknowledged, &entry.outcomes);
    Ok(entry)
}

fn amount(row: &Row) -> Read<Option<Money>> {
    let key = row.try_get::<_, Option<&[u8]>>(10)?.zip(row.try_get::<_, Option<&str>>(11)?);
    key.map(|(key, code)| columns::money(key, code).ok_or(Failure::Unreadable("an amount"))).transpose()
}

/// Outcomes come as one array for each column.
fn outcomes(row: &Row) -> Read<Vec<Recorded>> {
    /// The values of a column, one for each outcome.
    fn column<T: FromSqlOwned>(row: &Row, column: usize) -> Read<impl FnMut() -> Option<T>> {
        let mut values = row.try_get::<_, Option<Vec<Option<T>>>>(column)?.unwrap_or_default().into_iter();
        Ok(move || values.next().flatten())
    }
    let Some(instants) = row.try_get::<_, Option<Vec<i64>>>(19)? else { return Ok(Vec::new()) };
    let (mut what, mut attempt, mut due) =
        (column::<i16>(row, 20)?, column::<i64>(row, 21)?, column::<i64>(row, 22)?);
    let (mut uncertain, mut reason) = (column::<bool>(row, 23)?, column::<String>(row, 24)?);
    let (mut receipt, mut actor) = (column::<String>(row, 25)?, column::<String>(row, 26)?);
    let (mut replay, mut note) = (column::<i64>(row, 27)?, column::<Vec<u8>>(row, 28)?);
    let mut trace = column::<Vec<u8>>(row, 29)?;
    let mut next = |at: i64| {
        let columns = OutcomeColumns {
            what: what().unwrap_or_default(),
            attempt: attempt().and_then(|attempt| u32::try_from(attempt).ok()),
            due: due().map(Timestamp::from_millis),
            uncertain: uncertain(),
            reason: reason().map(Arc::from),
            receipt: receipt().map(Arc::from),
            actor: actor().map(Arc::from),
            replay: replay().map(|seq| Seq(seq.cast_unsigned())),
            note: note().map(Bytes::from),
        };
        let outcome = columns.outcome().ok_or(Failure::Unreadable("an outcome"))?;
        Ok(Recorded { at: Timestamp::from_millis(at), outcome, trace: trace().map(Bytes::from) })
    };
    instants.into_iter().map(&mut next).collect()
}
