//! Records as the API prints them: key sets from recorded answers, values from the books.

use ml_connector_core::{
    Timestamp,
    model::{Date, Decimal},
};
use serde_json::json;

use super::{
    books::Books,
    records::{Comment, Document, Entity, Payment},
};
use crate::toolkit::json::{Fields, number};

macro_rules! template {
    ($name:literal) => {{
        static TEMPLATE: std::sync::LazyLock<Fields> = std::sync::LazyLock::new(|| {
            Fields::template(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/fixtures/zoho-books/",
                $name,
                ".json"
            )))
        });
        TEMPLATE.clone()
    }};
}

pub(super) mod plain;

/// A record as `GET` by id shows it, without the envelope.
pub(super) fn detail(books: &Books, entity: Entity, id: &str, now: Timestamp) -> Option<Fields> {
    match entity {
        Entity::Invoice => books.document(entity, id).map(|invoice| self::invoice(books, invoice, now)),
        Entity::Bill => books.document(entity, id).map(|bill| self::bill(books, bill, now)),
        Entity::CustomerPayment => books.payment(entity, id).map(|payment| customer_payment(books, payment)),
        Entity::VendorPayment => books.payment(entity, id).map(|payment| vendor_payment(books, payment)),
        _ => books.plain(entity, id).map(|found| plain::detail(books, found)),
    }
}

/// A document as a list shows it: no lines, fewer fields.
pub(super) fn document_row(books: &Books, document: &Document, now: Timestamp) -> Fields {
    let today = books.today(now);
    let mut row = match document.entity {
        Entity::Bill => template!("bill-row"),
        _ => template!("invoice-row"),
    };
    shared(&mut row, books, document, now);
    row.set("due_days", due_days(document, today));
    match document.entity {
        Entity::Bill => {
            row.set("is_opening_balance", &document.id);
            row.set_amounts(&["balance_due"], document.balance());
            for (name, at) in [
                ("created_time_formatted", document.created),
                ("last_modified_time_formatted", document.modified),
            ] {
                row.set(name, books.local_time(at, "%d %b %Y %I:%M %p"));
            }
        }
        _ => {
            row.set("company_name", &document.party.name);
            row.set("updated_time", books.stamp(document.modified));
        }
    }
    row
}

/// A payment as a list shows it.
pub(super) fn payment_row(books: &Books, payment: &Payment) -> Fields {
    let mut row = match payment.entity {
        Entity::VendorPayment => template!("vendor-payment-row"),
        _ => template!("customer-payment-row"),
    };
    let numbers = books.documents.get(&payment.document).map_or("", |document| document.number.as_str());
    payment_fields(&mut row, books, payment);
    row.set_amounts(&["bcy_amount"], payment.amount);
    row.set("last_modified_time", books.stamp(payment.created));
    match payment.entity {
        Entity::VendorPayment => row.set("bill_numbers", numbers),
        _ => {
            row.set("invoice_numbers", numbers);
            if books.bare_payment_rows {
                row.remove("currency_code");
            }
        }
    }
    row
}

/// A comment of a document.
pub(super) fn comment(books: &Books, document: &Document, comment: &Comment) -> serde_json::Value {
    let mut shown = json!({
        "comment_id": comment.id,
        "description": comment.text,
        "commented_by_id": USER_ID,
        "commented_by": USER_NAME,
        "comment_type": comment.kind,
        "operation_type": "Added",
        "date": books.local_time(comment.at, "%Y-%m-%d"),
        "date_description": "few seconds ago",
        "time": books.local_time(comment.at, "%-I:%M %p"),
        "transaction_id": "",
        "transaction_type": document.entity.name(),
    });
    shown[document.entity.id_key()] = document.id.clone().into();
    shown
}

/// An organization as `GET /organizations` shows it.
pub(super) fn organization(books: &Books) -> Fields {
    let mut shown = template!("organization");
    shown.set("organization_id", &books.organization.id);
    shown.set("name", &books.organization.name);
    shown.set("time_zone", books.organization.time_zone.name());
    shown.set("plan_name", books.organization.plan.name());
    shown
}

/// The people of every organization.
pub(super) fn users() -> serde_json::Value {
    serde_json::from_str(include_str!("../../fixtures/zoho-books/users.json")).unwrap_or_default()
}

/// Who everything is done by.
const USER_ID: &str = "481500000000093001";
/// Who approves, in this order: id, name, address.
pub(super) const APPROVERS: [(&str, &str, &str); 3] = [
    ("481500000000093015", "Ines Okafor", "ines@harborlane.example"),
    ("481500000000093022", "Paul Verdier", "paul@harborlane.example"),
    ("481500000000093039", "Mina Haldane", "mina@harborlane.example"),
];
const USER_NAME: &str = "Dana Whitlow";

