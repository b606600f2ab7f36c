//! Ledgerly's words, and what they are in the SDK's.

use ml_connector_core::{
    Error, ErrorKind, Result, Scope,
    decode::{self, Object, Row},
    model::{Column, Columns, LostRow, Record, RecordKind, Status},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The members of an invoice that mean something to people or money. Nothing else makes a change.
pub const MEANINGFUL: &[&str] =
    &["number", "status", "customer.id", "customer.name", "total", "currency", "due"];

/// An invoice of the account in the SDK's vocabulary. What cannot be read is left out, and costs nothing else.
///
/// # Errors
/// [`InvalidResponse`](ErrorKind::InvalidResponse) when it has no id. [`ConfigInvalid`](ErrorKind::ConfigInvalid) in the scope
/// of the connection when it is of another account: nothing of that is told, and nothing more is read.
pub fn invoice(account: &str, from: &Object<'_>) -> Result<Record> {
    if from.some_text("account").is_some_and(|named| named != account) {
        let error =
            Error::new(ErrorKind::ConfigInvalid, "Ledgerly answered with an invoice of another account");
        return Err(error.with_scope(Scope::Connection));
    }
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
    record.modified_at = from.instant("updated_at"); // the same in a list: so a row is known to be of this state
    Ok(record)
}

/// What a list shows of an invoice.
pub enum Listed {
    /// All that a list has, and the vendor's JSON of it. It lacks the customer.
    Row(Box<Record>, Box<RawValue>),
    /// Something of it cannot be read here: the invoice is read alone.
    Id(String),
    /// Not even its id can be read.
    Lost(LostRow),
}

impl Listed {
    /// The invoice's id, where it can be read.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Row(record, _) => Some(&record.id),
            Self::Id(id) => Some(id),
            Self::Lost(_) => None,
        }
    }
}

/// The rows of a list. One odd row costs that row, never the page.
///
/// # Errors
/// As [`invoice`], when there is no list, and when a row is of another account.
pub fn listed(account: &str, invoices: &RawValue) -> Result<Vec<Listed>> {
    let rows =
        decode::rows(invoices, "id", |from| invoice(account, from))?.into_iter().map(|row| match row {
            Row::Unreadable { error, .. } if *error.scope() == Scope::Connection => Err(error),
            Row::Read { decoded, raw } if decoded.left_out.is_empty() => {
                Ok(Listed::Row(Box::new(decoded.value), raw))
            }
            Row::Read { decoded, .. } => Ok(Listed::Id(decoded.value.id.to_string())),
            Row::Unreadable { row, .. } => Ok(match &row.id {
                Some(id) => Listed::Id(id.to_string()),
                None => Listed::Lost(row),
            }),
        });
    rows.collect()
}

/// What invoices look like as a table: with it, every sink that keeps tables takes them. A row of a list has no customer, and
/// its columns that are only in the detail stay empty until that is read.
pub fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "Sales invoices")
        .whole_with("/customer")
        .with(Column::string("number", "/number").commented("What people call it"))
        .with(Column::string("status", "/status"))
        .with(Column::string("customer_id", "/customer/id").in_detail())
        .with(Column::string("customer_name", "/customer/name").in_detail())
        .with(Column::decimal("total", "/total", 4))
        .with(Column::string("currency", "/currency").commented("ISO 4217"))
        .with(Column::date("due", "/due"))
        .with(Column::big_int("views", "/views").in_detail().refreshed_by("the next change of the invoice"))
}

/// A page of a list, and where the next page begins.
#[derive(Deserialize)]
pub struct Page {
    pub invoices: Box<RawValue>,
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
