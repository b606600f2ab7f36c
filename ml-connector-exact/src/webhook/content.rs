//! What Exact Online signs: the bytes of one member, as they were sent.

use std::fmt;

use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The signed part of a notification.
pub(super) struct Signed<'a> {
    /// The value of `Content`, byte for byte.
    pub(super) content: &'a str,
    /// The signature: 64 hexadecimal digits, if it is one.
    pub(super) hash: String,
}

/// Finds the signed part. `None`: the body is no JSON object, a member is missing or there twice, or is of another type.
/// Members are found by their names at the top, whatever strings say; nothing is written anew.
pub(super) fn signed(body: &[u8]) -> Option<Signed<'_>> {
    struct Members;

    impl<'a> Visitor<'a> for Members {
        type Value = Signed<'a>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a notification")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            let (mut content, mut hash) = (None::<&RawValue>, None::<&RawValue>);
            while let Some((name, value)) = object.next_entry::<String, &RawValue>()? {
                let place = match &*name {
                    "Content" => &mut content,
                    "HashCode" => &mut hash,
                    _ => continue,
                };
                if place.replace(value).is_some() {
                    return Err(A::Error::custom("a member is there twice"));
                }
            }
            let missing = || A::Error::custom("a member is missing");
            let (content, hash) = (content.ok_or_else(missing)?.get(), hash.ok_or_else(missing)?.get());
            let hash: String = serde_json::from_str(hash).map_err(A::Error::custom)?;
            if content.starts_with('{') { Ok(Signed { content, hash }) } else { Err(missing()) }
        }
    }

    // A byte order mark is before what is signed.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).ok()?;
    let mut decoder = serde_json::Deserializer::from_str(text);
    let signed = (&mut decoder).deserialize_map(Members).ok()?;
    decoder.end().ok().map(|()| signed)
}
