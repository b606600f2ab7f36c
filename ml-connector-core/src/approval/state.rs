//! Where an approval stands, and what can happen to it.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    model::{
        Actor, Decision, Denied, DocumentRef, Ended, PostedDocument, Record, Refusal, Reply, RequestId,
        Revision,
    },
};

/// Where the approval of one document stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalState {
    /// The number of the approval's change that led here: [`Event::n`](crate::model::Event::n).
    pub n: u64,
    /// The document, and the change of it that was shown.
    pub document: DocumentRef,
    /// The document as it was shown.
    pub shown: Box<Record>,
    /// The digest of what was shown, where the log knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Numbers the requests of this approval.
    pub round: u64,
    /// Makes the request's id one that cannot be guessed.
    pub nonce: Arc<str>,
    /// Which change of the approval asked.
    pub asked_n: u64,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Until when somebody can decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Whether the books were to be given a command when it was asked.
    #[serde(default)]
    pub posts: bool,
    /// When the next reminder is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_at: Option<Timestamp>,
    /// How many reminders there were.
    #[serde(default)]
    pub reminders: u32,
    /// Where it stands.
    pub phase: ApprovalPhase,
}

impl ApprovalState {
    /// The request's id: its number, and its nonce.
    #[must_use]
    pub fn request(&self) -> RequestId {
        RequestId::from(format!("{}-{}", self.round, self.nonce))
    }

    /// Whether a decision is asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == ApprovalPhase::Requested
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalPhase {
    /// A decision is asked for.
    Requested,
    /// It is approved; where the books take a command, it is being posted.
    Approved {
        /// By whom.
        by: Decided,
    },
    /// It is approved in the books, and waits for the next approver there.
    PartiallyApproved {
        /// By whom it was approved here.
        by: Decided,
    },
    /// The books have done it.
    Posted {
        /// By whom it was approved.
        by: Decided,
        /// What the books made of it, where that was read back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<PostedDocument>,
    },
    /// The books have refused it. Replaying the dead delivery tries again; a changed document is asked for anew.
    Refused {
        /// By whom it was approved.
        by: Decided,
        /// Why.
        refusal: Refusal,
    },
    /// It is rejected.
    Rejected {
        /// By whom.
        by: Decided,
    },
    /// Nobody decided in time.
    Expired,
    /// The document is not what was shown any more, or is not to be approved any more.
    Superseded,
    /// Somebody approved it in the books before anybody decided here, or before what was decided here reached them.
    DoneElsewhere {
        /// What it is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<PostedDocument>,
    },
}

impl ApprovalPhase {
    /// Who decided, where somebody has.
    #[must_use]
    pub fn decided(&self) -> Option<&Decided> {
        match self {
            Self::Approved { by }
            | Self::PartiallyApproved { by }
            | Self::Posted { by, .. }
            | Self::Refused { by, .. }
            | Self::Rejected { by } => Some(by),
            Self::Requested | Self::Expired | Self::Superseded | Self::DoneElsewhere { .. } => None,
        }
    }
}

/// A decision, and by what it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decided {
    /// Who, when, why.
    pub decision: Decision,
    /// The id of what they did.
    pub click: Arc<str>,
    /// Which change of the approval it was.
    pub n: u64,
}

/// Which way somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In favor.
    Approve,
    /// Against.
    Reject,
    /// In favor, once more: the books refused it for a reason that lies outside the document.
    Retry,
}

/// What can happen to an approval.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ApprovalInput {
    /// The document was seen in a state.
    Document {
        /// The document, and which change of it.
        document: DocumentRef,
        /// What it is now.
        record: Box<Record>,
        /// The digest of that, where the log knows it.
        revision: Option<Revision>,
        /// Whether it waits for approval.
        awaiting: bool,
        /// Whether it can be asked about now, or only after it has stayed unchanged for a while.
        settled: bool,
        /// Whether it was submitted with this change, and did not merely stay as it was.
        submitted: bool,
    },
    /// Somebody decides.
    Choice {
        /// Which way, who, why.
        choice: Choosing,
        /// Whether they may.
        allowed: Result<(), Denied>,
    },
    /// The delivery of the command to the books has ended.
    Outcome {
        /// The change of the approval that it told.
        n: u64,
        /// How.
        state: Ended,
        /// The document as it was read back.
        result: Option<PostedDocument>,
        /// Why not: codes and ids.
        error: Option<Arc<str>>,
    },
    /// Time has passed.
    Tick,
}

/// A decision that somebody tries to make. `Debug` shows no reason.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choosing {
    /// The id of what they did: every click is answered by its own.
    pub click: Arc<str>,
    /// Who.
    pub actor: Actor,
    /// Which way.
    pub verdict: Verdict,
    /// Why. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What they saw.
    pub seen: Seen,
}

impl fmt::Debug for Choosing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { click, actor, verdict, seen, .. } = self;
        f.debug_struct("Choosing")
            .field("click", click)
            .field("actor", actor)
            .field("verdict", verdict)
            .field("seen", seen)
            .finish_non_exhaustive()
    }
}

/// What a person saw when they decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The request that the button was for, on a message that the log knows as its card.
    Request(RequestId),
    /// The same, on a message that the log does not know, or knows as another one: it proves nothing.
    Unproven(RequestId),
    /// A message that told this change of the approval.
    Told(u64),
}

/// How long people can decide, and how often they are reminded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// How long people can decide; `None` = without an end.
    pub expire_after: Option<Duration>,
    /// How often those who were asked are reminded; `None` = never.
    pub remind_every: Option<Duration>,
    /// Whether approving leads to a command whose outcome will be heard of.
    pub posts: bool,
}

/// What one person is to be told, beside the message that they clicked on. It has no words yet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReplyTo {
    /// The answer's own id, made of the click's.
    pub id: Arc<str>,
    /// Whom.
    pub to: Actor,
    /// About which document; `None` when the request is not known.
    pub about: Option<DocumentRef>,
    /// The document as it was shown.
    pub shown: Option<Box<Record>>,
    /// What.
    pub reply: Reply,
}
