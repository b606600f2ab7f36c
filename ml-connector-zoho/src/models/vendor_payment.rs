//! Payments made: `GET /vendorpayments`, `GET /vendorpayments/{id}`.

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

/// Money paid to a vendor. `balance` is the part that no bill uses.
#[derive(Deserialize)]
pub(crate) struct VendorPayment {
    #[serde(deserialize_with = "text")]
    payment_id: String,
    #[serde(default, deserialize_with = "text")]
    payment_number: String,
    #[serde(default, deserialize_with = "text")]
    reference_number: String,
    #[serde(default, deserialize_with = "text")]
    vendor_id: String,
    #[serde(default, deserialize_with = "text")]
    vendor_name: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "text")]
    payment_mode: String,
    #[serde(default, deserialize_with = "date")]
    date: Option<Date>,
    #[serde(default, deserialize_with = "amount")]
    amount: Option<Decimal>,
    #[serde(default, deserialize_with = "amount")]
    balance: Option<Decimal>,
    #[serde(default, deserialize_with = "text")]
    currency_code: String,
    #[serde(default, deserialize_with = "list")]
    bills: Vec<PaidBill>,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

/// A bill that a payment settles, wholly or in part.
#[derive(Deserialize)]
struct PaidBill {
    #[serde(default, deserialize_with = "text")]
    bill_id: String,
    #[serde(default, deserialize_with = "text")]
    bill_number: String,
    #[serde(default, deserialize_with = "amount")]
    amount_applied: Option<Decimal>,
}

impl Resource for VendorPayment {
    const GET: &'static str = "zoho_books.get_vendor_payment";
    const LIST: &'static str = "zoho_books.list_vendor_payments";
    const PATH: &'static str = "vendorpayments";
    const DETAIL_KEY: &'static str = "vendorpayment";
    const LIST_KEY: &'static str = "vendorpayments";
    const CHANGES: Changes = Changes::Filtered;
    const SORT: &'static [(&'static str, &'static str)] = &[("sort_column", "date"), ("sort_order", "A")];
    const NUMBER_FILTER: Option<&'static str> = Some("payment_number");
    const WEB_PATH: Option<&'static str> = Some("paymentsmade");

    fn id(&self) -> &str {
        &self.payment_id
    }

    fn into_record(self) -> Result<Record> {
        let currency = currency(&self.currency_code)?;
        let status = status::of_payment(&self.status);
        let mut record = Record::new(RecordKind::VendorPayment, self.payment_id, status);
        record.vendor_status = self.status;
        record.number = some(self.payment_number);
        record.reference = some(self.reference_number);
        record.counterparty = party(self.vendor_id, self.vendor_name);
        record.date = self.date;
        record.total = money(self.amount, currency);
        record.balance = money(self.balance, currency);
        record.payment_mode = some(self.payment_mode);
        record.allocations = self
            .bills
            .into_iter()
            .filter_map(|paid| {
                let document = EntityRef::new(RecordKind::Bill.as_str(), paid.bill_id);
                let amount = money(paid.amount_applied, currency)?;
                Some(Allocation { document, number: paid.bill_number, amount })
            })
            .collect();
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}
