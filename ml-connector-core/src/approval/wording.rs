//! What people are told, in words.

use std::fmt;

use crate::model::{Decider, Denied, LiesIn, Record, RecordKind, Refusal, Reply};

/// Puts replies into words. Hosts replace it to speak another language, or in another tone:
/// [`ApprovalsBuilder::wording`](super::ApprovalsBuilder::wording).
///
/// Pure: the same reply is worded in the same way. `document` is the document as it was shown; `None` = the request is not
/// known.
pub trait Wording: fmt::Debug + Send + Sync + 'static {
    /// One or two sentences for whoever decided.
    fn text(&self, reply: &Reply, document: Option<&Record>) -> String;
}

/// The default: English.
#[derive(Debug, Clone, Copy, Default)]
pub struct English;

impl Wording for English {
    fn text(&self, reply: &Reply, document: Option<&Record>) -> String {
        let what = document.map_or_else(|| "the document".to_owned(), name);
        match reply {
            Reply::Approved { posts: true } => {
                format!("You approved {what}. The card shows what the books make of it.")
            }
            Reply::Approved { posts: false } => format!("You approved {what}."),
            Reply::Rejected => format!("You rejected {what}."),
            Reply::AlreadyDecided { by, approved, refusal } => {
                let did = if *approved { "approved" } else { "rejected" };
                match refusal {
                    Some(refusal) if refusal.lies_in == LiesIn::Unknown => {
                        format!("{} already {did} {what}. {UNKNOWN}", who(by))
                    }
                    None => format!("{} already {did} {what}: nothing more was done.", who(by)),
                    Some(refusal) => {
                        format!(
                            "{} already {did} {what}, and the books refused it: {}.",
                            who(by),
                            why(refusal)
                        )
                    }
                }
            }
            Reply::Expired => format!("The request to approve {what} has expired: nothing was done."),
            Reply::Changed { asked_again: true } => {
                format!("Nothing was done: {what} has changed since you were asked. Look at the new request.")
            }
            Reply::Changed { asked_again: false } => format!(
                "Nothing was done: {what} has changed since you were asked, and is not to be approved now."
            ),
            Reply::DoneElsewhere => {
                format!("Nothing was done: somebody approved {what} in the books before you.")
            }
            Reply::NotAllowed(denied) => format!("Nothing was done about {what}: {}.", because(*denied)),
            Reply::Refused(refusal) if refusal.lies_in == LiesIn::Unknown => {
                format!("You approved {what}. {UNKNOWN}")
            }
            Reply::Refused(refusal) => {
                format!("You approved {what}, but the books refused it: {}.", why(refusal))
            }
            Reply::Waiting(refusal) => {
                format!(
                    "You approved {what}, but it waits until somebody repairs something: {}.",
                    why(refusal)
                )
            }
            Reply::PartiallyApproved => {
                format!("You approved {what} in the books. It waits there for the next approver.")
            }
            Reply::Edited => format!(
                "You approved {what}, and the books posted it. But somebody edited it a moment before: it is not \
                 what you were shown. Look at it in the books."
            ),
            Reply::NotShown { asked_again } => {
                let then = if *asked_again { " Look at the new request." } else { "" };
                format!("Nothing was done about {what}: this message is not known as a request for it.{then}")
            }
            Reply::Unknown => "This request is not known any more: nothing was done.".to_owned(),
        }
    }
}

/// What is said when nobody can tell.
const UNKNOWN: &str = "Whether the books did it cannot be told: look there before anything else is done.";

fn who(by: &Decider) -> String {
    match by {
        Decider::You => "You have".to_owned(),
        Decider::Named(name) => format!("{name} has"),
        Decider::Somebody => "Somebody else has".to_owned(),
    }
}

/// The sentence for people and the code, where they differ.
fn why(refusal: &Refusal) -> String {
    match &refusal.sentence {
        Some(sentence) => sentence.trim_end_matches('.').to_owned(),
        None => refusal.code.to_string(),
    }
}

fn because(denied: Denied) -> &'static str {
    match denied {
        Denied::NoApprover | Denied::Listed => "you are not one of those who may decide about it",
        Denied::OverLimit => "its amount is above what you may approve",
        Denied::NoAmount => {
            "its amount is zero or negative, so the limit of what you may approve does not cover it"
        }
        Denied::Requester => "you asked for it yourself, so somebody else has to decide",
        Denied::Deactivated => "your account is deactivated",
        Denied::Unknown => "the members of the group that may decide cannot be read: ask an administrator",
        Denied::NoAddress => {
            "your e-mail address cannot be read, and somebody who may not decide is known by it: ask an \
             administrator to let the app read addresses"
        }
        Denied::NoName => {
            "your name cannot be read, so you may be who asked for it: ask an administrator to let the app read names"
        }
    }
}

/// What people call the document.
fn name(document: &Record) -> String {
    let kind = match document.kind {
        RecordKind::Invoice => "invoice",
        RecordKind::Bill => "bill",
        RecordKind::PurchaseOrder => "purchase order",
        RecordKind::SalesOrder => "sales order",
        RecordKind::CreditNote => "credit note",
        RecordKind::Expense => "expense",
        RecordKind::JournalEntry => "journal entry",
        RecordKind::VendorPayment | RecordKind::BillPayment => "payment",
        _ => "document",
    };
    format!("{kind} {}", document.number.as_deref().unwrap_or(&document.id))
}
