//! Sales invoices.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Record, RecordKind},
};

use super::{Lines, Resource, Site, amounts, line, status, value};

/// Sales invoices.
pub(crate) static SALES_INVOICES: Resource = Resource {
    kind: "invoice",
    feed: "sales_invoices",
    path: "salesinvoice/SalesInvoices",
    key: "InvoiceID",
    get: "exact_online.get_sales_invoice",
    list: "exact_online.list_sales_invoices",
    scope: "Sales invoices",
    topic: Some("SalesInvoices"),
    select: &[
        "InvoiceID",
        "InvoiceNumber",
        "OrderNumber",
        "Type",
        "Status",
        "Description",
        "YourRef",
        "PaymentReference",
        "Remarks",
        "OrderedBy",
        "OrderedByName",
        "InvoiceTo",
        "InvoiceToName",
        "InvoiceDate",
        "DueDate",
        "OrderDate",
        "Currency",
        "AmountFC",
        "AmountDC",
        "AmountFCExclVat",
        "VATAmountFC",
        "AmountDiscount",
        "PaymentCondition",
        "Journal",
        "JournalDescription",
        "Document",
        "Created",
        "Modified",
        "Division",
    ],
    lines: Some(Lines {
        navigation: "SalesInvoiceLines",
        path: "salesinvoice/SalesInvoiceLines",
        parent: "InvoiceID",
        list: "exact_online.list_sales_invoice_lines",
        select: members_of_lines!(
            "VATAmountFC" "NetPrice" "UnitPrice" "UnitCode" "UnitDescription" "Item" "ItemCode" "ItemDescription" "GLAccount"
            "GLAccountDescription"
        ),
    }),
    meaningful: &[
        "InvoiceNumber",
        "Type",
        "Status",
        "Description",
        "YourRef",
        "PaymentReference",
        "Remarks",
        "OrderedBy",
        "InvoiceTo",
        "InvoiceDate",
        "DueDate",
        "OrderDate",
        "Currency",
        "AmountFC",
        "AmountDC",
        "VATAmountFC",
        "AmountDiscount",
        "PaymentCondition",
        "Document",
    ],
    open: Some("Status eq 10 or Status eq 20"),
    read: read_invoice,
};

fn read_invoice(invoice: &Object<'_>, site: &Site) -> Result<Record> {
    let (status, word) = status::of_invoice(value::integer(invoice, "Status"));
    let mut record = Record::new(RecordKind::Invoice, invoice.id("InvoiceID")?, status);
    word.clone_into(&mut record.vendor_status);
    let currency = amounts(&mut record, invoice, site);
    // Until it is printed it has the number of its order only, which is no invoice's number.
    record.number = value::text(invoice, "InvoiceNumber");
    record.counterparty = super::party(invoice, "InvoiceTo", "InvoiceToName")
        .or_else(|| super::party(invoice, "OrderedBy", "OrderedByName"));
    record.date = value::day(invoice, "InvoiceDate").or_else(|| value::day(invoice, "OrderDate"));
    record.due_date = value::day(invoice, "DueDate");
    record.sub_total = value::money(invoice, "AmountFCExclVat", currency);
    record.lines = line::read(invoice, "SalesInvoiceLines", currency);
    Ok(record)
}
