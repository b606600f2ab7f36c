//! A batch of transactions: what it asks about is loaded under locks, changed in memory, and written as arrays. However
//! many transactions there are, it takes the same few round trips.
//!
//! Locks are taken in one order, and each kind in the order of its keys: fences, partitions that are appended to,
//! documents, families, what is settled. So batches wait for each other, but not in circles.

use std::collections::BTreeSet;

use deadpool_postgres::tokio_postgres::{Row, types::Type};
use futures_util::future::try_join_all;
use ml_connector_core::{
    Timestamp,
    audit::{Committed, EntryState, Parent, Transaction},
    model::{ConnectionId, Seq},
};

use super::{
    batch::{Batch, Doc, Job, Standing, Standings, Waits},
    chain,
    error::Failure,
    server::Session,
    values::{kind, number, partition, seq, text, unsigned},
    write::write,
};

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// One for each transaction.
    pub(super) committed: Vec<Committed>,
    /// The partitions whose work lists have grown, one bit for each.
    pub(super) appended: u64,
}

/// Applies transactions that [`Transaction::validate`] has seen, in order, to what [`lock`] has found for them.
pub(super) async fn apply<'a>(
    session: &Session<'_>,
    jobs: &[&'a Job],
    locked: Locked<'a>,
) -> Result<Applied, Failure> {
    let mut batch = load(session, locked).await?;
    let committed = jobs.iter().map(|job| batch.apply(&job.transaction, job.now)).collect();
    write(session, &batch).await?;
    chain::link(session, &batch).await?;
    let grown = batch.entries.iter().filter(|entry| entry.new.lane.is_some());
    let appended = grown.fold(0, |bits, entry| bits | 1 << entry.new.partition.number());
    Ok(Applied { committed, appended })
}

/// What transactions name, without repetitions and in order.
#[derive(Debug, Default)]
struct Named {
    fences: BTreeSet<i16>,
    appended: BTreeSet<i16>,
    documents: BTreeSet<String>,
    dedupe: BTreeSet<String>,
    parents: BTreeSet<i64>,
    settled: BTreeSet<i64>,
}

impl Named {
    fn by(jobs: &[&Job]) -> Self {
        let mut named = Self::default();
        for Transaction { fence, documents, append, settle } in jobs.iter().map(|job| &job.transaction) {
            named.fences.extend(fence.map(|lease| i16::from(lease.partition.number())));
            named.documents.extend(documents.iter().map(|write| text(write.key.as_str()).into_owned()));
            for entry in append {
                named.appended.insert(entry.partition.number().into());
                named.dedupe.extend(entry.dedupe.as_ref().map(|key| text(key.as_str()).into_owned()));
                named.settled.extend(entry.replays.map(number));
                if let Parent::Entry(parent) = entry.parent {
                    named.parents.insert(number(parent));
                }
            }
            named.settled.extend(settle.iter().map(|settlement| number(settlement.seq)));
        }
        named
    }
}

/// How many entries transactions add that neither a fence nor a document can refuse: as many as they name, less the duplicates
/// that are stored. `None` = some may be refused.
fn unconditional(jobs: &[&Job]) -> Option<i64> {
    let (mut entries, mut keys) = (0_usize, BTreeSet::new());
    for Transaction { fence, documents, append, .. } in jobs.iter().map(|job| &job.transaction) {
        if fence.is_some() || !documents.is_empty() {
            return None;
        }
        for entry in append {
            let is_new = entry.dedupe.as_ref().is_none_or(|key| keys.insert(text(key.as_str())));
            entries += usize::from(is_new);
        }
    }
    i64::try_from(entries).ok()
}

/// What is known once the locks are held, and what is still to be looked up.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    batch: Batch<'a>,
    parents: BTreeSet<i64>,
    settled: Vec<i64>,
    /// Numbers for new entries, and how many more it takes.
    numbers: Vec<Seq>,
    missing: usize,
}

