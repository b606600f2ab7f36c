//! Purchase orders.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Person, Record, RecordKind},
};

use super::{Lines, Resource, Site, amounts, line, status, value};

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
        select: members_of_lines!(
            "VATAmount" "NetPrice" "UnitPrice" "UnitDescription" "Item" "ItemCode" "ItemDescription" "ProjectCode"
        ),
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
