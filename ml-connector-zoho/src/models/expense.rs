//! Expenses: `GET /expenses`, `GET /expenses/{id}`.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Currency, Record, RecordKind, Status},
};

use super::{Changes, Resource, extras, line, meaningful};

/// An expense. Whom it was paid to is its counterparty; where nobody is named, the customer it is billed to.
pub(crate) struct Expense;

impl Resource for Expense {
    const KIND: RecordKind = RecordKind::Expense;
    const GET: &'static str = "zoho_books.get_expense";
    const LIST: &'static str = "zoho_books.list_expenses";
    const PATH: &'static str = "expenses";
    const DETAIL_KEY: &'static str = "expense";
    const LIST_KEY: &'static str = "expenses";
    const ID: &'static str = "expense_id";
    const CHANGES: Changes = Changes::ReadBack;
    const SORT: &'static [(&'static str, &'static str)] =
        &[("sort_column", "created_time"), ("sort_order", "D")];
    const WEB_PATH: Option<&'static str> = Some("expenses");
    const MEANINGFUL: &'static [&'static str] = meaningful::EXPENSE;

    fn read(expense: &Object<'_>, home: Option<Currency>) -> Result<Record> {
        let currency = expense.currency("currency_code");
        let word = expense.text("status");
        let mut record = Record::new(Self::KIND, expense.id(Self::ID)?, Status::from(&*word));
        record.vendor_status = word;
        record.reference = expense.some_text("reference_number");
        record.counterparty =
            expense.party("vendor_id", "vendor_name").or(expense.party("customer_id", "customer_name"));
        record.date = expense.date("date");
        record.total = expense.money("total", currency);
        record.payment_mode = expense.some_text("payment_mode");
        record.lines = line::all(expense, currency);
        record.sub_total = expense.money("sub_total", currency);
        record.tax = expense.money("tax_amount", currency);
        extras::base(&mut record, expense, home);
        extras::read(&mut record, expense);
        record.created_at = expense.instant("created_time");
        record.modified_at = expense.instant("last_modified_time");
        Ok(record)
    }
}
