//! The lines of a document.

use ml_connector_core::{
    decode::Object,
    model::{CodeName, Currency, Line},
};

/// The lines of an invoice, a bill, an order or an expense. Reporting tags are what other systems call a cost center.
pub(super) fn all(document: &Object<'_>, currency: Option<Currency>) -> Vec<Line> {
    document.objects("line_items").iter().map(|line| read(line, currency)).collect()
}

fn read(line: &Object<'_>, currency: Option<Currency>) -> Line {
    let tags = line.objects("tags");
    let tags = joined(tags.iter().filter_map(|tag| tag.some_text("tag_option_name")), ", ");
    Line {
        id: line.text("line_item_id").into(),
        description: joined(["name", "description"].iter().filter_map(|name| line.some_text(name)), ": "),
        item: line.code_name("item_id", "sku", "name"),
        quantity: line.decimal("quantity"),
        unit: line.some_text("unit"),
        rate: line.decimal("rate"),
        tax: line.has("tax_amount").then(|| line.money("tax_amount", currency)).flatten(),
        amount: line.money("item_total", currency),
        account: line.code_name("account_id", "account_code", "account_name"),
        cost_center: CodeName::known(None, None, Some(tags).filter(|tags| !tags.is_empty())),
        project: line.code_name("project_id", "project_code", "project_name"),
        ..Line::default()
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
