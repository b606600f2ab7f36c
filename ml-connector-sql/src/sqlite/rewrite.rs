//! Replacing the stored form of what is there, for encryption.

use async_trait::async_trait;
use ml_connector_core::{
    Result,
    audit::{
        DocKey, DocumentRewrite, EntryRewrite, KeyedChain, Outcome, Query, Recorded, Rename, RewriteLog,
        StoredDocument, StoredEntry, amount_key,
    },
    model::{DedupeKey, Seq},
};
use rusqlite::{Connection, params};

use super::{SqliteLog, chain, outcome, query};

#[async_trait]
impl RewriteLog for SqliteLog {
    async fn stored_entries(&self, after: Seq, limit: usize) -> Result<Vec<StoredEntry>> {
        let query = Query::default().after(after).with_bodies().with_limit(limit.max(1));
        self.store
            .readers
            .run("sqlite_log.stored_entries", move |connection| {
                let entries = query::entries(connection, &query)?.into_iter().take(limit);
                entries
                    .map(|entry| Ok(StoredEntry { dedupe: dedupe_key(connection, entry.seq)?, entry }))
                    .collect()
            })
            .await
    }

    async fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Result<Vec<StoredDocument>> {
        let after = after.map(|key| key.as_str().to_owned());
        self.store
            .readers
            .run("sqlite_log.stored_documents", move |connection| {
                connection
                    .prepare_cached(
                        "SELECT key, version, bytes FROM document WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2",
                    )?
                    .query_map(params![after, limit], |row| {
                        let key = DocKey::from_stored(row.get_ref(0)?.as_str()?);
                        let bytes = row.get::<_, Option<Vec<u8>>>(2)?.map(Into::into);
                        Ok(StoredDocument { key, version: row.get(1)?, bytes })
                    })?
                    .collect()
            })
            .await
    }

    async fn rename(&self, names: Vec<Rename>) -> Result<()> {
        self.store
            .writer
            .run("sqlite_log.rename", move |batch| {
                batch.savepoint(|batch| {
                    let mut renamed = Vec::new();
                    for name in &names {
                        if let Rename::Dedupe { from, .. } = name {
                            renamed.extend(chain::with_dedupe(batch.connection(), from.as_str())?);
                        }
                    }
                    chain::relinking(batch, &renamed, |connection| {
                        erasing(connection, || names.iter().try_for_each(|name| rename(connection, name)))
                    })
                })
            })
            .await
    }

    async fn rewrite(&self, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) -> Result<()> {
        self.store
            .writer
            .run("sqlite_log.rewrite", move |batch| {
                batch.savepoint(|batch| {
                    let rewritten: Vec<_> = entries.iter().map(|entry| entry.seq.0.cast_signed()).collect();
                    chain::relinking(batch, &rewritten, |connection| {
                        erasing(connection, || {
                            entries.iter().try_for_each(|entry| rewrite_entry(connection, entry))?;
                            documents.iter().try_for_each(|document| rewrite_document(connection, document))
                        })
                    })
                })
            })
            .await
    }

    async fn key_chain(&self, keyed: KeyedChain) -> Result<bool> {
        chain::key(self, keyed).await
    }
}

/// Overwrites what is replaced: otherwise it would stay in the file until its place is needed.
pub(super) fn erasing<T>(
    connection: &Connection,
    replace: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let erase = |on: bool| connection.pragma_update_and_check(None, "secure_delete", on, |_| Ok(()));
    erase(true)?;
    let replaced = replace();
    erase(false)?;
    replaced
}

fn dedupe_key(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<DedupeKey>> {
    connection
        .prepare_cached("SELECT dedupe FROM entry WHERE seq = ?1")?
        .query_row([seq.0.cast_signed()], |row| Ok(row.get::<_, Option<String>>(0)?.map(DedupeKey::from)))
}

fn rename(connection: &Connection, name: &Rename) -> rusqlite::Result<()> {
    // A name that is taken stays whose it is.
    let (sql, from, to) = match name {
        Rename::Document { from, to } => {
            ("UPDATE OR IGNORE document SET key = ?2 WHERE key = ?1", from.as_str(), to.as_str())
        }
        Rename::Dedupe { from, to } => {
            ("UPDATE OR IGNORE entry SET dedupe = ?2 WHERE dedupe = ?1", from.as_str(), to.as_str())
        }
    };
    connection.prepare_cached(sql)?.execute([from, to])?;
    Ok(())
}

fn rewrite_entry(connection: &Connection, rewrite: &EntryRewrite) -> rusqlite::Result<()> {
    let EntryRewrite { seq, index, body, trace, outcomes } = rewrite;
    let seq = seq.0.cast_signed();
    // The signals of an entity are listed apart.
    let entity = index.entity.as_ref();
    connection
        .prepare_cached(
            "UPDATE OR REPLACE signal_entity SET entity_id = ?2
             WHERE seq = ?1 AND ?2 IS NOT NULL AND entity_id = (SELECT entity_id FROM entry WHERE seq = ?1)",
        )?
        .execute(params![seq, entity.map(|entity| &entity.id)])?;
    connection
        .prepare_cached(
            "UPDATE entry SET entity_kind = ?2, entity_id = ?3, number = ?4, name = ?5, amount = ?6, currency = ?7,
                              destination = ?8, trace = ?9, body = ?10
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            entity.map(|entity| &entity.kind),
            entity.map(|entity| &entity.id),
            index.number,
            index.name,
            index.amount.map(|money| amount_key(money.amount)),
            index.amount.as_ref().map(|money| money.currency.as_str()),
            index.destination,
            trace.as_deref(),
            body.as_deref(),
        ])?;
    for (nth, Recorded { outcome, trace, .. }) in (0_i64..).zip(outcomes) {
        rewrite_outcome(connection, seq, nth, outcome, trace.as_deref())?;
    }
    Ok(())
}

fn rewrite_outcome(
    connection: &Connection,
    seq: i64,
    nth: i64,
    outcome: &Outcome,
    trace: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let columns = outcome::columns(outcome)?;
    connection
        .prepare_cached(
            "UPDATE outcome SET reason = ?3, receipt = ?4, actor = ?5, note = ?6, trace = ?7
             WHERE seq = ?1 AND what = ?8 AND nth = (SELECT nth FROM outcome WHERE seq = ?1 ORDER BY nth LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![
            seq,
            nth,
            columns.reason,
            columns.receipt,
            columns.actor,
            columns.note.as_deref(),
            trace,
            columns.what,
        ])?;
    Ok(())
}

fn rewrite_document(connection: &Connection, rewrite: &DocumentRewrite) -> rusqlite::Result<()> {
    let DocumentRewrite { key, version, bytes } = rewrite;
    connection
        .prepare_cached(
            "UPDATE document SET bytes = ?3 WHERE key = ?1 AND version = ?2 AND bytes IS NOT NULL",
        )?
        .execute(params![key.as_str(), version, &**bytes])?;
    Ok(())
}
