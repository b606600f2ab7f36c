//! What documents refer to: vendors, customers, employees, accounts, items, dimensions and currencies.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Record, Status},
};

use super::{Set, decoded, stamp};

pub(super) fn read(set: Set, from: &Object<'_>) -> Result<Record> {
    let blocked = from.text("blocked");
    let blocked = decoded(&blocked);
    let word = from.text("status");
    let status = match set {
        Set::Employees => decoded(&word).to_ascii_lowercase(),
        _ if matches!(&*blocked, "" | "false") => "active".to_owned(),
        _ => "blocked".to_owned(),
    };
    let mut record = Record::new(set.kind(), from.id("id")?, Status::from(&*status));
    record.vendor_status =
        if set == Set::Employees { decoded(&word).into_owned() } else { blocked.into_owned() };
    record.name = from.some_text("displayName");
    record.number = from.some_text("number").or_else(|| from.some_text("code"));
    record.modified_at = stamp(from);
    Ok(record)
}
