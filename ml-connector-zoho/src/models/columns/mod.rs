//! What Zoho's records look like as tables.
//!
//! Names are Zoho's own, with the member before them where they are nested (`billing_address_city`). Numbers have nine
//! digits behind the point: Zoho computes with binary fractions and writes what they leave behind, so that what comes
//! later is rounded. `""` is Zoho's word for nothing; in texts it stays.

mod documents;
mod payments;
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::KINDS;

/// The scale of all numbers.
const SCALE: u8 = 9;
/// What moves on without a change of the record, and when it is read.
const NEXT_CHANGE: &str = "the next change of the record";

/// The table of every kind that is read.
pub(crate) fn columns() -> Vec<Arc<Columns>> {
    KINDS.iter().filter_map(of).map(Arc::new).collect()
}

fn of(kind: &RecordKind) -> Option<Columns> {
    Some(match kind {
        RecordKind::Invoice => documents::invoices(),
        RecordKind::Bill => documents::bills(),
        RecordKind::PurchaseOrder => documents::purchase_orders(),
        RecordKind::Expense => documents::expenses(),
        RecordKind::CustomerPayment => payments::customer_payments(),
        RecordKind::VendorPayment => payments::vendor_payments(),
        RecordKind::Contact => reference::contacts(),
        RecordKind::Item => reference::items(),
        RecordKind::Account => reference::accounts(),
        RecordKind::Currency => reference::currencies(),
        _ => return None,
    })
}

fn text(name: &'static str, pointer: &'static str) -> Column {
    Column::string(name, pointer)
}

fn number(name: &'static str, pointer: &'static str) -> Column {
    Column::decimal(name, pointer, SCALE).rounded()
}

/// The record's id, which everything else refers to.
fn id(name: &'static str, pointer: &'static str) -> Column {
    text(name, pointer).required()
}

/// The currency of the amounts, and what one unit of it is in the organization's own.
fn currency() -> [Column; 2] {
    [
        text("currency_code", "/currency_code")
            .commented("ISO 4217, of all amounts without bcy_ before their name"),
        exchange_rate(),
    ]
}
fn exchange_rate() -> Column {
    number("exchange_rate", "/exchange_rate")
        .commented("The base currency's price of one unit of the currency")
}

/// When it was entered and changed.
fn stamps() -> [Column; 2] {
    [
        Column::timestamp("created_time", "/created_time"),
        Column::timestamp("last_modified_time", "/last_modified_time")
            .commented("A save without a difference moves it, too")
            .refreshed_by(NEXT_CHANGE),
    ]
}

/// What the organization added to the kind, and the reporting tags.
fn custom() -> [Column; 2] {
    [
        Column::list(
            "custom_fields",
            "/custom_fields",
            [
                text("customfield_id", "/customfield_id"),
                text("api_name", "/api_name"),
                text("label", "/label"),
                text("data_type", "/data_type"),
                text("value", "/value"),
            ],
        )
        .in_detail(),
        tags().in_detail(),
    ]
}

fn tags() -> Column {
    Column::list(
        "tags",
        "/tags",
        [
            text("tag_id", "/tag_id"),
            text("tag_name", "/tag_name"),
            text("tag_option_id", "/tag_option_id"),
            text("tag_option_name", "/tag_option_name"),
        ],
    )
    .commented("Reporting tags, such as cost centers")
}

fn taxes() -> Column {
    Column::list(
        "taxes",
        "/taxes",
        [text("tax_id", "/tax_id"), text("tax_name", "/tax_name"), number("tax_amount", "/tax_amount")],
    )
    .in_detail()
}

macro_rules! address {
    ($name:literal) => {
        [
            text(concat!($name, "_attention"), concat!("/", $name, "/attention")).in_detail(),
            text(concat!($name, "_address"), concat!("/", $name, "/address")).in_detail(),
            text(concat!($name, "_street2"), concat!("/", $name, "/street2")).in_detail(),
            text(concat!($name, "_city"), concat!("/", $name, "/city")).in_detail(),
            text(concat!($name, "_state"), concat!("/", $name, "/state")).in_detail(),
            text(concat!($name, "_zip"), concat!("/", $name, "/zip")).in_detail(),
            text(concat!($name, "_country"), concat!("/", $name, "/country")).in_detail(),
        ]
    };
}
use address;
