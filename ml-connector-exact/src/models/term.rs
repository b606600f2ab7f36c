//! Payment terms: what is to be paid or received of a document by when.
//!
//! A term is no payment. It becomes one when it is paid: then it is told, once. Receipts and payments that are not matched
//! yet are terms, too, and are told by their bank or cash entry; what a credit note, a discount or a write-off settles was
//! not paid. Signs tell nothing: their meaning differs between accounts.

use ml_connector_core::{
    Result,
    decode::{self, Object},
    model::{Allocation, EntityRef, Record, RecordKind, Status},
};
use serde_json::value::RawValue;

use super::{Resource, Site, value};

/// Terms of suppliers.
pub(crate) static PAYMENTS: Resource = Resource {
    kind: "vendor_payment",
    feed: "payments",
    path: "cashflow/Payments",
    get: "exact_online.get_payment",
    list: "exact_online.list_payments",
    scope: "Financial cashflow",
    read: |term, site| read(term, site, RecordKind::VendorPayment),
    ..TERM
};

/// Terms of customers.
pub(crate) static RECEIVABLES: Resource = Resource {
    kind: "customer_payment",
    feed: "receivables",
    path: "cashflow/Receivables",
    get: "exact_online.get_receivable",
    list: "exact_online.list_receivables",
    scope: "Financial receivables",
    select: &OF_CUSTOMERS,
    read: |term, site| read(term, site, RecordKind::CustomerPayment),
    ..TERM
};

/// What both have in common.
const TERM: Resource = Resource {
    kind: "",
    feed: "",
    path: "",
    key: "ID",
    get: "",
    list: "",
    scope: "",
    topic: None,
    select: &OF_BOTH,
    lines: None,
    // Where it stands is added in our words: paid stays paid.
    meaningful: &["InvoiceNumber", "Account", "AmountFC", "AmountDC", "Currency", "TransactionEntryID"],
    open: None,
    read: |term, site| read(term, site, RecordKind::VendorPayment),
};

/// The members that both have.
const OF_BOTH: [&str; 19] = [
    "ID",
    "Status",
    "TransactionType",
    "Journal",
    "InvoiceNumber",
    "Description",
    "YourRef",
    "Account",
    "AccountName",
    "AmountFC",
    "AmountDC",
    "Currency",
    "DueDate",
    "EndDate",
    "PaymentMethod",
    "TransactionEntryID",
    "TransactionAmountDC",
    "Modified",
    "Division",
];

/// Those of customers' terms, which know the day of the last payment where they are read one by one, too.
const OF_CUSTOMERS: [&str; 20] = {
    let (mut members, mut n) = (["LastPaymentDate"; 20], 0);
    while n < OF_BOTH.len() {
        members[n] = OF_BOTH[n];
        n += 1;
    }
    members
};

/// What of both is asked for in the feed, which has a row version and the side.
pub(crate) const TERM_FEED: &str = "Timestamp,LineType,LastPaymentDate,IsFullyPaid";

/// What became of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It is still to be paid or received.
    Open,
    /// It was paid.
    Paid,
    /// It is settled, and not by a payment; or it is a receipt or a payment itself, which its entry tells.
    Otherwise,
}

/// What became of a term, by its own type, the day of its last payment and its status.
pub(crate) fn settlement(term: &Object<'_>) -> Settlement {
    let paid_on = value::day(term, "LastPaymentDate");
    // Credit notes settle, and entries of banks and cash are told themselves.
    if let Some(21 | 31 | 40) = value::integer(term, "TransactionType") {
        return Settlement::Otherwise;
    }
    match value::integer(term, "Status") {
        Some(40) => Settlement::Paid,
        Some(50) if paid_on.is_some() || !term.has("LastPaymentDate") && is_ended(term) => Settlement::Paid,
        Some(50) => Settlement::Otherwise,
        _ => Settlement::Open,
    }
}

/// Suppliers' terms do not know the day of the last payment.
fn is_ended(term: &Object<'_>) -> bool {
    value::day(term, "EndDate").is_some()
}

/// The document of a term.
pub(crate) fn entry_of(term: &RawValue) -> Option<String> {
    let entry = decode::object(term, |term| Ok(value::guid(term, "TransactionEntryID")));
    entry.ok()?.value.map(|entry| entry.to_ascii_lowercase())
}

/// The document of a term that may not be the only one of it: its amount is not the document's, or nobody says what that is.
pub(crate) fn part_of(term: &RawValue) -> Option<String> {
    let amounts = decode::object(term, |term| {
        Ok(["AmountDC", "TransactionAmountDC"].map(|name| term.decimal(name).map(|amount| amount.abs())))
    });
    let [own, whole] = amounts.ok()?.value;
    let is_whole = own.zip(whole).is_some_and(|(own, whole)| own == whole);
    entry_of(term).filter(|_| !is_whole)
}

/// The resource that a row of the feed belongs to: 20 are receipts, 22 payments.
pub(crate) fn side(term: &Object<'_>) -> Option<&'static Resource> {
    match value::integer(term, "LineType") {
        Some(20) => Some(&RECEIVABLES),
        Some(22) => Some(&PAYMENTS),
        _ => None,
    }
}

fn read(term: &Object<'_>, site: &Site, kind: RecordKind) -> Result<Record> {
    let (status, word) = match settlement(term) {
        Settlement::Paid => (Status::Paid, "paid"),
        Settlement::Open => (Status::Open, "open"),
        Settlement::Otherwise => (Status::Void, "settled without a payment"),
    };
    let is_receipt = kind == RecordKind::CustomerPayment;
    let mut record = Record::new(kind, term.id("ID")?, status);
    word.clone_into(&mut record.vendor_status);
    super::amounts(&mut record, term, site);
    record.total = value::unsigned(record.total);
    record.base_total = value::unsigned(record.base_total);
    record.number = value::text(term, "InvoiceNumber");
    record.counterparty = super::party(term, "Account", "AccountName");
    record.date = value::day(term, "LastPaymentDate").or_else(|| value::day(term, "EndDate"));
    record.payment_mode = value::text(term, "PaymentMethod").map(|code| method(&code).to_owned());
    // It was created with its document; as a payment it is as old as its last change.
    record.created_at = record.modified_at;
    // A sales invoice and its entry have different ids, and the term knows the entry's.
    let document = if is_receipt { "sales_entry" } else { "bill" };
    let settled = value::guid(term, "TransactionEntryID").zip(record.total);
    record.allocations = settled
        .map(|(entry, amount)| Allocation {
            document: EntityRef::new(document, entry),
            number: record.number.clone().unwrap_or_default(),
            amount,
        })
        .into_iter()
        .collect();
    Ok(record)
}

fn method(code: &str) -> &str {
    match code {
        "B" => "on credit",
        "I" => "collection",
        "K" => "cash",
        "V" => "credit card",
        other => other,
    }
}
