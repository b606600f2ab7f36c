//! The names and values that Zoho signs.

use std::borrow::Cow;

/// Names and values, decoded, each name once.
///
/// The signed text has no separators, so different pairs can give the same text. Whatever could be read in two ways
/// is therefore refused: repeated names, pairs without `=`, percent signs in a query, malformed escapes.
#[derive(Clone, Default)]
pub(super) struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    /// The pairs of a query. Ours are written with `a-z`, `0-9`, `.`, `_` and `-`, which no encoder touches.
    pub(super) fn of_query(query: &'a str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'=' | b'&');
        if query.bytes().all(plain) { Self::read(query.as_bytes()) } else { None }
    }

    /// The pairs of a form.
    pub(super) fn of_form(body: &'a [u8]) -> Option<Self> {
        Self::read(body)
    }

    fn read(text: &'a [u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut pairs = Vec::new();
        for pair in text.split(|byte| *byte == b'&') {
            let at = pair.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            pairs.push((decode(&pair[..at])?, decode(&pair[at + 1..])?));
        }
        pairs.sort();
        let repeated = pairs.windows(2).any(|two| two[0].0 == two[1].0);
        (!repeated).then_some(Self(pairs))
    }

    /// Whether these are the names, each once and no other.
    pub(super) fn has_exactly(&self, names: &[&str]) -> bool {
        self.0.len() == names.len() && names.iter().all(|name| self.get(name).is_some())
    }

    pub(super) fn shares_no_name_with(&self, other: &Self) -> bool {
        self.0.iter().all(|(name, _)| other.get(name).is_none())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    pub(super) fn merged_with(&self, other: &Self) -> Self {
        let mut pairs = [&*self.0, &*other.0].concat();
        pairs.sort();
        Self(pairs)
    }

    /// Name, value, name, value …, sorted by name.
    pub(super) fn signed_parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
    }
}

/// Decodes `+` and `%XX`; nothing for a malformed escape or bytes that are no UTF-8, which a lenient decoder would
/// replace, so that different requests had the same signature.
fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let [high, low, tail @ ..] = rest else { return None };
                rest = tail;
                hex(*high)? << 4 | hex(*low)?
            }
            other => *other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
