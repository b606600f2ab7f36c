//! Forms and queries: names and values.

use std::borrow::Cow;

use http::{Request, header};

/// The pairs of a form or a query, decoded, in the order in which they came.
///
/// ```
/// use ml_connector_core::webhook::Form;
///
/// let form = Form::strict(b"b=1+2&a=%C3%A4").unwrap();
/// assert_eq!(form.get("a"), Some("ä"));
/// let names: Vec<&str> = form.pairs().map(|(name, _)| name).collect();
/// assert_eq!(names, ["b", "a"]);
/// ```
#[derive(Clone, Default)]
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// For vendors that sign the decoded pairs: what could be read in two ways is refused, so that no two requests have one
    /// signature. That is a pair without `=` or without a name, a malformed escape, bytes that are no UTF-8, and a name
    /// that is there twice.
    #[must_use]
    pub fn strict(text: &'a [u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut pairs = Vec::new();
        for pair in text.split(|byte| *byte == b'&') {
            let at = pair.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            pairs.push((decode(&pair[..at])?, decode(&pair[at + 1..])?));
        }
        let mut names: Vec<&str> = pairs.iter().map(|(name, _): &(Cow<'_, str>, _)| &**name).collect();
        names.sort_unstable();
        let repeated = names.windows(2).any(|two| two[0] == two[1]);
        (!repeated).then_some(Self(pairs))
    }

    /// For vendors that sign the bytes as sent: whatever comes is read as browsers do. Of two values of one name the
    /// first counts.
    #[must_use]
    pub fn lenient(text: &'a [u8]) -> Self {
        Self(url::form_urlencoded::parse(text).collect())
    }

    /// Whether a request has a form as its body: by the media type without its parameters, in any case.
    #[must_use]
    pub fn is_body_of<B>(request: &Request<B>) -> bool {
        let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return false };
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Names and values in the order in which they came.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Shows how many pairs there are.
impl std::fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("pairs", &self.0.len()).finish()
    }
}

/// Decodes `+` and `%XX`; nothing for a malformed escape or bytes that are no UTF-8.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused_where_pairs_are_signed() {
        for text in ["a", "=1", "a=1&", "a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", "a=1&%61=2"] {
            assert!(Form::strict(text.as_bytes()).is_none(), "{text}");
        }
        let form = Form::strict(b"b=&a=1+%2B%26").unwrap();
        assert_eq!(form.pairs().collect::<Vec<_>>(), [("b", ""), ("a", "1 +&")]);
        assert_eq!(Form::strict(b"").unwrap().pairs().count(), 0);
    }

    #[test]
    fn whatever_comes_is_read_where_bytes_are_signed() {
        let form = Form::lenient(b"payload=%7B%7D&x&payload=2&y=%ff");
        assert_eq!((form.get("payload"), form.get("x"), form.get("z")), (Some("{}"), Some(""), None));
        assert_eq!(form.get("y"), Some("\u{fffd}"));
    }

    #[test]
    fn a_form_is_told_by_its_media_type() {
        let is_form = |value: &str| {
            Form::is_body_of(&Request::post("/").header(header::CONTENT_TYPE, value).body(()).unwrap())
        };
        assert!(
            is_form("application/x-www-form-urlencoded")
                && is_form("Application/X-WWW-Form-urlencoded ; a=b")
        );
        assert!(!is_form("application/json") && !Form::is_body_of(&Request::post("/").body(()).unwrap()));
    }
}
