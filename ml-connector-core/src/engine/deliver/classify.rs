//! Classify: what a failed attempt means for its delivery.

use std::{sync::Arc, time::Duration};

use crate::{
    Error, ErrorKind, Retry, Scope, Timestamp,
    audit::Outcome,
    engine::{
        lanes::{Batch, Hold, Item},
        settings::Settings,
        stats::Stat,
    },
    model::Change,
};

/// An instant that the other side names, and that is further away than this, is a pause of the other side itself, and no
/// failure of what was tried.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// However long a pause the other side names for one delivery: it is asked again then. A slip of its must not stop us, and
/// what waits for a quota or for the connection is put off by these without a call.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a failed attempt means for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Retry {
        attempt: u32,
        due: Timestamp,
        /// The other side wants a pause: nothing is wrong.
        paced: bool,
    },
    /// It failed with others, and may not be the cause: at most so many go together next.
    Split(usize),
    Outage,
    /// The other side is not there: nothing is wrong with this delivery.
    Down,
    Parked,
    Dead,
}

/// An error, and whether the attempt may have had its effect all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure<'a> {
    pub(super) error: &'a Error,
    pub(super) uncertain: bool,
    /// Whether it only came before its turn, and nothing has been tried.
    pub(super) paced: bool,
    /// Whether it is not only this lane that fails so.
    pub(super) is_everywhere: bool,
}

impl Failure<'_> {
    /// Whether the other side cannot be reached, or cannot answer.
    pub(super) fn is_down(error: &Error) -> bool {
        error.kind() == ErrorKind::Unavailable
            && error.retry() != Retry::Never
            && *error.scope() != Scope::Connection
    }

    /// Whether the other side names a long pause, and of what.
    fn is_long_pause(&self, now: Timestamp) -> bool {
        Self::is_down(self.error)
            && matches!(self.error.retry(), Retry::At(at) if at.saturating_since(now) > LONG_PAUSE)
    }
}

impl Class {
    pub(super) fn of(
        failure: Failure<'_>,
        item: Item,
        batch: &Batch,
        settings: &Settings,
        now: Timestamp,
    ) -> Self {
        let Failure { error, uncertain, .. } = failure;
        match error.scope() {
            Scope::Connection => return Self::Outage,
            Scope::Lane if !uncertain && error.retry() == Retry::Never => return Self::Parked,
            _ => {}
        }
        if !uncertain && error.retry() == Retry::Never {
            return Self::Dead;
        }
        let is_long_pause = failure.is_long_pause(now);
        let of_quota = matches!(error.scope(), Scope::Quota(_));
        if failure.is_everywhere || is_long_pause && !of_quota {
            return Self::Down;
        }
        let paced = failure.paced || is_long_pause;
        let attempt = item.attempt + u32::from(!paced);
        // What failed together comes back together.
        let dice = batch.items.first().map_or(item.seq, |head| head.seq);
        let policy = settings.retries.of_delivery(error);
        let due = policy.next(error, dice, attempt.max(1), now).min(now + LONGEST_PAUSE);
        let give_up_at = batch.blocked_since.unwrap_or(now) + policy.total.unwrap_or(settings.max_block);
        if !paced && (due > give_up_at || policy.is_used_up(attempt)) {
            return Self::Dead;
        }
        Self::Retry { attempt, due, paced }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Split(_) => "the batch is split",
            Self::Outage => "connection waits",
            Self::Down => "connection waits until the other side is back",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }

    /// What is told about it.
    pub(super) fn change(self) -> Option<Change> {
        match self {
            Self::Parked => Some(Change::Parked),
            Self::Dead => Some(Change::Dead),
            Self::Retry { .. } | Self::Split(_) | Self::Outage | Self::Down => None,
        }
    }

    pub(super) fn stat(self) -> Stat {
        match self {
            Self::Retry { .. } | Self::Split(_) | Self::Outage | Self::Down => Stat::Retried,
            Self::Parked => Stat::Parked,
            Self::Dead => Stat::Dead,
        }
    }

    pub(super) fn hold(self, error: &Error, now: Timestamp) -> Hold {
        match (self, error.retry()) {
            (Self::Retry { due, paced: true, .. }, _) => Hold::Until(due),
            (Self::Retry { .. }, _) => Hold::Blocked,
            (Self::Split(most), _) => Hold::Split(most),
            (Self::Outage, Retry::At(at)) => Hold::Outage(at),
            (Self::Outage, _) => Hold::Outage(now),
            (Self::Down, Retry::At(at)) => Hold::Down(at),
            (Self::Down, _) => Hold::Down(now),
            (Self::Parked, _) => Hold::Parked,
            (Self::Dead, _) => Hold::None,
        }
    }

    /// The outcome, and how the delivery waits on.
    pub(super) fn into_outcome(self, item: Item, failure: Failure<'_>) -> (Outcome, Option<Item>) {
        let Failure { error, uncertain, .. } = failure;
        let text: Arc<str> = match self {
            Self::Dead if uncertain => format!("possibly delivered: {error}").into(),
            Self::Split(_) => format!("the batch failed as a whole and is split: {error}").into(),
            _ => error.to_string().into(),
        };
        let retry = |attempt, due| {
            let outcome = Outcome::Retry { attempt, due, error: Arc::clone(&text), uncertain, note: None };
            (outcome, Some(Item { seq: item.seq, due, attempt, uncertain }))
        };
        match self {
            Self::Retry { attempt, due, .. } => retry(attempt, due),
            // The attempt is not counted: nothing may be wrong with this delivery.
            Self::Outage | Self::Down | Self::Split(_) => retry(item.attempt, item.not_before()),
            Self::Parked => (Outcome::Parked { error: text }, Some(item.parked())),
            Self::Dead => (Outcome::Dead { error: text }, None),
        }
    }
}
