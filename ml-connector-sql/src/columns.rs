//! What every store writes into the same columns, whatever its database.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    Timestamp,
    audit::{EntryState, Outcome, Pending, Recorded, amount_of_key},
    model::{Currency, Money, Seq},
};

/// An outcome's columns; which of them are set depends on `what`. The numbers in `what` are stored: 1 begun, 2 retry,
/// 3 parked, 4 done, 5 dead, 6 dropped, 7 acknowledged, 8 cancelled, 9 discarded, 10 replayed.
#[derive(Debug, Default)]
pub(crate) struct OutcomeColumns {
    pub(crate) what: i16,
    pub(crate) attempt: Option<u32>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) uncertain: Option<bool>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) receipt: Option<Arc<str>>,
    pub(crate) actor: Option<Arc<str>>,
    pub(crate) replay: Option<Seq>,
    pub(crate) note: Option<Bytes>,
}

impl OutcomeColumns {
    /// The columns of an outcome; `None` = it is of a newer core.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let columns = match outcome {
            Outcome::Begun { attempt, note } => {
                Self { what: 1, attempt: Some(*attempt), note: note.clone(), ..Self::default() }
            }
            Outcome::Retry { attempt, due, error, uncertain, note } => Self {
                what: 2,
                attempt: Some(*attempt),
                due: Some(*due),
                uncertain: Some(*uncertain),
                reason: Some(Arc::clone(error)),
                note: note.clone(),
                ..Self::default()
            },
            Outcome::Parked { error } => Self::of_reason(3, error),
            Outcome::Done { receipt } => Self { what: 4, receipt: receipt.clone(), ..Self::default() },
            Outcome::Dead { error } => Self::of_reason(5, error),
            Outcome::Dropped { reason } => Self::of_reason(6, reason),
            Outcome::Acknowledged { by, why } => Self::of_actor(7, by, why),
            Outcome::Cancelled { by, why } => Self::of_actor(8, by, why),
            Outcome::Discarded { by, why } => Self::of_actor(9, by, why),
            Outcome::Replayed { replay } => Self { what: 10, replay: Some(*replay), ..Self::default() },
            _ => return None,
        };
        Some(columns)
    }

    /// The outcome of these columns; `None` = nothing that [`of`](Self::of) makes has these.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        let Self { what, attempt, due, uncertain, reason, receipt, actor, replay, note } = self;
        Some(match what {
            1 => Outcome::Begun { attempt: attempt?, note },
            2 => Outcome::Retry { attempt: attempt?, due: due?, error: reason?, uncertain: uncertain?, note },
            3 => Outcome::Parked { error: reason? },
            4 => Outcome::Done { receipt },
            5 => Outcome::Dead { error: reason? },
            6 => Outcome::Dropped { reason: reason? },
            7 => Outcome::Acknowledged { by: actor?, why: reason? },
            8 => Outcome::Cancelled { by: actor?, why: reason? },
            9 => Outcome::Discarded { by: actor?, why: reason? },
            10 => Outcome::Replayed { replay: replay? },
            _ => return None,
        })
    }

    fn of_reason(what: i16, reason: &Arc<str>) -> Self {
        Self { what, reason: Some(Arc::clone(reason)), ..Self::default() }
    }

    fn of_actor(what: i16, by: &Arc<str>, why: &Arc<str>) -> Self {
        Self { actor: Some(Arc::clone(by)), ..Self::of_reason(what, why) }
    }
}

/// Where an entry stands: by its row on the work list (when it is due, and whether it is acknowledged), or without one
/// by what became of it.
pub(crate) fn standing(
    due: Option<Timestamp>,
    acknowledged: bool,
    outcomes: &[Recorded],
) -> (EntryState, bool) {
    match due {
        Some(Pending::NEVER) => (EntryState::Parked, acknowledged),
        Some(_) => (EntryState::Pending, acknowledged),
        None => {
            let mut latest = outcomes.iter().rev();
            let state = latest.find_map(|recorded| recorded.outcome.state()).unwrap_or(EntryState::Done);
            (state, state == EntryState::Dead && is_acknowledged(outcomes))
        }
    }
}

/// Whether somebody knows of it since it is dead.
fn is_acknowledged(outcomes: &[Recorded]) -> bool {
    let since =
        outcomes.iter().rev().take_while(|recorded| recorded.outcome.state() != Some(EntryState::Dead));
    since.into_iter().any(|recorded| matches!(recorded.outcome, Outcome::Acknowledged { .. }))
}

/// An amount as it is stored: its key, and the code of its currency.
pub(crate) fn money(key: &[u8], code: &str) -> Option<Money> {
    amount_of_key(key).zip(Currency::parse(code).ok()).map(|(amount, currency)| Money::new(amount, currency))
}
