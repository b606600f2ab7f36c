//! Invoices: `GET /invoices`, `GET /invoices/{id}`.

use ml_connector_core::{
    Result, Timestamp,
    model::{Date, Decimal, Record, RecordKind},
};
use serde::Deserialize;

use super::{
    Resource,
    approval::{Approval, Approver},
    currency,
    de::{amount, date, flag, instant, list, text},
    line::LineItem,
    money, party, some, status,
};

/// A sales invoice. A void one keeps its balance.
#[derive(Deserialize)]
pub(crate) struct Invoice {
    #[serde(deserialize_with = "text")]
    invoice_id: String,
    #[serde(default, deserialize_with = "text")]
    invoice_number: String,
    #[serde(default, deserialize_with = "text")]
    reference_number: String,
    #[serde(default, deserialize_with = "text")]
    customer_id: String,
    #[serde(default, deserialize_with = "text")]
    customer_name: String,
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
    #[serde(default, deserialize_with = "list")]
    approvers_list: Vec<Approver>,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

impl Resource for Invoice {
    const GET: &'static str = "zoho_books.get_invoice";
    const LIST: &'static str = "zoho_books.list_invoices";
    const PATH: &'static str = "invoices";
    const DETAIL_KEY: &'static str = "invoice";
    const LIST_KEY: &'static str = "invoices";
    const LISTS_MODIFIED: bool = true;
    const SORT: &'static [(&'static str, &'static str)] =
        &[("sort_column", "created_time"), ("sort_order", "A")];
    const NUMBER_FILTER: &'static str = "invoice_number";
    const WEB_PATH: &'static str = "invoices";

    fn id(&self) -> &str {
        &self.invoice_id
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
        let mut record = Record::new(RecordKind::Invoice, self.invoice_id, status);
        record.vendor_status = self.status;
        record.number = some(self.invoice_number);
        record.reference = some(self.reference_number);
        record.counterparty = party(self.customer_id, self.customer_name);
        record.date = self.date;
        record.due_date = self.due_date;
        record.total = money(self.total, currency);
        record.balance = money(self.balance, currency);
        record.lines = self.line_items.into_iter().map(|line| line.into_line(currency)).collect();
        record.submitted_by = some(self.submitted_by_name);
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}
