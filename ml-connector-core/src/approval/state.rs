//! Where an approval stands, and what can happen to it.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    model::{Actor, DocumentRef, Ended, Record},
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
    /// Numbers the requests of this approval.
    pub round: u64,
    /// Which change of the approval asked.
    pub asked_n: u64,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Until when somebody can decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
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
    /// The request's id: the text of its number.
    #[must_use]
    pub fn request(&self) -> Arc<str> {
        self.round.to_string().into()
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
        by: Decision,
    },
    /// The books have done it.
    Posted {
        /// By whom it was approved.
        by: Decision,
        /// The books' handle for what was done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Arc<str>>,
    },
    /// The books have refused it. Replaying the dead delivery tries again; a changed document is asked for anew.
    Refused {
        /// By whom it was approved.
        by: Decision,
        /// Why: codes and ids.
        why: Arc<str>,
    },
    /// It is rejected.
    Rejected {
        /// By whom.
        by: Decision,
    },
    /// Nobody decided in time.
    Expired,
    /// The document is not what was shown any more.
    Superseded,
}

impl ApprovalPhase {
    /// Who decided, where somebody has.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Approved { by }
            | Self::Posted { by, .. }
            | Self::Refused { by, .. }
            | Self::Rejected { by } => Some(by),
            Self::Requested | Self::Expired | Self::Superseded => None,
        }
    }
}

/// Somebody's decision. `Debug` shows no reason: people write what they like.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Who.
    pub actor: Actor,
    /// When it was taken note of.
    pub at: Timestamp,
    /// Why. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What they did: the id of the click.
    pub click: Arc<str>,
    /// Which change of the approval it was: the books' outcome names it.
    pub n: u64,
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, at, click, n, .. } = self;
        f.debug_struct("Decision")
            .field("actor", actor)
            .field("at", at)
            .field("click", click)
            .field("n", n)
            .finish_non_exhaustive()
    }
}

/// Which way somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In favor.
    Approve,
    /// Against.
    Reject,
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
        /// Whether it waits for approval.
        awaiting: bool,
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
        /// The books' handle.
        reference: Option<Arc<str>>,
        /// Why not.
        error: Option<Arc<str>>,
    },
    /// Time has passed.
    Tick,
}

/// Somebody's wish to decide. `Debug` shows no reason.
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

/// What somebody saw who decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The request that the button was for.
    Request(Arc<str>),
    /// A message that told this change of the approval.
    Told(u64),
}

/// For how long is asked, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// After which time nobody can decide any more; `None` = never.
    pub expire_after: Option<Duration>,
    /// How often those who were asked are reminded; `None` = never.
    pub remind_every: Option<Duration>,
    /// Whether approving leads to a command whose outcome will be heard of.
    pub posts: bool,
}

/// What somebody is to be told, beside what they clicked on. `Debug` shows no text.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Its own id, made of the click's.
    pub id: Arc<str>,
    /// Whom.
    pub to: Actor,
    /// About which document; `None` when the request is not known.
    pub about: Option<DocumentRef>,
    /// What.
    pub text: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("id", &self.id).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Why somebody may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Denied {
    /// No rule names them.
    NoApprover,
    /// The amount is above what they may approve.
    OverLimit,
    /// They asked for it themselves.
    Requester,
    /// They are on the deny list.
    Listed,
    /// Whether they belong to a group that may could not be found out.
    Unknown,
    /// Their address could not be read, by which somebody is known who may not.
    NoAddress,
    /// Their name could not be read, by which whoever asked for it is known.
    NoName,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoApprover | Self::Listed => "you are not one of those who may decide about it",
            Self::OverLimit => "its amount is above what you may approve",
            Self::Requester => "you asked for it yourself, so somebody else has to decide",
            Self::Unknown => "the members of the group that may decide cannot be read: ask an administrator",
            Self::NoAddress => {
                "your e-mail address cannot be read, and somebody who may not decide is known by it: ask an \
                 administrator to let the app read addresses"
            }
            Self::NoName => {
                "your name cannot be read, so you may be who asked for it: ask an administrator to let the app read \
                 names"
            }
        })
    }
}
