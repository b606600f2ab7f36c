//! Invoices and orders, of both sides.

use ml_connector_core::{
    Error, ErrorKind, Result,
    decode::Object,
    model::{CodeName, Currency, Line, Party, Person, Raw, Record, Status},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Set, date, decoded, reference_id, stamp};

/// The status of an order that became an invoice. Business Central has no word for it, because the order is gone.
pub(crate) const INVOICED: &str = "invoiced";

/// What a document's word stands for. An unposted purchase invoice reads Draft whatever it waits for, and a sales invoice
/// that reads Open may be released only: who has read more says so.
fn status(set: Set, word: &str) -> Status {
    match word {
        "Draft" | "" => Status::Draft,
        "In Review" => Status::PendingApproval,
        "Open" if set.is_order() => Status::Approved,
        "Open" => Status::Open,
        "Paid" => Status::Paid,
        "Canceled" => Status::Void,
        other => Status::Other(other.to_ascii_lowercase().into()),
    }
}

pub(super) fn read(set: Set, from: &Object<'_>) -> Result<Record> {
    let word = from.text("status");
    let word = decoded(&word);
    let mut record = Record::new(set.kind(), from.id("id")?, status(set, &word));
    record.vendor_status = word.into_owned();
    record.number = from.some_text("number");
    let (id, name, reference) = match set.is_purchase() {
        true => ("vendorId", "vendorName", "vendorInvoiceNumber"),
        false => ("customerId", "customerName", "externalDocumentNumber"),
    };
    record.reference = from.some_text(reference);
    record.counterparty =
        reference_id(from, id).map(|id| Party { id: Some(id.into()), name: from.text(name) });
    // The code alone: who that is, the source finds out.
    let code = from.some_text(if set.is_purchase() { "purchaser" } else { "salesperson" });
    record.assignee = code.and_then(|code| Person::known(Some(code.into()), None, None));
    record.date = date(from, if set.is_order() { "orderDate" } else { "invoiceDate" });
    record.due_date = date(from, "dueDate");
    record.modified_at = stamp(from);
    let currency = from.currency("currencyCode");
    record.total = from.money("totalAmountIncludingTax", currency);
    // Of an unposted invoice it is the total, which is owed by nobody yet.
    if set == Set::SalesInvoices && matches!(record.status, Status::Open | Status::Paid) {
        record.balance = from.money("remainingAmount", currency);
        let part = record.balance.zip(record.total).is_some_and(|(left, total)| {
            left < total && !left.amount.is_zero() && left.amount.is_sign_positive()
        });
        if part && record.status == Status::Open {
            record.status = Status::PartiallyPaid;
        }
    }
    if let Some(lines) = set.lines() {
        record.lines = from.objects(lines).iter().map(|line| read_line(line, currency)).collect();
    }
    Ok(record)
}

fn read_line(line: &Object<'_>, currency: Option<Currency>) -> Line {
    // `amount…` may be 0 on old posted lines; `net…` is after the invoice's discount.
    let amount = line.money("netAmount", currency).or_else(|| line.money("amountExcludingTax", currency));
    Line {
        id: line.text("id").into(),
        description: line.text("description"),
        quantity: line.decimal("quantity"),
        amount,
        account: CodeName::known(None, line.some_text("lineObjectNumber"), None),
        ..Line::default()
    }
}

/// Whether it only keeps the place of a draft that was deleted: posted, settled, and nothing in it.
pub(crate) fn is_placeholder(record: &Record) -> bool {
    record.status == Status::Paid && record.total.is_some_and(|total| total.amount.is_zero())
}

/// What is left to say of an order that became an invoice, as the API would write it: tables keep the rest.
///
/// # Errors
/// None that is expected.
pub(crate) fn invoiced(order: &Record) -> Result<Raw> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Invoiced<'a> {
        id: &'a str,
        number: Option<&'a str>,
        status: &'a str,
        currency_code: Option<String>,
        total_amount_including_tax: Option<Box<RawValue>>,
    }
    let unwritten =
        |source| Error::new(ErrorKind::Unexpected, "an order cannot be written as JSON").with_source(source);
    let amount = order.total.map(|total| RawValue::from_string(total.amount.to_string()));
    let raw = serde_json::value::to_raw_value(&Invoiced {
        id: &order.id,
        number: order.number.as_deref(),
        status: INVOICED,
        currency_code: order.total.map(|total| total.currency.to_string()),
        total_amount_including_tax: amount.transpose().map_err(unwritten)?,
    });
    raw.map(Raw::new).map_err(unwritten)
}
