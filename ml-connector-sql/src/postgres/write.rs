//! Writing what a batch has changed: one statement for each table.

use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use futures_util::future::try_join_all;
use ml_connector_core::{
    Timestamp,
    audit::amount_key,
    model::{DedupeKey, Seq},
};

use super::{
    batch::{Batch, Doc, Standing, Standings, Waits},
    error::Failure,
    server::{Param, Session},
    values::text,
};
use crate::columns::OutcomeColumns;

/// A statement and the arrays that it unnests.
struct Rows<'a> {
    sql: &'static str,
    columns: Vec<(Box<dyn ToSql + Sync + Send + 'a>, Type)>,
}

impl<'a> Rows<'a> {
    fn new(sql: &'static str) -> Self {
        Self { sql, columns: Vec::new() }
    }

    fn column<T: ToSql + Sync + Send + 'a>(mut self, of: Type, values: impl Iterator<Item = T>) -> Self {
        self.columns.push((Box::new(values.collect::<Vec<T>>()), of));
        self
    }
}

/// Writes everything, in one round trip.
pub(super) async fn write(session: &Session<'_>, batch: &Batch<'_>) -> Result<(), Failure> {
    let mut statements = documents(batch);
    statements.extend(entries(batch));
    statements.extend(work(batch));
    statements.extend(settled(batch));
    statements.extend(outcomes(batch)?);
    statements.extend(counts(batch));
    try_join_all(statements.iter().map(async |Rows { sql, columns }| {
        let params: Vec<Param<'_>> =
            columns.iter().map(|(values, of)| (&**values as _, of.clone())).collect();
        session.rows(sql, &params).await
    }))
    .await?;
    Ok(())
}

fn documents<'a>(batch: &'a Batch<'_>) -> Vec<Rows<'a>> {
    let of = |sql, is_stored: bool| {
        let written: Vec<_> = batch
            .documents
            .iter()
            .filter(|(_, doc)| doc.is_stored == is_stored)
            .filter_map(|(key, Doc { version, written, .. })| Some((key, *version, written.clone()?)))
            .collect();
        (!written.is_empty()).then(|| {
            Rows::new(sql)
                .column(Type::TEXT_ARRAY, written.iter().map(|(key, ..)| (*key).clone()))
                .column(Type::INT8_ARRAY, written.iter().map(|(_, version, _)| version.cast_signed()))
                .column(
                    Type::BYTEA_ARRAY,
                    written.iter().map(|(.., bytes)| bytes.as_ref().map(|it| it.to_vec())),
                )
        })
    };
    // One that somebody else has made meanwhile is a violation of its key: then all is read again.
    let new = of(
        "INSERT INTO @document (key, version, bytes)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS u (key, version, bytes) ORDER BY key",
        false,
    );
    let known = of(
        "UPDATE @document d SET version = u.version, bytes = u.bytes
         FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS u (key, version, bytes) WHERE d.key = u.key",
        true,
    );
    new.into_iter().chain(known).collect()
}

fn entries<'a>(batch: &'a Batch<'_>) -> Option<Rows<'a>> {
    let all = &batch.entries;
    if all.is_empty() {
        return None;
    }
    let index = || all.iter().map(|entry| &entry.new.index);
    let optional = |value: Option<&'a str>| value.map(text);
    let rows = Rows::new(
        "INSERT INTO @entry (seq, root, part, kind, connection, parent, at, entity_kind, entity_id, number, name, amount,
                             currency, destination, dedupe, trace, body)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::text[], $6::bigint[],
                              $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::text[],
                              $14::text[], $15::text[], $16::bytea[], $17::bytea[])",
    )
    .column(Type::INT8_ARRAY, all.iter().map(|entry| entry.seq.0.cast_signed()))
    .column(Type::INT8_ARRAY, all.iter().map(|entry| entry.root.0.cast_signed()))
    .column(Type::INT2_ARRAY, all.iter().map(|entry| i16::from(entry.new.partition.number())))
    .column(Type::INT2_ARRAY, all.iter().map(|entry| i16::from(entry.new.kind as u8)))
    .column(Type::TEXT_ARRAY, all.iter().map(|entry| text(entry.new.connection.as_str())))
    .column(Type::INT8_ARRAY, all.iter().map(|entry| entry.parent.map(|seq| seq.0.cast_signed())))
    .column(Type::INT8_ARRAY, all.iter().map(|entry| entry.at.as_millis()))
    .column(Type::TEXT_ARRAY, index().map(|of| optional(of.entity.as_ref().map(|entity| &*entity.kind))))
    .column(Type::TEXT_ARRAY, index().map(|of| optional(of.entity.as_ref().map(|entity| &*entity.id))))
    .column(Type::TEXT_ARRAY, index().map(|of| optional(of.number.as_deref())))
    .column(Type::TEXT_ARRAY, index().map(|of| optional(of.name.as_deref())))
    .column(Type::BYTEA_ARRAY, index().map(|of| of.amount.map(|money| amount_key(money.amount))))
    .column(Type::TEXT_ARRAY, index().map(|of| of.amount.map(|money| money.currency.as_str().to_owned())))
    .column(Type::TEXT_ARRAY, index().map(|of| optional(of.destination.as_deref())))
    .column(Type::TEXT_ARRAY, all.iter().map(|entry| optional(entry.new.dedupe.as_ref().map(DedupeKey::as_str))))
    .column(Type::BYTEA_ARRAY, all.iter().map(|entry| entry.new.trace.as_deref()))
    .column(Type::BYTEA_ARRAY, all.iter().map(|entry| entry.new.body.as_deref()));
    Some(rows)
}

