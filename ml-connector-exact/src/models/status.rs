//! Exact Online's numbers for where a document stands, and its words for them.

use ml_connector_core::model::Status;

/// The words that have no counterpart in the SDK's vocabulary: routes may ask for them.
pub(crate) const NAMED: [&str; 6] = ["partial", "complete", "final", "active", "inactive", "unknown"];

/// Where a document stands, and the vendor's word.
pub(super) type Stage = (Status, &'static str);

/// A sales invoice. One that is not processed yet can still be changed, and has no number.
pub(super) fn of_invoice(number: Option<i64>) -> Stage {
    match number {
        Some(10) => (Status::Draft, "draft"),
        Some(20) => (Status::Draft, "open"),
        Some(50) => (Status::Open, "processed"),
        _ => (Status::from("unknown"), "unknown"),
    }
}

/// An entry of a journal: it is booked as soon as it is entered, and processed when its period is.
pub(super) fn of_entry(number: Option<i64>) -> Stage {
    match number {
        Some(5) => (Status::Rejected, "rejected"),
        Some(20) => (Status::Open, "open"),
        Some(50) => (Status::Open, "processed"),
        _ => (Status::from("unknown"), "unknown"),
    }
}

/// An order: its own state, then its approval.
pub(super) fn of_order(order: Option<i64>, approval: Option<i64>) -> Stage {
    match (order, approval) {
        (Some(40), _) => (Status::Void, "cancelled"),
        (_, Some(0)) => (Status::PendingApproval, "awaiting approval"),
        (Some(30), _) => (Status::from("complete"), "complete"),
        (Some(20), _) => (Status::from("partial"), "partial"),
        (Some(10), Some(1 | 2)) => (Status::Approved, "open"),
        (Some(10), _) => (Status::Open, "open"),
        _ => (Status::from("unknown"), "unknown"),
    }
}

/// A cost transaction.
pub(super) fn of_cost(number: Option<i64>) -> Stage {
    match number {
        Some(1) => (Status::Draft, "draft"),
        Some(2) => (Status::Rejected, "rejected"),
        Some(10) => (Status::PendingApproval, "submitted"),
        Some(11) => (Status::PendingApproval, "failed on approval"),
        Some(14 | 16) => (Status::PendingApproval, "processing"),
        Some(19) => (Status::from("final"), "failed while undoing approval"),
        Some(20) => (Status::from("final"), "final"),
        _ => (Status::from("unknown"), "unknown"),
    }
}

/// What documents refer to.
pub(super) fn of_reference(active: bool) -> Stage {
    if active { (Status::from("active"), "active") } else { (Status::from("inactive"), "inactive") }
}
