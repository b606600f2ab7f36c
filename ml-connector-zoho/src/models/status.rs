//! The vendor's status words.

use ml_connector_core::model::{Decimal, Status};

/// Issued and not settled, whatever else the word says. `overdue` and `viewed` replace `sent` without anybody
/// having changed the document; `unpaid` is known as a filter only.
const ISSUED: [&str; 5] = ["open", "sent", "viewed", "overdue", "unpaid"];

/// What a document's word stands for.
///
/// When a part-paid document falls due, Zoho may write `overdue` over `partially_paid`; the balance tells, so that
/// the passing of a date is no change of the status.
pub(super) fn of_document(word: &str, total: Option<Decimal>, balance: Option<Decimal>) -> Status {
    if !ISSUED.contains(&word) {
        // Purchase orders are cancelled, not voided.
        return if word == "cancelled" { Status::Void } else { Status::from(word) };
    }
    match (total, balance) {
        (Some(total), Some(balance)) if balance < total && balance > Decimal::ZERO => Status::PartiallyPaid,
        _ => Status::Open,
    }
}

/// What a payment's word stands for. A payment without one is a payment that was made.
pub(super) fn of_payment(word: &str) -> Status {
    if word.is_empty() { Status::Paid } else { Status::from(word) }
}

/// The stage within a status, if it is one of the organization's own: Zoho repeats the status otherwise.
pub(super) fn own_stage(sub_status: String, status: &str) -> String {
    let follows = sub_status == status || ISSUED.contains(&&*sub_status) || sub_status == "partially_paid";
    if follows { String::new() } else { sub_status }
}
