//! Whether a document waits for somebody's approval.

use ml_connector_core::{decode::Object, model::Status};

/// The status, unless the document was submitted and nobody has decided yet. The words of the approval feature are not
/// documented. So an unknown word, or `draft`, is looked at more closely; a word that says what happened is believed.
pub(super) fn refine(status: Status, document: &Object<'_>) -> Status {
    let undecided = matches!(status, Status::Draft | Status::Other(_));
    let is_submitted =
        || document.flag("is_approval_required") && document.some_text("submitted_date").is_some();
    let is_asked = || document.objects("approvers_list").iter().any(is_asked);
    if undecided && (is_submitted() || is_asked()) { Status::PendingApproval } else { status }
}

/// Whether it is this approver's turn. The names of the members are not documented; both are optional.
fn is_asked(approver: &Object<'_>) -> bool {
    approver.flag("is_next_approver") || approver.text("approval_status") == "yet_to_approve"
}
