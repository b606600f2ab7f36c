//! Expenses: `GET /expenses`, `GET /expenses/{id}`.

use ml_connector_core::{
    Result, Timestamp,
    model::{Date, Decimal, Record, RecordKind, Status},
};
use serde::Deserialize;

use super::{
    Changes, Resource, currency,
    de::{amount, date, instant, list, text},
    line::LineItem,
    money, party, some,
};

/// An expense. Whom it was paid to is its counterparty; where nobody is named, the customer it is billed to.
#[derive(Deserialize)]
pub(crate) struct Expense {
    #[serde(deserialize_with = "text")]
    expense_id: String,
    #[serde(default, deserialize_with = "text")]
    reference_number: String,
    #[serde(default, deserialize_with = "text")]
    vendor_id: String,
    #[serde(default, deserialize_with = "text")]
    vendor_name: String,
    #[serde(default, deserialize_with = "text")]
    customer_id: String,
    #[serde(default, deserialize_with = "text")]
    customer_name: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "text")]
    payment_mode: String,
    #[serde(default, deserialize_with = "date")]
    date: Option<Date>,
    #[serde(default, deserialize_with = "amount")]
    total: Option<Decimal>,
    #[serde(default, deserialize_with = "text")]
    currency_code: String,
    #[serde(default, deserialize_with = "list")]
    line_items: Vec<LineItem>,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

impl Resource for Expense {
    const GET: &'static str = "zoho_books.get_expense";
    const LIST: &'static str = "zoho_books.list_expenses";
    const PATH: &'static str = "expenses";
    const DETAIL_KEY: &'static str = "expense";
    const LIST_KEY: &'static str = "expenses";
    const CHANGES: Changes = Changes::ReadBack;
    const SORT: &'static [(&'static str, &'static str)] =
        &[("sort_column", "created_time"), ("sort_order", "D")];
    const WEB_PATH: Option<&'static str> = Some("expenses");

    fn id(&self) -> &str {
        &self.expense_id
    }

    fn into_record(self) -> Result<Record> {
        let currency = currency(&self.currency_code)?;
        let status = Status::from(&*self.status);
        let mut record = Record::new(RecordKind::Expense, self.expense_id, status);
        record.vendor_status = self.status;
        record.reference = some(self.reference_number);
        record.counterparty =
            party(self.vendor_id, self.vendor_name).or(party(self.customer_id, self.customer_name));
        record.date = self.date;
        record.total = money(self.total, currency);
        record.payment_mode = some(self.payment_mode);
        record.lines = self.line_items.into_iter().map(|line| line.into_line(currency)).collect();
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}
