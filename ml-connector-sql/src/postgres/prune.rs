//! Forgetting what is old and settled, and what is only of use for a while.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::tokio_postgres::types::Type;
use ml_connector_core::{Result, Timestamp, audit::DocKey};

use super::{
    chain,
    error::Failure,
    server::{Server, Session, Work},
    values::text,
};

/// Neither the entry `e`, which began its family, nor any other of that is on the work list. Two questions: as one with `OR` each
/// family would be compared with all that waits.
const NOTHING_WAITS: &str = "NOT EXISTS (SELECT 1 FROM @work w WHERE w.part = e.part AND w.seq = e.seq)
     AND NOT EXISTS (SELECT 1 FROM @entry m JOIN @work w ON w.part = m.part AND w.seq = m.seq
                     WHERE m.root <> m.seq AND m.root = e.seq)";

/// Of families that began before, the oldest first, the latest entry of each first.
#[derive(Debug)]
pub(super) struct Prune {
    pub(super) before: Timestamp,
    pub(super) limit: usize,
}

impl Work for Prune {
    type Output = usize;

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<usize, Failure> {
        let (before, limit) = (self.before.as_millis(), i64::try_from(self.limit).unwrap_or(i64::MAX));
        if limit == 0 {
            return Ok(0);
        }
        let old = session
            .rows(
                &format!(
                    "SELECT e.seq FROM @entry e WHERE e.at < $1 AND e.root = e.seq AND {NOTHING_WAITS}
                     ORDER BY e.at, e.seq LIMIT $2"
                ),
                &[(&before, Type::INT8), (&limit, Type::INT8)],
            )
            .await?;
        let roots: Vec<i64> = old.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?;
        if roots.is_empty() {
            return Ok(0);
        }
        let is_chained = session.chain().is_kept();
        let mut parts = BTreeSet::new();
        if is_chained {
            let sql =
                "SELECT DISTINCT part FROM @entry WHERE seq = ANY($1) OR root <> seq AND root = ANY($1)";
            for row in &session.rows(sql, &[(&roots, Type::INT8_ARRAY)]).await? {
                parts.insert(row.try_get(0)?);
            }
            chain::lock(session, &parts).await?;
        }
        // Whoever joins one of these families holds its root until its entry is there; who comes later waits, and
        // finds what is left.
        let locked = "SELECT seq FROM @entry WHERE seq = ANY($1) ORDER BY seq FOR UPDATE";
        session.rows(locked, &[(&roots, Type::INT8_ARRAY)]).await?;
        let going = session
            .rows(
                &format!(
                    "SELECT m.seq FROM @entry e
                     CROSS JOIN LATERAL (
                         SELECT e.seq UNION ALL SELECT c.seq FROM @entry c WHERE c.root <> c.seq AND c.root = e.seq) m
                     WHERE e.seq = ANY($1) AND {NOTHING_WAITS}
                     ORDER BY e.at, e.seq, m.seq DESC LIMIT $2"
                ),
                &[(&roots, Type::INT8_ARRAY), (&limit, Type::INT8)],
            )
            .await?;
        let going: Vec<i64> =
            going.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?;
        let linked = if is_chained { chain::linked(session, &going).await? } else { BTreeMap::new() };
        // Somebody has joined from a partition that is not locked.
        if linked.values().any(|part| !parts.contains(part)) {
            return Err(Failure::Overtaken);
        }
        let mut removed = 0;
        // What is settled first: whoever changes it at this moment adds an outcome.
        for table in ["settled", "repeated", "outcome", "entry"] {
            let sql = format!(
                "WITH gone AS (DELETE FROM @{table} WHERE seq = ANY($1) RETURNING 1) SELECT count(*) FROM gone"
            );
            let rows = session.rows(&sql, &[(&going, Type::INT8_ARRAY)]).await?;
            removed = rows.first().ok_or(Failure::Unreadable("a count"))?.try_get::<_, i64>(0)?;
        }
        if is_chained {
            chain::removed(session, &linked).await?;
        }
        Ok(usize::try_from(removed).unwrap_or_default())
    }
}

/// Documents whose keys begin so, what is left of deleted ones as well.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) begin: DocKey,
    pub(super) limit: usize,
}

impl Work for Documents {
    type Output = usize;

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<usize, Failure> {
        // A key goes on after a `/`; `0` is the next character. Keys are compared byte by byte.
        let begin = text(self.begin.as_str());
        let end = format!("{}0", begin.strip_suffix('/').unwrap_or_default());
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let sql = "WITH gone AS (
                DELETE FROM @document WHERE key = ANY (ARRAY (
                    SELECT key FROM @document WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3 FOR UPDATE))
                RETURNING 1)
            SELECT count(*) FROM gone";
        let params = [(&&*begin as _, Type::TEXT), (&end as _, Type::TEXT), (&limit as _, Type::INT8)];
        let rows = session.rows(sql, &params).await?;
        let removed: i64 = rows.first().ok_or(Failure::Unreadable("a count"))?.try_get(0)?;
        Ok(usize::try_from(removed).unwrap_or_default())
    }
}

/// Puts the counts of the work list together, and forgets the marks of transactions whose answer nobody waits for any
/// more. Several hosts may do that at the same time.
pub(super) async fn tidy(server: &Server) -> Result<()> {
    let counts = "WITH gone AS (
            DELETE FROM @backlog WHERE ctid = ANY (ARRAY (SELECT ctid FROM @backlog LIMIT 50000 FOR UPDATE SKIP LOCKED))
            RETURNING connection, kind, slot, count)
        INSERT INTO @backlog SELECT connection, kind, slot, sum(count) FROM gone
        GROUP BY connection, kind, slot HAVING sum(count) <> 0";
    server.read("postgres_log.tidy", counts, &[]).await?;
    let marks = "DELETE FROM @batch WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM @batch WHERE at < now() - interval '10 minutes' LIMIT 50000 FOR UPDATE SKIP LOCKED))";
    server.read("postgres_log.tidy", marks, &[]).await.map(drop)
}
