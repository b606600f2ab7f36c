//! Finding the id of a record in the JSON of a webhook. The body is read as far as it takes, and copied nowhere: a
//! vendor waits meanwhile, and mostly the id is what comes first.

use std::{borrow::Cow, fmt};

use ml_connector_core::model::RecordKind;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Where an entity's id is.
pub(super) struct Shape {
    pub(super) id: &'static str,
    /// The member around the record. Those of payments are not documented.
    wrappers: &'static [&'static str],
}

impl Shape {
    pub(super) fn of(kind: &RecordKind) -> Option<Self> {
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

/// The id: within a wrapper, which ends the search, or else beside it. The same within `data`.
pub(super) fn search<'a>(json: &'a [u8], shape: &Shape) -> serde_json::Result<Option<Cow<'a, str>>> {
    let mut found = Found::default();
    let mut decoder = serde_json::Deserializer::from_slice(json);
    let read = decoder.deserialize_map(Search { shape, level: Level::Body, found: &mut found });
    if found.in_record.is_none() {
        read.and_then(|()| decoder.end())?;
    }
    Ok(found.in_record.or(found.in_body).or(found.in_data))
}

#[derive(Default)]
struct Found<'a> {
    in_record: Option<Cow<'a, str>>,
    in_body: Option<Cow<'a, str>>,
    in_data: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Body,
    Data,
    Record,
}

/// Reads one object.
struct Search<'s, 'f, 'a> {
    shape: &'s Shape,
    level: Level,
    found: &'f mut Found<'a>,
}

impl<'a> DeserializeSeed<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { shape, level, found } = self;
        while let Some(member) = object.next_key_seed(Name { shape, level })? {
            match member {
                Member::Id => {
                    let id = text(object.next_value::<&RawValue>()?);
                    match level {
                        Level::Body => found.in_body = id,
                        Level::Data => found.in_data = id,
                        Level::Record => found.in_record = id,
                    }
                }
                Member::Object(level) => object.next_value_seed(Search { shape, level, found })?,
                Member::Other => drop(object.next_value::<IgnoredAny>()?),
            }
            if found.in_record.is_some() {
                return Err(A::Error::custom("found"));
            }
        }
        Ok(())
    }

    // What should be an object may be anything else, which holds nothing to find.

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

enum Member {
    Id,
    /// What may hold the id, and what that is.
    Object(Level),
    Other,
}

/// Tells members apart by their names.
struct Name<'s> {
    shape: &'s Shape,
    level: Level,
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'a>>(self, name: D) -> Result<Member, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match self.level {
            _ if name == self.shape.id => Member::Id,
            Level::Body if name == "data" => Member::Object(Level::Data),
            Level::Body | Level::Data if self.shape.wrappers.contains(&name) => Member::Object(Level::Record),
            _ => Member::Other,
        })
    }
}

/// A string, or a number as it is written.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes() {
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => json.get(1..json.len() - 1).map(Cow::Borrowed),
        [b'"', ..] => serde_json::from_str(json).ok().map(Cow::Owned),
        [b'0'..=b'9', ..] => Some(Cow::Borrowed(json)),
        _ => None,
    }
}
