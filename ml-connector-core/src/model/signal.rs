//! Hints that something may have changed.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{AccountKey, DedupeKey, EntityRef, Timestamp};
use crate::size::Size;

/// A hint that something may have changed. Nothing in it is believed except which entity to read. `Debug` shows the
/// size of the payload: people's words and names are in it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Which of the connections behind a shared endpoint it is for; `None` = the one that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKey>,
    /// What to look at.
    pub subject: Subject,
    /// What the vendor says happened, for the audit trail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Arc<str>>,
    /// A delivery number the *vendor* issued. Never a hash of the body: two real changes can look the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<DedupeKey>,
    /// What `resolve` cannot read again, such as a click.
    #[serde(skip)]
    pub payload: Option<Bytes>,
}

impl Signal {
    /// The hint of signals that ask for the past only: reading them may leave room for others.
    pub const BACKFILL: &'static str = "backfill";
    /// The hint of signals about records that a sweep no longer shows. They can wait. A record that cannot be read
    /// either is gone.
    pub const SWEPT: &'static str = "swept";

    /// A hint about one record.
    #[must_use]
    pub fn entity(entity: EntityRef) -> Self {
        Self::of(Subject::Entity(entity))
    }

    /// A hint that many records may have changed. The feed is read: everything since the instant, or what it has not
    /// told yet where no instant is known.
    #[must_use]
    pub fn feed(name: impl Into<Arc<str>>, since: Option<Timestamp>) -> Self {
        Self::of(Subject::Feed { name: name.into(), since })
    }

    /// Asks for a comparison of the records that a feed shows with those that are known. For hints that some records
    /// were deleted.
    #[must_use]
    pub fn sweep(feed: impl Into<Arc<str>>) -> Self {
        Self::of(Subject::Sweep(feed.into()))
    }

    /// A hint with a subject and nothing else.
    #[must_use]
    pub fn of(subject: Subject) -> Self {
        Self { account: None, subject, hint: None, dedupe: None, payload: None }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("account", &self.account)
            .field("subject", &self.subject)
            .field("hint", &self.hint)
            .field("dedupe", &self.dedupe)
            .field("payload", &Size::of(&self.payload))
            .finish_non_exhaustive()
    }
}

/// What a signal asks to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// One record.
    Entity(EntityRef),
    /// Everything a feed has changed.
    Feed {
        /// The feed's name.
        name: Arc<str>,
        /// Since when, where the hint says so.
        since: Option<Timestamp>,
    },
    /// Which records a feed shows, by [`PollMode::Sweep`](super::PollMode::Sweep): one of [`SourceInfo::sweeps`](crate::SourceInfo::sweeps).
    Sweep(Arc<str>),
    /// A webhook subscription.
    Subscription(Arc<str>),
}

impl Subject {
    /// The feed it is about, if it is about one.
    #[must_use]
    pub fn feed(&self) -> Option<&Arc<str>> {
        match self {
            Self::Feed { name, .. } | Self::Sweep(name) => Some(name),
            Self::Entity(_) | Self::Subscription(_) => None,
        }
    }
}
