//! Tamper evidence: links as rows.
//!
//! Whoever adds to the chain of a partition holds the lock of its head, as whoever appends to it does. So a check that holds
//! it sees one state of rows and links.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{
    Result, Timestamp,
    audit::{ChainKey, KeyedChain, Outcome, amount_key},
    model::{DedupeKey, Partition},
};

use super::{
    batch::{Batch, Entry},
    error::Failure,
    server::{Param, Server, Session, Work},
    values::text,
};
use crate::{
    chain::{Anchor, DROPPED_AT_ONCE, ENTRY, EntryRow, Head, OUTCOME, OutcomeRow, Stored, Subject, Tag},
    columns::OutcomeColumns,
};

type Done<T> = std::result::Result<T, Failure>;

/// Made when the first host asks for a chain.
const TABLES: &str = "
    CREATE TABLE @chain_anchor (
        part       smallint PRIMARY KEY,
        position   bigint NOT NULL,         -- the last link that is not kept
        link       bytea NOT NULL,
        after      bigint NOT NULL,         -- entries up to here have no links
        keyed      bigint,                  -- the last link without a key; NULL = none has one
        keyed_link bytea,
        proof      bytea NOT NULL
    );
    CREATE TABLE @chain (
        part     smallint NOT NULL,
        position bigint NOT NULL,
        seq      bigint NOT NULL,
        nth      bigint NOT NULL,           -- 0 = the entry, n = its nth outcome, -1 = that it was pruned
        digest   bytea NOT NULL,
        link     bytea NOT NULL,
        PRIMARY KEY (part, position)
    );
    CREATE INDEX chain_subject ON @chain (seq, nth)";

/// Whether the schema keeps a chain.
pub(super) async fn is_kept(session: &Session<'_>, schema: &str) -> Done<bool> {
    let sql = "SELECT count(*) = 2 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname IN ('chain', 'chain_anchor')";
    let rows = session.rows(sql, &[(&schema, Type::TEXT)]).await?;
    Ok(rows.first().ok_or(Failure::Unreadable("the names of tables"))?.try_get(0)?)
}

/// Begins a chain in each partition, where there is none: what is there has no links.
pub(super) async fn begin(session: &Session<'_>, schema: &str) -> Done<()> {
    if is_kept(session, schema).await? {
        return Ok(());
    }
    session.rows("SELECT part FROM @head ORDER BY part FOR UPDATE", &[]).await?;
    session.batch(TABLES).await?;
    let last = session.rows("SELECT coalesce(max(seq), 0) FROM @entry", &[]).await?;
    let last: i64 = last.first().ok_or(Failure::Unreadable("the last number"))?.try_get(0)?;
    for partition in Partition::all() {
        save(session, &Anchor::begin(partition.number(), last), None).await?;
    }
    Ok(())
}

