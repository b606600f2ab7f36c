//! Decisions about documents, as they are told.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Actor, Change, DocumentRef, Record, Status, Timestamp, text_id};

text_id! {
    /// The id of a request for a decision. Every card has a new one, and it cannot be guessed.
    RequestId,
}

/// A decision about a document: asked for, given, carried out. Its id is its entity's, the same for all requests about
/// a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Approval {
    /// The latest request.
    pub request: RequestId,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// The document, and the change of it that is shown.
    pub document: DocumentRef,
    /// The document as it is shown. Of its lines, the first ten.
    pub shown: Box<Record>,
    /// When the decision was asked for.
    pub asked_at: Timestamp,
    /// Until when somebody can decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Whether approving makes the books do something at once that cannot be undone here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub posts: bool,
    /// Who decided, where somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Why the books refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What the books made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PostedDocument>,
}

impl Approval {
    /// A request for a decision about a document as it is shown.
    #[must_use]
    pub fn new(request: RequestId, document: DocumentRef, shown: Box<Record>, asked_at: Timestamp) -> Self {
        Self {
            request,
            status: ApprovalStatus::Requested,
            document,
            shown,
            asked_at,
            deadline: None,
            posts: false,
            decision: None,
            refusal: None,
            result: None,
        }
    }
}

/// Where a decision stands. Each status is told by one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalStatus {
    /// A decision is asked for.
    Requested,
    /// A decision is still asked for.
    Reminded,
    /// Somebody approved; with a command, it is being posted.
    Approved,
    /// It is approved in the books, and waits for the next approver there.
    PartiallyApproved,
    /// The books have done it.
    Posted,
    /// The books refuse it.
    Refused,
    /// Somebody rejected.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The document changed before anybody decided.
    Superseded,
    /// Somebody approved the document in the books before anybody decided here.
    DoneElsewhere,
}

impl ApprovalStatus {
    /// The change that the status tells.
    #[must_use]
    pub fn change(self) -> Change {
        match self {
            Self::Requested => Change::Requested,
            Self::Reminded => Change::Reminded,
            Self::Approved => Change::Approved,
            Self::PartiallyApproved => Change::PartiallyApproved,
            Self::Posted => Change::Posted,
            Self::Refused => Change::Refused,
            Self::Rejected => Change::Rejected,
            Self::Expired => Change::Expired,
            Self::Superseded => Change::Superseded,
            Self::DoneElsewhere => Change::DoneElsewhere,
        }
    }
}

/// Somebody's decision. `Debug` shows no reason: people write what they like.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, where they said so. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Decision {
    /// A decision without a reason.
    #[must_use]
    pub fn new(actor: Actor, at: Timestamp) -> Self {
        Self { actor, at, reason: None }
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, at, .. } = self;
        f.debug_struct("Decision").field("actor", actor).field("at", at).finish_non_exhaustive()
    }
}

/// Why the books did not do what was approved, or why it is not known whether they did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refusal {
    /// Codes and ids, for whoever repairs it. Never a vendor's text.
    pub code: Arc<str>,
    /// A sentence for people, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Where the cause lies.
    pub lies_in: LiesIn,
}

impl Refusal {
    /// A refusal whose cause lies in the document.
    pub fn new(code: impl Into<Arc<str>>) -> Self {
        Self { code: code.into(), sentence: None, lies_in: LiesIn::Document }
    }
}

/// Where the cause of a refusal lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LiesIn {
    /// In the document: it has to be changed.
    Document,
    /// Elsewhere, such as a closed period or a missing right: the same can be tried again.
    Elsewhere,
    /// Nobody can tell whether the books did it: somebody has to look there.
    Unknown,
}

/// What the books made of a command: the document as it was read back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PostedDocument {
    /// Where it stands now.
    pub status: Status,
    /// The number people use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Where a person opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it differs from what was approved: somebody edited it between the check and the write.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
    /// Whether somebody else had done it in the books before anything was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

impl PostedDocument {
    /// The document as it was read back.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let (status, number, url) = (record.status.clone(), record.number.clone(), record.url.clone());
        Self { status, number, url, differs: false, elsewhere: false }
    }
}

impl fmt::Debug for PostedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, differs, elsewhere, .. } = self;
        f.debug_struct("PostedDocument")
            .field("status", status)
            .field("differs", differs)
            .field("elsewhere", elsewhere)
            .finish_non_exhaustive()
    }
}

/// What one person is told, beside the message that they clicked on. `Debug` shows no text.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PrivateAnswer {
    /// Whom.
    pub to: Actor,
    /// About which document; `None` when the request is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<DocumentRef>,
    /// What.
    pub reply: Reply,
    /// The same in words.
    pub text: String,
}

impl PrivateAnswer {
    /// What somebody is told, in words.
    pub fn new(to: Actor, reply: Reply, text: impl Into<String>) -> Self {
        Self { to, about: None, reply, text: text.into() }
    }
}

impl fmt::Debug for PrivateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateAnswer")
            .field("to", &self.to)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

/// What a person who decides is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// They approved.
    Approved {
        /// Whether the books are asked to post it now.
        posts: bool,
    },
    /// They rejected.
    Rejected,
    /// Somebody decided before; nothing more was done.
    AlreadyDecided {
        /// Who.
        by: Decider,
        /// Whether they approved; else they rejected.
        approved: bool,
        /// What the books said to it, where they refused it.
        refusal: Option<Refusal>,
    },
    /// The request has expired.
    Expired,
    /// The document has changed since it was shown.
    Changed {
        /// Whether a new request asks about it as it is now.
        asked_again: bool,
    },
    /// Somebody approved the document in the books.
    DoneElsewhere,
    /// They may not.
    NotAllowed(Denied),
    /// They approved, but the books refused it.
    Refused(Refusal),
    /// They approved, but it waits until somebody repairs something.
    Waiting(Refusal),
    /// They approved, and the next approver has to approve in the books.
    PartiallyApproved,
    /// They approved and the books did it, but somebody edited the document between the check and the write.
    Edited,
    /// The message is not one that the log knows, so nothing was decided.
    NotShown {
        /// Whether a new request asks again.
        asked_again: bool,
    },
    /// The request is not known.
    Unknown,
}

/// Who decided, as it is said to somebody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decider {
    /// The one who is told.
    You,
    /// Somebody with this name.
    Named(String),
    /// Somebody whose name is not known.
    Somebody,
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::You => "You",
            Self::Named(_) => "Named",
            Self::Somebody => "Somebody",
        })
    }
}

/// Why somebody may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Denied {
    /// No rule names them.
    NoApprover,
    /// The amount is above what they may approve.
    OverLimit,
    /// The amount is zero or negative, or not known: a limit says nothing about it.
    NoAmount,
    /// They asked for it themselves.
    Requester,
    /// They are on the deny list.
    Listed,
    /// Their account is deactivated.
    Deactivated,
    /// Their groups could not be read, so nobody knows whether they may.
    Unknown,
    /// Their address could not be read, and somebody who may not decide is known by address.
    NoAddress,
    /// Their name could not be read, and the requester is known by name.
    NoName,
}
