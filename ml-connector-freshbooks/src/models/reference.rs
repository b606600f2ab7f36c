//! What documents refer to: clients, bill vendors, items, categories and ledger accounts. They have names instead of amounts.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Party, Record, RecordKind, Status},
};

use super::{BILL_VENDOR, CATEGORY, Changes, Family, Resource, Shape, Site, meaningful, status, value};

/// A client. Issuing an invoice moves its stamp.
pub(crate) struct Client;

impl Resource for Client {
    const KIND: &'static str = "contact";
    const GET: &'static str = "freshbooks.get_client";
    const LIST: &'static str = "freshbooks.list_clients";
    const PATH: &'static str = "users/clients";
    const DETAIL_KEY: &'static str = "client";
    const LIST_KEY: &'static str = "clients";
    const SCOPE: &'static str = "user:clients:read";
    const NOUN: Option<&'static str> = Some("client");
    const CHANGES: Changes = Changes::Window;
    const ID_FILTER: Option<&'static str> = Some("search[userid]");
    const MEANINGFUL: &'static [&'static str] = meaningful::CLIENT;

    fn read(client: &Object<'_>, _: &Site) -> Result<Record> {
        let id = client.id("id").or_else(|_| client.id("userid"))?;
        let status = Status::from(status::of_visibility(&client.text("vis_state")));
        let mut record = Record::new(RecordKind::Contact, id, status);
        record.name = value::name(client, &["organization"]).or_else(|| client.some_text("email"));
        let name = record.name.clone().unwrap_or_default();
        record.counterparty = Some(Party { id: Some(record.id.clone()), name });
        record.billing_address =
            value::address(client, ["p_street", "p_street2", "p_city", "p_province", "p_code", "p_country"]);
        record.created_at = value::utc_time(client, "signup_date");
        record.modified_at = value::eastern_time(client, "updated");
        Ok(record)
    }

    fn shape(_: &Object<'_>) -> Shape {
        Shape::Whole
    }
}

/// Whose bills are entered. The zone of its times is not known, so none of them is read.
pub(crate) struct BillVendor;

impl Resource for BillVendor {
    const KIND: &'static str = BILL_VENDOR;
    const GET: &'static str = "freshbooks.get_bill_vendor";
    const LIST: &'static str = "freshbooks.list_bill_vendors";
    const PATH: &'static str = "bill_vendors/bill_vendors";
    const DETAIL_KEY: &'static str = "bill_vendor";
    const LIST_KEY: &'static str = "bill_vendors";
    const ID: &'static str = "vendorid";
    const SCOPE: &'static str = "user:bill_vendors:read";
    const NOUN: Option<&'static str> = Some("bill_vendor");
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::BILL_VENDOR;

    fn read(vendor: &Object<'_>, _: &Site) -> Result<Record> {
        let status = Status::from(status::of_visibility(&vendor.text("vis_state")));
        let mut record = Record::new(RecordKind::from(BILL_VENDOR), vendor.id("vendorid")?, status);
        record.name = vendor.some_text("vendor_name");
        record.reference = vendor.some_text("account_number");
        let name = record.name.clone().unwrap_or_default();
        record.counterparty = Some(Party { id: Some(record.id.clone()), name });
        record.billing_address =
            value::address(vendor, ["street", "street2", "city", "province", "postal_code", "country"]);
        Ok(record)
    }

    fn shape(_: &Object<'_>) -> Shape {
        Shape::Whole
    }
}

/// Something that is sold.
pub(crate) struct Item;

impl Resource for Item {
    const KIND: &'static str = "item";
    const GET: &'static str = "freshbooks.get_item";
    const LIST: &'static str = "freshbooks.list_items";
    const PATH: &'static str = "items/items";
    const DETAIL_KEY: &'static str = "item";
    const LIST_KEY: &'static str = "items";
    const SCOPE: &'static str = "user:billable_items:read";
    const NOUN: Option<&'static str> = Some("item");
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::ITEM;

    fn read(item: &Object<'_>, _: &Site) -> Result<Record> {
        let id = item.id("id").or_else(|_| item.id("itemid"))?;
        let status = Status::from(status::of_visibility(&item.text("vis_state")));
        let mut record = Record::new(RecordKind::Item, id, status);
        record.name = item.some_text("name");
        record.number = item.some_text("sku");
        record.total = value::money(item, "unit_cost", None);
        record.modified_at = value::eastern_time(item, "updated");
        Ok(record)
    }

    fn shape(_: &Object<'_>) -> Shape {
        Shape::Whole
    }
}

/// What expenses and lines of bills are booked on.
pub(crate) struct Category;

impl Resource for Category {
    const KIND: &'static str = CATEGORY;
    const GET: &'static str = "freshbooks.get_category";
    const LIST: &'static str = "freshbooks.list_categories";
    const PATH: &'static str = "expenses/categories";
    const DETAIL_KEY: &'static str = "category";
    const LIST_KEY: &'static str = "categories";
    const SCOPE: &'static str = "user:expenses:read";
    const NOUN: Option<&'static str> = Some("category");
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::CATEGORY;

    fn read(category: &Object<'_>, _: &Site) -> Result<Record> {
        let id = category.id("id").or_else(|_| category.id("categoryid"))?;
        let status = Status::from(status::of_visibility(&category.text("vis_state")));
        let mut record = Record::new(RecordKind::from(CATEGORY), id, status);
        record.name = category.some_text("category");
        record.created_at = value::eastern_time(category, "created_at");
        record.modified_at = value::eastern_time(category, "updated_at");
        Ok(record)
    }

    fn shape(_: &Object<'_>) -> Shape {
        Shape::Whole
    }
}

/// An account of the chart of accounts. It belongs to the business, not to its accounting account.
pub(crate) struct LedgerAccount;

impl Resource for LedgerAccount {
    const KIND: &'static str = "account";
    const GET: &'static str = "freshbooks.get_ledger_account";
    const LIST: &'static str = "freshbooks.list_ledger_accounts";
    const FAMILY: Family = Family::Ledger;
    const PATH: &'static str = "ledger_accounts/accounts";
    const DETAIL_KEY: &'static str = "data";
    const LIST_KEY: &'static str = "ledger_accounts";
    const ID: &'static str = "uuid";
    const SCOPE: &'static str = "user:journal_entries:read";
    const NOUN: Option<&'static str> = None;
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::LEDGER_ACCOUNT;

    fn read(account: &Object<'_>, _: &Site) -> Result<Record> {
        let word = account.some_text("state").unwrap_or_else(|| "active".to_owned());
        let mut record = Record::new(RecordKind::Account, account.id("uuid")?, Status::from(&*word));
        record.vendor_status = word;
        record.name = account.some_text("name");
        record.number = account.some_text("number");
        record.modified_at = value::utc_time(account, "updated_at");
        Ok(record)
    }

    fn shape(_: &Object<'_>) -> Shape {
        Shape::Whole
    }
}