fn work(batch: &Batch<'_>) -> Vec<Rows<'static>> {
    let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, Standings { before, after }) in &batch.standings {
        let waits = |standing: &'_ Option<Standing>| standing.as_ref().and_then(Standing::waits).cloned();
        match (waits(before), waits(after)) {
            (None, Some(waits)) => new.push((*seq, waits)),
            (Some(before), Some(after)) if before != after => changed.push((*seq, after)),
            (Some(before), None) => gone.push((*seq, before)),
            _ => {}
        }
    }
    let place = |sql, rows: &[(Seq, Waits)]| {
        Rows::new(sql)
            .column(Type::INT2_ARRAY, rows.iter().map(|(_, waits)| i16::from(waits.partition.number())))
            .column(Type::INT8_ARRAY, rows.iter().map(|(seq, _)| seq.0.cast_signed()))
    };
    let content = |to: Rows<'static>, rows: &[(Seq, Waits)]| {
        to.column(Type::INT8_ARRAY, rows.iter().map(|(_, waits)| waits.due.as_millis()))
            .column(Type::INT8_ARRAY, rows.iter().map(|(_, waits)| i64::from(waits.attempt)))
            .column(Type::BOOL_ARRAY, rows.iter().map(|(_, waits)| waits.uncertain))
            .column(Type::BOOL_ARRAY, rows.iter().map(|(_, waits)| waits.acknowledged))
    };
    let mut statements = Vec::new();
    if !new.is_empty() {
        let rows = place(
            "INSERT INTO @work (part, seq, due, attempt, uncertain, acknowledged, kind, connection, lane)
             SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::boolean[],
                                  $7::smallint[], $8::text[], $9::bigint[])",
            &new,
        );
        let rows = content(rows, &new)
            .column(Type::INT2_ARRAY, new.iter().map(|(_, waits)| i16::from(waits.kind as u8)))
            .column(
                Type::TEXT_ARRAY,
                new.iter().map(|(_, waits)| text(waits.connection.as_str()).into_owned()),
            )
            .column(Type::INT8_ARRAY, new.iter().map(|(_, waits)| waits.lane.cast_signed()));
        statements.push(rows);
    }
    if !changed.is_empty() {
        let rows = place(
            "UPDATE @work w SET due = u.due, attempt = u.attempt, uncertain = u.uncertain, acknowledged = u.acknowledged
             FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::boolean[])
                  AS u (part, seq, due, attempt, uncertain, acknowledged)
             WHERE w.part = u.part AND w.seq = u.seq",
            &changed,
        );
        statements.push(content(rows, &changed));
    }
    if !gone.is_empty() {
        statements.push(place(
            "DELETE FROM @work w USING unnest($1::smallint[], $2::bigint[]) AS u (part, seq)
             WHERE w.part = u.part AND w.seq = u.seq",
            &gone,
        ));
    }
    statements
}

fn settled(batch: &Batch<'_>) -> Vec<Rows<'static>> {
    let ended = |standing: &Option<Standing>| match standing {
        Some(Standing::Settled { state, acknowledged }) => Some((*state, *acknowledged)),
        _ => None,
    };
    let (mut filed, mut gone) = (Vec::new(), Vec::new());
    for (seq, Standings { before, after }) in &batch.standings {
        match (ended(before), ended(after)) {
            (before, Some(after)) if before != Some(after) => filed.push((*seq, after)),
            (Some(_), None) => gone.push(*seq),
            _ => {}
        }
    }
    let mut statements = Vec::new();
    if !filed.is_empty() {
        statements.push(
            Rows::new(
                "INSERT INTO @settled (seq, state, acknowledged)
                 SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::boolean[])
                 ON CONFLICT (seq) DO UPDATE SET state = excluded.state, acknowledged = excluded.acknowledged",
            )
            .column(Type::INT8_ARRAY, filed.iter().map(|(seq, _)| seq.0.cast_signed()))
            .column(Type::INT2_ARRAY, filed.iter().map(|(_, (state, _))| i16::from(*state as u8)))
            .column(Type::BOOL_ARRAY, filed.iter().map(|(_, (_, acknowledged))| *acknowledged)),
        );
    }
    if !gone.is_empty() {
        statements.push(
            Rows::new("DELETE FROM @settled WHERE seq = ANY($1)")
                .column(Type::INT8_ARRAY, gone.iter().map(|seq| seq.0.cast_signed())),
        );
    }
    statements
}

