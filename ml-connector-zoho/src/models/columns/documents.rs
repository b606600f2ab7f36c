//! Documents with lines.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{NEXT_CHANGE, address, currency, custom, exchange_rate, id, number, stamps, tags, taxes, text};

pub(super) fn invoices() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "Sales invoices of Zoho Books, with their lines")
        .whole_with("/line_items")
        .with(id("invoice_id", "/invoice_id"))
        .with(
            text("invoice_number", "/invoice_number")
                .commented("What people call it; numbers are used again"),
        )
        .with(text("reference_number", "/reference_number"))
        .with_all(status())
        .with(text("customer_id", "/customer_id"))
        .with(text("customer_name", "/customer_name"))
        .with(Column::date("date", "/date"))
        .with(Column::date("due_date", "/due_date"))
        .with_all(currency())
        .with_all(amounts())
        .with(balance())
        .with(number("payment_made", "/payment_made").refreshed_by(NEXT_CHANGE).in_detail())
        .with(number("credits_applied", "/credits_applied").refreshed_by(NEXT_CHANGE).in_detail())
        .with(number("write_off_amount", "/write_off_amount"))
        .with(
            number("bcy_total", "/bcy_total")
                .refreshed_by(NEXT_CHANGE)
                .in_detail()
                .commented("In the organization's currency"),
        )
        .with(number("shipping_charge", "/shipping_charge"))
        .with(Column::big_int("payment_terms", "/payment_terms").in_detail().commented("Days"))
        .with(text("salesperson_name", "/salesperson_name"))
        .with(text("notes", "/notes").in_detail())
        .with(text("terms", "/terms").in_detail())
        .with_all(address!("billing_address"))
        .with_all(address!("shipping_address"))
        .with(taxes())
        .with(lines([]))
        .with_all(custom())
        .with_all(approval())
        .with_all(stamps())
}

pub(super) fn bills() -> Columns {
    Columns::new(RecordKind::Bill, "bills", "Bills of vendors in Zoho Books, with their lines")
        .whole_with("/line_items")
        .with(id("bill_id", "/bill_id"))
        .with(text("bill_number", "/bill_number").commented("The vendor's number"))
        .with(text("reference_number", "/reference_number"))
        .with_all(status())
        .with(text("vendor_id", "/vendor_id"))
        .with(text("vendor_name", "/vendor_name"))
        .with(Column::date("date", "/date"))
        .with(Column::date("due_date", "/due_date"))
        .with_all(currency())
        .with_all(amounts())
        .with(balance())
        .with(number("payment_made", "/payment_made").refreshed_by(NEXT_CHANGE).in_detail())
        .with(
            number("vendor_credits_applied", "/vendor_credits_applied").refreshed_by(NEXT_CHANGE).in_detail(),
        )
        .with(Column::big_int("payment_terms", "/payment_terms").in_detail().commented("Days"))
        .with(text("notes", "/notes").in_detail())
        .with(text("terms", "/terms").in_detail())
        .with_all(address!("billing_address"))
        .with(taxes())
        .with(lines([
            Column::boolean("is_billable", "/is_billable"),
            text("customer_id", "/customer_id"),
            text("purchaseorder_id", "/purchaseorder_id"),
        ]))
        .with_all(custom())
        .with_all(approval())
        .with_all(stamps())
}

pub(super) fn purchase_orders() -> Columns {
    Columns::new(
        RecordKind::PurchaseOrder,
        "purchase_orders",
        "Purchase orders of Zoho Books, with their lines",
    )
    .whole_with("/line_items")
    .with(id("purchaseorder_id", "/purchaseorder_id"))
    .with(text("purchaseorder_number", "/purchaseorder_number"))
    .with(text("reference_number", "/reference_number"))
    .with_all(status())
    .with(text("billed_status", "/billed_status"))
    .with(text("received_status", "/received_status"))
    .with(text("vendor_id", "/vendor_id"))
    .with(text("vendor_name", "/vendor_name"))
    .with(Column::date("date", "/date"))
    .with(Column::date("delivery_date", "/delivery_date"))
    .with(Column::date("expected_delivery_date", "/expected_delivery_date"))
    .with(text("currency_code", "/currency_code"))
    .with(exchange_rate().in_detail())
    .with_all(amounts())
    .with(number("total_quantity", "/total_quantity").refreshed_by(NEXT_CHANGE).in_detail())
    .with(Column::big_int("payment_terms", "/payment_terms").in_detail().commented("Days"))
    .with(text("ship_via", "/ship_via").refreshed_by(NEXT_CHANGE).in_detail())
    .with(text("notes", "/notes").in_detail())
    .with(text("terms", "/terms").in_detail())
    .with_all(address!("billing_address"))
    .with(taxes())
    .with(lines([
        number("quantity_billed", "/quantity_billed"),
        number("quantity_cancelled", "/quantity_cancelled"),
    ]))
    .with_all(custom())
    .with_all(approval())
    .with_all(stamps())
}

