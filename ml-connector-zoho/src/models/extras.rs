//! What most records can have beside their own fields.

use ml_connector_core::{
    Money,
    decode::Object,
    model::{Address, Attachment, Currency, CustomField, Record},
};

/// Reporting tags, custom fields and files.
pub(super) fn read(record: &mut Record, from: &Object<'_>) {
    record.tags = from.objects("tags").iter().filter_map(|tag| tag.some_text("tag_option_name")).collect();
    record.custom_fields = from.objects("custom_fields").iter().filter_map(custom_field).collect();
    record.attachments = from.objects("documents").iter().filter_map(attachment).collect();
}

/// The total in the organization's currency and the rate, where the record is in another one. The rate 0 is none.
pub(super) fn base(record: &mut Record, from: &Object<'_>, home: Option<Currency>) {
    let rate = from.decimal("exchange_rate").filter(|rate| !rate.is_zero());
    let foreign = record.total.is_some_and(|total| home.is_none_or(|home| total.currency != home));
    record.exchange_rate = rate.filter(|_| foreign);
    let total = home
        .filter(|_| foreign)
        .and_then(|home| Some(Money::new(from.amount("bcy_total", Some(home))?, home)));
    record.base_total = total;
}

/// Lists write `zipcode`, details `zip`.
pub(super) fn address(from: &Object<'_>, name: &str) -> Option<Address> {
    let from = from.object(name)?;
    let mut address = Address::default();
    address.lines =
        ["attention", "address", "street2"].iter().filter_map(|line| from.some_text(line)).collect();
    address.city = from.some_text("city");
    address.region = from.some_text("state");
    address.postal_code = from.some_text("zip").or_else(|| from.some_text("zipcode"));
    address.country = from.some_text("country");
    address.unless_empty()
}

/// The key's spelling differs between modules.
fn custom_field(from: &Object<'_>) -> Option<CustomField> {
    let names = ["api_name", "customfield_id", "custom_field_id"];
    let name = names.iter().find_map(|name| from.some_text(name))?;
    Some(CustomField { name, label: from.some_text("label"), value: from.some_text("value")? })
}

/// Zoho names no link that only those who may see the record can open: the record's own leads there.
fn attachment(from: &Object<'_>) -> Option<Attachment> {
    let id = from.some_text("document_id").map(Into::into);
    Some(Attachment { id, name: from.some_text("file_name")?, url: None })
}
