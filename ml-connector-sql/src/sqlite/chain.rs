//! Tamper evidence: links as rows.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use ml_connector_core::{
    Result,
    audit::{ChainHead, ChainKey, ChainedLog, KeyedChain, Verified},
    model::Partition,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    SqliteLog,
    links::{anchor, end},
    schema,
    writer::Batch,
};
use crate::chain::{
    self, Anchor, Check, DROPPED_AT_ONCE, ENTRY, EntryRow, OUTCOME, OutcomeRow, PAGE, Stored, Subject, Tag,
};

/// Made when the first program asks for a chain.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS chain_anchor (
        part       INTEGER PRIMARY KEY,
        position   INTEGER NOT NULL,    -- the last link that is not kept
        link       BLOB NOT NULL,
        after      INTEGER NOT NULL,    -- entries up to here have no links
        keyed      INTEGER,             -- the last link without a key; NULL = none has one
        keyed_link BLOB,
        proof      BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS chain (
        part     INTEGER NOT NULL,
        position INTEGER NOT NULL,
        seq      INTEGER NOT NULL,
        nth      INTEGER NOT NULL,      -- 0 = the entry, n = its nth outcome, -1 = that it was pruned
        digest   BLOB NOT NULL,
        link     BLOB NOT NULL,
        PRIMARY KEY (part, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS chain_subject ON chain (seq, nth);";

/// Links a row that was just written.
pub(super) fn link(batch: &mut Batch<'_>, part: u8, subject: Subject, digest: &Tag) -> rusqlite::Result<()> {
    let connection = batch.connection();
    batch.links.add(connection, part, subject, digest)
}

/// Whether the file keeps a chain.
pub(super) fn is_kept(connection: &Connection) -> rusqlite::Result<bool> {
    let tables =
        "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'table' AND name IN ('chain', 'chain_anchor')";
    connection.query_row(tables, [], |row| row.get(0))
}

/// Begins a chain in each partition: what is there has no links.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if !is_kept(&transaction)? {
        transaction.execute_batch(TABLES)?;
        let last = schema::last(&transaction)?.cast_signed();
        for partition in Partition::all() {
            save(&transaction, &Anchor::begin(partition.number(), last), None)?;
        }
    }
    transaction.commit()
}

/// Removals, of entries with the partitions that they were in, and what can be dropped since.
pub(super) fn removed(batch: &mut Batch<'_>, gone: &[(i64, u8)]) -> rusqlite::Result<()> {
    for (seq, part) in gone {
        link(batch, *part, Subject::removal_of(*seq), &[0; 32])?;
    }
    let mut parts: Vec<u8> = gone.iter().map(|(_, part)| *part).collect();
    parts.sort_unstable();
    parts.dedup();
    let key = batch.links.key();
    parts.into_iter().try_for_each(|part| {
        drop_front(batch.connection(), part, key.as_ref())?;
        // It begins elsewhere now.
        batch.links.forget(part);
        Ok(())
    })
}

/// Of these entries, those that have links, and their partitions.
pub(super) fn linked(connection: &Connection, seqs: &[i64]) -> rusqlite::Result<Vec<(i64, u8)>> {
    let mut linked = connection.prepare_cached(
        "SELECT part FROM entry e WHERE seq = ?1 AND EXISTS (SELECT 1 FROM chain c WHERE c.seq = e.seq)",
    )?;
    let part = |seq: &i64| linked.query_row([seq], |row| Ok((*seq, row.get(0)?))).optional().transpose();
    seqs.iter().filter_map(part).collect()
}

