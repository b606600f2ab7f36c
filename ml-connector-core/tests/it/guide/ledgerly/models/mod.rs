//! Ledgerly's words, and what they are in the SDK's.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Column, Columns, Record, RecordKind, Status},
};
use serde::{Deserialize, Serialize};

/// The members of an invoice that mean something to people or money. Nothing else makes a change.
pub const MEANINGFUL: &[&str] =
    &["number", "status", "customer.id", "customer.name", "total", "currency", "due"];

/// An invoice in the SDK's vocabulary. What cannot be read is left out, and costs nothing else.
///
/// # Errors
/// [`InvalidResponse`](ml_connector_core::ErrorKind::InvalidResponse) when it has no id.
pub fn invoice(from: &Object<'_>) -> Result<Record> {
    let word = from.text("status");
    let status = match &*word {
        "draft" => Status::Draft,
        "sent" => Status::Open,
        "paid" => Status::Paid,
        "void" => Status::Void,
        other => Status::Other(other.into()), // kept: vendors add values without notice
    };
    let mut record = Record::new(RecordKind::Invoice, from.id("id")?, status);
    record.vendor_status = word;
    record.number = from.some_text("number");
    record.counterparty = from.object("customer").and_then(|customer| customer.party("id", "name"));
    record.total = from.money("total", from.currency("currency")); // the vendor's digits, never a float
    record.due_date = from.date("due");
    Ok(record)
}

/// What invoices look like as a table: with it, every sink that keeps tables takes them.
pub fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "Sales invoices")
        .with(Column::string("number", "/number").commented("What people call it"))
        .with(Column::string("status", "/status"))
        .with(Column::string("customer_id", "/customer/id"))
        .with(Column::string("customer_name", "/customer/name"))
        .with(Column::decimal("total", "/total", 4))
        .with(Column::string("currency", "/currency").commented("ISO 4217"))
        .with(Column::date("due", "/due"))
        .with(Column::big_int("views", "/views").refreshed_by("the next change of the invoice"))
}

/// A page of ids, and where the next page begins.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub invoices: Vec<String>,
    pub next: Option<String>,
}

/// A webhook as Ledgerly knows it.
#[derive(Debug, Deserialize)]
pub struct Hook {
    pub id: String,
    pub url: String,
    pub verified: bool,
}

/// All webhooks of the account.
#[derive(Debug, Deserialize)]
pub struct HookList {
    pub webhooks: Vec<Hook>,
}

/// A note at an invoice. Its reference is ours, and how a look-up finds it.
#[derive(Serialize, Deserialize)]
pub struct Note {
    #[serde(default, skip_serializing)]
    pub id: String,
    pub reference: String,
    pub text: String,
}

/// The notes that were asked for.
#[derive(Deserialize)]
pub struct NoteList {
    pub notes: Vec<Note>,
}
