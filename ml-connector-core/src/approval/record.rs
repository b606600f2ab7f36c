//! How approvals and answers look to routes and sinks.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{
    Wording,
    state::{ApprovalPhase, ApprovalState, ReplyTo},
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    model::{
        Approval, ApprovalStatus, EntityRef, Interaction, Observation, Observed, PrivateAnswer, Raw, Record,
        Revision,
    },
    snapshot::Snapshot,
};

/// How many lines of the document are shown.
const LINES: usize = 10;

impl ApprovalState {
    /// The approval as it is told: everything a card needs.
    #[must_use]
    pub fn to_approval(&self) -> Approval {
        let (document, shown) = (self.document.clone(), self.shown.clone());
        let mut approval = Approval::new(self.request(), document, shown, self.asked_at);
        (approval.deadline, approval.posts) = (self.deadline, self.posts);
        approval.decision = self.phase.decided().map(|by| by.decision.clone());
        approval.status = match &self.phase {
            ApprovalPhase::Requested if self.reminders > 0 => ApprovalStatus::Reminded,
            ApprovalPhase::Requested => ApprovalStatus::Requested,
            ApprovalPhase::Approved { .. } => ApprovalStatus::Approved,
            ApprovalPhase::PartiallyApproved { .. } => ApprovalStatus::PartiallyApproved,
            ApprovalPhase::Rejected { .. } => ApprovalStatus::Rejected,
            ApprovalPhase::Posted { result, .. } => {
                approval.result.clone_from(result);
                ApprovalStatus::Posted
            }
            ApprovalPhase::Refused { refusal, .. } => {
                approval.refusal = Some(refusal.clone());
                ApprovalStatus::Refused
            }
            ApprovalPhase::Expired => ApprovalStatus::Expired,
            ApprovalPhase::Superseded => ApprovalStatus::Superseded,
            ApprovalPhase::DoneElsewhere { result } => {
                approval.result.clone_from(result);
                ApprovalStatus::DoneElsewhere
            }
        };
        approval
    }

    /// The state as the engine takes note of it.
    pub(super) fn observation(&self, id: &Arc<str>, now: Timestamp) -> Result<Observation> {
        let json = serde_json::to_string(self).and_then(RawValue::from_string).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "an approval cannot be written as JSON").with_source(source)
        })?;
        let state = Observed::Present {
            revision: Revision::of(json.get().as_bytes()),
            order: Some(self.n),
            content: Interaction::Approval(self.to_approval()).into(),
            raw: Some(Raw::new(json)),
            notes: Vec::new(),
        };
        Ok(Observation { entity: entity(id), read_at: now, state })
    }

    /// What the engine keeps of an approval.
    pub(super) fn kept(snapshot: &Snapshot) -> Result<Self> {
        let raw = snapshot.raw.as_ref().map(Raw::get).unwrap_or_default();
        let state: Self = serde_json::from_str(raw).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a stored approval cannot be read").with_source(source)
        })?;
        Ok(Self { n: snapshot.n, ..state })
    }

    /// Leaves out what no card shows.
    pub(super) fn shorten(record: &Record) -> Box<Record> {
        let mut shown = Box::new(record.clone());
        shown.lines.truncate(LINES);
        shown.allocations.clear();
        shown
    }
}

impl ReplyTo {
    /// The answer as the engine takes note of it.
    pub(super) fn observation(&self, wording: &dyn Wording, now: Timestamp) -> Observation {
        let text = wording.text(&self.reply, self.shown.as_deref());
        let mut answer = PrivateAnswer::new(self.to.clone(), self.reply.clone(), text);
        answer.about.clone_from(&self.about);
        let revision = Revision::of(answer.text.as_bytes());
        let entity = EntityRef::new(Interaction::ANSWER, Arc::clone(&self.id));
        let state = Observed::present(revision, Interaction::Answer(answer));
        Observation { entity, read_at: now, state }
    }
}

/// The entity of an approval.
pub(super) fn entity(id: &Arc<str>) -> EntityRef {
    EntityRef::new(Interaction::APPROVAL, Arc::clone(id))
}
