//! The lines of a document.

use ml_connector_core::{
    decode::Object,
    model::{Currency, Line},
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
        quantity: line.decimal("quantity"),
        amount: line.money("item_total", currency),
        account: line.some_text("account_name"),
        cost_center: Some(tags).filter(|tags| !tags.is_empty()),
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