/// The partitions of entries.
pub(super) async fn parts_of(session: &Session<'_>, seqs: &[i64]) -> Done<BTreeMap<i64, i16>> {
    let sql = "SELECT seq, part FROM @entry WHERE seq = ANY($1)";
    let rows = session.rows(sql, &[(&seqs, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Takes the locks that adding to chains needs.
pub(super) async fn lock(session: &Session<'_>, parts: &BTreeSet<i16>) -> Done<()> {
    let parts: Vec<i16> = parts.iter().copied().collect();
    let sql = "SELECT part FROM @head WHERE part = ANY($1) ORDER BY part FOR UPDATE";
    session.rows(sql, &[(&parts, Type::INT2_ARRAY)]).await.map(drop)
}

/// How many outcomes entries have.
pub(super) async fn outcomes_of(session: &Session<'_>, seqs: &[i64]) -> Done<HashMap<i64, i64>> {
    let sql = "SELECT seq, count(*) FROM @outcome WHERE seq = ANY($1) GROUP BY seq";
    let rows = session.rows(sql, &[(&seqs, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Links what a batch has written.
pub(super) async fn link(session: &Session<'_>, batch: &Batch<'_>) -> Done<()> {
    if !session.chain().is_kept() {
        return Ok(());
    }
    let mut parts = batch.parts.clone();
    let mut counts = batch.outcome_counts.clone();
    let mut links = Vec::with_capacity(batch.entries.len() + batch.outcomes.len());
    for entry in &batch.entries {
        let (seq, part) = (entry.seq.0.cast_signed(), i16::from(entry.new.partition.number()));
        parts.insert(seq, part);
        links.push((part, Subject { seq, nth: 0 }, entry_written(entry)));
    }
    for (seq, outcome, trace, at) in &batch.outcomes {
        let seq = seq.0.cast_signed();
        let count = counts.entry(seq).or_default();
        *count += 1;
        let subject = Subject { seq, nth: *count };
        let part = parts.get(&seq).copied().ok_or(Failure::Overtaken)?;
        links.push((part, subject, outcome_written(seq, outcome, trace.as_deref(), *at)?));
    }
    add(session, &links).await
}

/// Adds links to the chains of partitions whose locks are held.
async fn add(session: &Session<'_>, links: &[(i16, Subject, Tag)]) -> Done<()> {
    if links.is_empty() {
        return Ok(());
    }
    let key = session.chain().key();
    let parts: BTreeSet<i16> = links.iter().map(|(part, ..)| *part).collect();
    let mut ends = ends(session, &parts).await?;
    let mut positions = Vec::with_capacity(links.len());
    let mut tags = Vec::with_capacity(links.len());
    for (part, subject, digest) in links {
        let End { anchor, head, .. } =
            ends.get_mut(part).ok_or(Failure::Unreadable("where a chain begins"))?;
        anchor.check_key(key.as_ref()).map_err(|error| Failure::Refused(Box::new(error)))?;
        let of_link = anchor.key_at(head.position + 1, key.as_ref());
        *head = head.next(of_link, anchor.part, *subject, digest);
        positions.push(head.position);
        tags.push(head.link.to_vec());
    }
    let column = |value: fn(&(i16, Subject, Tag)) -> i64| links.iter().map(value).collect::<Vec<_>>();
    let parts: Vec<i16> = links.iter().map(|(part, ..)| *part).collect();
    let (seqs, nths) = (column(|(_, subject, _)| subject.seq), column(|(_, subject, _)| subject.nth));
    let digests: Vec<Vec<u8>> = links.iter().map(|(.., digest)| digest.to_vec()).collect();
    let params: [Param<'_>; 6] = [
        (&parts, Type::INT2_ARRAY),
        (&positions, Type::INT8_ARRAY),
        (&seqs, Type::INT8_ARRAY),
        (&nths, Type::INT8_ARRAY),
        (&digests, Type::BYTEA_ARRAY),
        (&tags, Type::BYTEA_ARRAY),
    ];
    let sql = "INSERT INTO @chain (part, position, seq, nth, digest, link)
               SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[])";
    session.rows(sql, &params).await.map(drop)
}

/// Of these entries, those that have links, and their partitions.
pub(super) async fn linked(session: &Session<'_>, seqs: &[i64]) -> Done<BTreeMap<i64, i16>> {
    let sql = "SELECT seq, part FROM @entry e
               WHERE seq = ANY($1) AND EXISTS (SELECT 1 FROM @chain c WHERE c.seq = e.seq)";
    let rows = session.rows(sql, &[(&seqs, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Links removals, and drops what can be dropped since. The locks of the partitions are held.
pub(super) async fn removed(session: &Session<'_>, gone: &BTreeMap<i64, i16>) -> Done<()> {
    let links: Vec<_> = gone.iter().map(|(seq, part)| (*part, Subject::removal_of(*seq), [0; 32])).collect();
    add(session, &links).await?;
    let parts: BTreeSet<i16> = gone.values().copied().collect();
    for (part, End { anchor, proof, .. }) in ends(session, &parts).await? {
        drop_front(session, part, anchor, &proof).await?;
    }
    Ok(())
}

/// Drops links at the front that nothing needs, as far as they are what they should be.
async fn drop_front(session: &Session<'_>, part: i16, mut anchor: Anchor, proof: &[u8]) -> Done<()> {
    let key = session.chain().key();
    if anchor.proof(key.as_ref()) != *proof {
        return Ok(());
    }
    let begins = anchor.last.clone();
    for stored in page(session, part, begins.position, DROPPED_AT_ONCE).await? {
        let of_link = anchor.key_at(anchor.last.position + 1, key.as_ref());
        let next = stored.follow(&anchor.last, anchor.part, of_link).filter(|_| stored.can_go());
        let Some(next) = next else { break };
        anchor.last = next;
    }
    if anchor.last == begins {
        return Ok(());
    }
    let sql = "DELETE FROM @chain WHERE part = $1 AND position <= $2";
    session.rows(sql, &[(&part, Type::INT2), (&anchor.last.position, Type::INT8)]).await?;
    save(session, &anchor, key.as_ref()).await
}

/// Those of these entries' rows that are as they were linked: to be given to [`relink`] when they are rewritten.
pub(super) async fn intact(session: &Session<'_>, seqs: &[i64]) -> Done<Vec<(i16, Subject, Tag)>> {
    if !session.chain().is_kept() || seqs.is_empty() {
        return Ok(Vec::new());
    }
    let parts = parts_of(session, seqs).await?;
    lock(session, &parts.values().copied().collect()).await?;
    let now = digests(session, seqs).await?;
    let sql = "SELECT DISTINCT ON (seq, nth) part, seq, nth, digest FROM @chain
               WHERE seq = ANY($1) ORDER BY seq, nth, position DESC";
    let rows = session.rows(sql, &[(&seqs, Type::INT8_ARRAY)]).await?;
    let mut intact = Vec::with_capacity(rows.len());
    for row in &rows {
        let subject = Subject { seq: row.try_get(1)?, nth: row.try_get(2)? };
        if let Some(digest) =
            now.get(&subject).filter(|digest| row.try_get(3).is_ok_and(|it: &[u8]| it == **digest))
        {
            intact.push((row.try_get(0)?, subject, *digest));
        }
    }
    Ok(intact)
}

/// The entries that have these dedupe keys.
pub(super) async fn with_dedupe(session: &Session<'_>, keys: &[String]) -> Done<Vec<i64>> {
    if !session.chain().is_kept() || keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows =
        session.rows("SELECT seq FROM @entry WHERE dedupe = ANY($1)", &[(&keys, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Links anew what was rewritten, and was intact before.
pub(super) async fn relink(session: &Session<'_>, intact: Vec<(i16, Subject, Tag)>) -> Done<()> {
    let seqs: BTreeSet<i64> = intact.iter().map(|(_, subject, _)| subject.seq).collect();
    if seqs.is_empty() {
        return Ok(());
    }
    let now = digests(session, &seqs.into_iter().collect::<Vec<_>>()).await?;
    let rewritten = intact.into_iter().filter_map(|(part, subject, before)| {
        now.get(&subject).filter(|digest| **digest != before).map(|digest| (part, subject, *digest))
    });
    add(session, &rewritten.collect::<Vec<_>>()).await
}

fn entry_written(entry: &Entry<'_>) -> Tag {
    let new = entry.new;
    let stored = |value: Option<&str>| value.map(|value| text(value).into_owned());
    let entity = new.index.entity.as_ref();
    EntryRow {
        seq: entry.seq.0.cast_signed(),
        part: new.partition.number().into(),
        kind: (new.kind as u8).into(),
        connection: &text(new.connection.as_str()),
        parent: entry.parent.map(|seq| seq.0.cast_signed()),
        at: entry.at.as_millis(),
        entity_kind: stored(entity.map(|entity| &*entity.kind)).as_deref(),
        entity_id: stored(entity.map(|entity| &*entity.id)).as_deref(),
        number: stored(new.index.number.as_deref()).as_deref(),
        name: stored(new.index.name.as_deref()).as_deref(),
        amount: new.index.amount.map(|money| amount_key(money.amount)).as_deref(),
        currency: new.index.amount.as_ref().map(|money| money.currency.as_str()),
        destination: stored(new.index.destination.as_deref()).as_deref(),
        dedupe: stored(new.dedupe.as_ref().map(DedupeKey::as_str)).as_deref(),
        trace: new.trace.as_deref(),
        body: new.body.as_deref(),
    }
    .digest()
}

fn outcome_written(seq: i64, outcome: &Outcome, trace: Option<&[u8]>, at: Timestamp) -> Done<Tag> {
    let columns = OutcomeColumns::of(outcome).ok_or(Failure::Unreadable("an outcome of a newer core"))?;
    let stored = |value: Option<&str>| value.map(|value| text(value).into_owned());
    let digest = OutcomeRow {
        seq,
        at: at.as_millis(),
        what: columns.what.into(),
        attempt: columns.attempt.map(Into::into),
        due: columns.due.map(Timestamp::as_millis),
        uncertain: columns.uncertain.map(Into::into),
        reason: stored(columns.reason.as_deref()).as_deref(),
        receipt: stored(columns.receipt.as_deref()).as_deref(),
        actor: stored(columns.actor.as_deref()).as_deref(),
        replay: columns.replay.map(|replay| replay.0.cast_signed()),
        note: columns.note.as_deref(),
        trace,
    }
    .digest();
    Ok(digest)
}

/// The digests of entries and their outcomes as they are stored now.
pub(super) async fn digests(session: &Session<'_>, seqs: &[i64]) -> Done<HashMap<Subject, Tag>> {
    let mut found = HashMap::new();
    let entries = format!("SELECT {ENTRY} FROM @entry WHERE seq = ANY($1)");
    for row in &session.rows(&entries, &[(&seqs, Type::INT8_ARRAY)]).await? {
        found.insert(Subject { seq: row.try_get(0)?, nth: 0 }, entry_digest(row)?);
    }
    let outcomes = format!(
        "SELECT {OUTCOME}, row_number() OVER (PARTITION BY seq ORDER BY nth) FROM @outcome WHERE seq = ANY($1)"
    );
    for row in &session.rows(&outcomes, &[(&seqs, Type::INT8_ARRAY)]).await? {
        found.insert(Subject { seq: row.try_get(0)?, nth: row.try_get(12)? }, outcome_digest(row)?);
    }
    Ok(found)
}

fn entry_digest(row: &Row) -> Done<Tag> {
    let row = EntryRow {
        seq: row.try_get(0)?,
        part: row.try_get::<_, i16>(1)?.into(),
        kind: row.try_get::<_, i16>(2)?.into(),
        connection: row.try_get(3)?,
        parent: row.try_get(4)?,
        at: row.try_get(5)?,
        entity_kind: row.try_get(6)?,
        entity_id: row.try_get(7)?,
        number: row.try_get(8)?,
        name: row.try_get(9)?,
        amount: row.try_get(10)?,
        currency: row.try_get(11)?,
        destination: row.try_get(12)?,
        dedupe: row.try_get(13)?,
        trace: row.try_get(14)?,
        body: row.try_get(15)?,
    };
    Ok(row.digest())
}

fn outcome_digest(row: &Row) -> Done<Tag> {
    let row = OutcomeRow {
        seq: row.try_get(0)?,
        at: row.try_get(1)?,
        what: row.try_get::<_, i16>(2)?.into(),
        attempt: row.try_get(3)?,
        due: row.try_get(4)?,
        uncertain: row.try_get::<_, Option<bool>>(5)?.map(Into::into),
        reason: row.try_get(6)?,
        receipt: row.try_get(7)?,
        actor: row.try_get(8)?,
        replay: row.try_get(9)?,
        note: row.try_get(10)?,
        trace: row.try_get(11)?,
    };
    Ok(row.digest())
}

/// Where a chain begins, with its proof, and where it ends.
pub(super) struct End {
    pub(super) anchor: Anchor,
    pub(super) proof: Vec<u8>,
    pub(super) head: Head,
}

const ENDS: &str = "
    SELECT a.part, a.position, a.link, a.after, a.keyed, a.keyed_link, a.proof, c.position, c.link
    FROM @chain_anchor a LEFT JOIN LATERAL (
        SELECT position, link FROM @chain c WHERE c.part = a.part ORDER BY position DESC LIMIT 1) c ON true
    WHERE a.part = ANY($1) ORDER BY a.part";

pub(super) async fn ends(session: &Session<'_>, parts: &BTreeSet<i16>) -> Done<BTreeMap<i16, End>> {
    let parts: Vec<i16> = parts.iter().copied().collect();
    let rows = session.rows(ENDS, &[(&parts, Type::INT2_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, end(row)?))).collect()
}

/// The ends of all chains, from one state of the database.
pub(super) async fn all_ends(server: &Server, operation: &'static str) -> Result<Vec<End>> {
    let parts: Vec<i16> = Partition::all().map(|partition| partition.number().into()).collect();
    let rows = server.read(operation, ENDS, &[(&parts, Type::INT2_ARRAY)]).await?;
    rows.iter().map(end).collect::<Done<_>>().map_err(|failure| failure.during(operation))
}

fn end(row: &Row) -> Done<End> {
    let head = |position, link| -> Done<Option<Head>> {
        let (position, link) =
            (row.try_get::<_, Option<i64>>(position)?, row.try_get::<_, Option<&[u8]>>(link)?);
        // One that somebody has cut off is no link of any chain.
        let tag = |link: &[u8]| link.try_into().unwrap_or([0; 32]);
        Ok(position.zip(link).map(|(position, link)| Head { position, link: tag(link) }))
    };
    let last = head(1, 2)?.ok_or(Failure::Unreadable("where a chain begins"))?;
    let anchor = Anchor {
        part: u8::try_from(row.try_get::<_, i16>(0)?).unwrap_or(u8::MAX),
        last: last.clone(),
        after: row.try_get(3)?,
        keyed_after: head(4, 5)?,
    };
    Ok(End { anchor, proof: row.try_get(6)?, head: head(7, 8)?.unwrap_or(last) })
}

async fn save(session: &Session<'_>, anchor: &Anchor, key: Option<&ChainKey>) -> Done<()> {
    let keyed = anchor.keyed_after.as_ref();
    let (position, link) = (keyed.map(|head| head.position), keyed.map(|head| head.link.to_vec()));
    let (last, proof) = (anchor.last.link.to_vec(), anchor.proof(key).to_vec());
    let part = i16::from(anchor.part);
    let params: [Param<'_>; 7] = [
        (&part, Type::INT2),
        (&anchor.last.position, Type::INT8),
        (&last, Type::BYTEA),
        (&anchor.after, Type::INT8),
        (&position, Type::INT8),
        (&link, Type::BYTEA),
        (&proof, Type::BYTEA),
    ];
    let sql = "INSERT INTO @chain_anchor (part, position, link, after, keyed, keyed_link, proof)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (part) DO UPDATE SET position = excluded.position, link = excluded.link, after = excluded.after,
                   keyed = excluded.keyed, keyed_link = excluded.keyed_link, proof = excluded.proof";
    session.rows(sql, &params).await.map(drop)
}

/// The links after a position.
pub(super) async fn page(session: &Session<'_>, part: i16, after: i64, limit: i64) -> Done<Vec<Stored>> {
    let sql = "SELECT position, seq, nth, digest, link,
                      EXISTS (SELECT 1 FROM @chain l WHERE l.seq = c.seq AND l.nth = c.nth AND l.part = c.part
                                                       AND l.position > c.position),
                      EXISTS (SELECT 1 FROM @chain l WHERE l.seq = c.seq AND l.nth = -1 AND l.part = c.part
                                                       AND l.position > c.position)
               FROM @chain c WHERE part = $1 AND position > $2 ORDER BY position LIMIT $3";
    let params: [Param<'_>; 3] = [(&part, Type::INT2), (&after, Type::INT8), (&limit, Type::INT8)];
    let rows = session.rows(sql, &params).await?;
    let stored = |row: &Row| -> Done<Stored> {
        Ok(Stored {
            position: row.try_get(0)?,
            subject: Subject { seq: row.try_get(1)?, nth: row.try_get(2)? },
            digest: row.try_get(3)?,
            link: row.try_get(4)?,
            is_superseded: row.try_get(5)?,
            is_removed: row.try_get(6)?,
        })
    };
    rows.iter().map(stored).collect()
}

/// Makes all links from now on with a key.
struct UseKey(KeyedChain);

impl Work for UseKey {
    type Output = ();

    async fn run(&mut self, session: &Session<'_>) -> Done<()> {
        let parts: BTreeSet<i16> = Partition::all().map(|partition| partition.number().into()).collect();
        lock(session, &parts).await?;
        for End { anchor, head, .. } in ends(session, &parts).await?.into_values() {
            // A chain that has lost its key is not made good.
            if anchor.keyed_after.is_none() && !self.0.was_keyed {
                save(session, &Anchor { keyed_after: Some(head), ..anchor }, Some(&self.0.key)).await?;
            }
        }
        Ok(())
    }
}

/// Gives the chain of a log its key.
pub(super) async fn key(server: &Server, keyed: KeyedChain) -> Result<bool> {
    if server.chain().is_kept() {
        server.write("postgres_log.key_chain", &mut UseKey(keyed.clone())).await?;
    }
    server.chain().give(keyed);
    Ok(server.chain().is_kept())
}
