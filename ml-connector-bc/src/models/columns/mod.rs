//! What Business Central's records look like as tables.
//!
//! Names are the vendor's own in lower case. Values are as it writes them: an enum value with a blank is `In_x0020_Review`, a
//! reference that is unset is `00000000-0000-0000-0000-000000000000`, a date that is unset is `0001-01-01`.

mod documents;
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ml_connector_core::model::{Column, Columns};

use super::Set;

/// Amounts have as many digits as the currency, prices five, quantities five.
const SCALE: u8 = 9;
/// What moves on without a change of the record, and when it is read.
const NEXT_CHANGE: &str = "the next change of the record";

/// The tables of these sets.
pub(crate) fn columns(sets: &[Set]) -> Vec<Arc<Columns>> {
    sets.iter().map(|set| Arc::new(of(*set))).collect()
}

fn of(set: Set) -> Columns {
    match set {
        Set::PurchaseInvoices => documents::purchase_invoices(),
        Set::SalesInvoices => documents::sales_invoices(),
        Set::PurchaseOrders => documents::purchase_orders(),
        Set::SalesOrders => documents::sales_orders(),
        Set::Vendors => reference::vendors(),
        Set::Customers => reference::customers(),
        Set::Employees => reference::employees(),
        Set::Accounts => reference::accounts(),
        Set::Items => reference::items(),
        Set::Dimensions => reference::dimensions(),
        Set::Currencies => reference::currencies(),
    }
}

fn text(name: &'static str, pointer: &'static str) -> Column {
    Column::string(name, pointer)
}

fn number(name: &'static str, pointer: &'static str) -> Column {
    Column::decimal(name, pointer, SCALE).rounded()
}

fn date(name: &'static str, pointer: &'static str) -> Column {
    Column::date(name, pointer)
}

/// The record's id, which stays through posting.
fn id() -> Column {
    text("id", "/id").required()
}

fn number_of_record() -> Column {
    text("number", "/number").commented("What people call it; posting may change it")
}

/// When it was changed.
fn stamp() -> Column {
    Column::timestamp("last_modified_date_time", "/lastModifiedDateTime")
        .commented("A save without a difference and an upgrade of the API move it, too; year 1: never")
        .refreshed_by(NEXT_CHANGE)
}
