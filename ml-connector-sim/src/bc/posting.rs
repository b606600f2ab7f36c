//! The bound action `Microsoft.NAV.post`, and everything that it may say.

use bytes::Bytes;
use http::{HeaderMap, Response};
use ml_connector_core::Timestamp;

use super::{
    State, answer,
    config::{Language, Refusal},
    documents::total_up,
    rows::{Shown, Stage},
    shapes::Set,
    subscriptions::stale,
};
use crate::toolkit::json::number;

/// The action's name. Seen live: any casing posts.
pub(super) fn is_post(action: &str, strict: bool) -> bool {
    if strict { action == "Microsoft.NAV.post" } else { action.eq_ignore_ascii_case("Microsoft.NAV.post") }
}

pub(super) fn post(
    state: &mut State,
    set: Set,
    id: &str,
    headers: &HeaderMap,
    caller: &str,
    now: Timestamp,
) -> Response<Bytes> {
    if state.tuning.broken_reference.as_deref() == Some(id) {
        return answer::related(state.tuning.language);
    }
    let Some(draft) = state.rows.get(set, id).cloned() else {
        return answer::dialog("The invoice cannot be found.");
    };
    if !state.may_write(caller) {
        return answer::refused(
            403,
            "Internal_ServerError",
            "Sorry, the current permissions prevented the action. (TableData 38 Purchase Header Modify: Base Application)",
        );
    }
    if state.tuning.busy_postings > 0 {
        state.tuning.busy_postings -= 1;
        return answer::busy();
    }
    if let Some(refusal) = stale(headers, &draft.etag(), state.tuning.stale_is_412, false) {
        return refusal;
    }
    let dutch = state.tuning.language == Language::Dutch;
    let underway = state.late.iter().any(|(_, _, late, _)| late == id);
    if draft.stage.is_posted() || underway {
        return answer::dialog(if dutch {
            "De actie kan alleen op een conceptfactuur worden toegepast."
        } else {
            "The action can be applied to a draft invoice only."
        });
    }
    let needs_release = state.tuning.workflow && draft.stage != Stage::Released;
    let own = state.tuning.refusals.get(id).copied();
    let refusal = state.tuning.refuse.or(own).or(needs_release.then_some(Refusal::NeedsApproval));
    if let Some(refusal) = refusal {
        return refused(state, set, id, &draft, refusal, now);
    }
    let goes_on = state.tuning.goes_on.get(id).copied().unwrap_or(state.tuning.posts_after);
    if !goes_on.is_zero() {
        state.late.push((now + goes_on, set, id.to_owned(), caller.to_owned()));
        return answer::refused(504, "Unknown", "The operation takes too long.");
    }
    if state.post(set, id, caller, now).is_err() {
        return answer::dialog("The invoice cannot be found.");
    }
    if state.tuning.although_posted > 0 {
        state.tuning.although_posted -= 1;
        let message = "There is no Purch. Inv. Header within the filter. Filters: No.: ..";
        return answer::refused(400, "Internal_DataNotFoundFilter", message);
    }
    answer::no_content()
}

fn refused(
    state: &mut State,
    set: Set,
    id: &str,
    draft: &Shown,
    refusal: Refusal,
    now: Timestamp,
) -> Response<Bytes> {
    let dutch = state.tuning.language == Language::Dutch;
    if refusal == Refusal::BlockedAccount && state.tuning.refusal_touches_draft {
        let total = state.tuning.refusal_recalculates;
        let _ = state.change(set, id, now, |shown| {
            if let (Some(total), Some(line)) = (total, shown.lines.first_mut()) {
                line.set_amounts(&["netAmount", "netAmountIncludingTax", "amountIncludingTax"], total);
                line.set("netTaxAmount", 0);
                line.set("invoiceDiscountAllocation", number(shown.total - total));
                total_up(set, shown);
            }
        });
    }
    let (table, draft_number) = (set.table(), draft.fields.text("number"));
    match refusal {
        Refusal::Permission => answer::refused(
            403,
            "Internal_ServerError",
            if dutch {
                "De huidige machtigingen verhinderden de actie. (TableData 71442000 Contoso Freight Setup Read: Contoso Freight)"
            } else {
                "Sorry, the current permissions prevented the action. (TableData 71442000 Contoso Freight Setup Read: Contoso Freight)"
            },
        ),
        Refusal::ClosedPeriod if dutch => {
            answer::dialog("Boekingsdatum valt niet binnen de periode waarin boeken is toegestaan.")
        }
        Refusal::ClosedPeriod => {
            answer::dialog("Posting Date is not within your range of allowed posting dates.")
        }
        Refusal::VendorInvoiceNumber => answer::dialog(
            "You need to enter the document number of the document from the vendor in the Vendor Invoice No. field, so \
             that this document stays linked to the original.",
        ),
        Refusal::Blocked => {
            let (kind, named) =
                if set.is_purchase() { ("Vendor", "vendorNumber") } else { ("Customer", "customerNumber") };
            let party = draft.fields.text(named);
            answer::dialog(&format!(
                "You cannot post this type of document when {kind} {party} is blocked with type All"
            ))
        }
        Refusal::BlockedAccount => {
            answer::dialog("Blocked must be equal to 'No'  in G/L Account: No.=6120. Current value is 'Yes'.")
        }
        Refusal::UnknownLocation => answer::dialog(
            "The field Location Code of table Purchase Line contains a value (EAST) that cannot be found in the related table \
             (Location).",
        ),
        Refusal::NeedsApproval => answer::dialog(&format!(
            "{table} {draft_number} must be approved and released before you can perform this action."
        )),
    }
}