/// Rewrites entries by `rewrite`, and links what was intact before anew.
pub(super) fn relinking(
    batch: &mut Batch<'_>,
    seqs: &[i64],
    rewrite: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let connection = batch.connection();
    if !batch.links.are_kept() {
        return rewrite(connection);
    }
    let mut intact = Vec::new();
    for seq in seqs {
        let now = digests(connection, *seq)?;
        let linked = latest(connection, *seq)?;
        intact.extend(
            linked.into_iter().filter(|(subject, (_, digest))| now.get(&subject.nth) == Some(digest)),
        );
    }
    rewrite(connection)?;
    let mut after = HashMap::new();
    for (subject, (part, before)) in intact {
        let now = match after.get(&subject.seq) {
            Some(known) => known,
            None => after.entry(subject.seq).or_insert(digests(connection, subject.seq)?),
        };
        if let Some(digest) = now.get(&subject.nth).filter(|digest| **digest != before) {
            link(batch, part, subject, digest)?;
        }
    }
    Ok(())
}

/// The entry that has a dedupe key.
pub(super) fn with_dedupe(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT seq FROM entry WHERE dedupe = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// The last link of each subject of an entry: its partition, and the digest.
fn latest(connection: &Connection, seq: i64) -> rusqlite::Result<BTreeMap<Subject, (u8, Tag)>> {
    connection
        .prepare_cached("SELECT nth, part, digest FROM chain WHERE seq = ?1 ORDER BY position")?
        .query_map([seq], |row| Ok((Subject { seq, nth: row.get(0)? }, (row.get(1)?, row.get(2)?))))?
        .collect()
}

/// The digests of an entry and its outcomes as they are stored now, by what [`Subject::nth`] calls them.
fn digests(connection: &Connection, seq: i64) -> rusqlite::Result<BTreeMap<i64, Tag>> {
    // What cannot even be read has no digest that a link has.
    let unreadable = |_| [0; 32];
    let mut found = BTreeMap::new();
    let entry = connection
        .prepare_cached(&format!("SELECT {ENTRY} FROM entry WHERE seq = ?1"))?
        .query_row([seq], |row| Ok(entry_digest(row).unwrap_or_else(unreadable)))
        .optional()?;
    found.extend(entry.map(|digest| (0, digest)));
    let mut outcomes = connection
        .prepare_cached(&format!("SELECT {OUTCOME}, nth FROM outcome WHERE seq = ?1 ORDER BY outcome.nth"))?;
    let mut outcomes = outcomes.query([seq])?;
    while let Some(row) = outcomes.next()? {
        found.insert(row.get("nth")?, outcome_digest(row).unwrap_or_else(unreadable));
    }
    Ok(found)
}

fn entry_digest(row: &Row<'_>) -> rusqlite::Result<Tag> {
    let text = |column| -> rusqlite::Result<_> { Ok(row.get_ref(column)?.as_str_or_null()?) };
    let bytes = |column| -> rusqlite::Result<_> { Ok(row.get_ref(column)?.as_blob_or_null()?) };
    let row = EntryRow {
        seq: row.get(0)?,
        part: row.get(1)?,
        kind: row.get(2)?,
        connection: row.get_ref(3)?.as_str()?,
        parent: row.get(4)?,
        at: row.get(5)?,
        entity_kind: text(6)?,
        entity_id: text(7)?,
        number: text(8)?,
        name: text(9)?,
        amount: bytes(10)?,
        currency: text(11)?,
        destination: text(12)?,
        dedupe: text(13)?,
        trace: bytes(14)?,
        body: bytes(15)?,
    };
    Ok(row.digest())
}

fn outcome_digest(row: &Row<'_>) -> rusqlite::Result<Tag> {
    let text = |column| -> rusqlite::Result<_> { Ok(row.get_ref(column)?.as_str_or_null()?) };
    let bytes = |column| -> rusqlite::Result<_> { Ok(row.get_ref(column)?.as_blob_or_null()?) };
    let row = OutcomeRow {
        seq: row.get(0)?,
        at: row.get(1)?,
        what: row.get(2)?,
        attempt: row.get(3)?,
        due: row.get(4)?,
        uncertain: row.get(5)?,
        reason: text(6)?,
        receipt: text(7)?,
        actor: text(8)?,
        replay: row.get(9)?,
        note: bytes(10)?,
        trace: bytes(11)?,
    };
    Ok(row.digest())
}

fn save(connection: &Connection, anchor: &Anchor, key: Option<&ChainKey>) -> rusqlite::Result<()> {
    let keyed = anchor.keyed_after.as_ref();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO chain_anchor (part, position, link, after, keyed, keyed_link, proof)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            anchor.part,
            anchor.last.position,
            anchor.last.link,
            anchor.after,
            keyed.map(|head| head.position),
            keyed.map(|head| head.link),
            anchor.proof(key),
        ])?;
    Ok(())
}

