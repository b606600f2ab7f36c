//! An object whose members are read one by one.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Members, Notes, Reason, plain_text};
use crate::{
    Error, ErrorKind, Money, Result, Timestamp,
    model::{CodeName, Currency, Date, Decimal, Party, exact_decimal, without_residue},
};

/// Longer texts are no amounts, and are not kept.
const MAX_AMOUNT: usize = 64;

/// An object whose members are read one by one. What cannot be read is left out and noted.
pub struct Object<'a> {
    members: Members<'a>,
    path: String,
    notes: Notes,
}

impl<'a> Object<'a> {
    pub(super) fn new(json: &'a str, path: String, notes: &Notes) -> Option<Self> {
        Some(Self { members: Members::of(json)?, path, notes: notes.clone() })
    }

    /// The member as it came. `None` when there is nothing: absent, `null`, `""`, `[]` or `{}`.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).filter(|value| !is_nothing(value))
    }

    /// Whether the member is there at all, be it empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some()
    }

    /// The vendor's id of the record: a text or a number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when there is none.
    pub fn id(&self, name: &'static str) -> Result<String> {
        self.raw(name).and_then(plain_text).map(Cow::into_owned).ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "a record has no id")
                .with_context("path", self.at(name).escape_debug())
        })
    }

    /// A text, or a number or boolean as it is written. Empty when there is nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.cow(name).map(Cow::into_owned).unwrap_or_default()
    }

    /// As [`text`](Self::text), and `None` when there is nothing.
    #[must_use]
    pub fn some_text(&self, name: &str) -> Option<String> {
        self.cow(name).map(Cow::into_owned).filter(|text| !text.is_empty())
    }

    /// Whether the member is `true`, or the text `true`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.raw(name).and_then(plain_text).is_some_and(|text| text == "true")
    }

    /// A value that is written as a text.
    #[must_use]
    pub fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let text = self.cow(name)?;
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        parse(text).map_err(|_| self.note(name, Reason::Unreadable, None)).ok()
    }

    /// A date, `2026-03-12`.
    #[must_use]
    pub fn date(&self, name: &str) -> Option<Date> {
        self.parsed(name, Date::parse)
    }

    /// An instant with its offset from UTC.
    #[must_use]
    pub fn instant(&self, name: &str) -> Option<Timestamp> {
        self.parsed(name, Timestamp::parse)
    }

    /// A currency by its code.
    #[must_use]
    pub fn currency(&self, name: &str) -> Option<Currency> {
        self.parsed(name, Currency::parse)
    }

    /// A number, digit by digit.
    #[must_use]
    pub fn decimal(&self, name: &str) -> Option<Decimal> {
        let text = self.cow(name)?;
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        self.number(name, text, exact_decimal(text))
    }

    /// An amount in the smallest unit of its currency where nothing but the residue of a binary fraction is apart from
    /// it (`249.97999999999999` is 249.98), and digit by digit otherwise. `decimals` are the currency's, 2 where it is
    /// not known.
    #[must_use]
    pub fn amount(&self, name: &str, currency: Option<Currency>) -> Option<Decimal> {
        let text = self.cow(name)?;
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        without_residue(text, currency.map_or(2, Currency::minor_units))
            .or_else(|| self.number(name, text, exact_decimal(text)))
    }

    /// As [`amount`](Self::amount), in this currency. Without a currency the amount is left out, and its text is kept.
    #[must_use]
    pub fn money(&self, name: &str, currency: Option<Currency>) -> Option<Money> {
        let amount = self.amount(name, currency)?;
        if currency.is_none() {
            let text = self.cow(name).map(Cow::into_owned).filter(|text| text.len() <= MAX_AMOUNT);
            self.note(name, Reason::NoCurrency, text);
        }
        Some(Money::new(amount, currency?))
    }

    /// Whom a record is about. `None` without an id and a name.
    #[must_use]
    pub fn party(&self, id: &str, name: &str) -> Option<Party> {
        let (id, name) = (self.some_text(id).map(Into::into), self.text(name));
        (id.is_some() || !name.is_empty()).then_some(Party { id, name })
    }

    /// Something by its id, code and name; an empty name of a member is none. `None` when nothing of it is there.
    #[must_use]
    pub fn code_name(&self, id: &str, code: &str, name: &str) -> Option<CodeName> {
        CodeName::known(self.some_text(id).map(Into::into), self.some_text(code), self.some_text(name))
    }

    /// An object within this one.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        let found = Object::new(self.raw(name)?.get(), self.at(name), &self.notes);
        if found.is_none() {
            self.note(name, Reason::Unreadable, None);
        }
        found
    }

    /// The objects of a list. What is no object is left out.
    #[must_use]
    pub fn objects(&self, name: &str) -> Vec<Self> {
        let Some(raw) = self.raw(name) else { return Vec::new() };
        let Ok(items) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else {
            self.note(name, Reason::Unreadable, None);
            return Vec::new();
        };
        let numbered = items.into_iter().enumerate().filter(|(_, item)| !is_nothing(item));
        numbered
            .filter_map(|(n, item)| {
                let path = format!("{}[{n}]", self.at(name));
                let found = Object::new(item.get(), path.clone(), &self.notes);
                if found.is_none() {
                    self.notes.add(path, Reason::Unreadable, None);
                }
                found
            })
            .collect()
    }

    fn cow(&self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.raw(name)?;
        let text = plain_text(raw);
        if text.is_none() {
            self.note(name, Reason::Unreadable, None);
        }
        text
    }

    fn number(&self, name: &str, text: &str, read: Option<Decimal>) -> Option<Decimal> {
        if read.is_none() {
            let is_number =
                text.len() <= MAX_AMOUNT && serde_json::from_str::<serde_json::Number>(text).is_ok();
            let (reason, kept) = match is_number {
                true => (Reason::TooManyDigits, Some(text.to_owned())),
                false => (Reason::Unreadable, None),
            };
            self.note(name, reason, kept);
        }
        read
    }

    fn note(&self, name: &str, reason: Reason, text: Option<String>) {
        self.notes.add(self.at(name), reason, text);
    }

    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// Shows where it is, and nothing in it.
impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether the value stands for nothing.
pub(super) fn is_nothing(value: &RawValue) -> bool {
    let json = value.get();
    match json.as_bytes() {
        b"null" | b"\"\"" => true,
        [b'[' | b'{', between @ .., b']' | b'}'] => between.iter().all(u8::is_ascii_whitespace),
        _ => false,
    }
}
