//! From two states to the words for what happened in between.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::Facts;
use crate::model::{Change, Date, RecordKind, Status, Timestamp};

/// What a comparison needs to know besides the facts.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRules<'a> {
    /// The date in the organisation's zone.
    pub today: Date,
    /// After how many days past the due date an unpaid document is announced as overdue.
    pub overdue_after: &'a [u32],
    /// Since when the connection is watched: a record that is older was not created just now.
    pub watched_since: Timestamp,
}

/// Vendors' clocks and ours differ, and vendors truncate to the second.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The changes from `last` (`None`: never seen, or gone) to `now`. `same_revision` says that not one field of the
/// record differs; then only time can have changed something. What is announced once is added to `announced`.
///
/// Pure: the same input gives the same changes, and comparing a state with itself gives none but thresholds that
/// have passed meanwhile.
#[must_use]
pub fn changes(
    last: Option<&Facts>,
    now: &Facts,
    same_revision: bool,
    announced: &mut BTreeSet<Arc<str>>,
    policy: &ChangeRules<'_>,
) -> BTreeSet<Change> {
    let mut changes = BTreeSet::new();
    let new = now.created_at.is_none_or(|created| created + CLOCK_SKEW >= policy.watched_since);
    if last.is_none() && new {
        changes.insert(Change::Created);
    }
    if !same_revision {
        let before = last.map(|last| &last.status);
        // What a record that was never seen has been through is news only if the record is new.
        if before != Some(&now.status) && (before.is_some() || new) {
            changes.extend(transition(before, now));
        }
        let less = |(before, now): (crate::model::Money, crate::model::Money)| now < before;
        let paid_more = last.and_then(|last| last.balance.zip(now.balance)).is_some_and(less);
        if paid_more && now.status == Status::PartiallyPaid {
            changes.insert(Change::PartiallyPaid);
        }
    }
    changes.extend(overdue(now, announced, policy));
    if changes.is_empty() && !same_revision {
        changes.insert(Change::Updated);
    }
    changes
}

/// What reaching the present status means.
fn transition(before: Option<&Status>, now: &Facts) -> Vec<Change> {
    let not_issued = matches!(
        before,
        None | Some(Status::Draft | Status::PendingApproval | Status::Approved | Status::Rejected)
    );
    let mut changes = Vec::new();
    let issued = matches!(now.status, Status::Open | Status::PartiallyPaid | Status::Paid);
    if now.status == Status::Approved || before == Some(&Status::PendingApproval) && issued {
        changes.push(Change::Approved);
    }
    if not_issued && issued && now.kind == RecordKind::Invoice {
        changes.push(Change::Sent);
    }
    // What is entered as posted was not posted later, and a bill that is open after it waited was approved.
    let posted = matches!(before, Some(Status::Draft | Status::Approved | Status::Rejected));
    if posted && issued && now.kind == RecordKind::Bill {
        changes.push(Change::Posted);
    }
    match now.status {
        Status::PendingApproval => changes.push(Change::Submitted),
        Status::Rejected => changes.push(Change::Rejected),
        Status::PartiallyPaid => changes.push(Change::PartiallyPaid),
        // That a payment is born settled is no news beside its creation; that it becomes final is.
        Status::Paid if before.is_some() || !now.is_payment() => changes.push(Change::Paid),
        Status::Void => changes.push(Change::Voided),
        _ => {}
    }
    changes
}

/// The thresholds that have passed and were not announced for this due date.
fn overdue(now: &Facts, announced: &mut BTreeSet<Arc<str>>, policy: &ChangeRules<'_>) -> Vec<Change> {
    let Some(due) = now.due_date.filter(|_| now.is_payable()) else { return Vec::new() };
    let late = policy.today.days_since(due);
    let passed =
        policy.overdue_after.iter().copied().filter(|days| i64::from(late) >= i64::from(*days).max(1));
    passed
        .filter(|days| announced.insert(format!("overdue:{days}@{due}").into()))
        .map(Change::Overdue)
        .collect()
}
