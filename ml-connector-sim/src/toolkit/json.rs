//! JSON objects whose numbers never pass through binary fractions.

use std::{fmt, sync::Arc};

use ml_connector_core::model::Decimal;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

/// An object with its fields in order and their values as written: a fixture that a record is written over. Clones share
/// what is not written over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(Arc<str>, Arc<RawValue>)>);

impl Fields {
    /// Reads one of this crate's own fixtures.
    pub(crate) fn template(json: &'static str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Sets a field where it stands, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: impl Serialize) {
        let Ok(raw) = to_raw_value(&value) else { return };
        match self.0.iter_mut().find(|(field, _)| **field == *name) {
            Some((_, value)) => *value = raw.into(),
            None => self.0.push((name.into(), raw.into())),
        }
    }

    /// Sets several fields to the same text.
    pub(crate) fn set_all(&mut self, names: &[&str], value: &str) {
        names.iter().for_each(|name| self.set(name, value));
    }

    /// Sets several fields to the same amount.
    pub(crate) fn set_amounts(&mut self, names: &[&str], amount: Decimal) {
        names.iter().for_each(|name| self.set(name, number(amount)));
    }

    /// A field as it is written.
    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(field, _)| **field == *name).map(|(_, value)| &**value)
    }

    /// The text of a field that holds one.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// A text, or any other value as it is written; empty for `null` and for a field that is not there.
    pub(crate) fn text_or_number(&self, name: &str) -> String {
        match self.get(name).map(RawValue::get) {
            None | Some("null") => String::new(),
            Some(raw) if raw.starts_with('"') => self.text(name),
            Some(raw) => raw.to_owned(),
        }
    }

    /// Adds the fields of another object behind its own.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Only the fields that are named here, in their own order.
    pub(crate) fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(field, _)| keep(field));
        self
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| **field != *name);
    }

    /// The object that a field holds, or nothing.
    pub(crate) fn within(&self, name: &str) -> Self {
        self.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The first object of an array, to be written over for each line of a record.
    pub(crate) fn first_of(&self, name: &str) -> Self {
        self.all_of(name).into_iter().next().unwrap_or_default()
    }

    /// The objects of an array, or none.
    pub(crate) fn all_of(&self, name: &str) -> Vec<Self> {
        self.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

/// A number as Zoho prints it: no decimals that say nothing.
pub(crate) fn number(amount: Decimal) -> Box<RawValue> {
    RawValue::from_string(amount.normalize().to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((name.into(), value.into()));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_their_digits_and_lose_idle_zeros() {
        for (amount, printed) in [
            ("598.00", "598"),
            ("149.97", "149.97"),
            ("1250.50", "1250.5"),
            ("0.00", "0"),
            ("79228162514264337593543.95", "79228162514264337593543.95"),
        ] {
            assert_eq!(number(amount.parse().unwrap()).get(), printed);
        }
    }

    #[test]
    fn fields_stay_where_the_template_has_them() {
        let mut fields = Fields::template(r#"{"b":1,"a":[{"x":0.10}],"c":""}"#);
        fields.set("a", "new");
        fields.set("d", true);
        fields.remove("c");
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"b":1,"a":"new","d":true}"#);
    }
}
