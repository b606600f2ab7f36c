//! What becomes of entries, and where that leaves them.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, model::Seq, size::Size};

/// What became of an entry, or of one attempt.
///
/// An outcome is recorded when it fits the state of its entry, and left out otherwise:
///
/// | outcome | fits |
/// |---|---|
/// | `Begun`, `Retry`, `Parked`, `Done`, `Dead`, `Dropped`, `Cancelled` | what is on the work list |
/// | `Done` | also what is cancelled: the attempt was under way |
/// | `Acknowledged` | what is parked or dead, and not acknowledged |
/// | `Discarded`, `Replayed` | what is dead |
///
/// `Debug` shows neither who acted nor why, and the size of a note only.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[non_exhaustive]
pub enum Outcome {
    /// An attempt is about to begin. It stays on the work list, uncertain until another outcome follows.
    Begun {
        /// Its number, from 1.
        attempt: u32,
        /// A handle to find it by.
        #[serde(skip)]
        note: Option<Bytes>,
    },
    /// It stays on the work list until `due`.
    Retry {
        /// How many attempts have begun.
        attempt: u32,
        /// When to try again.
        due: Timestamp,
        /// Why it did not succeed.
        error: Arc<str>,
        /// Whether the attempt may have had its effect: look up before repeating.
        uncertain: bool,
        /// A handle to find it by.
        #[serde(skip)]
        note: Option<Bytes>,
    },
    /// It stays on the work list with `due` at [`Pending::NEVER`](super::Pending::NEVER), until somebody changes something. Nothing is
    /// uncertain about it: what it waits for kept the attempt from having any effect.
    Parked {
        /// Why.
        error: Arc<str>,
    },
    /// It succeeded.
    Done {
        /// The other side's handle.
        receipt: Option<Arc<str>>,
    },
    /// It failed for good, and can be replayed.
    Dead {
        /// Why.
        error: Arc<str>,
    },
    /// Nothing had to be done.
    Dropped {
        /// Why.
        reason: Arc<str>,
    },
    /// Somebody knows that it is parked or dead. It stays what it is. What is parked is acknowledged until it is due
    /// again.
    Acknowledged {
        /// Who.
        by: Arc<str>,
        /// Why that is all right.
        why: Arc<str>,
    },
    /// Somebody took it off the work list.
    Cancelled {
        /// Who.
        by: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// It was dead, and somebody decided that it stays undone.
    Discarded {
        /// Who.
        by: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// It was dead, and another entry stands for it now.
    Replayed {
        /// Which.
        replay: Seq,
    },
}

impl Outcome {
    /// The state an entry is in after this outcome; `None` = the state it was in before.
    #[must_use]
    pub fn state(&self) -> Option<EntryState> {
        Some(match self {
            Self::Begun { .. } | Self::Acknowledged { .. } => return None,
            Self::Retry { .. } => EntryState::Pending,
            Self::Parked { .. } => EntryState::Parked,
            Self::Done { .. } => EntryState::Done,
            Self::Dead { .. } => EntryState::Dead,
            Self::Dropped { .. } => EntryState::Dropped,
            Self::Cancelled { .. } => EntryState::Cancelled,
            Self::Discarded { .. } => EntryState::Discarded,
            Self::Replayed { .. } => EntryState::Replayed,
        })
    }

    /// Whether it fits an entry in this state, acknowledged or not. For implementations of
    /// [`AuditLog`](super::AuditLog).
    #[must_use]
    pub fn fits(&self, state: EntryState, acknowledged: bool) -> bool {
        match self {
            Self::Done { .. } => !state.is_settled() || state == EntryState::Cancelled,
            Self::Acknowledged { .. } => {
                matches!(state, EntryState::Parked | EntryState::Dead) && !acknowledged
            }
            Self::Discarded { .. } | Self::Replayed { .. } => state == EntryState::Dead,
            _ => !state.is_settled(),
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { attempt, note } => {
                f.debug_struct("Begun").field("attempt", attempt).field("note", &Size::of(note)).finish()
            }
            Self::Retry { attempt, due, error, uncertain, note } => f
                .debug_struct("Retry")
                .field("attempt", attempt)
                .field("due", due)
                .field("error", error)
                .field("uncertain", uncertain)
                .field("note", &Size::of(note))
                .finish(),
            Self::Parked { error } => f.debug_struct("Parked").field("error", error).finish(),
            Self::Done { receipt } => f.debug_struct("Done").field("receipt", receipt).finish(),
            Self::Dead { error } => f.debug_struct("Dead").field("error", error).finish(),
            Self::Dropped { reason } => f.debug_struct("Dropped").field("reason", reason).finish(),
            Self::Acknowledged { .. } => f.debug_struct("Acknowledged").finish_non_exhaustive(),
            Self::Cancelled { .. } => f.debug_struct("Cancelled").finish_non_exhaustive(),
            Self::Discarded { .. } => f.debug_struct("Discarded").finish_non_exhaustive(),
            Self::Replayed { replay } => f.debug_struct("Replayed").field("replay", replay).finish(),
        }
    }
}

/// Where an entry stands. The first two are on the work list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum EntryState {
    /// Waits or is under way.
    Pending = 1,
    /// Waits until somebody changes something.
    Parked = 2,
    /// Succeeded; also the state of events and notes.
    Done = 3,
    /// Failed for good.
    Dead = 4,
    /// Nothing had to be done.
    Dropped = 5,
    /// Taken off the work list by somebody.
    Cancelled = 6,
    /// Failed for good, and left undone by somebody.
    Discarded = 7,
    /// Failed for good; another entry stands for it.
    Replayed = 8,
}

impl EntryState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Parked,
        Self::Done,
        Self::Dead,
        Self::Dropped,
        Self::Cancelled,
        Self::Discarded,
        Self::Replayed,
    ];

    /// Reads what `as u8` wrote.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Parked)
    }
}
