//! Which fields make a change.

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Record, Revision},
    snapshot::canonical_revision,
};
use serde_json::value::RawValue;

/// Members that differ although nobody has changed the record.
const IGNORED: &[&str] = &[
    // Stamps, and who was last: a save without a difference moves them too.
    "last_modified_time",
    "updated_time",
    "last_modified_by",
    "last_modified_by_id",
    "last_modified_id",
    // Counted by the calendar.
    "due_days",
    "due_in_days",
    "due_by_days",
    "color_code",
    // What mails and the customer's visits leave behind.
    "is_emailed",
    "is_viewed_by_client",
    "client_viewed_time",
    "reminders_sent",
    "last_reminder_sent_date",
    "invoice_url",
    "qr_code",
    // Entries beside the record: our own acknowledgement is one.
    "comments",
    "page_context",
    // The state of the contact, of the stock and of other documents, which change by themselves. What a payment
    // settles is in its allocations.
    "contact",
    "customer_default_billing_address",
    "customer_custom_fields",
    "customer_custom_field_hash",
    "contact_persons_details",
    "unused_retainer_payments",
    "customer_currency_summaries",
    "vendor_currency_summaries",
    "credit_limit_exceeded_amount",
    "has_transaction",
    "transactions",
    "closing_balance",
    "current_balance",
    "stock_on_hand",
    "available_stock",
    "committed_stock",
    "available_for_sale_stock",
    "actual_available_stock",
    "actual_committed_stock",
    "actual_available_for_sale_stock",
    "invoices",
    "bills",
    // What this user may do, and how the web application shows it.
    "lock_details",
    "lock_detail",
    "locked_actions",
    "can_send_in_mail",
    "can_send_invoice_sms",
    "can_send_payment_sms",
    "can_show_kit_return",
    "is_client_review_settings_enabled",
    "payment_options",
    "template_id",
    "template_name",
    "template_type",
    "page_width",
    "page_height",
    "orientation",
    // Taken from the record below, so that a word that changes with the date is no change.
    "status",
    "payment_status",
    "current_sub_status",
    "current_sub_status_id",
    "sub_statuses",
];

/// Texts made from other members by the organization's settings, and pictures of people.
const IGNORED_ENDINGS: &[&str] = &["_formatted", "_photo_url"];

/// Sums over a contact's documents.
const IGNORED_BEGINNINGS: &[&str] = &["outstanding_", "unused_credits_"];

/// The revision of a record: its JSON without what is ignored, with the status in the SDK's vocabulary (so that
/// `sent`, `viewed` and `overdue` are one), the organization's own stage, and what a payment settles.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the JSON is none.
pub(crate) fn revision(raw: &RawValue, record: &Record, sub_status: &str) -> Result<Revision> {
    let content = listed_revision(raw)?;
    let whole = (content, &record.status, sub_status, &record.allocations);
    let bytes = serde_json::to_vec(&whole).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a revision cannot be written").with_source(source)
    })?;
    Ok(Revision::of(&bytes))
}

/// The revision of a row that has no stamp: its JSON without what is ignored.
///
/// # Errors
/// As [`revision`].
pub(crate) fn listed_revision(raw: &RawValue) -> Result<Revision> {
    let ignored = |key: &str| {
        IGNORED.contains(&key)
            || IGNORED_ENDINGS.iter().any(|ending| key.ends_with(ending))
            || IGNORED_BEGINNINGS.iter().any(|beginning| key.starts_with(beginning))
    };
    canonical_revision(raw.get().as_bytes(), ignored)
}
