//! Lines, which have the same members in every kind of document.

use ml_connector_core::{
    decode::Object,
    model::{CodeName, Currency, Line, Side},
};

use super::value;

/// The lines of an expanded document: `{"results":[…]}`.
pub(super) fn read(document: &Object<'_>, navigation: &str, currency: Option<Currency>) -> Vec<Line> {
    let lines = document.object(navigation).map(|lines| lines.objects("results"));
    lines.unwrap_or_default().iter().map(|line| one(line, currency)).collect()
}

fn one(line: &Object<'_>, currency: Option<Currency>) -> Line {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| value::text(line, name));
    let coded =
        |code: &str, name: &str| CodeName::known(None, value::text(line, code), value::text(line, name));
    Line {
        id: line.text("ID").into(),
        description: description(line),
        item: value::code_name(line, "Item", "ItemCode", "ItemDescription"),
        quantity: value::some_decimal(line, "Quantity"),
        unit: first(["UnitDescription", "UnitCode"]),
        rate: line.decimal("NetPrice").or_else(|| line.decimal("UnitPrice")),
        tax: ["VATAmountFC", "AmountVATFC", "VATAmount"]
            .into_iter()
            .find_map(|name| value::money(line, name, currency)),
        amount: value::money(line, "AmountFC", currency),
        account: value::code_name(line, "GLAccount", "GLAccountCode", "GLAccountDescription"),
        cost_center: coded("CostCenter", "CostCenterDescription"),
        cost_unit: coded("CostUnit", "CostUnitDescription"),
        project: value::code_name(line, "Project", "ProjectCode", "ProjectDescription"),
        ..Line::default()
    }
}

/// Lines of ledger entries name whom they are about.
fn description(line: &Object<'_>) -> String {
    let parts = [value::text(line, "AccountName"), value::text(line, "Description")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// Amounts of journal lines stand on a side: what is not negative is debit.
pub(super) fn on_sides(lines: Vec<Line>) -> Vec<Line> {
    lines
        .into_iter()
        .map(|line| {
            let side = line
                .amount
                .map(|money| if money.amount.is_sign_negative() { Side::Credit } else { Side::Debit });
            Line { side, amount: value::unsigned(line.amount), ..line }
        })
        .collect()
}
