//! Replacing the stored form of what is there, for encryption.

use async_trait::async_trait;
use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{
    Result,
    audit::{
        DocKey, DocumentRewrite, EntryRewrite, KeyedChain, Query, Recorded, Rename, RewriteLog,
        StoredDocument, StoredEntry, amount_key,
    },
    model::{DedupeKey, Seq},
};

use super::{
    PostgresLog, chain,
    error::Failure,
    query,
    server::{Param, Session, Work},
    values::{number, seq, text},
};
use crate::columns::OutcomeColumns;

type Done<T> = std::result::Result<T, Failure>;

#[async_trait]
impl RewriteLog for PostgresLog {
    async fn stored_entries(&self, after: Seq, limit: usize) -> Result<Vec<StoredEntry>> {
        const OPERATION: &str = "postgres_log.stored_entries";
        let page = Query::default().after(after).with_bodies().with_limit(limit.max(1));
        let entries = query::entries(&self.server, &page).await?;
        let seqs: Vec<i64> = entries.iter().map(|entry| number(entry.seq)).collect();
        let sql = "SELECT seq, dedupe FROM @entry WHERE seq = ANY($1) AND dedupe IS NOT NULL";
        let rows = self.server.read(OPERATION, sql, &[(&seqs, Type::INT8_ARRAY)]).await?;
        let key = |row: &Row| Ok((seq(row, 0)?, DedupeKey::from(row.try_get::<_, &str>(1)?)));
        let keys: Done<std::collections::HashMap<Seq, DedupeKey>> = rows.iter().map(key).collect();
        let mut keys = keys.map_err(|failure| failure.during(OPERATION))?;
        let stored = entries.into_iter().take(limit);
        Ok(stored.map(|entry| StoredEntry { dedupe: keys.remove(&entry.seq), entry }).collect())
    }

    async fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Result<Vec<StoredDocument>> {
        const OPERATION: &str = "postgres_log.stored_documents";
        let after = after.map(|key| text(key.as_str()).into_owned());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT key, version, bytes FROM @document WHERE $1::text IS NULL OR key > $1 ORDER BY key LIMIT $2";
        let rows = self.server.read(OPERATION, sql, &[(&after, Type::TEXT), (&limit, Type::INT8)]).await?;
        let document = |row: &Row| -> Done<StoredDocument> {
            Ok(StoredDocument {
                key: DocKey::from_stored(row.try_get(0)?),
                version: row.try_get::<_, i64>(1)?.cast_unsigned(),
                bytes: row.try_get::<_, Option<Vec<u8>>>(2)?.map(Into::into),
            })
        };
        let documents: Done<Vec<StoredDocument>> = rows.iter().map(document).collect();
        documents.map_err(|failure| failure.during(OPERATION))
    }

    async fn rename(&self, names: Vec<Rename>) -> Result<()> {
        self.server.write("postgres_log.rename", &mut Renames(names)).await
    }

    async fn rewrite(&self, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) -> Result<()> {
        self.server.write("postgres_log.rewrite", &mut Rewrites { entries, documents }).await
    }

    async fn key_chain(&self, keyed: KeyedChain) -> Result<bool> {
        chain::key(&self.server, keyed).await
    }
}

struct Renames(Vec<Rename>);

impl Work for Renames {
    type Output = ();

    async fn run(&mut self, session: &Session<'_>) -> Done<()> {
        let dedupe = self.0.iter().filter_map(|name| match name {
            Rename::Dedupe { from, .. } => Some(text(from.as_str()).into_owned()),
            Rename::Document { .. } => None,
        });
        let dedupe: Vec<String> = dedupe.collect();
        let intact = chain::intact(session, &chain::with_dedupe(session, &dedupe).await?).await?;
        for name in &self.0 {
            let (table, column, from, to) = match name {
                Rename::Document { from, to } => ("document", "key", from.as_str(), to.as_str()),
                Rename::Dedupe { from, to } => ("entry", "dedupe", from.as_str(), to.as_str()),
            };
            // A name that is taken stays whose it is; one that is taken at this moment has all of it tried again.
            let sql = format!(
                "UPDATE @{table} SET {column} = $2
                 WHERE {column} = $1 AND NOT EXISTS (SELECT 1 FROM @{table} WHERE {column} = $2)"
            );
            let (from, to) = (text(from), text(to));
            session.rows(&sql, &[(&&*from, Type::TEXT), (&&*to, Type::TEXT)]).await?;
        }
        chain::relink(session, intact).await
    }
}

