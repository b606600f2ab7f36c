//! What documents refer to.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{NEXT_CHANGE, Set, id, number, number_of_record, stamp, text};

pub(super) fn vendors() -> Columns {
    Columns::new(Set::Vendors.kind(), "vendors", "Vendors of Business Central")
        .with_all(party())
        .with(text("irs1099_code", "/irs1099Code"))
        .with(owed("balance", "/balance"))
        .with(stamp())
}

pub(super) fn customers() -> Columns {
    Columns::new(Set::Customers.kind(), "customers", "Customers of Business Central")
        .with_all(party())
        .with(text("type", "/type").commented("Company or Person"))
        .with(text("salesperson_code", "/salespersonCode"))
        .with(number("credit_limit", "/creditLimit"))
        .with(owed("balance_due", "/balanceDue"))
        .with(stamp())
}

fn party() -> [Column; 18] {
    [
        id(),
        number_of_record(),
        text("display_name", "/displayName"),
        text("address_line1", "/addressLine1"),
        text("address_line2", "/addressLine2"),
        text("city", "/city"),
        text("state", "/state"),
        text("country", "/country"),
        text("postal_code", "/postalCode"),
        text("phone_number", "/phoneNumber"),
        text("email", "/email"),
        text("website", "/website"),
        text("tax_registration_number", "/taxRegistrationNumber"),
        text("currency_code", "/currencyCode"),
        text("payment_terms_id", "/paymentTermsId"),
        text("payment_method_id", "/paymentMethodId"),
        Column::boolean("tax_liable", "/taxLiable"),
        text("blocked", "/blocked"),
    ]
}

/// What is owed changes with documents and moves no stamp.
fn owed(name: &'static str, pointer: &'static str) -> Column {
    number(name, pointer)
        .commented("In the company's currency. Changes with documents, which is no change of the record")
        .refreshed_by(NEXT_CHANGE)
}

pub(super) fn employees() -> Columns {
    Columns::new(
        Set::Employees.kind(),
        "employees",
        "Employees of Business Central: what is needed to find them",
    )
    .with(id())
    .with(number_of_record())
    .with(text("display_name", "/displayName"))
    .with(text("email", "/email").commented("The company's address; may be empty"))
    .with(text("status", "/status"))
    .with(stamp())
}

pub(super) fn accounts() -> Columns {
    Columns::new(RecordKind::Account, "accounts", "The chart of accounts of Business Central")
        .with(id())
        .with(number_of_record())
        .with(text("display_name", "/displayName"))
        .with(text("category", "/category"))
        .with(text("sub_category", "/subCategory"))
        .with(text("account_type", "/accountType"))
        .with(Column::boolean("direct_posting", "/directPosting"))
        .with(Column::boolean("blocked", "/blocked"))
        .with(owed("net_change", "/netChange"))
        .with(stamp())
}

pub(super) fn items() -> Columns {
    Columns::new(RecordKind::Item, "items", "What is bought and sold, in Business Central")
        .with(id())
        .with(number_of_record())
        .with(text("display_name", "/displayName"))
        .with(text("display_name2", "/displayName2"))
        .with(text("type", "/type"))
        .with(text("item_category_code", "/itemCategoryCode"))
        .with(text("gtin", "/gtin"))
        .with(Column::boolean("blocked", "/blocked"))
        .with(number("unit_price", "/unitPrice"))
        .with(Column::boolean("price_includes_tax", "/priceIncludesTax"))
        .with(number("unit_cost", "/unitCost"))
        .with(text("tax_group_code", "/taxGroupCode"))
        .with(text("base_unit_of_measure_code", "/baseUnitOfMeasureCode"))
        .with(number("inventory", "/inventory").commented("In stock").refreshed_by(NEXT_CHANGE))
        .with(stamp())
}

pub(super) fn dimensions() -> Columns {
    Columns::new(Set::Dimensions.kind(), "dimensions", "The dimensions of Business Central")
        .with(id())
        .with(text("code", "/code"))
        .with(text("display_name", "/displayName"))
        .with(text("consolidation_code", "/consolidationCode"))
        .with(stamp())
}

pub(super) fn currencies() -> Columns {
    Columns::new(
        RecordKind::Currency,
        "currencies",
        "The currencies of Business Central beside the company's own",
    )
    .with(id())
    .with(text("code", "/code").commented("ISO 4217"))
    .with(text("display_name", "/displayName"))
    .with(text("symbol", "/symbol"))
    .with(text("amount_decimal_places", "/amountDecimalPlaces"))
    .with(number("amount_rounding_precision", "/amountRoundingPrecision"))
    .with(stamp())
}
