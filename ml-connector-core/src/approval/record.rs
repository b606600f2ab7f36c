//! How approvals and answers look to routes and sinks.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::state::{Answer, ApprovalPhase, ApprovalState};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    model::{EntityRef, Observation, Observed, Raw, Record, RecordKind, Revision, Status},
    snapshot::Snapshot,
};

/// How many lines of the document are shown.
const LINES: usize = 10;

impl ApprovalState {
    /// The approval as a record: everything a card needs.
    #[must_use]
    pub fn to_record(&self, id: &Arc<str>) -> Record {
        let (status, word) = match &self.phase {
            ApprovalPhase::Requested if self.reminders > 0 => (Status::PendingApproval, "reminded"),
            ApprovalPhase::Requested => (Status::PendingApproval, "requested"),
            ApprovalPhase::Approved { .. } => (Status::Approved, "approved"),
            ApprovalPhase::Rejected { .. } => (Status::Rejected, "rejected"),
            ApprovalPhase::Posted { .. } => (Status::Other("posted".into()), "posted"),
            ApprovalPhase::Refused { .. } => (Status::Other("refused".into()), "refused"),
            ApprovalPhase::Expired => (Status::Other("expired".into()), "expired"),
            ApprovalPhase::Superseded => (Status::Other("superseded".into()), "superseded"),
        };
        let Record { number, counterparty, date, due_date, total, submitted_by, lines, url, .. } =
            (*self.shown).clone();
        let mut record = Record::new(RecordKind::Approval, Arc::clone(id), status);
        record.vendor_status = word.to_owned();
        record.reference = Some(self.request().to_string());
        record.about = Some(self.document.clone());
        record.created_at = Some(self.asked_at);
        (record.number, record.counterparty, record.submitted_by) = (number, counterparty, submitted_by);
        (record.date, record.due_date, record.total) = (date, due_date, total);
        (record.lines, record.url) = (lines, url);
        let decision = self.phase.decision();
        record.actor = decision.map(|by| by.actor.clone());
        record.modified_at = decision.map(|by| by.at);
        record.note = match &self.phase {
            ApprovalPhase::Refused { why, .. } => Some(why.to_string()),
            _ => decision.and_then(|by| by.reason.clone()),
        };
        record
    }

    /// The state as the engine takes note of it.
    pub(super) fn observation(&self, id: &Arc<str>, now: Timestamp) -> Result<Observation> {
        let json = serde_json::to_string(self).and_then(RawValue::from_string).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "an approval cannot be written as JSON").with_source(source)
        })?;
        let record = self.to_record(id);
        let state = Observed::Present {
            revision: Revision::of(json.get().as_bytes()),
            order: Some(self.n),
            record: Box::new(record),
            raw: Some(Raw::new(json)),
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

impl Answer {
    /// The answer as the engine takes note of it.
    pub(super) fn observation(&self, now: Timestamp) -> Observation {
        let mut record = Record::new(RecordKind::Answer, Arc::clone(&self.id), Status::Other("given".into()));
        record.about.clone_from(&self.about);
        record.actor = Some(self.to.clone());
        record.note = Some(self.text.clone());
        let state = Observed::Present {
            revision: Revision::of(self.text.as_bytes()),
            order: None,
            record: Box::new(record),
            raw: None,
        };
        Observation { entity: EntityRef::new("answer", Arc::clone(&self.id)), read_at: now, state }
    }
}

/// The record of an approval.
pub(super) fn entity(id: &Arc<str>) -> EntityRef {
    EntityRef::new(RecordKind::Approval.as_str(), Arc::clone(id))
}