struct Rewrites {
    entries: Vec<EntryRewrite>,
    documents: Vec<DocumentRewrite>,
}

impl Work for Rewrites {
    type Output = ();

    async fn run(&mut self, session: &Session<'_>) -> Done<()> {
        let seqs: Vec<i64> = self.entries.iter().map(|entry| number(entry.seq)).collect();
        let intact = chain::intact(session, &seqs).await?;
        for entry in &self.entries {
            rewrite_entry(session, entry).await?;
        }
        for DocumentRewrite { key, version, bytes } in &self.documents {
            let (key, version) = (text(key.as_str()), version.cast_signed());
            let sql = "UPDATE @document SET bytes = $3 WHERE key = $1 AND version = $2 AND bytes IS NOT NULL";
            let params: [Param<'_>; 3] =
                [(&&*key, Type::TEXT), (&version, Type::INT8), (&&**bytes, Type::BYTEA)];
            session.rows(sql, &params).await?;
        }
        chain::relink(session, intact).await
    }
}

async fn rewrite_entry(session: &Session<'_>, rewrite: &EntryRewrite) -> Done<()> {
    let EntryRewrite { seq, index, body, trace, outcomes } = rewrite;
    let seq = number(*seq);
    let entity = index.entity.as_ref();
    let texts = [
        entity.map(|entity| &entity.kind),
        entity.map(|entity| &entity.id),
        index.number.as_ref(),
        index.name.as_ref(),
        index.destination.as_ref(),
    ];
    let [entity_kind, entity_id, name_of, name, destination] =
        texts.map(|it| it.map(|it| text(it).into_owned()));
    let amount = index.amount.map(|money| amount_key(money.amount));
    let currency = index.amount.as_ref().map(|money| money.currency.as_str());
    let (trace, body) = (trace.as_deref(), body.as_deref());
    let sql = "UPDATE @entry SET entity_kind = $2, entity_id = $3, number = $4, name = $5, amount = $6, currency = $7,
                                 destination = $8, trace = $9, body = $10
               WHERE seq = $1";
    let params: [Param<'_>; 10] = [
        (&seq, Type::INT8),
        (&entity_kind, Type::TEXT),
        (&entity_id, Type::TEXT),
        (&name_of, Type::TEXT),
        (&name, Type::TEXT),
        (&amount, Type::BYTEA),
        (&currency, Type::TEXT),
        (&destination, Type::TEXT),
        (&trace, Type::BYTEA),
        (&body, Type::BYTEA),
    ];
    session.rows(sql, &params).await?;
    for (place, Recorded { outcome, trace, .. }) in (0_i64..).zip(outcomes) {
        let columns = OutcomeColumns::of(outcome).ok_or(Failure::Unreadable("an outcome of a newer core"))?;
        let reason = columns.reason.as_deref().map(|it| text(it).into_owned());
        let receipt = columns.receipt.as_deref().map(|it| text(it).into_owned());
        let actor = columns.actor.as_deref().map(|it| text(it).into_owned());
        let (note, trace) = (columns.note.as_deref(), trace.as_deref());
        let sql = "UPDATE @outcome SET reason = $4, receipt = $5, actor = $6, note = $7, trace = $8
                   WHERE seq = $1 AND what = $3
                     AND nth = (SELECT nth FROM @outcome WHERE seq = $1 ORDER BY nth OFFSET $2 LIMIT 1)";
        let params: [Param<'_>; 8] = [
            (&seq, Type::INT8),
            (&place, Type::INT8),
            (&columns.what, Type::INT2),
            (&reason, Type::TEXT),
            (&receipt, Type::TEXT),
            (&actor, Type::TEXT),
            (&note, Type::BYTEA),
            (&trace, Type::BYTEA),
        ];
        session.rows(sql, &params).await?;
    }
    Ok(())
}
