//! Checking the chains of a log: page by page, each from one state of its partition.

use std::collections::BTreeSet;

use async_trait::async_trait;
use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{
    Result,
    audit::{ChainHead, ChainedLog, Verified},
};

use super::{
    PostgresLog,
    chain::{End, all_ends, digests, ends, is_kept, lock, page},
    error::Failure,
    server::{Server, Session, Work},
};
use crate::chain::{self, Check, PAGE, Stored, Subject, Tag};

type Done<T> = std::result::Result<T, Failure>;

/// The next links of a partition, with the digests that the rows they are about have now.
struct Page {
    part: i16,
    after: i64,
}

impl Work for Page {
    type Output = (End, Vec<(Option<Tag>, Stored)>);

    async fn run(&mut self, session: &Session<'_>) -> Done<Self::Output> {
        let part = BTreeSet::from([self.part]);
        lock(session, &part).await?;
        let end = ends(session, &part)
            .await?
            .remove(&self.part)
            .ok_or(Failure::Unreadable("where a chain begins"))?;
        let after = self.after.max(end.anchor.last.position);
        let links = page(session, self.part, after, PAGE).await?;
        let seqs: BTreeSet<i64> = links.iter().map(|stored| stored.subject.seq).collect();
        let found = digests(session, &seqs.into_iter().collect::<Vec<_>>()).await?;
        let with_row = |stored: Stored| {
            let Subject { seq, nth } = stored.subject;
            (found.get(&Subject { seq, nth: nth.max(0) }).copied(), stored)
        };
        Ok((end, links.into_iter().map(with_row).collect()))
    }
}

/// Whether the tables of a chain are there.
struct IsKept(String);

impl Work for IsKept {
    type Output = bool;

    async fn run(&mut self, session: &Session<'_>) -> Done<bool> {
        is_kept(session, &self.0).await
    }
}

#[async_trait]
impl ChainedLog for PostgresLog {
    async fn heads(&self) -> Result<Vec<ChainHead>> {
        const OPERATION: &str = "postgres_log.heads";
        if !self.server.chain().is_kept() {
            return chain::none_kept();
        }
        let ends = all_ends(&self.server, OPERATION).await?;
        Ok(ends.into_iter().map(|End { anchor, head, .. }| head.shown(anchor.part)).collect())
    }

    async fn verify(&self, kept: &[ChainHead]) -> Result<Verified> {
        const OPERATION: &str = "postgres_log.verify";
        let (key, was_keyed) = (self.server.chain().key(), self.server.chain().was_keyed());
        let mut verified = Verified::default();
        if !self.server.write(OPERATION, &mut IsKept(self.server.schema().to_owned())).await? {
            if !was_keyed && !self.server.chain().is_kept() {
                return chain::none_kept();
            }
            verified.broken.push(chain::all_gone());
            return Ok(verified);
        }
        let mut checks = Vec::new();
        for End { anchor, proof, head } in all_ends(&self.server, OPERATION).await? {
            anchor.check_key(key.as_ref())?;
            let (part, has_links) = (i16::from(anchor.part), head.position > anchor.last.position);
            let mut check = Check::begin(anchor, &proof, (&key, was_keyed), kept);
            while has_links && check.broken.is_none() {
                let mut next = Page { part, after: check.position() };
                let (End { anchor, proof, .. }, links) = self.server.write(OPERATION, &mut next).await?;
                check.begins_later(anchor, &proof);
                if links.is_empty() {
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
            let (last, found) = unlinked(&self.server, OPERATION, after).await?;
            for (part, subject) in found {
                if let Some(check) = usize::try_from(part).ok().and_then(|part| checks.get_mut(part)) {
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

/// Of the next entries, those that have no link though they should, or more outcomes than links. With the last entry that
/// was looked at.
async fn unlinked(
    server: &Server,
    operation: &'static str,
    after: i64,
) -> Result<(Option<i64>, Vec<(i16, Subject)>)> {
    let sql = "SELECT e.seq, e.part, e.seq > a.after AND NOT EXISTS (SELECT 1 FROM @chain c WHERE c.seq = e.seq AND c.nth = 0),
                      (SELECT count(*) FROM @outcome o WHERE o.seq = e.seq),
                      (SELECT count(DISTINCT c.nth) FROM @chain c WHERE c.seq = e.seq AND c.nth > 0), e.seq > a.after
               FROM (SELECT seq, part FROM @entry WHERE seq > $1 ORDER BY seq LIMIT $2) e
               LEFT JOIN @chain_anchor a ON a.part = e.part ORDER BY e.seq";
    let rows = server.read(operation, sql, &[(&after, Type::INT8), (&PAGE, Type::INT8)]).await?;
    let (mut last, mut found) = (None, Vec::new());
    let mut look = |row: &Row| -> Done<()> {
        let (seq, part): (i64, i16) = (row.try_get(0)?, row.try_get(1)?);
        last = Some(seq);
        let (outcomes, links): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        if row.try_get::<_, Option<bool>>(2)? == Some(true) {
            found.push((part, Subject { seq, nth: 0 }));
        } else if row.try_get::<_, Option<bool>>(5)? == Some(true) && outcomes > links {
            found.push((part, Subject { seq, nth: outcomes }));
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut look).map_err(|failure| failure.during(operation))?;
    Ok((last, found))
}
