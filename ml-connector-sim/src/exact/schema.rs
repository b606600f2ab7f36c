//! The properties of each resource and their types, as the vendor's reference lists them.

use std::{collections::HashMap, sync::LazyLock};

use super::kind::Kind;
use crate::toolkit::json::Fields;

/// A property's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edm {
    Guid,
    String,
    Double,
    Int,
    Int64,
    Boolean,
    DateTime,
    Navigation,
    Binary,
}

type Properties = Vec<(&'static str, Edm)>;

static RESOURCES: LazyLock<HashMap<&'static str, Properties>> = LazyLock::new(|| {
    include_str!("../../fixtures/exact-online/properties.txt").lines().filter_map(resource).collect()
});

fn resource(line: &'static str) -> Option<(&'static str, Properties)> {
    let (path, properties) = line.split_once(' ')?;
    let property = |text: &'static str| {
        let (name, edm) = text.split_once(':')?;
        let edm = match edm {
            "G" => Edm::Guid,
            "D" => Edm::Double,
            "i16" | "i32" | "u8" => Edm::Int,
            "i64" => Edm::Int64,
            "B" => Edm::Boolean,
            "DT" => Edm::DateTime,
            "nav" => Edm::Navigation,
            "Bin" => Edm::Binary,
            _ => Edm::String,
        };
        Some((name, edm))
    };
    Some((path, properties.split(' ').filter_map(property).collect()))
}

/// The properties of a resource, by `service/Resource`.
pub(super) fn properties(path: &str) -> Option<&'static [(&'static str, Edm)]> {
    RESOURCES.get(path).map(Vec::as_slice)
}

/// The type of a property.
pub(super) fn edm(path: &str, name: &str) -> Option<Edm> {
    properties(path)?.iter().find(|(known, _)| *known == name).map(|(_, edm)| *edm)
}

/// A record with nothing in it.
pub(super) fn blank(path: &str) -> Fields {
    let mut fields = Fields::default();
    for (name, edm) in properties(path).unwrap_or_default() {
        if *edm != Edm::Navigation {
            fields.set(name, ());
        }
    }
    fields
}

/// A recorded record of a kind and one of its lines, to be written over; blank where none was recorded.
pub(super) fn template(kind: Kind) -> (Fields, Fields) {
    macro_rules! recorded {
        ($file:literal) => {
            Fields::template(include_str!(concat!("../../fixtures/exact-online/", $file, ".json")))
                .within("d")
        };
    }
    let shape = kind.shape();
    let mut header = match kind {
        Kind::SalesInvoices => recorded!("sales_invoice_expanded"),
        Kind::PurchaseEntries => recorded!("purchase_entry_expanded"),
        Kind::PurchaseOrders => recorded!("purchase_order_expanded"),
        Kind::GeneralJournalEntries => recorded!("general_journal_entry_expanded"),
        Kind::BankEntries => recorded!("bank_entry_expanded"),
        Kind::Payments => recorded!("payment"),
        Kind::Receivables => recorded!("receivable"),
        Kind::CostTransactions => recorded!("cost_transaction"),
        Kind::Documents => recorded!("document"),
        _ => blank(shape.path),
    };
    header.remove("__metadata");
    let Some((nav, path)) = shape.lines else { return (header, Fields::default()) };
    let mut line = header.within(nav).first_of("results");
    line.remove("__metadata");
    line.remove("ShopOrderMaterialPlans");
    line.remove("ShopOrderRoutingStepPlans");
    if line.get("ID").is_none() {
        line = blank(path);
    }
    header.set(nav, ());
    (header, line)
}
