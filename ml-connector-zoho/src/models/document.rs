//! Documents with lines: `GET /invoices`, `/bills` and `/purchaseorders`. They differ in the names of four fields.

use ml_connector_core::{
    Result, Timestamp,
    model::{Date, Decimal, Record, RecordKind},
};
use serde::Deserialize;

use super::{
    Changes, Resource,
    approval::{Approval, Approver},
    currency,
    de::{amount, date, flag, instant, list, text},
    line::LineItem,
    money, party, some, status,
};

macro_rules! document {
    (
        $(#[$doc:meta])*
        $name:ident of $get:literal and $list:literal {
            path: $path:literal,
            key: $key:literal,
            id: $id:literal,
            number: $number:literal,
            party: [$party_id:literal, $party_name:literal],
        }
    ) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        pub(crate) struct $name {
            #[serde(rename = $id, deserialize_with = "text")]
            id: String,
            #[serde(rename = $number, default, deserialize_with = "text")]
            number: String,
            #[serde(default, deserialize_with = "text")]
            reference_number: String,
            #[serde(rename = $party_id, default, deserialize_with = "text")]
            party_id: String,
            #[serde(rename = $party_name, default, deserialize_with = "text")]
            party_name: String,
            #[serde(default, deserialize_with = "text")]
            status: String,
            #[serde(default, deserialize_with = "text")]
            current_sub_status: String,
            #[serde(default, deserialize_with = "date")]
            date: Option<Date>,
            #[serde(default, deserialize_with = "date")]
            due_date: Option<Date>,
            #[serde(default, deserialize_with = "amount")]
            total: Option<Decimal>,
            #[serde(default, deserialize_with = "amount")]
            balance: Option<Decimal>,
            #[serde(default, deserialize_with = "text")]
            currency_code: String,
            #[serde(default, deserialize_with = "list")]
            line_items: Vec<LineItem>,
            #[serde(default, deserialize_with = "flag")]
            is_approval_required: bool,
            #[serde(default, deserialize_with = "text")]
            submitted_date: String,
            #[serde(default, deserialize_with = "text")]
            submitted_by_name: String,
            #[serde(default, deserialize_with = "text")]
            submitted_by_email: String,
            #[serde(default, deserialize_with = "list")]
            approvers_list: Vec<Approver>,
            #[serde(default, deserialize_with = "instant")]
            created_time: Option<Timestamp>,
            #[serde(default, deserialize_with = "instant")]
            last_modified_time: Option<Timestamp>,
        }

        impl Resource for $name {
            const GET: &'static str = $get;
            const LIST: &'static str = $list;
            const PATH: &'static str = $path;
            const DETAIL_KEY: &'static str = $key;
            const LIST_KEY: &'static str = $path;
            const CHANGES: Changes = Changes::Filtered;
            // Where the order is ignored, as for purchase orders, new records come first and push the others back.
            const SORT: &'static [(&'static str, &'static str)] =
                &[("sort_column", "created_time"), ("sort_order", "A")];
            const NUMBER_FILTER: Option<&'static str> = Some($number);
            const WEB_PATH: Option<&'static str> = Some($path);

            fn id(&self) -> &str {
                &self.id
            }

            fn sub_status(&self) -> &str {
                status::own_stage(&self.current_sub_status, &self.status)
            }

            fn into_record(self) -> Result<Record> {
                let currency = currency(&self.currency_code)?;
                let approval = Approval {
                    is_required: self.is_approval_required,
                    submitted_date: &self.submitted_date,
                    approvers: &self.approvers_list,
                };
                let status = approval.refine(status::of_document(&self.status, self.total, self.balance));
                let mut record = Record::new(RecordKind::$name, self.id, status);
                record.vendor_status = self.status;
                record.number = some(self.number);
                record.reference = some(self.reference_number);
                record.counterparty = party(self.party_id, self.party_name);
                record.date = self.date;
                record.due_date = self.due_date;
                record.total = money(self.total, currency);
                record.balance = money(self.balance, currency);
                record.lines = self.line_items.into_iter().map(|line| line.into_line(currency)).collect();
                record.submitted_by = some(self.submitted_by_name);
                record.submitted_by_email = some(self.submitted_by_email);
                record.created_at = self.created_time;
                record.modified_at = self.last_modified_time;
                Ok(record)
            }
        }
    };
}

document! {
    /// A sales invoice. A void one keeps its balance.
    Invoice of "zoho_books.get_invoice" and "zoho_books.list_invoices" {
        path: "invoices",
        key: "invoice",
        id: "invoice_id",
        number: "invoice_number",
        party: ["customer_id", "customer_name"],
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
    }
}
