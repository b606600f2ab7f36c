//! The one thing that is read of a verified body: which record it is about.

use std::{borrow::Cow, collections::BTreeMap};

use ml_connector_core::{Error, Result, model::RecordKind};
use serde_json::value::RawValue;

use super::{invalid, is_id, pairs::Pairs};

/// A verified body.
pub(super) enum Body<'a> {
    Json(&'a [u8]),
    Form(Pairs<'a>),
}

/// One level of a JSON object; what is below stays unread.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl Body<'_> {
    /// The member or field `event` of a template written by hand.
    ///
    /// # Errors
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when the body is no JSON object.
    pub(super) fn event(&self) -> Result<Option<String>> {
        match self {
            Self::Form(form) => Ok(form.get("event").map(str::to_owned)),
            Self::Json(json) => Ok(members(json)?.get("event").and_then(|value| text(value))),
        }
    }

    /// The record's id, in every shape on record: wrapped in a member named after the entity, at the top level,
    /// within `data`, as form fields, or as JSON in the form field `JSONString`.
    ///
    /// # Errors
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when there is none.
    pub(super) fn entity_id(&self, kind: &RecordKind) -> Result<String> {
        let Shape { id, wrappers } =
            Shape::of(kind).ok_or_else(|| invalid("no webhook has records of this kind"))?;
        let found = match self {
            Self::Form(form) => match (form.get(id), form.get("JSONString")) {
                (Some(id), _) => Some(id.to_owned()),
                (None, Some(json)) => in_object(json.as_bytes(), id, wrappers)?,
                (None, None) => None,
            },
            Self::Json(json) => in_object(json, id, wrappers)?,
        };
        found
            .filter(|id| is_id(id))
            .ok_or_else(|| invalid("the body has no id of the record").with_context("member", id))
    }
}

/// Where an entity's id is.
struct Shape {
    id: &'static str,
    /// The member around the record. Those of payments are not documented.
    wrappers: &'static [&'static str],
}

impl Shape {
    fn of(kind: &RecordKind) -> Option<Self> {
        let (id, wrappers): (_, &[_]) = match kind {
            RecordKind::Invoice => ("invoice_id", &["invoice"]),
            RecordKind::Bill => ("bill_id", &["bill"]),
            RecordKind::CustomerPayment => {
                ("payment_id", &["payment", "customerpayment", "customer_payment"])
            }
            RecordKind::VendorPayment => ("payment_id", &["vendorpayment", "vendor_payment", "payment"]),
            RecordKind::PurchaseOrder => ("purchaseorder_id", &["purchaseorder", "purchase_order"]),
            RecordKind::Contact => ("contact_id", &["contact", "customer", "vendor"]),
            _ => return None,
        };
        Some(Self { id, wrappers })
    }
}

fn in_object(json: &[u8], id: &str, wrappers: &[&str]) -> Result<Option<String>> {
    let top = members(json)?;
    if let Some(found) = in_members(&top, id, wrappers) {
        return Ok(Some(found));
    }
    let data = top.get("data").and_then(|data| members(data.get().as_bytes()).ok());
    Ok(data.and_then(|data| in_members(&data, id, wrappers)))
}

fn in_members(object: &Members<'_>, id: &str, wrappers: &[&str]) -> Option<String> {
    let wrapped = wrappers.iter().find_map(|wrapper| {
        let record = members(object.get(*wrapper)?.get().as_bytes()).ok()?;
        record.get(id).and_then(|value| text(value))
    });
    wrapped.or_else(|| object.get(id).and_then(|value| text(value)))
}

/// Reads one level. Deeper nesting than the decoder's own bound of 128 is refused by it.
fn members(json: &[u8]) -> Result<Members<'_>> {
    serde_json::from_slice(json).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Error {
    invalid("expected a JSON object")
        .with_context("line", error.line())
        .with_context("column", error.column())
}

/// A string, or a number as it is written.
fn text(value: &RawValue) -> Option<String> {
    match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok(),
        [b'0'..=b'9', ..] => Some(value.get().to_owned()),
        _ => None,
    }
}
