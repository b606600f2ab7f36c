//! Documents with lines.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{date, id, number, number_of_record, stamp, text};

pub(super) fn purchase_invoices() -> Columns {
    Columns::new(
        RecordKind::Bill,
        "purchase_invoices",
        "Purchase invoices of Business Central, posted and unposted, with their lines",
    )
    .with(id())
    .with(number_of_record())
    .with(text("vendor_invoice_number", "/vendorInvoiceNumber"))
    .with(status().commented("An unposted invoice reads Draft, whatever it waits for"))
    .with_all(vendor())
    .with(date("invoice_date", "/invoiceDate"))
    .with(date("posting_date", "/postingDate"))
    .with(date("due_date", "/dueDate"))
    .with(text("order_number", "/orderNumber"))
    .with(text("purchaser", "/purchaser"))
    .with_all(amounts())
    .with_all(ship_to())
    .with(lines("/purchaseInvoiceLines", [number("unit_cost", "/unitCost")]))
    .with(stamp())
}

pub(super) fn sales_invoices() -> Columns {
    Columns::new(
        RecordKind::Invoice,
        "sales_invoices",
        "Sales invoices of Business Central, posted and unposted, with their lines",
    )
    .with(id())
    .with(number_of_record())
    .with(text("external_document_number", "/externalDocumentNumber"))
    .with(status().commented("Open: posted, or released and not posted yet"))
    .with_all(customer())
    .with(date("invoice_date", "/invoiceDate"))
    .with(date("posting_date", "/postingDate"))
    .with(date("due_date", "/dueDate"))
    .with(date("promised_pay_date", "/promisedPayDate"))
    .with(text("order_number", "/orderNumber"))
    .with(text("salesperson", "/salesperson"))
    .with(text("dispute_status", "/disputeStatus"))
    .with(
        number("remaining_amount", "/remainingAmount")
            .commented("What is still to be paid; of an unposted invoice its total"),
    )
    .with_all(amounts())
    .with_all(ship_to())
    .with(lines("/salesInvoiceLines", [number("unit_price", "/unitPrice")]))
    .with(stamp())
}

pub(super) fn purchase_orders() -> Columns {
    Columns::new(
        RecordKind::PurchaseOrder,
        "purchase_orders",
        "Purchase orders of Business Central, with their lines",
    )
    // What became an invoice is known by little, and keeps the rest.
    .whole_with("/purchaseOrderLines")
    .with_all(identity())
    .with_all(in_detail(vendor()))
    .with(date("order_date", "/orderDate").in_detail())
    .with(date("posting_date", "/postingDate").in_detail())
    .with(date("requested_receipt_date", "/requestedReceiptDate").in_detail())
    .with(text("purchaser", "/purchaser").in_detail())
    .with(Column::boolean("fully_received", "/fullyReceived").in_detail())
    .with_all(order_amounts())
    .with_all(in_detail(ship_to()))
    .with(
        lines(
            "/purchaseOrderLines",
            [
                number("direct_unit_cost", "/directUnitCost"),
                number("received_quantity", "/receivedQuantity"),
                number("invoiced_quantity", "/invoicedQuantity"),
            ],
        )
        .in_detail(),
    )
    .with(stamp().in_detail())
}

pub(super) fn sales_orders() -> Columns {
    Columns::new(RecordKind::SalesOrder, "sales_orders", "Sales orders of Business Central, with their lines")
        .whole_with("/salesOrderLines")
        .with_all(identity())
        .with_all(in_detail(customer()))
        .with(date("order_date", "/orderDate").in_detail())
        .with(date("posting_date", "/postingDate").in_detail())
        .with(date("requested_delivery_date", "/requestedDeliveryDate").in_detail())
        .with(text("salesperson", "/salesperson").in_detail())
        .with(Column::boolean("partial_shipping", "/partialShipping").in_detail())
        .with(Column::boolean("fully_shipped", "/fullyShipped").in_detail())
        .with_all(order_amounts())
        .with_all(in_detail(ship_to()))
        .with(
            lines(
                "/salesOrderLines",
                [
                    number("unit_price", "/unitPrice"),
                    number("shipped_quantity", "/shippedQuantity"),
                    number("invoiced_quantity", "/invoicedQuantity"),
                ],
            )
            .in_detail(),
        )
        .with(stamp().in_detail())
}

