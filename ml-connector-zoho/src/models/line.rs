//! The lines of a document.

use ml_connector_core::model::{Currency, Decimal, Line};
use serde::Deserialize;

use super::{
    de::{amount, list, text},
    money, some,
};

/// A line of an invoice or a bill.
#[derive(Deserialize)]
pub(super) struct LineItem {
    #[serde(default, deserialize_with = "text")]
    line_item_id: String,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "text")]
    description: String,
    #[serde(default, deserialize_with = "amount")]
    quantity: Option<Decimal>,
    #[serde(default, deserialize_with = "amount")]
    item_total: Option<Decimal>,
    #[serde(default, deserialize_with = "text")]
    account_name: String,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// A reporting tag: what other systems call a cost center.
#[derive(Deserialize)]
struct Tag {
    #[serde(default, deserialize_with = "text")]
    tag_option_name: String,
}

impl LineItem {
    pub(super) fn into_line(self, currency: Option<Currency>) -> Line {
        let joined = |parts: Vec<String>, between: &str| {
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
        };
        let tags = self.tags.into_iter().map(|tag| tag.tag_option_name).collect();
        Line {
            id: self.line_item_id.into(),
            description: joined(vec![self.name, self.description], ": "),
            quantity: self.quantity,
            amount: money(self.item_total, currency),
            account: some(self.account_name),
            cost_center: some(joined(tags, ", ")),
        }
    }
}
