//! Signals as they wait: read from the log, and what work on them leaves.

use std::collections::BTreeMap;

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Outcome, Query, Recorded},
    engine::{
        lanes::{Evidence, Hold, Item},
        shared::Shared,
        stored::StoredSignal,
        trouble::Down,
    },
    model::{Origin, Revision, Seq, Signal},
};

/// A signal with its place in the log.
#[derive(Debug, Clone)]
pub(crate) struct WaitingSignal {
    pub(crate) item: Item,
    pub(crate) signal: Signal,
    pub(crate) origin: Origin,
    /// When it was written down.
    pub(crate) at: Timestamp,
    /// When it was read in vain first, or now.
    pub(crate) troubled_since: Timestamp,
    /// The digest of what a webhook said, if it came by one.
    pub(crate) said: Option<Revision>,
}

/// The result of work on the signals of one subject.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) waits: Vec<Item>,
    pub(crate) hold: Hold,
    pub(crate) down: Option<Down>,
    pub(crate) proof: Evidence,
}

impl Resolved {
    /// The signals are settled.
    pub(crate) fn settled(proof: Evidence) -> Self {
        Self { proof, ..Self::default() }
    }
}

/// Reads signals with their bodies, without those that are settled by now. The inner error is of one that cannot be
/// read.
pub(crate) async fn load(shared: &Shared, items: &[Item]) -> Result<Vec<(Item, Result<WaitingSignal>)>> {
    let seqs = items.iter().map(|item| item.seq).collect();
    let mut entries: BTreeMap<Seq, _> =
        shared.log.query(&Query::entries(seqs)).await?.into_iter().map(|entry| (entry.seq, entry)).collect();
    let now = shared.clock.now();
    let decode = |item: &Item| {
        let entry = entries.remove(&item.seq).filter(|entry| !entry.state.is_settled())?;
        let waiting = entry
            .body
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a signal has no body"))
            .and_then(|body| Ok((StoredSignal::decode(&body)?, body)))
            .and_then(|(stored, body)| {
                let is_of_webhook = stored.received.is_some() || stored.came_along;
                let signal =
                    stored.signal.ok_or_else(|| Error::new(ErrorKind::Unexpected, "a signal is empty"))?;
                let troubled_since = troubled_since(&entry.outcomes).unwrap_or(now);
                let said = is_of_webhook.then(|| Revision::of(&body));
                Ok(WaitingSignal {
                    item: *item,
                    signal,
                    origin: stored.origin,
                    at: entry.at,
                    troubled_since,
                    said,
                })
            });
        Some((*item, waiting))
    };
    Ok(items.iter().filter_map(decode).collect())
}

/// Since when a signal has been read in vain: it may have been written long before its day, and what it waited for the
/// connection to work is not counted.
fn troubled_since(outcomes: &[Recorded]) -> Option<Timestamp> {
    let (mut since, mut attempts) = (None, 0);
    for recorded in outcomes {
        if let Outcome::Retry { attempt, .. } = recorded.outcome {
            since = if attempt > attempts { since.or(Some(recorded.at)) } else { None };
            attempts = attempt;
        }
    }
    since
}