pub(super) fn expenses() -> Columns {
    Columns::new(RecordKind::Expense, "expenses", "Expenses of Zoho Books, with their lines")
        .whole_with("/line_items")
        .with(id("expense_id", "/expense_id"))
        .with(text("reference_number", "/reference_number"))
        .with(text("status", "/status"))
        .with(text("description", "/description"))
        .with(text("vendor_id", "/vendor_id"))
        .with(text("vendor_name", "/vendor_name"))
        .with(text("customer_id", "/customer_id"))
        .with(text("customer_name", "/customer_name"))
        .with(Column::date("date", "/date"))
        .with_all(currency())
        .with(number("total", "/total"))
        .with(number("sub_total", "/sub_total").in_detail())
        .with(number("tax_amount", "/tax_amount").in_detail())
        .with(
            number("bcy_total", "/bcy_total")
                .refreshed_by(NEXT_CHANGE)
                .commented("In the organization's currency"),
        )
        .with(text("account_id", "/account_id").in_detail())
        .with(text("account_name", "/account_name"))
        .with(text("paid_through_account_id", "/paid_through_account_id").in_detail())
        .with(text("paid_through_account_name", "/paid_through_account_name"))
        .with(text("payment_mode", "/payment_mode").in_detail())
        .with(Column::boolean("is_billable", "/is_billable"))
        .with(text("project_id", "/project_id").in_detail())
        .with(text("project_name", "/project_name").in_detail())
        .with(taxes())
        .with(
            Column::list(
                "line_items",
                "/line_items",
                [
                    id("line_item_id", "/line_item_id"),
                    text("account_id", "/account_id"),
                    text("account_name", "/account_name"),
                    text("description", "/description"),
                    number("amount", "/amount"),
                    number("item_total", "/item_total"),
                    text("tax_id", "/tax_id"),
                    text("tax_name", "/tax_name"),
                    number("tax_percentage", "/tax_percentage"),
                    number("tax_amount", "/tax_amount"),
                    tags(),
                ],
            )
            .in_detail(),
        )
        .with_all(custom())
        .with_all(stamps())
}

fn status() -> [Column; 2] {
    [
        text("status", "/status").commented(
            "Zoho's word. Between sent, viewed and overdue it moves with the calendar and visits, which is no change",
        )
        .refreshed_by(NEXT_CHANGE),
        text("current_sub_status", "/current_sub_status").commented("The organization's own stage"),
    ]
}

fn amounts() -> [Column; 5] {
    [
        number("sub_total", "/sub_total").in_detail(),
        number("tax_total", "/tax_total").in_detail(),
        number("discount_total", "/discount_total").refreshed_by(NEXT_CHANGE).in_detail(),
        number("adjustment", "/adjustment").in_detail(),
        number("total", "/total"),
    ]
}

fn balance() -> Column {
    number("balance", "/balance").commented("What is still to be paid; a void document keeps it")
}

fn approval() -> [Column; 3] {
    [
        text("submitted_by_name", "/submitted_by_name").in_detail(),
        text("submitted_by_email", "/submitted_by_email").in_detail(),
        Column::date("submitted_date", "/submitted_date").in_detail(),
    ]
}

fn lines<const N: usize>(own: [Column; N]) -> Column {
    let common = [
        id("line_item_id", "/line_item_id"),
        Column::big_int("item_order", "/item_order"),
        text("item_id", "/item_id"),
        text("name", "/name"),
        text("description", "/description"),
        text("unit", "/unit"),
        number("quantity", "/quantity"),
        number("rate", "/rate"),
        number("bcy_rate", "/bcy_rate"),
        text("discount", "/discount").commented("An amount, or a percentage such as 10%"),
        number("item_total", "/item_total"),
        text("account_id", "/account_id"),
        text("account_name", "/account_name"),
        text("tax_id", "/tax_id"),
        text("tax_name", "/tax_name"),
        number("tax_percentage", "/tax_percentage"),
        text("project_id", "/project_id"),
        tags(),
    ];
    Column::list("line_items", "/line_items", common.into_iter().chain(own)).in_detail()
}
