//! Purchase entries, as which every supplier's invoice ends, and purchase orders.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Person, Record, RecordKind},
};

use super::{Lines, Resource, Site, amounts, line, status, value};

/// Purchase entries.
pub(crate) static PURCHASE_ENTRIES: Resource = Resource {
    kind: "bill",
    feed: "purchase_entries",
    path: "purchaseentry/PurchaseEntries",
    key: "EntryID",
    get: "exact_online.get_purchase_entry",
    list: "exact_online.list_purchase_entries",
    scope: "Financial accounting",
    topic: Some("PurchaseEntries"),
    select: &[
        "EntryID",
        "EntryNumber",
        "Type",
        "Status",
        "Description",
        "YourRef",
        "PaymentReference",
        "Supplier",
        "SupplierName",
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
    ],
    lines: Some(Lines {
        navigation: "PurchaseEntryLines",
        path: "purchaseentry/PurchaseEntryLines",
        parent: "EntryID",
        list: "exact_online.list_purchase_entry_lines",
        select: Lines::SELECT,
    }),
    meaningful: &[
        "EntryNumber",
        "Type",
        "Status",
        "Description",
        "YourRef",
        "PaymentReference",
        "Supplier",
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
    ],
    open: Some("Status eq 20"),
    read: read_entry,
};

fn read_entry(entry: &Object<'_>, site: &Site) -> Result<Record> {
    let (status, word) = status::of_entry(value::integer(entry, "Status"));
    let mut record = Record::new(RecordKind::Bill, entry.id("EntryID")?, status);
    word.clone_into(&mut record.vendor_status);
    let currency = amounts(&mut record, entry, site);
    record.number = value::text(entry, "EntryNumber");
    record.counterparty = super::party(entry, "Supplier", "SupplierName");
    record.date = value::day(entry, "EntryDate");
    record.due_date = value::day(entry, "DueDate");
    record.lines = line::read(entry, "PurchaseEntryLines", currency);
    Ok(record)
}

/// Purchase orders.
pub(crate) static PURCHASE_ORDERS: Resource = Resource {
    kind: "purchase_order",
    feed: "purchase_orders",
    path: "purchaseorder/PurchaseOrders",
    key: "PurchaseOrderID",
    get: "exact_online.get_purchase_order",
    list: "exact_online.list_purchase_orders",
    scope: "Purchase orders",
    topic: Some("PurchaseOrders"),
    select: &[
        "PurchaseOrderID",
        "OrderNumber",
        "OrderStatus",
        "ReceiptStatus",
        "InvoiceStatus",
        "ApprovalStatus",
        "Approver",
        "ApproverFullName",
        "Description",
        "YourRef",
        "Remarks",
        "Supplier",
        "SupplierName",
        "OrderDate",
        "ReceiptDate",
        "Currency",
        "ExchangeRate",
        "AmountFC",
        "AmountDC",
        "VATAmount",
        "PaymentCondition",
        "Document",
        "PurchaseAgent",
        "PurchaseAgentFullName",
        "Created",
        "Modified",
        "Division",
    ],
    lines: Some(Lines {
        navigation: "PurchaseOrderLines",
        path: "purchaseorder/PurchaseOrderLines",
        parent: "PurchaseOrderID",
        list: "exact_online.list_purchase_order_lines",
        select: "ID,LineNumber,Description,AmountFC,AmountDC,Quantity,NetPrice,Item,ItemCode,ItemDescription,CostCenter,\
                 CostCenterDescription,CostUnit,CostUnitDescription,Project,ProjectDescription,VATCode,Division",
    }),
    meaningful: &[
        "OrderNumber",
        "OrderStatus",
        "ReceiptStatus",
        "InvoiceStatus",
        "ApprovalStatus",
        "Approver",
        "Description",
        "YourRef",
        "Remarks",
        "Supplier",
        "OrderDate",
        "ReceiptDate",
        "Currency",
        "AmountFC",
        "AmountDC",
        "VATAmount",
        "PaymentCondition",
        "Document",
        "PurchaseAgent",
    ],
    open: Some("OrderStatus eq 10 or OrderStatus eq 20"),
    read: read_order,
};

fn read_order(order: &Object<'_>, site: &Site) -> Result<Record> {
    let of = |name| value::integer(order, name);
    let (status, word) = status::of_order(of("OrderStatus"), of("ApprovalStatus"));
    let mut record = Record::new(RecordKind::PurchaseOrder, order.id("PurchaseOrderID")?, status);
    word.clone_into(&mut record.vendor_status);
    let currency = amounts(&mut record, order, site);
    record.tax = value::money(order, "VATAmount", currency);
    record.number = value::text(order, "OrderNumber");
    record.counterparty = super::party(order, "Supplier", "SupplierName");
    record.assignee = Person::known(
        value::guid(order, "PurchaseAgent").map(Into::into),
        value::text(order, "PurchaseAgentFullName"),
        None,
    );
    record.date = value::day(order, "OrderDate");
    record.due_date = value::day(order, "ReceiptDate");
    record.lines = line::read(order, "PurchaseOrderLines", currency);
    Ok(record)
}
