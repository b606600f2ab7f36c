//! Signals for instants to come.

use crate::{
    Result, Timestamp,
    audit::{NewEntry, Parent, Transaction},
    engine::{entries, registry::SourceSlot},
    model::{EntityRef, Signal},
    snapshot::Snapshot,
};

/// A signal for an instant to come. It begins a family of its own, so that what led to it can be pruned while it waits.
/// It falls due a little later, as a webhook does that comes at that instant: what is read for an earlier one does not
/// answer it.
pub(crate) fn later(slot: &SourceSlot, signal: &Signal, at: Timestamp) -> Result<NewEntry> {
    entries::signal(slot, signal, Parent::None, at + slot.source.info().coalesce)
}

/// What the hints of [time signals](append_time_signals) begin with.
const OVERDUE: &str = "overdue:";

/// Whether a signal is of a day that has come, and of nothing that happened to its record.
pub(crate) fn is_of_time(signal: &Signal) -> bool {
    signal.hint.as_ref().is_some_and(|hint| is_hint_of_time(hint))
}

/// The same of the hint.
pub(crate) fn is_hint_of_time(hint: &str) -> bool {
    hint.starts_with(OVERDUE)
}

/// Signals for the days after `since` on which the record becomes overdue, unless it changes before. The vendor may not
/// tell.
pub(crate) fn append_time_signals(
    slot: &SourceSlot,
    entity: &EntityRef,
    snapshot: &Snapshot,
    since: Timestamp,
    transaction: &mut Transaction,
) -> Result<()> {
    let info = slot.source.info();
    let due = snapshot.facts.as_ref().filter(|facts| facts.is_payable()).and_then(|facts| facts.due_date);
    let Some(due) = due else { return Ok(()) };
    for days in &info.overdue_after {
        let at = due.plus_days((*days).max(1)).start_in(&info.zone);
        if at <= since {
            continue;
        }
        let signal = Signal {
            hint: Some(format!("{OVERDUE}{days}@{due}").into()),
            // Asked for at every change of the record, and kept once. Another zone has other midnights.
            dedupe: Some(format!("overdue/{}/{entity}/{days}@{due}/{at}", slot.connection()).into()),
            ..Signal::entity(entity.clone())
        };
        transaction.append.push(later(slot, &signal, at)?);
    }
    Ok(())
}
