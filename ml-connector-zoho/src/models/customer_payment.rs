//! Payments received: `GET /customerpayments`, `GET /customerpayments/{id}`.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Currency, Record, RecordKind},
};

use super::{Changes, Resource, allocations, extras, meaningful, status};

/// Money received from a customer. There is no mark for "cleared": that it was recorded is all Zoho knows. The
/// detail has neither `status` nor `last_modified_time`.
pub(crate) struct CustomerPayment;

impl Resource for CustomerPayment {
    const KIND: RecordKind = RecordKind::CustomerPayment;
    const GET: &'static str = "zoho_books.get_customer_payment";
    const LIST: &'static str = "zoho_books.list_customer_payments";
    const PATH: &'static str = "customerpayments";
    const DETAIL_KEY: &'static str = "payment";
    const LIST_KEY: &'static str = "customerpayments";
    const ID: &'static str = "payment_id";
    const CHANGES: Changes = Changes::ReadBack;
    const NUMBER_FILTER: Option<&'static str> = Some("payment_number");
    const WEB_PATH: Option<&'static str> = Some("paymentsreceived");
    const HOME_CURRENCY: bool = true;
    const MEANINGFUL: &'static [&'static str] = meaningful::CUSTOMER_PAYMENT;

    fn read(payment: &Object<'_>, home: Option<Currency>) -> Result<Record> {
        let id = payment.id(Self::ID)?;
        let word = payment.text("payment_status");
        let mut record = Record::new(Self::KIND, id, status::of_payment(&word));
        record.vendor_status = word;
        record.number = payment.some_text("payment_number");
        record.reference = payment.some_text("reference_number");
        record.counterparty = payment.party("customer_id", "customer_name");
        record.date = payment.date("date");
        let own = payment.currency("currency_code");
        (record.total, record.balance) = match own {
            None if payment.raw("currency_code").is_none() => in_home_currency(payment, home),
            own => (payment.money("amount", own), payment.money("unused_amount", own)),
        };
        record.payment_mode = payment.some_text("payment_mode");
        record.allocations = allocations(payment, "invoices", &RecordKind::Invoice, own);
        extras::read(&mut record, payment);
        record.created_at = payment.instant("created_time");
        record.modified_at = payment.instant("last_modified_time").or(payment.instant("updated_time"));
        Ok(record)
    }
}

/// The amounts of a row, which names no currency. `bcy_amount` is in the organization's currency; the others are only
/// where they say the same.
fn in_home_currency(
    payment: &Object<'_>,
    home: Option<Currency>,
) -> (Option<ml_connector_core::Money>, Option<ml_connector_core::Money>) {
    let amount = payment.money("amount", home);
    match payment.money("bcy_amount", home) {
        Some(in_home) if amount != Some(in_home) => (Some(in_home), None),
        _ => (amount, payment.money("unused_amount", home)),
    }
}
