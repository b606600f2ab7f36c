//! Approvals: a decision about a document is requested, made once, carried out and reported.
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
//! - **A decision holds only for what its card showed.** A request is about one change of its document, and its id cannot be guessed; a
//!   button carries which request it is for ([`Choice`]). A click counts only on a message that the log knows as the card
//!   of its approval, a reaction for what its message told when it was looked at. After a lost log an old card decides
//!   nothing. When the document has changed, the request is *superseded*, and asked for anew while the document still
//!   waits. That is looked up in the log when somebody decides, so that a change which is known is never missed. The
//!   command carries the document as it was shown ([`Approval::shown`](crate::model::Approval::shown)), for the books to
//!   compare before and after their write. When the books refuse it, the document is read anew: if it had changed without a
//!   word, the card shows it as it is now, and asks again.
//! - **Who cannot be identified cannot decide.** Who asked, and who is on the deny list, are compared with every name and the
//!   address of whoever decides. Where these cannot be read, nothing is decided, and the answer says what is missing.
//! - **Every click is answered**: also a late one, a second one, one of somebody who may not, one after the document
//!   changed, and again when the books refuse. An answer is an event of kind `answer`, which says who, where and
//!   [what](crate::model::Reply); [`Wording`] puts that into words.
//! - **Nothing is lost.** Inputs are signals, written in the transaction that settles the delivery which brought them;
//!   deadlines and reminders are signals for a day to come; what became of the command is a signal written with its
//!   outcome.
//!
//! # States
//!
//! | event | what it means |
//! |---|---|
//! | `approval.requested` | a decision is asked for |
//! | `approval.reminded` | it still is |
//! | `approval.approved` | somebody approved; with a command, it is being posted |
//! | `approval.partially_approved` | it is approved in the books, and waits for the next approver there |
//! | `approval.posted` | the books have done it; [`Approval::result`](crate::model::Approval::result) says what |
//! | `approval.refused` | the books refuse it; [`Approval::refusal`](crate::model::Approval::refusal) says why, and whether the same can be tried again |
//! | `approval.rejected` | somebody rejected |
//! | `approval.expired` | nobody decided in time |
//! | `approval.superseded` | the document changed, or is not to be approved any more, before anybody decided |
//! | `approval.done_elsewhere` | somebody approved it in the books before anybody decided here |
//!
//! A document that changes while it still waits is asked for anew after each of these but `approved`,
//! `partially_approved` and `posted`; after those, when it is submitted again. The event's entity is the approval's own,
//! the same for all requests about a document.

mod builder;
mod choice;
mod connection;
#[cfg(test)]
mod options_tests;
mod policy;
mod record;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod wording;

use std::time::Duration;

pub use builder::{Approvals, ApprovalsBuilder};
pub use choice::Choice;
pub use policy::{Approvers, Directory, Policy};
pub use state::{
    ApprovalInput, ApprovalPhase, ApprovalState, Choosing, Decided, ReplyTo, Seen, Terms, Verdict,
};
pub use step::{Moment, Next, step};
pub use wording::{English, Wording};

/// Approvals have nothing to look after; the engine asks all the same.
const UPKEEP: Duration = Duration::from_secs(24 * 3600);
