//! Payments received, credits, and what was paid of bills.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{CREDIT, eastern, id, number, text, visibility};

pub(super) fn payments() -> Columns {
    listed(RecordKind::CustomerPayment, "payments", "Payments received in FreshBooks")
}

/// FreshBooks lists them among the payments, as rows of the same form.
pub(super) fn credits() -> Columns {
    listed(
        RecordKind::from(CREDIT),
        "credits",
        "What clients paid too much, and what was paid from that: no new money",
    )
}

fn listed(kind: RecordKind, table: &'static str, comment: &'static str) -> Columns {
    Columns::new(kind, table, comment)
        .with(id("id", "/id"))
        .with(text("invoiceid", "/invoiceid"))
        .with(text("clientid", "/clientid"))
        .with(Column::date("date", "/date"))
        .with(text("currency_code", "/amount/code").commented("ISO 4217"))
        .with(number("amount", "/amount/amount").commented("A refund makes it smaller"))
        .with(text("type", "/type").commented("How it was paid"))
        .with(text("gateway", "/gateway"))
        .with(text("note", "/note"))
        .with(text("transactionid", "/transactionid"))
        .with(Column::boolean("from_credit", "/from_credit").commented("Paid from a credit: no new money"))
        .with(text("creditid", "/creditid"))
        .with(text("overpaymentid", "/overpaymentid").commented("Where the rest went that was paid too much"))
        .with(visibility())
        .with(eastern("updated", "/updated"))
}

pub(super) fn bill_payments() -> Columns {
    Columns::new(RecordKind::BillPayment, "bill_payments", "What was paid of bills in FreshBooks")
        .with(id("id", "/id"))
        .with(text("billid", "/billid"))
        .with(Column::date("paid_date", "/paid_date"))
        .with(text("currency_code", "/amount/code").commented("ISO 4217"))
        .with(number("amount", "/amount/amount"))
        .with(text("payment_type", "/payment_type"))
        .with(text("note", "/note"))
        .with(visibility())
}
