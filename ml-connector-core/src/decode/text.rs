//! Text as vendors send it.

use std::borrow::Cow;

use serde_json::value::RawValue;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a body: without a byte order mark, and with replacement characters for bytes that are no UTF-8.
///
/// ```
/// assert_eq!(ml_connector_core::decode::clean(b"\xef\xbb\xbf{}"), "{}");
/// ```
#[must_use]
pub fn clean(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // Nearly every body is UTF-8, and a whole one is checked many times faster than piece by piece.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// A text, or a number or boolean as it is written. `None` for `null` and for lists and objects.
#[must_use]
pub fn plain_text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes() {
        [b'"', ..] => Some(unescaped(json)),
        [b'[' | b'{' | b'n', ..] | [] => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The text of a JSON string. Half a surrogate pair becomes a replacement character.
pub(crate) fn unescaped(token: &str) -> Cow<'_, str> {
    let inner = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str(token) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Owned(mended(inner)),
    }
}

/// Decodes escapes one by one, for a text that a strict decoder refuses.
fn mended(mut rest: &str) -> String {
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut chars = rest.chars();
        let escape = chars.next();
        rest = chars.as_str();
        match escape {
            Some('u') => {
                let high = code_unit(&mut rest);
                let low = high.filter(|unit| (0xD800..0xDC00).contains(unit)).and_then(|_| {
                    let mut ahead = rest.strip_prefix("\\u")?;
                    let low = code_unit(&mut ahead).filter(|unit| (0xDC00..0xE000).contains(unit))?;
                    rest = ahead;
                    Some(low)
                });
                let units = high.into_iter().chain(low);
                let decoded = char::decode_utf16(units).next().and_then(Result::ok);
                text.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text.push_str(rest);
    text
}

/// Takes four hexadecimal digits.
fn code_unit(rest: &mut &str) -> Option<u16> {
    let digits = rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    *rest = &rest[4..];
    u16::from_str_radix(digits, 16).ok()
}