/// The links after a position.
fn page(connection: &Connection, part: u8, after: i64, limit: i64) -> rusqlite::Result<Vec<Stored>> {
    connection
        .prepare_cached(
            "SELECT position, seq, nth, digest, link,
                    EXISTS (SELECT 1 FROM chain l WHERE l.seq = c.seq AND l.nth = c.nth AND l.part = c.part
                                                    AND l.position > c.position),
                    EXISTS (SELECT 1 FROM chain l WHERE l.seq = c.seq AND l.nth = -1 AND l.part = c.part
                                                    AND l.position > c.position)
             FROM chain c WHERE part = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        )?
        .query_map(params![part, after, limit], |row| {
            Ok(Stored {
                position: row.get(0)?,
                subject: Subject { seq: row.get(1)?, nth: row.get(2)? },
                digest: row.get(3)?,
                link: row.get(4)?,
                is_superseded: row.get(5)?,
                is_removed: row.get(6)?,
            })
        })?
        .collect()
}

/// Drops links at the front that nothing needs, as far as they are what they should be.
fn drop_front(connection: &Connection, part: u8, key: Option<&ChainKey>) -> rusqlite::Result<()> {
    let (mut anchor, proof) = anchor(connection, part)?;
    if anchor.proof(key) != *proof {
        return Ok(());
    }
    let begins = anchor.last.clone();
    for stored in page(connection, part, begins.position, DROPPED_AT_ONCE)? {
        let key = anchor.key_at(anchor.last.position + 1, key);
        let Some(next) = stored.follow(&anchor.last, part, key).filter(|_| stored.can_go()) else { break };
        anchor.last = next;
    }
    if anchor.last == begins {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM chain WHERE part = ?1 AND position <= ?2")?
        .execute(params![part, anchor.last.position])?;
    save(connection, &anchor, key)
}

/// Makes all links from now on with a key.
fn use_key(connection: &Connection, keyed: &KeyedChain) -> rusqlite::Result<()> {
    for partition in Partition::all() {
        let (anchor, head) = end(connection, partition.number())?;
        // A chain that has lost its key is not made good.
        if anchor.keyed_after.is_none() && !keyed.was_keyed {
            save(connection, &Anchor { keyed_after: Some(head), ..anchor }, Some(&keyed.key))?;
        }
    }
    Ok(())
}

/// Gives the chain of a log its key.
pub(super) async fn key(log: &SqliteLog, keyed: KeyedChain) -> Result<bool> {
    let chain = &log.store.chain;
    if chain.is_kept() {
        let keyed = keyed.clone();
        log.store
            .writer
            .run("sqlite_log.key_chain", move |batch| {
                batch.savepoint(|batch| use_key(batch.connection(), &keyed))
            })
            .await?;
    }
    chain.give(keyed);
    Ok(chain.is_kept())
}

#[async_trait]
impl ChainedLog for SqliteLog {
    async fn heads(&self) -> Result<Vec<ChainHead>> {
        if !self.store.chain.is_kept() {
            return chain::none_kept();
        }
        self.store
            .readers
            .run("sqlite_log.heads", |connection| {
                let head = |partition: Partition| {
                    Ok(end(connection, partition.number())?.1.shown(partition.number()))
                };
                Partition::all().map(head).collect()
            })
            .await
    }

    async fn verify(&self, kept: &[ChainHead]) -> Result<Verified> {
        const OPERATION: &str = "sqlite_log.verify";
        let (key, was_keyed) = (self.store.chain.key(), self.store.chain.was_keyed());
        let readers = &self.store.readers;
        let mut verified = Verified::default();
        if !readers.run(OPERATION, is_kept).await? {
            if !was_keyed && !self.store.chain.is_kept() {
                return chain::none_kept();
            }
            verified.broken.push(chain::all_gone());
            return Ok(verified);
        }
        let mut checks = Vec::new();
        for partition in Partition::all() {
            let part = partition.number();
            let (anchor, proof) = readers.run(OPERATION, move |connection| anchor(connection, part)).await?;
            anchor.check_key(key.as_ref())?;
            let mut check = Check::begin(anchor, &proof, (&key, was_keyed), kept);
            loop {
                let after = check.position();
                let links = readers
                    .run(OPERATION, move |connection| {
                        let begins = self::anchor(connection, part)?;
                        let links = page(connection, part, after.max(begins.0.last.position), PAGE)?;
                        let mut rows = HashMap::new();
                        let mut found = |stored: Stored| {
                            let Subject { seq, nth } = stored.subject;
                            let rows = match rows.get(&seq) {
                                Some(known) => known,
                                None => rows.entry(seq).or_insert(digests(connection, seq)?),
                            };
                            Ok((rows.get(&nth.max(0)).copied(), stored))
                        };
                        let links =
                            links.into_iter().map(&mut found).collect::<rusqlite::Result<Vec<_>>>()?;
                        Ok((begins, links))
                    })
                    .await?;
                let ((anchor, proof), links) = links;
                check.begins_later(anchor, &proof);
                if links.is_empty() || check.broken.is_some() {
                    break;
                }
                links.iter().for_each(|(found, stored)| check.link(stored, *found));
            }
            check.end();
            verified.links += check.links;
            checks.push(check);
        }
        let mut after = 0;
        loop {
            let (last, unlinked) =
                readers.run(OPERATION, move |connection| unlinked(connection, after)).await?;
            for (part, subject) in unlinked {
                if let Some(check) = checks.get_mut(usize::from(part)) {
                    check.unlinked(subject);
                }
            }
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        verified.broken = checks.into_iter().filter_map(|check| check.broken).collect();
        Ok(verified)
    }
}

/// What has no link, with the partition it is of.
type Unlinked = Vec<(u8, Subject)>;

/// Of the next entries, those that have no link though they should, or outcomes that have none. With the last entry that
/// was looked at.
fn unlinked(connection: &Connection, after: i64) -> rusqlite::Result<(Option<i64>, Unlinked)> {
    let mut rows = connection.prepare_cached(
        "SELECT e.seq, a.part, NOT EXISTS (SELECT 1 FROM chain c WHERE c.seq = e.seq AND c.nth = 0),
                (SELECT min(o.nth) FROM outcome o WHERE o.seq = e.seq AND NOT EXISTS (
                     SELECT 1 FROM chain c WHERE c.seq = o.seq AND c.nth = o.nth))
         FROM (SELECT seq, part FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2) e
         JOIN chain_anchor a ON a.part = e.part AND e.seq > a.after ORDER BY e.seq",
    )?;
    let mut rows = rows.query([after, PAGE])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, part) = (row.get(0)?, row.get(1)?);
        if row.get(2)? {
            found.push((part, Subject { seq, nth: 0 }));
        } else if let Some(nth) = row.get(3)? {
            found.push((part, Subject { seq, nth }));
        }
    }
    let last = connection
        .prepare_cached("SELECT max(seq) FROM (SELECT seq FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2)")?
        .query_row([after, PAGE], |row| row.get(0))?;
    Ok((last, found))
}