/// Takes the locks of transactions, and their numbers where it is plain how many they need. Writes nothing.
pub(super) async fn lock<'a>(session: &Session<'_>, jobs: &[&'a Job]) -> Result<Locked<'a>, Failure> {
    let Named { fences, mut appended, documents, dedupe, mut parents, settled } = Named::by(jobs);
    let mut batch = Batch::default();
    let settled: Vec<i64> = settled.into_iter().collect();
    if session.chain().is_kept() {
        // Outcomes are added to the chain of their entry's partition, whose lock belongs to whoever does that.
        batch.parts = chain::parts_of(session, &settled).await?;
        appended.extend(batch.parts.values());
    }
    let dedupe: Vec<String> = dedupe.into_iter().collect();
    let most = unconditional(jobs);
    // Sent together, run one after the other: a duplicate is looked for once the partition is ours.
    let [fences, _, docs, duplicates, numbers] = together(session, [
        // A renewal goes on beside this; whoever takes the partition over waits for us, or we find its fence.
        ("SELECT part, fence FROM @partition WHERE part = ANY($1) AND owner IS NOT NULL ORDER BY part FOR KEY SHARE",
         fences.into_iter().collect::<Vec<_>>().into()),
        ("SELECT part FROM @head WHERE part = ANY($1) ORDER BY part FOR UPDATE", appended.into_iter().collect::<Vec<_>>().into()),
        ("SELECT key, version, bytes IS NOT NULL FROM @document WHERE key = ANY($1) ORDER BY key FOR UPDATE",
         documents.into_iter().collect::<Vec<_>>().into()),
        ("SELECT dedupe, seq FROM @entry WHERE dedupe = ANY($1)", dedupe.clone().into()),
        ("SELECT nextval('@entry_seq') FROM generate_series(1, $1 - (SELECT count(*) FROM @entry WHERE dedupe = ANY($2)))",
         Wanted::Rest(most.unwrap_or_default(), dedupe)),
    ])
    .await?;
    for row in &fences {
        batch.fences.insert(partition(row, 0)?, row.try_get::<_, i64>(1)?.cast_unsigned());
    }
    for row in &docs {
        let doc = Doc {
            is_stored: true,
            version: row.try_get::<_, i64>(1)?.cast_unsigned(),
            exists: row.try_get(2)?,
            written: None,
        };
        batch.documents.insert(row.try_get(0)?, doc);
    }
    for row in &duplicates {
        let found = seq(row, 1)?;
        parents.insert(number(found));
        batch.duplicates.insert(row.try_get(0)?, found);
    }
    let numbers: Vec<Seq> = numbers.iter().map(|row| seq(row, 0)).collect::<Result<_, _>>()?;
    let new = match most {
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(batch.duplicates.len()),
        None => batch.clone().count_new(jobs),
    };
    // Some only where a duplicate has come in between, of another partition.
    let missing = new.saturating_sub(numbers.len());
    Ok(Locked { batch, parents, settled, numbers, missing })
}

/// Loads the rest.
async fn load<'a>(
    session: &Session<'_>,
    Locked { mut batch, parents, settled, mut numbers, missing }: Locked<'a>,
) -> Result<Batch<'a>, Failure> {
    let parents: Vec<i64> = parents.into_iter().collect();
    let [_, roots, more, waiting, ended] = together(session, [
        // Pruning does not remove a family that somebody is about to join.
        ("SELECT seq FROM @entry WHERE seq IN (SELECT root FROM @entry WHERE seq = ANY($1)) ORDER BY seq FOR KEY SHARE",
         parents.clone().into()),
        ("SELECT seq, root FROM @entry WHERE seq = ANY($1)", parents.into()),
        ("SELECT nextval('@entry_seq') FROM generate_series(1, $1)", i64::try_from(missing).unwrap_or(i64::MAX).into()),
        ("SELECT w.seq, w.part, w.kind, w.connection, w.lane, w.due, w.attempt, w.uncertain, w.acknowledged
          FROM @entry e JOIN @work w ON w.part = e.part AND w.seq = e.seq
          WHERE e.seq = ANY($1) ORDER BY w.seq FOR UPDATE OF w", settled.clone().into()),
        // After that: what others have just taken off the work list is there by now.
        ("SELECT seq, state, acknowledged FROM @settled WHERE seq = ANY($1) ORDER BY seq FOR UPDATE", settled.clone().into()),
    ])
    .await?;
    if session.chain().is_kept() {
        batch.outcome_counts = chain::outcomes_of(session, &settled).await?;
    }
    for row in &roots {
        batch.roots.insert(seq(row, 0)?, seq(row, 1)?);
    }
    // A duplicate that was pruned in between is none.
    if batch.duplicates.values().any(|seq| !batch.roots.contains_key(seq)) {
        return Err(Failure::Overtaken);
    }
    for row in &more {
        numbers.push(seq(row, 0)?);
    }
    numbers.sort_unstable();
    batch.numbers = numbers.into_iter();
    for row in &waiting {
        batch.standings.insert(seq(row, 0)?, at_first(Standing::Waits(waits(row)?)));
    }
    for row in &ended {
        let number: i16 = row.try_get(1)?;
        let state = u8::try_from(number).ok().and_then(EntryState::from_u8);
        let state = state.ok_or(Failure::Unreadable("the state of an entry"))?;
        let standing = Standing::Settled { state, acknowledged: row.try_get(2)? };
        batch.standings.entry(seq(row, 0)?).or_insert_with(|| at_first(standing));
    }
    Ok(batch)
}

