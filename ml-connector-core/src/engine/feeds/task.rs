//! What a feed is asked for.

use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, FeedInfo, Result, Timestamp,
    audit::{NewEntry, Parent},
    engine::{entries, registry::SourceSlot},
    model::{DedupeKey, Signal, Subject},
};

/// What a feed's signal asks for; kept as its payload. Without one it is a hint: something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FeedTask {
    /// The ordinary read with this number.
    Read(u64),
    /// The sweep with this number.
    Sweep(u64),
    /// A sweep of which somebody has said that so many records have indeed disappeared.
    ConfirmedSweep(u64),
    /// A sweep out of turn, asked for by a webhook.
    SweepNow,
    /// An ordinary read out of turn.
    ReadNow,
    /// The past.
    Backfill(Option<Timestamp>),
}

impl FeedTask {
    /// What a signal asks for.
    pub(super) fn of(signal: &Signal) -> Option<Self> {
        match signal.subject {
            Subject::Sweep(_) => Some(Self::SweepNow),
            _ => serde_json::from_slice(signal.payload.as_ref()?).ok(),
        }
    }

    /// The entry that asks for it.
    pub(super) fn entry(
        self,
        slot: &SourceSlot,
        feed: &str,
        dedupe: Option<DedupeKey>,
        due: Timestamp,
    ) -> Result<NewEntry> {
        let hint = match self {
            Self::Read(_) | Self::ReadNow => "read",
            Self::Sweep(_) | Self::SweepNow | Self::ConfirmedSweep(_) => "sweep",
            Self::Backfill(_) => "backfill",
        };
        let payload = serde_json::to_vec(&self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "what a feed is asked for cannot be written")
                .with_source(source)
        })?;
        let signal = Signal {
            hint: Some(format!("{feed}.{hint}").into()),
            dedupe,
            payload: Some(payload.into()),
            ..Signal::feed(feed, None)
        };
        entries::signal(slot, &signal, Parent::None, due)
    }
}

pub(super) fn offers(feeds: &[FeedInfo], name: &str) -> bool {
    feeds.iter().any(|feed| feed.name == name)
}