fn invoice(books: &Books, invoice: &Document, now: Timestamp) -> Fields {
    let mut detail = template!("invoice");
    let line = detail.first_of("line_items");
    shared(&mut detail, books, invoice, now);
    lines(&mut detail, line, invoice);
    detail.set_amounts(&["sub_total", "bcy_sub_total", "bcy_total"], invoice.total);
    detail.set_amounts(&["payment_made"], invoice.paid);
    detail.set("created_date", books.local_time(invoice.created, "%Y-%m-%d"));
    let today = books.today(now);
    let owed: Decimal = books
        .documents
        .values()
        .filter(|other| other.entity == Entity::Invoice && other.party == invoice.party)
        .filter(|other| matches!(other.status(today), "sent" | "overdue" | "partially_paid"))
        .map(Document::balance)
        .sum();
    let mut contact = Fields::template(
        r#"{"customer_balance":0,"credit_limit":0,"unused_customer_credits":0,"is_credit_limit_migration_completed":true}"#,
    );
    contact.set_amounts(&["customer_balance"], owed);
    detail.set("contact", contact);
    detail.set_all(&["notes", "terms"], "");
    approval(&mut detail, invoice);
    detail
}

fn bill(books: &Books, bill: &Document, now: Timestamp) -> Fields {
    let mut detail = template!("bill");
    let line = detail.first_of("line_items");
    shared(&mut detail, books, bill, now);
    lines(&mut detail, line, bill);
    detail.set_amounts(&["sub_total"], bill.total);
    detail.set_amounts(&["payment_made"], bill.paid);
    let days = bill.due_date.days_since(books.today(now));
    match (bill.balance() > Decimal::ZERO, days >= 0) {
        (true, true) => detail.set("due_in_days", days),
        (true, false) => {
            detail.set("due_in_days", "");
            detail.set("due_by_days", -days);
        }
        (false, _) => detail.set("due_in_days", ""),
    }
    detail.set("is_approval_required", bill.approval.is_some());
    detail.set("notes", "");
    let payments: Vec<_> = books
        .payments
        .values()
        .filter(|payment| payment.document == bill.id)
        .map(|payment| {
            let mut shown = Fields::default();
            shown.set("payment_id", &payment.id);
            shown.set("bill_payment_id", &payment.allocation_id);
            shown.set("payment_mode", "Bank Transfer");
            shown.set("date", payment.date.to_string());
            shown.set("amount", number(payment.amount));
            shown.set("paid_through_account_name", "Operating Account");
            shown.set("reference_number", "");
            shown
        })
        .collect();
    detail.set("payments", payments);
    approval(&mut detail, bill);
    detail
}

/// What lists and details of invoices and bills have in common.
fn shared(to: &mut Fields, books: &Books, document: &Document, now: Timestamp) {
    let status = document.status(books.today(now));
    let (party_id, party_name, number_key) = match document.entity {
        Entity::Bill => ("vendor_id", "vendor_name", "bill_number"),
        _ => ("customer_id", "customer_name", "invoice_number"),
    };
    to.set(document.entity.id_key(), &document.id);
    to.set(number_key, &document.number);
    to.set("reference_number", &document.reference);
    to.set(party_id, &document.party.id);
    to.set(party_name, &document.party.name);
    to.set_all(&["status", "current_sub_status"], status);
    to.set("date", document.date.to_string());
    to.set("due_date", document.due_date.to_string());
    to.set("currency_code", &document.currency);
    to.set_amounts(&["total"], document.total);
    to.set_amounts(&["balance"], document.balance());
    to.set("created_time", books.stamp(document.created));
    to.set("last_modified_time", books.stamp(document.modified));
    let fields: Vec<_> = document
        .fields
        .iter()
        .map(|(id, value)| json!({ "customfield_id": id, "label": "Acknowledged", "value": value }))
        .collect();
    to.set("custom_fields", fields);
    if document.entity == Entity::Bill {
        return;
    }
    to.set("issued_date", document.date.to_string());
    to.set("email", format!("ap@{}.example", slug(&document.party.name)));
    to.set("currency_symbol", symbol(&document.currency));
    to.set("is_emailed", !matches!(status, "draft" | "pending_approval" | "approved"));
    to.set("reminders_sent", 0);
    to.set_all(&["last_reminder_sent_date"], "");
    to.set("last_payment_date", document.last_payment.map_or_else(String::new, |date| date.to_string()));
    to.set("custom_field_hash", json!({}));
    // The address that lets a customer see the invoice exists once there is something to see.
    if matches!(status, "draft" | "void" | "pending_approval" | "approved") {
        to.remove("invoice_url");
    }
}

