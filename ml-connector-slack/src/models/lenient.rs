//! What Slack sends may be odd: `null` in a list, a member of another kind, half an emoji. What is not as expected counts as
//! not there, because nothing may be lost for a value that it does not need.

use ml_connector_core::decode::plain_text;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;

/// Reads a value that may be odd.
pub(crate) fn lax<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Reads a value that may be odd; without it, there is the default.
pub(crate) fn or_default<'de, T: Default + DeserializeOwned, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(lax(from)?.unwrap_or_default())
}

/// Reads a list that may be odd, or have odd items.
pub(crate) fn lax_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let items: Option<Vec<Box<RawValue>>> = lax(from)?;
    Ok(items.iter().flatten().filter_map(|item| serde_json::from_str(item.get()).ok()).collect())
}

/// Reads a list that an answer is about. Items may be odd; what is neither a list nor null is an error, because it proves
/// nothing about what there is.
pub(crate) fn page<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let items: Option<Vec<Box<RawValue>>> = Option::deserialize(from)?;
    Ok(items.iter().flatten().filter_map(|item| serde_json::from_str(item.get()).ok()).collect())
}

/// Reads a text, of which the rest is kept where a part is no text.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    Ok(plain_text(&raw).map(std::borrow::Cow::into_owned))
}

/// Reads a text that is empty where there is none.
pub(crate) fn text_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(text(from)?.unwrap_or_default())
}

/// Reads a text without which the rest is worth nothing.
///
/// # Errors
/// When there is none.
pub(crate) fn needed<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::custom("expected a text"))
}

/// Reads a list of texts, without what is none.
pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let items: Vec<Box<RawValue>> = lax_list(from)?;
    Ok(items.iter().filter_map(|item| plain_text(item).map(std::borrow::Cow::into_owned)).collect())
}

/// Reads a yes or no that may be missing, null or written as text.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let said = Box::<RawValue>::deserialize(from)?;
    Ok(plain_text(&said).is_some_and(|said| said == "true"))
}
