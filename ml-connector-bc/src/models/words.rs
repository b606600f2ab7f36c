//! Enum values on the wire.

use std::borrow::Cow;

/// A value as people read it: `In_x0020_Review` is `In Review`, `_x0020_` is blank. Older versions send it so already.
pub(crate) fn decoded(word: &str) -> Cow<'_, str> {
    if !word.contains("_x") {
        return Cow::Borrowed(word.trim());
    }
    let (mut text, mut rest) = (String::with_capacity(word.len()), word);
    while let Some(at) = rest.find("_x") {
        text.push_str(&rest[..at]);
        let tail = &rest[at + 2..];
        let digits = tail.get(..4).filter(|_| tail.as_bytes().get(4) == Some(&b'_'));
        let found = digits.and_then(|digits| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
        match found {
            Some(c) => {
                text.push(c);
                rest = &tail[5..];
            }
            None => {
                text.push_str("_x");
                rest = tail;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text.trim().to_owned())
}
