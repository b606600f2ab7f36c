//! What documents refer to.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{BILL_VENDOR, CATEGORY, NEXT_CHANGE, eastern, id, number, text, utc, visibility};

pub(super) fn clients() -> Columns {
    Columns::new(RecordKind::Contact, "clients", "Clients in FreshBooks")
        .with(id("userid", "/userid").commented("What invoices call customerid"))
        .with(text("organization", "/organization"))
        .with(text("fname", "/fname"))
        .with(text("lname", "/lname"))
        .with(text("email", "/email"))
        .with(text("bus_phone", "/bus_phone"))
        .with(text("mob_phone", "/mob_phone"))
        .with(text("street", "/p_street"))
        .with(text("street2", "/p_street2"))
        .with(text("city", "/p_city"))
        .with(text("province", "/p_province"))
        .with(text("code", "/p_code").commented("The postal code"))
        .with(text("country", "/p_country"))
        .with(text("currency_code", "/currency_code"))
        .with(text("language", "/language"))
        .with(text("note", "/note"))
        .with(text("vat_number", "/vat_number"))
        .with(visibility())
        .with(utc("signup_date", "/signup_date"))
        .with(eastern("updated", "/updated"))
}

pub(super) fn bill_vendors() -> Columns {
    Columns::new(RecordKind::from(BILL_VENDOR), "bill_vendors", "Whose bills are entered in FreshBooks")
        .with(id("vendorid", "/vendorid"))
        .with(text("vendor_name", "/vendor_name"))
        .with(text("account_number", "/account_number"))
        .with(text("primary_contact_first_name", "/primary_contact_first_name"))
        .with(text("primary_contact_last_name", "/primary_contact_last_name"))
        .with(text("primary_contact_email", "/primary_contact_email"))
        .with(text("phone", "/phone"))
        .with(text("website", "/website"))
        .with(text("street", "/street"))
        .with(text("street2", "/street2"))
        .with(text("city", "/city"))
        .with(text("province", "/province"))
        .with(text("postal_code", "/postal_code"))
        .with(text("country", "/country"))
        .with(text("currency_code", "/currency_code"))
        .with(text("language", "/language"))
        .with(Column::boolean("is_1099", "/is_1099"))
        .with(text("note", "/note"))
        .with(visibility())
        .with(text("updated_at", "/updated_at").commented("Of an unknown zone").refreshed_by(NEXT_CHANGE))
}

pub(super) fn items() -> Columns {
    Columns::new(RecordKind::Item, "items", "What is sold, in FreshBooks")
        .with(id("itemid", "/itemid"))
        .with(text("name", "/name"))
        .with(text("description", "/description"))
        .with(text("sku", "/sku"))
        .with(number("qty", "/qty"))
        .with(text("currency_code", "/unit_cost/code"))
        .with(number("unit_cost", "/unit_cost/amount"))
        .with(number("inventory", "/inventory").refreshed_by(NEXT_CHANGE))
        .with(text("tax1", "/tax1").commented("0: none"))
        .with(text("tax2", "/tax2").commented("0: none"))
        .with(visibility())
        .with(eastern("updated", "/updated"))
}

pub(super) fn categories() -> Columns {
    Columns::new(RecordKind::from(CATEGORY), "categories", "What expenses are booked on, in FreshBooks")
        .with(id("categoryid", "/categoryid"))
        .with(text("category", "/category").commented("Its name"))
        .with(text("parentid", "/parentid"))
        .with(Column::boolean("is_cogs", "/is_cogs"))
        .with(visibility())
        .with(eastern("created_at", "/created_at"))
        .with(eastern("updated_at", "/updated_at"))
}

pub(super) fn ledger_accounts() -> Columns {
    Columns::new(RecordKind::Account, "ledger_accounts", "The chart of accounts of a FreshBooks business")
        .with(id("uuid", "/uuid"))
        .with(text("number", "/number"))
        .with(text("name", "/name"))
        .with(text("description", "/description"))
        .with(text("type", "/type").commented("asset, liability, equity, income or expense"))
        .with(text("sub_type", "/sub_type"))
        .with(text("system_account_name", "/system_account_name"))
        .with(text("parent_account", "/parent_account"))
        .with(text("state", "/state"))
        .with(Column::timestamp("updated_at", "/updated_at").refreshed_by(NEXT_CHANGE))
}