fn at_first(standing: Standing) -> Standings {
    Standings { before: Some(standing.clone()), after: Some(standing) }
}

fn waits(row: &Row) -> Result<Waits, Failure> {
    Ok(Waits {
        partition: partition(row, 1)?,
        kind: kind(row, 2)?,
        connection: ConnectionId::new(row.try_get::<_, &str>(3)?),
        lane: row.try_get::<_, i64>(4)?.cast_unsigned(),
        due: Timestamp::from_millis(row.try_get(5)?),
        attempt: unsigned(row, 6)?,
        uncertain: row.try_get(7)?,
        acknowledged: row.try_get(8)?,
    })
}

/// What a statement looks for.
enum Wanted {
    Parts(Vec<i16>),
    Texts(Vec<String>),
    Numbers(Vec<i64>),
    Count(i64),
    /// So many, less what is found of these.
    Rest(i64, Vec<String>),
}

impl From<Vec<i16>> for Wanted {
    fn from(parts: Vec<i16>) -> Self {
        Self::Parts(parts)
    }
}

impl From<Vec<String>> for Wanted {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Vec<i64>> for Wanted {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Numbers(numbers)
    }
}

impl From<i64> for Wanted {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

/// Sends statements together; they run in this order. One that looks for nothing is left out.
async fn together<const N: usize>(
    session: &Session<'_>,
    statements: [(&'static str, Wanted); N],
) -> Result<[Vec<Row>; N], Failure> {
    let rows = statements.iter().map(async |(sql, wanted)| match wanted {
        Wanted::Parts(parts) if !parts.is_empty() => session.rows(sql, &[(parts, Type::INT2_ARRAY)]).await,
        Wanted::Texts(texts) if !texts.is_empty() => session.rows(sql, &[(texts, Type::TEXT_ARRAY)]).await,
        Wanted::Numbers(numbers) if !numbers.is_empty() => {
            session.rows(sql, &[(numbers, Type::INT8_ARRAY)]).await
        }
        Wanted::Count(count) if *count > 0 => session.rows(sql, &[(count, Type::INT8)]).await,
        Wanted::Rest(count, of) if *count > 0 => {
            session.rows(sql, &[(count, Type::INT8), (of, Type::TEXT_ARRAY)]).await
        }
        _ => Ok(Vec::new()),
    });
    let rows = try_join_all(rows).await?;
    Ok(rows.try_into().unwrap_or_else(|_| std::array::from_fn(|_| Vec::new())))
}
