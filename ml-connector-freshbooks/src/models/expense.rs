//! Expenses: `GET expenses/expenses`.

use ml_connector_core::{
    Money, Result,
    decode::Object,
    model::{CodeName, Line, Party, Record, RecordKind, Status},
};

use super::{Changes, Resource, Shape, Site, meaningful, status, value};

/// An expense. Its vendor is a free text; its status says whether it is billed to a client.
pub(crate) struct Expense;

impl Resource for Expense {
    const KIND: &'static str = "expense";
    const GET: &'static str = "freshbooks.get_expense";
    const LIST: &'static str = "freshbooks.list_expenses";
    const PATH: &'static str = "expenses/expenses";
    const DETAIL_KEY: &'static str = "expense";
    const LIST_KEY: &'static str = "expenses";
    const SCOPE: &'static str = "user:expenses:read";
    const NOUN: Option<&'static str> = Some("expense");
    const INCLUDES: &'static [&'static str] = &["category"];
    const CHANGES: Changes = Changes::Window;
    const MEANINGFUL: &'static [&'static str] = meaningful::EXPENSE;

    fn read(expense: &Object<'_>, site: &Site) -> Result<Record> {
        let id = expense.id("id").or_else(|_| expense.id("expenseid"))?;
        let number = expense.text("status");
        let mut record = Record::new(RecordKind::Expense, id, Status::from(status::of_expense(&number)));
        record.subject = expense.some_text("notes");
        record.counterparty = expense.some_text("vendor").map(|name| Party { id: None, name });
        record.date = expense.date("date");
        record.total = value::money(expense, "amount", None);
        let currency = record.total.map(|total| total.currency);
        record.tax =
            value::sum(["taxAmount1", "taxAmount2"].map(|name| value::money(expense, name, currency)));
        record.lines = line(expense, record.total).into_iter().collect();
        record.modified_at =
            value::eastern_time(expense, "version").or_else(|| value::eastern_time(expense, "updated"));
        record.url = Some(site.expense(&record.id));
        Ok(record)
    }

    /// Whether its category has a name.
    fn shape(expense: &Object<'_>) -> Shape {
        let has_none = value::reference(expense, "categoryid").is_none();
        if has_none || expense.object("category").is_some() { Shape::Whole } else { Shape::Nameless }
    }
}

/// The one line of an expense: its category.
fn line(expense: &Object<'_>, amount: Option<Money>) -> Option<Line> {
    let id = value::reference(expense, "categoryid");
    let name = expense.object("category").and_then(|category| category.some_text("category"));
    let account = CodeName::known(id.map(Into::into), None, name)?;
    Some(Line { description: expense.text("notes"), account: Some(account), amount, ..Line::default() })
}
