//! FreshBooks' words for where a document stands.
//!
//! What is paid is told by a table of words, never by a part of a word, by a balance alone, or by a word that is missing.

use ml_connector_core::{
    Money,
    decode::Object,
    model::{Decimal, Status},
};

/// The words that have no counterpart in the SDK's vocabulary: routes may ask for them.
pub(crate) const NAMED: [&str; 10] = [
    "disputed",
    "declined",
    "internal",
    "outstanding",
    "invoiced",
    "recouped",
    "active",
    "archived",
    "applied",
    "overpayment",
];

/// Where an invoice stands, and FreshBooks' own word for it.
pub(super) fn of_invoice(
    invoice: &Object<'_>,
    total: Option<Money>,
    balance: Option<Money>,
) -> (Status, String) {
    let word =
        invoice.some_text("v3_status").or_else(|| numbered(&invoice.text("status")).map(str::to_owned));
    let word = word.unwrap_or_default();
    let status = match &*word {
        "draft" | "created" => Status::Draft,
        "partial" => Status::PartiallyPaid,
        "paid" | "autopaid" | "auto-paid" | "success" => Status::Paid,
        "disputed" | "declined" => Status::from(&*word),
        // A deposit pays a part, and the rest falls due. Sent, viewed, failed, retry, resolved, pending, and overdue, which the engine tells itself.
        _ => match &*invoice.text("payment_status") {
            "paid" | "auto-paid" if !is_positive(balance) => Status::Paid,
            "partial" => Status::PartiallyPaid,
            _ => by_balance(total, balance),
        },
    };
    (status, word)
}

/// Where a bill stands.
pub(super) fn of_bill(word: &str, total: Option<Money>, balance: Option<Money>) -> Status {
    match word {
        "paid" => Status::Paid,
        "partial" => Status::PartiallyPaid,
        _ => by_balance(total, balance),
    }
}

/// Whether an expense is billed to a client. The number of a recouped one differs between FreshBooks' own libraries.
pub(super) fn of_expense(number: &str) -> &str {
    match number {
        "0" => "internal",
        "1" => "outstanding",
        "2" => "invoiced",
        "3" | "4" => "recouped",
        other => other,
    }
}

/// Whether a record is archived. One that is deleted is none.
pub(super) fn of_visibility(vis_state: &str) -> &'static str {
    if vis_state == "2" { "archived" } else { "active" }
}

/// The numbers of old versions, which have no words. Without a mark of a payment, 2 and 3 say nothing of one.
fn numbered(number: &str) -> Option<&'static str> {
    Some(match number {
        "0" => "disputed",
        "1" => "draft",
        "2" => "sent",
        "3" => "viewed",
        "4" => "paid",
        "5" => "autopaid",
        "6" => "retry",
        "7" => "failed",
        "8" => "partial",
        _ => return None,
    })
}

/// Unpaid, wholly or in part. A zero balance alone pays nothing: the document may be of nothing.
fn by_balance(total: Option<Money>, balance: Option<Money>) -> Status {
    match (total, balance) {
        (Some(total), Some(balance)) if balance < total && is_positive(Some(balance)) => {
            Status::PartiallyPaid
        }
        _ => Status::Open,
    }
}

fn is_positive(money: Option<Money>) -> bool {
    money.is_some_and(|money| money.amount > Decimal::ZERO)
}
