//! The parts of records.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Decimal, EntityRef, Money};

/// A customer or supplier. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The vendor's id of the contact, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// Its name, as the vendor writes it. Untrusted text.
    pub name: String,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A person as an accounting system knows them. `Debug` shows the id only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Person {
    /// The person's id in that system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// What the system calls the person. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person's address. People change the names they go by; this tells them for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Person {
    /// A person by whatever is known of them; `None` when nothing is.
    #[must_use]
    pub fn known(id: Option<Arc<str>>, name: Option<String>, email: Option<String>) -> Option<Self> {
        (id.is_some() || name.is_some() || email.is_some()).then_some(Self { id, name, email })
    }

    /// A person known by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A postal address. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Address {
    /// Street, house number and additions, line by line. Untrusted text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// The state or province.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// The country, as the vendor writes it: a name or a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Address {
    /// The address, unless nothing is known of it.
    #[must_use]
    pub fn unless_empty(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

/// A field that the organisation added to the vendor's. `Debug` shows the name only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomField {
    /// The field's name or id in the vendor's API.
    pub name: String,
    /// What people call it. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its value as a text. Untrusted text.
    pub value: String,
}

impl fmt::Debug for CustomField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomField").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A file beside a record. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The vendor's id of the file, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// The file's name. Untrusted text.
    pub name: String,
    /// Where a person who may see it opens it. Never a link that is itself the right to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Something that has an id, a code and a name: an account, a cost center, an item. `Debug` shows id and code only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeName {
    /// The vendor's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// The code people use, such as `4000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What people call it. Untrusted text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl CodeName {
    /// Something by whatever is known of it; `None` when nothing is.
    #[must_use]
    pub fn known(id: Option<Arc<str>>, code: Option<String>, name: Option<String>) -> Option<Self> {
        (id.is_some() || code.is_some() || name.is_some()).then_some(Self { id, code, name })
    }

    /// Something known by its name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Whether the text is its id, its code or its name, to the letter.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let Self { id, code, name } = self;
        [id.as_deref(), code.as_deref(), name.as_deref()].contains(&Some(text))
    }

    /// As people read it: code and name, else whichever there is. Ids mean nothing to people: `None` when there is
    /// nothing else.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        match (&self.code, &self.name) {
            (Some(code), Some(name)) => Some(format!("{code} {name}")),
            (code, name) => name.clone().or(code.clone()),
        }
    }
}

impl fmt::Debug for CodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, code, .. } = self;
        f.debug_struct("CodeName").field("id", id).field("code", code).finish_non_exhaustive()
    }
}

/// A side of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Debit.
    Debit,
    /// Credit.
    Credit,
}

/// A line of a document. `Debug` shows the id only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// The vendor's id of the line, where it has one.
    pub id: Arc<str>,
    /// What the line says. Untrusted text.
    pub description: String,
    /// What is bought or sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<CodeName>,
    /// How many, where the vendor says so.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal_text")]
    pub quantity: Option<Decimal>,
    /// The unit of the quantity, such as `pcs`. Untrusted text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The price of one unit, in the document's currency.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal_text")]
    pub rate: Option<Decimal>,
    /// What is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The tax on the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// The line's amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Of an entry in a journal, on which side the amount stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// The account it is booked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<CodeName>,
    /// The cost center, or the reporting tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<CodeName>,
    /// The cost unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_unit: Option<CodeName>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<CodeName>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The part of a payment that settles one document. `Debug` shows the document's id only.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// The document.
    pub document: EntityRef,
    /// The number people use for it.
    pub number: String,
    /// How much of the payment goes to it.
    pub amount: Money,
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation").field("document", &self.document).finish_non_exhaustive()
    }
}

pub(super) mod decimal_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::model::Decimal;

    #[allow(clippy::ref_option)] // the signature serde asks for
    pub(crate) fn serialize<S: Serializer>(value: &Option<Decimal>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(decimal) => to.collect_str(decimal),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
        let text = Option::<std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.map(|text| Decimal::from_str_exact(&text).map_err(de::Error::custom)).transpose()
    }
}
