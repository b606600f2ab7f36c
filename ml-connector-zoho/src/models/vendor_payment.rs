//! Payments made: `GET /vendorpayments`, `GET /vendorpayments/{id}`.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Currency, Record, RecordKind},
};

use super::{Changes, Resource, allocations, extras, meaningful, status};

/// Money paid to a vendor. `balance` is the part that no bill uses.
pub(crate) struct VendorPayment;

impl Resource for VendorPayment {
    const KIND: RecordKind = RecordKind::VendorPayment;
    const GET: &'static str = "zoho_books.get_vendor_payment";
    const LIST: &'static str = "zoho_books.list_vendor_payments";
    const PATH: &'static str = "vendorpayments";
    const DETAIL_KEY: &'static str = "vendorpayment";
    const LIST_KEY: &'static str = "vendorpayments";
    const ID: &'static str = "payment_id";
    const CHANGES: Changes = Changes::Filtered;
    const SORT: &'static [(&'static str, &'static str)] = &[("sort_column", "date"), ("sort_order", "A")];
    const NUMBER_FILTER: Option<&'static str> = Some("payment_number");
    const WEB_PATH: Option<&'static str> = Some("paymentsmade");
    const MEANINGFUL: &'static [&'static str] = meaningful::VENDOR_PAYMENT;

    fn read(payment: &Object<'_>, _: Option<Currency>) -> Result<Record> {
        let currency = payment.currency("currency_code");
        let id = payment.id(Self::ID)?;
        let word = payment.text("status");
        let mut record = Record::new(Self::KIND, id, status::of_payment(&word));
        record.vendor_status = word;
        record.number = payment.some_text("payment_number");
        record.reference = payment.some_text("reference_number");
        record.counterparty = payment.party("vendor_id", "vendor_name");
        record.date = payment.date("date");
        record.total = payment.money("amount", currency);
        record.balance = payment.money("balance", currency);
        record.payment_mode = payment.some_text("payment_mode");
        record.allocations = allocations(payment, "bills", &RecordKind::Bill, currency);
        extras::read(&mut record, payment);
        record.created_at = payment.instant("created_time");
        record.modified_at = payment.instant("last_modified_time");
        Ok(record)
    }
}
