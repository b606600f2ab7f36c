//! Whether a document waits for somebody's approval.

use ml_connector_core::model::Status;
use serde::Deserialize;

use super::de::{flag, text};

/// An entry of `approvers_list`. Its key names are not documented; both are optional.
#[derive(Deserialize)]
pub(super) struct Approver {
    #[serde(default, deserialize_with = "text")]
    approval_status: String,
    #[serde(default, deserialize_with = "flag")]
    is_next_approver: bool,
}

/// The parts of a document that tell.
pub(super) struct Approval<'a> {
    pub(super) is_required: bool,
    pub(super) submitted_date: &'a str,
    pub(super) approvers: &'a [Approver],
}

impl Approval<'_> {
    /// The status, unless the document was submitted and nobody has decided yet. The words of the approval feature
    /// are not documented; so an unknown word, or `draft`, is looked at more closely, and a word that says what
    /// happened is believed.
    pub(super) fn refine(&self, status: Status) -> Status {
        let undecided = matches!(status, Status::Draft | Status::Other(_));
        let submitted = self.is_required && !self.submitted_date.is_empty();
        if undecided && (submitted || self.approvers.iter().any(Approver::is_asked)) {
            return Status::PendingApproval;
        }
        status
    }
}

impl Approver {
    fn is_asked(&self) -> bool {
        self.is_next_approver || self.approval_status == "yet_to_approve"
    }
}