/// What is still known of an order that became an invoice, beside its amount.
fn identity() -> [Column; 3] {
    let status = status().commented("invoiced: it became an invoice, and is gone in Business Central");
    [id(), number_of_record(), status]
}

fn order_amounts() -> [Column; 8] {
    let is_kept = |name: &str| matches!(name, "currency_code" | "total_amount_including_tax");
    amounts().map(|column| if is_kept(column.name) { column } else { column.in_detail() })
}

fn in_detail<const N: usize>(columns: [Column; N]) -> [Column; N] {
    columns.map(Column::in_detail)
}

fn status() -> Column {
    text("status", "/status")
}

fn vendor() -> [Column; 5] {
    [
        text("vendor_id", "/vendorId"),
        text("vendor_number", "/vendorNumber"),
        text("vendor_name", "/vendorName"),
        text("pay_to_vendor_id", "/payToVendorId"),
        text("pay_to_name", "/payToName"),
    ]
}

fn customer() -> [Column; 5] {
    [
        text("customer_id", "/customerId"),
        text("customer_number", "/customerNumber"),
        text("customer_name", "/customerName"),
        text("bill_to_customer_id", "/billToCustomerId"),
        text("bill_to_name", "/billToName"),
    ]
}

fn amounts() -> [Column; 8] {
    [
        text("currency_code", "/currencyCode").commented("ISO 4217, of all amounts"),
        Column::boolean("prices_include_tax", "/pricesIncludeTax"),
        number("discount_amount", "/discountAmount"),
        number("total_amount_excluding_tax", "/totalAmountExcludingTax"),
        number("total_tax_amount", "/totalTaxAmount"),
        number("total_amount_including_tax", "/totalAmountIncludingTax"),
        text("shortcut_dimension1_code", "/shortcutDimension1Code").commented("The first global dimension"),
        text("shortcut_dimension2_code", "/shortcutDimension2Code").commented("The second global dimension"),
    ]
}

fn ship_to() -> [Column; 7] {
    [
        text("ship_to_name", "/shipToName"),
        text("ship_to_address_line1", "/shipToAddressLine1"),
        text("ship_to_address_line2", "/shipToAddressLine2"),
        text("ship_to_city", "/shipToCity"),
        text("ship_to_state", "/shipToState"),
        text("ship_to_post_code", "/shipToPostCode"),
        text("ship_to_country", "/shipToCountry"),
    ]
}

fn lines<const N: usize>(pointer: &'static str, own: [Column; N]) -> Column {
    let common = [
        id(),
        Column::big_int("sequence", "/sequence"),
        text("line_type", "/lineType"),
        text("line_object_number", "/lineObjectNumber")
            .commented("The number of the account, the item or what else the type says"),
        text("item_id", "/itemId"),
        text("account_id", "/accountId"),
        text("description", "/description"),
        text("description2", "/description2"),
        text("unit_of_measure_code", "/unitOfMeasureCode"),
        number("quantity", "/quantity"),
        number("discount_amount", "/discountAmount"),
        number("discount_percent", "/discountPercent"),
        text("tax_code", "/taxCode"),
        number("tax_percent", "/taxPercent"),
        number("net_amount", "/netAmount").commented("After the discount of the document"),
        number("net_tax_amount", "/netTaxAmount"),
        number("net_amount_including_tax", "/netAmountIncludingTax"),
    ];
    Column::list("lines", pointer, common.into_iter().chain(own))
}
