//! The vendor's records, and what they are in the SDK's vocabulary. They have no `Debug`, because names and amounts are
//! the customer's business.

mod columns;
mod company;
mod document;
mod meaningful;
mod reference;
mod set;
mod site;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use columns::columns;
pub use company::{Company, Environment};
pub(crate) use document::{INVOICED, invoiced, is_placeholder};
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    decode::Object,
    model::{Date, Record, Revision},
    snapshot::revision_of,
};
use serde_json::value::RawValue;
pub(crate) use set::{OWN_KINDS, OWN_STATUSES, Set};
pub(crate) use site::Site;
pub(crate) use words::decoded;

/// The year that stands for no date at all.
const NO_YEAR: &str = "0001-01-01";

/// The record in the SDK's vocabulary, without its link.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when it has no id.
pub(crate) fn read_record(set: Set, from: &Object<'_>) -> Result<Record> {
    if set.lines().is_some() { document::read(set, from) } else { reference::read(set, from) }
}

/// The revision of a record: what means something in its JSON, and its status, which says more than the vendor's word
/// where approval entries or the posted documents tell.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the JSON is no object.
pub(crate) fn revision(set: Set, raw: &RawValue, record: &Record) -> Result<Revision> {
    let content = revision_of(raw.get().as_bytes(), meaningful::of(set))?;
    let whole = (content, &record.status, &record.submitted_by);
    let bytes = serde_json::to_vec(&whole).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a revision cannot be written").with_source(source)
    })?;
    Ok(Revision::of(&bytes))
}

/// Whether a text is a GUID as the API writes them.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// A date, unless it stands for none.
fn date(from: &Object<'_>, name: &str) -> Option<Date> {
    if from.text(name).starts_with(NO_YEAR) { None } else { from.date(name) }
}

/// When it was changed last; `None` for what was never changed since it was brought over.
fn stamp(from: &Object<'_>) -> Option<Timestamp> {
    if from.text("lastModifiedDateTime").starts_with("0001-") {
        return None;
    }
    from.instant("lastModifiedDateTime")
}

/// A reference, unless it is unset.
fn reference_id(from: &Object<'_>, name: &str) -> Option<String> {
    from.some_text(name).filter(|id| !is_unset(id))
}

/// Whether an id stands for none.
pub(crate) fn is_unset(id: &str) -> bool {
    id.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}
