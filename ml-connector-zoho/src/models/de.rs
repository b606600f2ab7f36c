//! Readers for the vendor's loose types: `""` for nothing, numbers as strings and strings as numbers.

use ml_connector_core::{
    Timestamp,
    model::{Date, Decimal, decimal_from_json},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// Text, or a number or boolean as it is written; nothing for `null` and for anything nested.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let token = Box::<RawValue>::deserialize(from)?;
    match token.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(token.get()).map_err(D::Error::custom),
        [b'[' | b'{' | b'n', ..] => Ok(String::new()),
        _ => Ok(token.get().to_owned()),
    }
}

/// `true`, also as text. Everything else, such as `""`, is `false`.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(text(from)? == "true")
}

/// An amount, digit by digit.
pub(super) fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    let token = Box::<RawValue>::deserialize(from)?;
    decimal_from_json(&token).map_err(D::Error::custom)
}

/// A date, local to the organization.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    parsed(&text(from)?, Date::parse).map_err(D::Error::custom)
}

/// An instant. Zoho writes the organization's offset without a colon.
pub(super) fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    parsed(&text(from)?, Timestamp::parse).map_err(D::Error::custom)
}

/// A list; nothing for `""` and other values that are no list.
pub(super) fn list<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let token = Box::<RawValue>::deserialize(from)?;
    match token.get().as_bytes() {
        [b'[', ..] => serde_json::from_str(token.get()).map_err(|_| D::Error::custom("expected a list")),
        _ => Ok(Vec::new()),
    }
}

fn parsed<T>(
    text: &str,
    parse: fn(&str) -> ml_connector_core::Result<T>,
) -> ml_connector_core::Result<Option<T>> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}