fn lines(to: &mut Fields, mut line: Fields, document: &Document) {
    line.set("line_item_id", format!("{}1", &document.id[..document.id.len().saturating_sub(1)]));
    line.set(if document.entity == Entity::Bill { "description" } else { "name" }, &document.description);
    line.set_amounts(&["rate", "bcy_rate", "item_total"], document.total);
    to.set("line_items", [line]);
    let days = document.due_date.days_since(document.date);
    to.set("payment_terms", days);
    to.set(
        "payment_terms_label",
        if days == 0 { "Due on Receipt".to_owned() } else { format!("Net {days}") },
    );
    to.set("currency_name_formatted", format!("{}-", document.currency));
}

/// The approval block; its inner names are not documented.
fn approval(to: &mut Fields, document: &Document) {
    let Some(approval) = &document.approval else { return };
    to.set("submitted_date", approval.submitted.to_string());
    to.set_all(&["submitted_by", "submitter_id"], USER_ID);
    to.set("submitted_by_name", USER_NAME);
    to.set("submitted_by_email", "finance@harborlane.example");
    to.set("approver_id", APPROVERS[0].0);
    let approver = |(i, (id, name, email)): (usize, &(&str, &str, &str))| {
        let approved = approval.approved.get(i);
        json!({
            "order": i + 1,
            "approver_user_id": id,
            "approver_name": name,
            "email": email,
            "photo_url": "",
            "approval_status": if approved.is_some() { "approved" } else { "yet_to_approve" },
            "is_next_approver": i == approval.approved.len(),
            "submitted_date": approval.submitted.to_string(),
            "approved_date": approved.map_or_else(String::new, Date::to_string),
            "user_status": "active",
        })
    };
    let approvers = APPROVERS.iter().take(approval.approvers).enumerate();
    to.set("approvers_list", approvers.map(approver).collect::<serde_json::Value>());
}

fn customer_payment(books: &Books, payment: &Payment) -> Fields {
    let mut detail = template!("customer-payment");
    let line = detail.first_of("invoices");
    payment_fields(&mut detail, books, payment);
    detail.set("payment_number_suffix", &payment.number);
    detail.set("updated_time", books.stamp(payment.created));
    allocation(&mut detail, "invoices", "invoice", line, books, payment);
    detail
}

fn vendor_payment(books: &Books, payment: &Payment) -> Fields {
    let mut detail = template!("vendor-payment");
    let line = detail.first_of("bills");
    payment_fields(&mut detail, books, payment);
    detail.set("payment_number_suffix", &payment.number);
    detail.set("last_modified_time", books.stamp(payment.created));
    detail.set("comments", [0; 0]);
    allocation(&mut detail, "bills", "bill", line, books, payment);
    detail
}

fn payment_fields(to: &mut Fields, books: &Books, payment: &Payment) {
    let (party_id, party_name) = match payment.entity {
        Entity::VendorPayment => ("vendor_id", "vendor_name"),
        _ => ("customer_id", "customer_name"),
    };
    to.set("payment_id", &payment.id);
    to.set("payment_number", &payment.number);
    to.set(party_id, &payment.party.id);
    to.set(party_name, &payment.party.name);
    to.set("date", payment.date.to_string());
    to.set("currency_code", &payment.currency);
    to.set_all(&["description", "reference_number"], "");
    to.set_amounts(&["amount"], payment.amount);
    to.set("created_time", books.stamp(payment.created));
}

/// Which document a payment was for.
fn allocation(to: &mut Fields, list: &str, kind: &str, mut line: Fields, books: &Books, payment: &Payment) {
    let Some(document) = books.documents.get(&payment.document) else { return to.set(list, [0; 0]) };
    line.set(&format!("{kind}_id"), &document.id);
    line.set(&format!("{kind}_number"), &document.number);
    line.set(&format!("{kind}_payment_id"), &payment.allocation_id);
    line.set_amounts(&["amount_applied"], payment.amount);
    line.set_amounts(&["total"], document.total);
    line.set_amounts(&["balance"], document.balance());
    line.set("date", document.date.to_string());
    line.set("due_date", document.due_date.to_string());
    line.set("apply_date", payment.date.to_string());
    to.set(list, [line]);
}

fn due_days(document: &Document, today: Date) -> String {
    let days = document.due_date.days_since(today);
    match document.status(today) {
        "paid" | "void" | "draft" => String::new(),
        _ if days < 0 => format!("Overdue by {} days", -days),
        _ => format!("Due in {days} days"),
    }
}

fn symbol(currency: &str) -> &str {
    match currency {
        "USD" | "CAD" | "AUD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        other => other,
    }
}

fn slug(name: &str) -> String {
    let first = name.split_whitespace().next().unwrap_or("customer");
    first.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}