fn outcomes<'a>(batch: &'a Batch<'_>) -> Result<Option<Rows<'a>>, Failure> {
    if batch.outcomes.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(batch.outcomes.len());
    for (seq, outcome, trace, at) in &batch.outcomes {
        let columns = OutcomeColumns::of(outcome).ok_or(Failure::Unreadable("an outcome of a newer core"))?;
        all.push((*seq, columns, trace, *at));
    }
    let columns = || all.iter().map(|(_, columns, ..)| columns);
    let optional = |value: Option<&str>| value.map(|value| text(value).into_owned());
    // What belongs together keeps its order: numbers are given to rows as they come.
    let rows = Rows::new(
        "INSERT INTO @outcome (seq, at, what, attempt, due, uncertain, reason, receipt, actor, replay, note, trace)
         SELECT seq, at, what, attempt, due, uncertain, reason, receipt, actor, replay, note, trace
         FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::text[],
                     $8::text[], $9::text[], $10::bigint[], $11::bytea[], $12::bytea[]) WITH ORDINALITY
              AS u (seq, at, what, attempt, due, uncertain, reason, receipt, actor, replay, note, trace, place)
         ORDER BY place",
    )
    .column(Type::INT8_ARRAY, all.iter().map(|(seq, ..)| seq.0.cast_signed()))
    .column(Type::INT8_ARRAY, all.iter().map(|(.., at)| at.as_millis()))
    .column(Type::INT2_ARRAY, columns().map(|of| of.what))
    .column(Type::INT8_ARRAY, columns().map(|of| of.attempt.map(i64::from)))
    .column(Type::INT8_ARRAY, columns().map(|of| of.due.map(Timestamp::as_millis)))
    .column(Type::BOOL_ARRAY, columns().map(|of| of.uncertain))
    .column(Type::TEXT_ARRAY, columns().map(|of| optional(of.reason.as_deref())))
    .column(Type::TEXT_ARRAY, columns().map(|of| optional(of.receipt.as_deref())))
    .column(Type::TEXT_ARRAY, columns().map(|of| optional(of.actor.as_deref())))
    .column(Type::INT8_ARRAY, columns().map(|of| of.replay.map(|seq| seq.0.cast_signed())))
    .column(Type::BYTEA_ARRAY, columns().map(|of| of.note.as_ref().map(|bytes| bytes.to_vec())))
    .column(Type::BYTEA_ARRAY, all.iter().map(|(_, _, trace, _)| trace.as_ref().map(|bytes| bytes.to_vec())));
    Ok(Some(rows))
}

/// What is counted beside the entries.
fn counts<'a>(batch: &'a Batch<'_>) -> Vec<Rows<'a>> {
    let mut statements = Vec::new();
    let repeats = &batch.repeats;
    if !repeats.is_empty() {
        statements.push(
            Rows::new(
                "INSERT INTO @repeated (seq, count, last) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
                 ON CONFLICT (seq) DO UPDATE SET count = repeated.count + excluded.count, last = excluded.last",
            )
            .column(Type::INT8_ARRAY, repeats.keys().map(|seq| seq.0.cast_signed()))
            .column(Type::INT8_ARRAY, repeats.values().map(|(count, _)| *count))
            .column(Type::INT8_ARRAY, repeats.values().map(|(_, last)| last.as_millis())),
        );
    }
    let backlog = batch.backlog();
    if !backlog.is_empty() {
        statements.push(
            Rows::new(
                "INSERT INTO @backlog (connection, kind, slot, count)
                 SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[])",
            )
            .column(
                Type::TEXT_ARRAY,
                backlog.keys().map(|(connection, ..)| text(connection.as_str()).into_owned()),
            )
            .column(Type::INT2_ARRAY, backlog.keys().map(|(_, kind, _)| i16::from(*kind)))
            .column(Type::INT8_ARRAY, backlog.keys().map(|(.., slot)| *slot))
            .column(Type::INT8_ARRAY, backlog.values().copied()),
        );
    }
    statements
}
