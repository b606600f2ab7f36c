//! Somebody's decision about a document: asked for, given once, carried out, and never in silence.
//!
//! [`Approvals`] is a connection without a vendor, sink and source at once. Documents, clicks and reactions are
//! delivered to it; what becomes of its requests are events, routed like all others:
//!
//! ```text
//! books ── bill.submitted ──► approvals ── approval.requested ──► Slack: a card with buttons
//! Slack ── action.created ──► approvals ── approval.approved ───► books: the command; Slack: the card, rewritten
//!                                 │ └───── answer.created ──────► Slack: to whoever clicked, and nobody else
//!                                 ▼
//!                  what became of the command: approval.posted, approval.refused
//! ```
//!
//! A host says what, where and who; [`Connector::builder`](crate::Connector::builder) connects it with its routes:
//!
//! ```
//! # use std::time::Duration;
//! use ml_connector_core::{
//!     Connector, Money,
//!     approval::{Approvals, Approvers, Policy},
//!     model::Destination,
//! };
//!
//! let policy = Policy::default()
//!     .allow(Approvers::default().person("anna@example.com").up_to(Money::parse("10000", "EUR")?))
//!     .allow(Approvers::default().person("U07CFO"));
//! let approvals = Approvals::builder("approvals")
//!     .documents("books", "bill.*")
//!     // slack::channel("approvals"), slack::clicker()
//!     .ask("slack", Destination::from("channel:approvals"), Destination::from("clicker"))
//!     // zoho::approve()
//!     .command("books", Destination::from("approve"))
//!     .policy(policy)
//!     .remind_every(Duration::from_secs(24 * 3600))
//!     .expire_after(Duration::from_secs(7 * 24 * 3600))
//!     .build()?;
//! let connector = Connector::builder().connect(approvals);
//! # drop(connector);
//! # Ok::<_, ml_connector_core::Error>(())
//! ```
//!
//! # What holds
//!
//! - **One decision wins.** The approval of a document has one state, a snapshot that every input compares and sets;
//!   [`step`] is the whole of its logic, and pure. Double clicks, two people at once, a click told twice: the first
//!   decides, the others are told so.
//! - **Nobody approves what nobody saw.** A request is about one change of its document; a button carries which
//!   request it is for ([`Choice`]), a reaction counts for what its message told when it was looked at. When the
//!   document has changed, the request is *superseded*, and asked for anew while the document still waits. That is
//!   looked up in the log when somebody decides, so that a change which is known is never missed. The command carries
//!   the document as it was shown ([`Record::about`](crate::model::Record::about)), for the books to compare.
//! - **Nobody decides by not being known.** Who asked, and who is on the deny list, are compared with every name and the
//!   address of whoever decides. Where these cannot be read, nothing is decided, and the answer says what is missing.
//! - **Every click is answered**: also a late one, a second one, one of somebody who may not, one after the document
//!   changed, and again when the books refuse. An answer is an event of kind `answer`; its record says who, where and
//!   what.
//! - **Nothing is lost.** Inputs are signals, written in the transaction that settles the delivery which brought them;
//!   deadlines and reminders are signals for a day to come; what became of the command is a signal written with its
//!   outcome.
//!
//! # States
//!
//! | event | status of the record | what it means |
//! |---|---|---|
//! | `approval.requested` | `pending_approval` | a decision is asked for; [`Record::reference`](crate::model::Record::reference) names the request |
//! | `approval.reminded` | `pending_approval` | it still is |
//! | `approval.approved` | `approved` | somebody approved; with a command, it is being posted |
//! | `approval.posted` | `posted` | the books have done it |
//! | `approval.refused` | `refused` | the books refuse it; [`Record::note`](crate::model::Record::note) says why. Replaying the dead delivery tries again |
//! | `approval.rejected` | `rejected` | somebody rejected; the note is the reason |
//! | `approval.expired` | `expired` | nobody decided in time |
//! | `approval.superseded` | `superseded` | the document changed before anybody decided |
//!
//! A document that changes while it still waits is asked for anew after each of these but `approved` and `posted`;
//! after those, when it is submitted again. The record's id is the approval's own, the same for all requests about a
//! document; [`Record::actor`](crate::model::Record::actor) is who decided.

mod builder;
mod choice;
mod connection;
mod policy;
mod record;
mod state;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use builder::{Approvals, ApprovalsBuilder};
pub use choice::Choice;
pub use policy::{Approvers, Directory, Policy};
pub use state::{
    Answer, ApprovalInput, ApprovalPhase, ApprovalState, Choosing, Decision, Denied, Seen, Terms, Verdict,
};
pub use step::{Next, step};

/// Approvals have nothing to look after; the engine asks all the same.
const UPKEEP: Duration = Duration::from_secs(24 * 3600);
