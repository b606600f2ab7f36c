//! What documents refer to: contacts, items, accounts and currencies. They have names instead of amounts.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{self, Record, RecordKind, Status},
};

use super::{Changes, Resource, meaningful};

/// A customer or a vendor. What it owes changes with its documents and moves no stamp, so it is no part of the record.
pub(crate) struct Contact;

impl Resource for Contact {
    const KIND: RecordKind = RecordKind::Contact;
    const GET: &'static str = "zoho_books.get_contact";
    const LIST: &'static str = "zoho_books.list_contacts";
    const PATH: &'static str = "contacts";
    const DETAIL_KEY: &'static str = "contact";
    const LIST_KEY: &'static str = "contacts";
    const ID: &'static str = "contact_id";
    const CHANGES: Changes = Changes::SortedByStamp;
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "Status.All")];
    const SORT: &'static [(&'static str, &'static str)] =
        &[("sort_column", "last_modified_time"), ("sort_order", "D")];
    const WEB_PATH: Option<&'static str> = Some("contacts");
    const MEANINGFUL: &'static [&'static str] = meaningful::CONTACT;

    fn read(contact: &Object<'_>, _: Option<model::Currency>) -> Result<Record> {
        let word = contact.text("status");
        let mut record = Record::new(Self::KIND, contact.id(Self::ID)?, Status::from(&*word));
        record.vendor_status = word;
        record.name = contact.some_text("contact_name");
        record.counterparty = contact.party(Self::ID, "contact_name");
        record.created_at = contact.instant("created_time");
        record.modified_at = contact.instant("last_modified_time");
        Ok(record)
    }
}

/// Something that is bought or sold. Its rates are in the organization's currency, which it does not name: they are
/// in the vendor's JSON.
pub(crate) struct Item;

impl Resource for Item {
    const KIND: RecordKind = RecordKind::Item;
    const GET: &'static str = "zoho_books.get_item";
    const LIST: &'static str = "zoho_books.list_items";
    const PATH: &'static str = "items";
    const DETAIL_KEY: &'static str = "item";
    const LIST_KEY: &'static str = "items";
    const ID: &'static str = "item_id";
    const CHANGES: Changes = Changes::Whole;
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "Status.All")];
    const MEANINGFUL: &'static [&'static str] = meaningful::ITEM;

    fn read(item: &Object<'_>, _: Option<model::Currency>) -> Result<Record> {
        let word = item.text("status");
        let mut record = Record::new(Self::KIND, item.id(Self::ID)?, Status::from(&*word));
        record.vendor_status = word;
        record.name = item.some_text("name");
        record.number = item.some_text("sku");
        record.created_at = item.instant("created_time");
        record.modified_at = item.instant("last_modified_time");
        Ok(record)
    }
}

/// An account of the chart of accounts.
pub(crate) struct Account;

impl Resource for Account {
    const KIND: RecordKind = RecordKind::Account;
    const GET: &'static str = "zoho_books.get_account";
    const LIST: &'static str = "zoho_books.list_accounts";
    const PATH: &'static str = "chartofaccounts";
    const DETAIL_KEY: &'static str = "chart_of_account";
    const LIST_KEY: &'static str = "chartofaccounts";
    const ID: &'static str = "account_id";
    const CHANGES: Changes = Changes::Whole;
    // The list hides inactive accounts, and has 5,000 rows on a page unless somebody asks for less.
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "AccountType.All")];
    const PER_PAGE: Option<&'static str> = None;
    const MEANINGFUL: &'static [&'static str] = meaningful::ACCOUNT;

    fn read(account: &Object<'_>, _: Option<model::Currency>) -> Result<Record> {
        let word = if account.flag("is_active") { "active" } else { "inactive" };
        let mut record = Record::new(Self::KIND, account.id(Self::ID)?, Status::from(word));
        record.name = account.some_text("account_name");
        record.number = account.some_text("account_code");
        record.created_at = account.instant("created_time");
        record.modified_at = account.instant("last_modified_time");
        Ok(record)
    }
}

/// A currency; its rate is in the vendor's JSON. The base currency says 0 where it means 1, another one where it has
/// no rate. It has no stamps: rows are compared by what means something.
pub(crate) struct Currency;

impl Resource for Currency {
    const KIND: RecordKind = RecordKind::Currency;
    const GET: &'static str = "zoho_books.get_currency";
    const LIST: &'static str = "zoho_books.list_currencies";
    const PATH: &'static str = "settings/currencies";
    const DETAIL_KEY: &'static str = "currency";
    const LIST_KEY: &'static str = "currencies";
    const ID: &'static str = "currency_id";
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::CURRENCY;

    fn read(currency: &Object<'_>, _: Option<model::Currency>) -> Result<Record> {
        let mut record = Record::new(Self::KIND, currency.id(Self::ID)?, Status::from("active"));
        record.name = currency.some_text("currency_name");
        record.number = currency.some_text("currency_code");
        Ok(record)
    }
}
