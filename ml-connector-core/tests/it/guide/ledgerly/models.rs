//! Ledgerly's words, and what they are in the SDK's.

use ml_connector_core::{
    Money, Result,
    model::{Column, Columns, Currency, Date, Party, Record, RecordKind, Status, decimal_from_json},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An invoice. It has no `Debug`: names and amounts are the customer's business.
#[derive(Deserialize)]
pub struct Invoice {
    pub id: String,
    number: String,
    status: String,
    customer: Customer,
    total: Box<RawValue>, // the vendor's digits, never a float
    currency: String,
    due: Option<Date>,
}

#[derive(Deserialize)]
struct Customer {
    id: String,
    name: String,
}

impl Invoice {
    /// The invoice in the SDK's vocabulary.
    pub fn into_record(self) -> Result<Record> {
        let status = match self.status.as_str() {
            "draft" => Status::Draft,
            "sent" => Status::Open,
            "paid" => Status::Paid,
            "void" => Status::Void,
            other => Status::Other(other.into()), // kept: vendors add values without notice
        };
        let currency = Currency::parse(&self.currency)?;
        let mut record = Record::new(RecordKind::Invoice, self.id, status);
        record.vendor_status = self.status;
        record.number = Some(self.number);
        record.counterparty = Some(Party { id: self.customer.id.into(), name: self.customer.name });
        record.total = decimal_from_json(&self.total)?.map(|total| Money::new(total, currency));
        record.due_date = self.due;
        Ok(record)
    }
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

/// Whether a member says nothing about the invoice itself: when it was touched, how often it was looked at.
pub fn is_noise(member: &str) -> bool {
    matches!(member, "updated_at" | "views")
}

/// A page of ids, and where the next page begins.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub invoices: Vec<String>,
    pub next: Option<String>,
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
