//! Where the chains of a batch end, and their next links.

use std::collections::HashMap;

use ml_connector_core::audit::ChainKey;
use rusqlite::{Connection, OptionalExtension, params};

use crate::chain::{self, Anchor, Chain, Head, Subject, Tag};

/// The links of a batch.
#[derive(Debug, Clone)]
pub(super) struct Links<'a> {
    chain: &'a Chain,
    key: Option<ChainKey>,
    /// Where chains end now, of those that were looked at.
    heads: HashMap<u8, (Anchor, Head)>,
}

impl<'a> Links<'a> {
    pub(super) fn new(chain: &'a Chain) -> Self {
        Self { chain, key: chain.key().filter(|_| chain.is_kept()), heads: HashMap::new() }
    }

    pub(super) fn are_kept(&self) -> bool {
        self.chain.is_kept()
    }

    /// The key of new links.
    pub(super) fn key(&self) -> Option<ChainKey> {
        self.key.clone()
    }

    /// The partition's chain is looked at anew.
    pub(super) fn forget(&mut self, part: u8) {
        self.heads.remove(&part);
    }

    /// Adds a link to the chain of a partition.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        part: u8,
        subject: Subject,
        digest: &Tag,
    ) -> rusqlite::Result<()> {
        let (anchor, head) = match self.heads.remove(&part) {
            Some(known) => known,
            None => end(connection, part)?,
        };
        if anchor.check_key(self.key.as_ref()).is_err() {
            return Err(rusqlite::Error::ToSqlConversionFailure(chain::NEEDS_KEY.into()));
        }
        let key = anchor.key_at(head.position + 1, self.key.as_ref());
        let next = head.next(key, part, subject, digest);
        connection
            .prepare_cached(
                "INSERT INTO chain (part, position, seq, nth, digest, link) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![part, next.position, subject.seq, subject.nth, digest, next.link])?;
        self.heads.insert(part, (anchor, next));
        Ok(())
    }
}

/// Where a partition's chain begins, with its proof.
pub(super) fn anchor(connection: &Connection, part: u8) -> rusqlite::Result<(Anchor, Vec<u8>)> {
    connection
        .prepare_cached(
            "SELECT position, link, after, keyed, keyed_link, proof FROM chain_anchor WHERE part = ?1",
        )?
        .query_row([part], |row| {
            let keyed = row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<Tag>>(4)?);
            let anchor = Anchor {
                part,
                last: Head { position: row.get(0)?, link: row.get(1)? },
                after: row.get(2)?,
                keyed_after: keyed.map(|(position, link)| Head { position, link }),
            };
            Ok((anchor, row.get(5)?))
        })
}

/// Where a partition's chain begins and ends.
pub(super) fn end(connection: &Connection, part: u8) -> rusqlite::Result<(Anchor, Head)> {
    let (anchor, _) = anchor(connection, part)?;
    let last = connection
        .prepare_cached("SELECT position, link FROM chain WHERE part = ?1 ORDER BY position DESC LIMIT 1")?
        .query_row([part], |row| Ok(Head { position: row.get(0)?, link: row.get(1)? }))
        .optional()?;
    let head = last.unwrap_or_else(|| anchor.last.clone());
    Ok((anchor, head))
}
