//! Cost transactions of projects.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{CodeName, Line, Record, RecordKind},
};

use super::{Resource, Site, status, value};

/// Cost transactions. Only packages with projects have them.
pub(crate) static COST_TRANSACTIONS: Resource = Resource {
    kind: "cost_transaction",
    feed: "cost_transactions",
    path: "project/CostTransactions",
    key: "ID",
    get: "exact_online.get_cost_transaction",
    list: "exact_online.list_cost_transactions",
    scope: "Projects projects",
    topic: Some("CostTransactions"),
    select: &[
        "ID",
        "EntryNumber",
        "Type",
        "HourStatus",
        "Notes",
        "Account",
        "AccountName",
        "Date",
        "Currency",
        "AmountFC",
        "Quantity",
        "PriceFC",
        "Item",
        "ItemDescription",
        "Project",
        "ProjectDescription",
        "Employee",
        "Expense",
        "ExpenseDescription",
        "Created",
        "Modified",
        "Division",
    ],
    lines: None,
    meaningful: &[
        "EntryNumber",
        "HourStatus",
        "Notes",
        "Account",
        "Date",
        "Currency",
        "AmountFC",
        "Quantity",
        "PriceFC",
        "Item",
        "Project",
        "Employee",
        "Expense",
    ],
    open: Some("HourStatus eq 1 or HourStatus eq 10"),
    read,
};

fn read(cost: &Object<'_>, site: &Site) -> Result<Record> {
    let (status, word) = status::of_cost(value::integer(cost, "HourStatus"));
    let mut record = Record::new(RecordKind::CostTransaction, cost.id("ID")?, status);
    word.clone_into(&mut record.vendor_status);
    let currency = super::amounts(&mut record, cost, site);
    record.number = value::text(cost, "EntryNumber");
    record.subject = value::text(cost, "Notes");
    record.counterparty = super::party(cost, "Account", "AccountName");
    record.date = value::day(cost, "Date");
    // It has no cost centre: costs are those of a project.
    record.lines = vec![Line {
        description: value::text(cost, "Notes").unwrap_or_default(),
        item: CodeName::known(
            value::guid(cost, "Item").map(Into::into),
            None,
            value::text(cost, "ItemDescription"),
        ),
        quantity: value::some_decimal(cost, "Quantity"),
        rate: cost.decimal("PriceFC"),
        amount: value::money(cost, "AmountFC", currency),
        project: CodeName::known(
            value::guid(cost, "Project").map(Into::into),
            None,
            value::text(cost, "ProjectDescription"),
        ),
        ..Line::default()
    }];
    Ok(record)
}
