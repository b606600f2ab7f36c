//! What FreshBooks' records look like as tables.
//!
//! Names are FreshBooks' own, in lower case with underscores, with the member before them where they are nested. Amounts
//! have nine digits behind the point, because some are computed with more: what comes later is rounded. Times are texts:
//! FreshBooks writes them without a zone, most in that of New York.

mod documents;
mod payments;
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{BILL_VENDOR, CATEGORY, CREDIT, KINDS};

/// The scale of all numbers.
const SCALE: u8 = 9;
/// What moves on without a change of the record, and when it is read.
const NEXT_CHANGE: &str = "the next change of the record";
/// The zones of times.
const EASTERN: &str = "Wall time of New York, without a zone";
const UTC: &str = "UTC, without a zone";

/// The table of every kind that is told: of those that have a list, and of what is listed among others.
pub(crate) fn columns() -> Vec<Arc<Columns>> {
    KINDS.into_iter().chain([CREDIT]).filter_map(of).map(Arc::new).collect()
}

fn of(kind: &str) -> Option<Columns> {
    Some(match RecordKind::from(kind) {
        RecordKind::Invoice => documents::invoices(),
        RecordKind::Bill => documents::bills(),
        RecordKind::Expense => documents::expenses(),
        RecordKind::CustomerPayment => payments::payments(),
        RecordKind::BillPayment => payments::bill_payments(),
        RecordKind::Contact => reference::clients(),
        RecordKind::Item => reference::items(),
        RecordKind::Account => reference::ledger_accounts(),
        RecordKind::Other(kind) if &*kind == CREDIT => payments::credits(),
        RecordKind::Other(kind) if &*kind == BILL_VENDOR => reference::bill_vendors(),
        RecordKind::Other(kind) if &*kind == CATEGORY => reference::categories(),
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

/// 0 is active, 2 archived. What is deleted is an event, no row.
fn visibility() -> Column {
    Column::big_int("vis_state", "/vis_state").commented("0 active, 2 archived").refreshed_by(NEXT_CHANGE)
}

fn eastern(name: &'static str, pointer: &'static str) -> Column {
    text(name, pointer).commented(EASTERN).refreshed_by(NEXT_CHANGE)
}

fn utc(name: &'static str, pointer: &'static str) -> Column {
    text(name, pointer).commented(UTC).refreshed_by(NEXT_CHANGE)
}
