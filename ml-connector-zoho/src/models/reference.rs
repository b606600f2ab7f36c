//! What documents refer to: contacts, items, accounts and currencies. They have names instead of amounts.

use ml_connector_core::{
    Result, Timestamp,
    model::{Record, RecordKind, Status},
};
use serde::Deserialize;

use super::{
    Changes, Resource,
    de::{flag, instant, text},
    party, some,
};

/// A customer or a vendor. What it owes changes with its documents and moves no stamp, so it is no part of the record.
#[derive(Deserialize)]
pub(crate) struct Contact {
    #[serde(deserialize_with = "text")]
    contact_id: String,
    #[serde(default, deserialize_with = "text")]
    contact_name: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

impl Resource for Contact {
    const GET: &'static str = "zoho_books.get_contact";
    const LIST: &'static str = "zoho_books.list_contacts";
    const PATH: &'static str = "contacts";
    const DETAIL_KEY: &'static str = "contact";
    const LIST_KEY: &'static str = "contacts";
    const CHANGES: Changes = Changes::SortedByStamp;
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "Status.All")];
    const SORT: &'static [(&'static str, &'static str)] =
        &[("sort_column", "last_modified_time"), ("sort_order", "D")];
    const WEB_PATH: Option<&'static str> = Some("contacts");

    fn id(&self) -> &str {
        &self.contact_id
    }

    fn into_record(self) -> Result<Record> {
        let mut record =
            Record::new(RecordKind::Contact, self.contact_id.as_str(), Status::from(&*self.status));
        record.vendor_status = self.status;
        record.name = some(self.contact_name.clone());
        record.counterparty = party(self.contact_id, self.contact_name);
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}

/// Something that is bought or sold. Its rates are in the organization's currency, which it does not name: they are
/// in the vendor's JSON.
#[derive(Deserialize)]
pub(crate) struct Item {
    #[serde(deserialize_with = "text")]
    item_id: String,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "text")]
    sku: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

impl Resource for Item {
    const GET: &'static str = "zoho_books.get_item";
    const LIST: &'static str = "zoho_books.list_items";
    const PATH: &'static str = "items";
    const DETAIL_KEY: &'static str = "item";
    const LIST_KEY: &'static str = "items";
    const CHANGES: Changes = Changes::Whole;
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "Status.All")];

    fn id(&self) -> &str {
        &self.item_id
    }

    fn into_record(self) -> Result<Record> {
        let mut record = Record::new(RecordKind::Item, self.item_id, Status::from(&*self.status));
        record.vendor_status = self.status;
        record.name = some(self.name);
        record.number = some(self.sku);
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}

/// An account of the chart of accounts.
#[derive(Deserialize)]
pub(crate) struct Account {
    #[serde(deserialize_with = "text")]
    account_id: String,
    #[serde(default, deserialize_with = "text")]
    account_name: String,
    #[serde(default, deserialize_with = "text")]
    account_code: String,
    #[serde(default, deserialize_with = "flag")]
    is_active: bool,
    #[serde(default, deserialize_with = "instant")]
    created_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_time: Option<Timestamp>,
}

impl Resource for Account {
    const GET: &'static str = "zoho_books.get_account";
    const LIST: &'static str = "zoho_books.list_accounts";
    const PATH: &'static str = "chartofaccounts";
    const DETAIL_KEY: &'static str = "chart_of_account";
    const LIST_KEY: &'static str = "chartofaccounts";
    const CHANGES: Changes = Changes::Whole;
    // The list hides inactive accounts, and has 5,000 rows on a page unless somebody asks for less.
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[("filter_by", "AccountType.All")];
    const PER_PAGE: Option<&'static str> = None;

    fn id(&self) -> &str {
        &self.account_id
    }

    fn into_record(self) -> Result<Record> {
        let word = if self.is_active { "active" } else { "inactive" };
        let mut record = Record::new(RecordKind::Account, self.account_id, Status::from(word));
        record.name = some(self.account_name);
        record.number = some(self.account_code);
        record.created_at = self.created_time;
        record.modified_at = self.last_modified_time;
        Ok(record)
    }
}

/// A currency; its rate is in the vendor's JSON. The base currency says 0 where it means 1, another one where it has
/// no rate. It has no stamps: rows are compared as a whole.
#[derive(Deserialize)]
pub(crate) struct Currency {
    #[serde(deserialize_with = "text")]
    currency_id: String,
    #[serde(default, deserialize_with = "text")]
    currency_code: String,
    #[serde(default, deserialize_with = "text")]
    currency_name: String,
}

impl Resource for Currency {
    const GET: &'static str = "zoho_books.get_currency";
    const LIST: &'static str = "zoho_books.list_currencies";
    const PATH: &'static str = "settings/currencies";
    const DETAIL_KEY: &'static str = "currency";
    const LIST_KEY: &'static str = "currencies";
    const CHANGES: Changes = Changes::Whole;

    fn id(&self) -> &str {
        &self.currency_id
    }

    fn into_record(self) -> Result<Record> {
        let mut record = Record::new(RecordKind::Currency, self.currency_id, Status::from("active"));
        record.name = some(self.currency_name);
        record.number = some(self.currency_code);
        Ok(record)
    }
}
