//! Payments received and made.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{NEXT_CHANGE, currency, custom, id, number, stamps, text};

pub(super) fn customer_payments() -> Columns {
    Columns::new(
        RecordKind::CustomerPayment,
        "customer_payments",
        "Payments received in Zoho Books, and what they settle",
    )
    .whole_with("/invoices")
    .with(id("payment_id", "/payment_id"))
    .with(text("payment_number", "/payment_number"))
    .with(text("reference_number", "/reference_number"))
    .with(text("payment_status", "/payment_status").refreshed_by(NEXT_CHANGE))
    .with(text("payment_mode", "/payment_mode"))
    .with(text("customer_id", "/customer_id"))
    .with(text("customer_name", "/customer_name"))
    .with(Column::date("date", "/date"))
    .with_all(currency().map(Column::in_detail))
    .with(number("amount", "/amount"))
    .with(number("unused_amount", "/unused_amount").commented("What no invoice uses"))
    .with(number("bank_charges", "/bank_charges").in_detail())
    .with(number("tax_amount_withheld", "/tax_amount_withheld"))
    .with(text("account_id", "/account_id"))
    .with(text("account_name", "/account_name"))
    .with(text("description", "/description"))
    .with(
        Column::list(
            "invoices",
            "/invoices",
            [
                id("invoice_id", "/invoice_id"),
                text("invoice_number", "/invoice_number"),
                number("amount_applied", "/amount_applied"),
                number("tax_amount_withheld", "/tax_amount_withheld"),
                number("discount_amount", "/discount_amount"),
                Column::date("apply_date", "/apply_date"),
            ],
        )
        .in_detail()
        .commented("What it settles"),
    )
    .with_all(custom())
    .with(Column::timestamp("created_time", "/created_time"))
    .with(Column::timestamp("updated_time", "/updated_time").in_detail().refreshed_by(NEXT_CHANGE))
}

pub(super) fn vendor_payments() -> Columns {
    Columns::new(
        RecordKind::VendorPayment,
        "vendor_payments",
        "Payments made in Zoho Books, and what they settle",
    )
    .whole_with("/bills")
    .with(id("payment_id", "/payment_id"))
    .with(text("payment_number", "/payment_number"))
    .with(text("reference_number", "/reference_number"))
    .with(text("status", "/status").refreshed_by(NEXT_CHANGE))
    .with(text("payment_mode", "/payment_mode"))
    .with(text("vendor_id", "/vendor_id"))
    .with(text("vendor_name", "/vendor_name"))
    .with(Column::date("date", "/date"))
    .with_all(currency())
    .with(number("amount", "/amount"))
    .with(number("balance", "/balance").commented("What no bill uses"))
    .with(number("bank_charges", "/bank_charges").in_detail())
    .with(number("tax_amount_withheld", "/tax_amount_withheld").in_detail())
    .with(text("paid_through_account_id", "/paid_through_account_id"))
    .with(text("paid_through_account_name", "/paid_through_account_name"))
    .with(text("description", "/description"))
    .with(
        Column::list(
            "bills",
            "/bills",
            [
                id("bill_id", "/bill_id"),
                text("bill_number", "/bill_number"),
                number("amount_applied", "/amount_applied"),
                number("tax_amount_withheld", "/tax_amount_withheld"),
                Column::date("apply_date", "/apply_date"),
            ],
        )
        .in_detail()
        .commented("What it settles"),
    )
    .with_all(custom())
    .with_all(stamps())
}
