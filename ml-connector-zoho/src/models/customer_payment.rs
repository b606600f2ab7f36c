//! Payments received: `GET /customerpayments`, `GET /customerpayments/{id}`.

use ml_connector_core::{
    Result, Timestamp,
    model::{Allocation, Date, Decimal, EntityRef, Record, RecordKind},
};
use serde::Deserialize;

use super::{
    Changes, Resource, currency,
    de::{amount, date, instant, list, text},
    money, party, some, status,
};

/// Money received from a customer. There is no mark for "cleared": that it was recorded is all Zoho knows. The
/// detail has neither `status` nor `last_modified_time`.
#[derive(Deserialize)]
pub(crate) struct CustomerPayment {
    #[serde(deserialize_with = "text")]
    payment_id: String,
    #[serde(default, deserialize_with = "text")]
    payment_number: String,
    #[serde(default, deserialize_with = "text")]
    reference_number: String,
    #[serde(default, deserialize_with = "text")]
    customer_id: String,
    #[serde(default, deserialize_with = "text")]
    customer_name: String,
    #[serde(default, deserialize_with = "text")]
    payment_status: String,
    #[serde(default, deserialize_with = "text")]
    payment_mode: String,
    #[serde(default, deserialize_with = "date")]
    date: Option<Date>,
    #[serde(default, deserialize_with = "amount")]
    amount: Option<Decimal>,
    #[serde(default, deserialize_with = "amount")]
    unused_amount: Option<Decimal>,
    #[serde(default, deserialize_with = "text")]
    currency_code: String,
    #[serde(default, deserialize_with = "list")]
    invoices: Vec<PaidInvoice>,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    updated_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

/// An invoice that a payment settles, wholly or in part.
#[derive(Deserialize)]
struct PaidInvoice {
    #[serde(default, deserialize_with = "text")]
    invoice_id: String,
    #[serde(default, deserialize_with = "text")]
    invoice_number: String,
    #[serde(default, deserialize_with = "amount")]
    amount_applied: Option<Decimal>,
}

impl Resource for CustomerPayment {
    const GET: &'static str = "zoho_books.get_customer_payment";
    const LIST: &'static str = "zoho_books.list_customer_payments";
    const PATH: &'static str = "customerpayments";
    const DETAIL_KEY: &'static str = "payment";
    const LIST_KEY: &'static str = "customerpayments";
    const CHANGES: Changes = Changes::ReadBack;
    const NUMBER_FILTER: Option<&'static str> = Some("payment_number");
    const WEB_PATH: Option<&'static str> = Some("paymentsreceived");

    fn id(&self) -> &str {
        &self.payment_id
    }

    fn into_record(self) -> Result<Record> {
        let currency = currency(&self.currency_code)?;
        let status = status::of_payment(&self.payment_status);
        let mut record = Record::new(RecordKind::CustomerPayment, self.payment_id, status);
        record.vendor_status = self.payment_status;
        record.number = some(self.payment_number);
        record.reference = some(self.reference_number);
        record.counterparty = party(self.customer_id, self.customer_name);
        record.date = self.date;
        record.total = money(self.amount, currency);
        record.balance = money(self.unused_amount, currency);
        record.payment_mode = some(self.payment_mode);
        record.allocations = self
            .invoices
            .into_iter()
            .filter_map(|paid| {
                let document = EntityRef::new(RecordKind::Invoice.as_str(), paid.invoice_id);
                let amount = money(paid.amount_applied, currency)?;
                Some(Allocation { document, number: paid.invoice_number, amount })
            })
            .collect();
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time.or(self.updated_time);
        Ok(record)
    }
}
