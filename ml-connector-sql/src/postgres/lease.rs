//! Who works on which partition. Hosts share them: each asks for what it has, what is above its share goes back, and
//! what is free is taken.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::tokio_postgres::types::Type;
use ml_connector_core::{
    Error, ErrorKind, Timestamp,
    audit::{Lease, LeaseRequest},
    model::Partition,
};

use super::{
    LeaseClock, PostgresOptions,
    error::Failure,
    server::{Session, Work},
    values::{partition, text},
};

/// Answers a request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) request: LeaseRequest,
    pub(super) clock: LeaseClock,
}

impl Work for Request {
    type Output = Vec<Lease>;

    async fn run(&mut self, session: &Session<'_>) -> Result<Vec<Lease>, Failure> {
        // One host at a time: shares are counted, and nobody waits in a circle.
        session.rows("SELECT 1 FROM @meta FOR UPDATE", &[]).await?;
        match &self.request {
            LeaseRequest::Hold { owner, want, until, now } if *want > 0 => {
                let (now, until) = self.by_clock(session, *now, *until).await?;
                hold(session, owner, *want, until, now).await
            }
            LeaseRequest::Hold { owner, .. } | LeaseRequest::Release { owner } => {
                release(session, owner).await.map(|()| Vec::new())
            }
            _ => Err(Failure::Unreadable("a request of a newer core")),
        }
    }
}

impl Request {
    /// Now and the end of the lease, by whichever clock counts.
    async fn by_clock(
        &self,
        session: &Session<'_>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(Timestamp, Timestamp), Failure> {
        if self.clock == LeaseClock::Caller {
            return Ok((now, until));
        }
        let clock =
            session.rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[]).await?;
        let row = clock.first().ok_or(Failure::Unreadable("the time"))?;
        let servers = Timestamp::from_millis(row.try_get(0)?);
        let skew = servers.saturating_since(now).max(now.saturating_since(servers));
        if skew > PostgresOptions::MAX_SKEW {
            return Err(Failure::Refused(Box::new(skewed(skew))));
        }
        Ok((servers, servers + until.saturating_since(now)))
    }
}

fn skewed(skew: Duration) -> Error {
    let message = "the clock of this host differs from the database's by more than 5 s, so it gets no partitions: set both by NTP";
    Error::new(ErrorKind::ConfigInvalid, message).with_context("skew_ms", skew.as_millis())
}

async fn hold(
    session: &Session<'_>,
    owner: &Arc<str>,
    want: usize,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<Lease>, Failure> {
    let owner = &*text(owner);
    let (until, now, longest) = (until.as_millis(), now.as_millis(), (now + Lease::LONGEST).as_millis());
    let hosts = session
        .rows(
            "WITH gone AS (DELETE FROM @host WHERE owner <> $1 AND (expires_at <= $2 OR expires_at > $3)),
                  here AS (INSERT INTO @host VALUES ($1, $4)
                           ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at)
             SELECT 1 + count(*) FROM @host WHERE owner <> $1 AND expires_at > $2 AND expires_at <= $3",
            &[(&owner, Type::TEXT), (&now, Type::INT8), (&longest, Type::INT8), (&until, Type::INT8)],
        )
        .await?;
    let hosts: i64 = hosts.first().ok_or(Failure::Unreadable("the hosts"))?.try_get(0)?;
    let hosts = usize::try_from(hosts).unwrap_or(1).max(1);
    let share = want.min(usize::from(Partition::COUNT).div_ceil(hosts));
    let mine = session
        .rows("SELECT part FROM @partition WHERE owner = $1 ORDER BY part", &[(&owner, Type::TEXT)])
        .await?;
    let mut mine: Vec<i16> = mine.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    give_back(session, &mine.split_off(share.min(mine.len()))).await?;
    session
        .rows(
            "UPDATE @partition SET expires_at = $2 WHERE part = ANY($1)",
            &[(&mine, Type::INT2_ARRAY), (&until, Type::INT8)],
        )
        .await?;
    let room = i64::try_from(share - mine.len()).unwrap_or_default();
    if room > 0 {
        // Waits for settlements that have begun under the former fence; those that come later find the new one.
        let free = session
            .rows(
                "SELECT part FROM @partition WHERE owner IS NULL OR expires_at <= $1 OR expires_at > $2
                 ORDER BY part LIMIT $3 FOR UPDATE",
                &[(&now, Type::INT8), (&longest, Type::INT8), (&room, Type::INT8)],
            )
            .await?;
        let free: Vec<i16> = free.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        session
            .rows(
                "UPDATE @partition SET owner = $2, fence = fence + 1, expires_at = $3 WHERE part = ANY($1)",
                &[(&free, Type::INT2_ARRAY), (&owner, Type::TEXT), (&until, Type::INT8)],
            )
            .await?;
    }
    let held = session
        .rows("SELECT part, fence FROM @partition WHERE owner = $1 ORDER BY part", &[(&owner, Type::TEXT)])
        .await?;
    let lease =
        |row| Ok(Lease { partition: partition(row, 0)?, fence: row.try_get::<_, i64>(1)?.cast_unsigned() });
    held.iter().map(lease).collect()
}

async fn release(session: &Session<'_>, owner: &Arc<str>) -> Result<(), Failure> {
    let owner = &*text(owner);
    session.rows("DELETE FROM @host WHERE owner = $1", &[(&owner, Type::TEXT)]).await?;
    let mine = session
        .rows("SELECT part FROM @partition WHERE owner = $1 ORDER BY part", &[(&owner, Type::TEXT)])
        .await?;
    let mine: Vec<i16> = mine.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    give_back(session, &mine).await
}

/// After what was begun under the fence is over.
async fn give_back(session: &Session<'_>, parts: &[i16]) -> Result<(), Failure> {
    if parts.is_empty() {
        return Ok(());
    }
    let parts = [(&parts as _, Type::INT2_ARRAY)];
    session.rows("SELECT 1 FROM @partition WHERE part = ANY($1) ORDER BY part FOR UPDATE", &parts).await?;
    session.rows("UPDATE @partition SET owner = NULL WHERE part = ANY($1)", &parts).await?;
    Ok(())
}
