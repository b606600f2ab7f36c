//! What documents refer to.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{NEXT_CHANGE, address, custom, id, number, stamps, text};

pub(super) fn contacts() -> Columns {
    Columns::new(RecordKind::Contact, "contacts", "Customers and vendors of Zoho Books")
        .whole_with("/contact_persons")
        .with(id("contact_id", "/contact_id"))
        .with(text("contact_name", "/contact_name"))
        .with(text("company_name", "/company_name"))
        .with(text("contact_type", "/contact_type").commented("customer or vendor"))
        .with(text("status", "/status"))
        .with(text("email", "/email"))
        .with(text("phone", "/phone"))
        .with(text("website", "/website"))
        .with(text("currency_code", "/currency_code"))
        .with(Column::big_int("payment_terms", "/payment_terms").commented("Days"))
        .with(owed("outstanding_receivable_amount", "/outstanding_receivable_amount"))
        .with(owed("outstanding_payable_amount", "/outstanding_payable_amount"))
        .with(owed("unused_credits_receivable_amount", "/unused_credits_receivable_amount"))
        .with(owed("unused_credits_payable_amount", "/unused_credits_payable_amount"))
        .with_all(address!("billing_address"))
        .with_all(address!("shipping_address"))
        .with(
            Column::list(
                "contact_persons",
                "/contact_persons",
                [
                    id("contact_person_id", "/contact_person_id"),
                    text("first_name", "/first_name"),
                    text("last_name", "/last_name"),
                    text("email", "/email"),
                    text("phone", "/phone"),
                    Column::boolean("is_primary_contact", "/is_primary_contact"),
                ],
            )
            .in_detail(),
        )
        .with(text("notes", "/notes").in_detail())
        .with_all(custom())
        .with_all(stamps())
}

/// What a contact owes changes with its documents and moves no stamp.
fn owed(name: &'static str, pointer: &'static str) -> Column {
    number(name, pointer)
        .commented(
            "Changes with the contact's documents, which is no change of the contact: sum those instead",
        )
        .refreshed_by("the next change of the contact itself")
}

pub(super) fn items() -> Columns {
    Columns::new(RecordKind::Item, "items", "What is bought and sold, in Zoho Books")
        .with(id("item_id", "/item_id"))
        .with(text("name", "/name"))
        .with(text("sku", "/sku"))
        .with(text("status", "/status").refreshed_by(NEXT_CHANGE))
        .with(text("description", "/description"))
        .with(text("unit", "/unit"))
        .with(text("item_type", "/item_type"))
        .with(text("product_type", "/product_type"))
        .with(number("rate", "/rate").commented("The sales price, in the organization's currency"))
        .with(number("purchase_rate", "/purchase_rate").commented("In the organization's currency"))
        .with(text("account_id", "/account_id"))
        .with(text("account_name", "/account_name"))
        .with(text("purchase_account_id", "/purchase_account_id"))
        .with(text("purchase_account_name", "/purchase_account_name"))
        .with(text("tax_id", "/tax_id"))
        .with(text("tax_name", "/tax_name"))
        .with(number("tax_percentage", "/tax_percentage"))
        .with(number("stock_on_hand", "/stock_on_hand").refreshed_by("the next change of the item itself"))
        .with_all(custom())
        .with_all(stamps())
}

pub(super) fn accounts() -> Columns {
    Columns::new(RecordKind::Account, "accounts", "The chart of accounts of Zoho Books")
        .with(id("account_id", "/account_id"))
        .with(text("account_name", "/account_name"))
        .with(text("account_code", "/account_code"))
        .with(text("account_type", "/account_type"))
        .with(text("description", "/description"))
        .with(Column::boolean("is_active", "/is_active"))
        .with(text("parent_account_id", "/parent_account_id"))
        .with(text("parent_account_name", "/parent_account_name"))
        .with(Column::big_int("depth", "/depth").refreshed_by(NEXT_CHANGE))
        .with_all(stamps())
}

pub(super) fn currencies() -> Columns {
    Columns::new(RecordKind::Currency, "currencies", "The currencies of Zoho Books, with today's rates")
        .with(id("currency_id", "/currency_id"))
        .with(text("currency_code", "/currency_code").commented("ISO 4217"))
        .with(text("currency_name", "/currency_name"))
        .with(text("currency_symbol", "/currency_symbol"))
        .with(Column::big_int("price_precision", "/price_precision"))
        .with(Column::boolean("is_base_currency", "/is_base_currency"))
        .with(
            number("exchange_rate", "/exchange_rate")
                .commented("0 of the base currency, and where there is no rate"),
        )
        .with(Column::date("effective_date", "/effective_date"))
}
