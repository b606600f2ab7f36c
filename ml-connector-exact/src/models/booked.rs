//! Booked invoices: purchase entries, as which every supplier's invoice ends, and sales entries, where invoices are made
//! elsewhere and only booked.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Record, RecordKind},
};

use super::{Lines, Resource, Site, amounts, line, status, value};

/// The members of an entry: those before the other party, the party's id and name, and those behind.
macro_rules! members {
    ($party:literal $($name:literal)?) => {
        &[
            "EntryID",
            "EntryNumber",
            "Type",
            "Status",
            "Description",
            "YourRef",
            "PaymentReference",
            $party,
            $($name,)?
            "EntryDate",
            "DueDate",
            "Currency",
            "Rate",
            "AmountFC",
            "AmountDC",
            "VATAmountFC",
            "PaymentCondition",
            "Journal",
            "JournalDescription",
            "Reversal",
            "Document",
            "Created",
            "Modified",
            "Division",
        ]
    };
}

/// Those that mean something.
macro_rules! meaningful {
    ($party:literal) => {
        &[
            "EntryNumber",
            "Type",
            "Status",
            "Description",
            "YourRef",
            "PaymentReference",
            $party,
            "EntryDate",
            "DueDate",
            "Currency",
            "AmountFC",
            "AmountDC",
            "VATAmountFC",
            "PaymentCondition",
            "Journal",
            "Reversal",
            "Document",
        ]
    };
}

/// Purchase entries.
pub(crate) static PURCHASE_ENTRIES: Resource = Resource {
    kind: "bill",
    feed: "purchase_entries",
    path: "purchaseentry/PurchaseEntries",
    get: "exact_online.get_purchase_entry",
    list: "exact_online.list_purchase_entries",
    topic: Some("PurchaseEntries"),
    select: members!("Supplier" "SupplierName"),
    lines: Some(Lines {
        navigation: "PurchaseEntryLines",
        path: "purchaseentry/PurchaseEntryLines",
        list: "exact_online.list_purchase_entry_lines",
        ..LINES
    }),
    meaningful: meaningful!("Supplier"),
    read: |entry, site| {
        read(entry, site, RecordKind::Bill, ["Supplier", "SupplierName"], "PurchaseEntryLines")
    },
    ..ENTRY
};

/// Sales entries. Their number is the invoice's.
pub(crate) static SALES_ENTRIES: Resource = Resource {
    kind: "invoice",
    feed: "sales_entries",
    path: "salesentry/SalesEntries",
    get: "exact_online.get_sales_entry",
    list: "exact_online.list_sales_entries",
    topic: Some("SalesEntries"),
    select: members!("Customer" "CustomerName"),
    lines: Some(Lines {
        navigation: "SalesEntryLines",
        path: "salesentry/SalesEntryLines",
        list: "exact_online.list_sales_entry_lines",
        ..LINES
    }),
    meaningful: meaningful!("Customer"),
    read: |entry, site| {
        read(entry, site, RecordKind::Invoice, ["Customer", "CustomerName"], "SalesEntryLines")
    },
    ..ENTRY
};

/// What both have in common.
const ENTRY: Resource = Resource {
    kind: "",
    feed: "",
    path: "",
    key: "EntryID",
    get: "",
    list: "",
    scope: "Financial accounting",
    topic: None,
    select: &[],
    lines: None,
    meaningful: &[],
    open: Some("Status eq 20"),
    read: |entry, site| read(entry, site, RecordKind::Bill, ["", ""], ""),
};

const LINES: Lines = Lines {
    navigation: "",
    path: "",
    parent: "EntryID",
    list: "",
    select: members_of_lines!("VATAmountFC" "GLAccount" "GLAccountCode" "GLAccountDescription"),
};

fn read(
    entry: &Object<'_>,
    site: &Site,
    kind: RecordKind,
    [party, name]: [&str; 2],
    lines: &str,
) -> Result<Record> {
    let (status, word) = status::of_entry(value::integer(entry, "Status"));
    let mut record = Record::new(kind, entry.id("EntryID")?, status);
    word.clone_into(&mut record.vendor_status);
    let currency = amounts(&mut record, entry, site);
    record.number = value::text(entry, "EntryNumber");
    record.counterparty = super::party(entry, party, name);
    record.date = value::day(entry, "EntryDate");
    record.due_date = value::day(entry, "DueDate");
    record.lines = line::read(entry, lines, currency);
    Ok(record)
}
