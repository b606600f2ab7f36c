//! Documents with lines: `GET /invoices`, `/bills` and `/purchaseorders`. They differ in the names of four members.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Currency, Person, Record, RecordKind},
};

use super::{Changes, Resource, approval, extras, line, meaningful, status};

macro_rules! document {
    (
        $(#[$doc:meta])*
        $name:ident of $get:literal and $list:literal {
            path: $path:literal,
            key: $key:literal,
            id: $id:literal,
            number: $number:literal,
            party: [$party_id:literal, $party_name:literal],
            counted: $counted:literal,
        }
    ) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Resource for $name {
            const KIND: RecordKind = RecordKind::$name;
            const GET: &'static str = $get;
            const LIST: &'static str = $list;
            const PATH: &'static str = $path;
            const DETAIL_KEY: &'static str = $key;
            const LIST_KEY: &'static str = $path;
            const ID: &'static str = $id;
            const CHANGES: Changes = Changes::Filtered;
            // Where the order is ignored, as for purchase orders, new records come first and push the others back.
            const SORT: &'static [(&'static str, &'static str)] =
                &[("sort_column", "created_time"), ("sort_order", "A")];
            const COUNTED: bool = $counted;
            const NUMBER_FILTER: Option<&'static str> = Some($number);
            const WEB_PATH: Option<&'static str> = Some($path);
            const MEANINGFUL: &'static [&'static str] = meaningful::DOCUMENT;

            fn read(document: &Object<'_>, home: Option<Currency>) -> Result<Record> {
                let mut record = read(document, Self::KIND, document.id($id)?);
                extras::base(&mut record, document, home);
                record.number = document.some_text($number);
                record.counterparty = document.party($party_id, $party_name);
                Ok(record)
            }

            fn stage(document: &Object<'_>) -> String {
                status::own_stage(document.text("current_sub_status"), &document.text("status"))
            }
        }
    };
}

/// What all of them have under the same names.
fn read(document: &Object<'_>, kind: RecordKind, id: String) -> Record {
    let currency = document.currency("currency_code");
    let [total, balance] = ["total", "balance"].map(|name| document.amount(name, currency));
    let word = document.text("status");
    let status = approval::refine(status::of_document(&word, total, balance), document);
    let mut record = Record::new(kind, id, status);
    record.vendor_status = word;
    record.reference = document.some_text("reference_number");
    record.date = document.date("date");
    record.due_date = document.date("due_date");
    record.total = document.money("total", currency);
    record.balance = document.money("balance", currency);
    record.lines = line::all(document, currency);
    let by = ["submitted_by_name", "submitted_by_email"].map(|name| document.some_text(name));
    let [name, email] = by;
    record.submitted_by = Person::known(None, name, email);
    record.sub_total = document.money("sub_total", currency);
    record.tax = document.money("tax_total", currency);
    record.billing_address = extras::address(document, "billing_address");
    extras::read(&mut record, document);
    record.created_at = document.instant("created_time");
    record.modified_at = document.instant("last_modified_time");
    record
}

document! {
    /// A sales invoice. A void one keeps its balance.
    Invoice of "zoho_books.get_invoice" and "zoho_books.list_invoices" {
        path: "invoices",
        key: "invoice",
        id: "invoice_id",
        number: "invoice_number",
        party: ["customer_id", "customer_name"],
        counted: true,
    }
}

document! {
    /// A bill of a vendor.
    Bill of "zoho_books.get_bill" and "zoho_books.list_bills" {
        path: "bills",
        key: "bill",
        id: "bill_id",
        number: "bill_number",
        party: ["vendor_id", "vendor_name"],
        counted: false,
    }
}

document! {
    /// An order to a vendor. It has no balance, and a delivery date instead of a due date.
    PurchaseOrder of "zoho_books.get_purchase_order" and "zoho_books.list_purchase_orders" {
        path: "purchaseorders",
        key: "purchaseorder",
        id: "purchaseorder_id",
        number: "purchaseorder_number",
        party: ["vendor_id", "vendor_name"],
        counted: false,
    }
}
