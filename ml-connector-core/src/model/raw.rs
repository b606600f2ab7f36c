//! Reading and cutting the vendor's own JSON without changing a digit of it.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Raw;
use crate::{Error, ErrorKind, Result};

/// What is nested deeper than this is kept as it is.
const MAX_DEPTH: usize = 64;

impl Raw {
    /// The value at a JSON pointer (RFC 6901), as the vendor wrote it: no number passes through a binary fraction.
    /// `None` when there is none. Of several members with one name, the last.
    ///
    /// ```
    /// use ml_connector_core::model::Raw;
    ///
    /// let raw: Raw = serde_json::from_str(r#"{"invoice": {"total": 1250.50, "lines": [{"rate": 7e2}]}}"#)?;
    /// assert_eq!(raw.at("/invoice/total").unwrap().get(), "1250.50");
    /// assert_eq!(raw.at("/invoice/lines/0/rate").unwrap().get(), "7e2");
    /// assert!(raw.at("/invoice/balance").is_none());
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&RawValue> {
        let mut at = self.value();
        let Some(path) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(at) };
        for step in path.split('/') {
            let step = unescape(step);
            let mut found = None;
            match at.get().as_bytes().first() {
                Some(b'{') => members(at.get(), |name, value| {
                    if name == step {
                        found = Some(value);
                    }
                })
                .ok()?,
                Some(b'[') => {
                    let place: usize = step.parse().ok()?;
                    let mut n = 0;
                    elements(at.get(), |value| {
                        if n == place {
                            found = Some(value);
                        }
                        n += 1;
                    })
                    .ok()?;
                }
                _ => {}
            }
            at = found?;
        }
        Some(at)
    }

    /// The same without the members of these names, at whatever depth: for links that are secrets. Everything else
    /// keeps its digits and its order.
    ///
    /// ```
    /// use ml_connector_core::model::Raw;
    ///
    /// let raw: Raw = serde_json::from_str(r#"{"id": 7, "jwt": "s3cr3t", "lines": [{"jwt": "s3cr3t", "n": 1.0}]}"#)?;
    /// assert_eq!(raw.without(&["jwt"])?.get(), r#"{"id":7,"lines":[{"n":1.0}]}"#);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when it is nested so deeply that nobody looks through it.
    pub fn without(&self, names: &[&str]) -> Result<Self> {
        let mut kept = String::with_capacity(self.get().len());
        copy(self.value(), names, 0, &mut kept)?;
        RawValue::from_string(kept).map(Self::new).map_err(|_| unreadable())
    }
}

fn copy(value: &RawValue, names: &[&str], depth: usize, to: &mut String) -> Result<()> {
    let text = value.get();
    let mut failed = None;
    let mut first = true;
    let mut comma = |to: &mut String| {
        if !std::mem::take(&mut first) {
            to.push(',');
        }
    };
    match text.as_bytes().first() {
        Some(b'{' | b'[') if depth == MAX_DEPTH => return Err(unreadable()),
        Some(b'{') => {
            to.push('{');
            members(text, |name, value| {
                if failed.is_some() || names.contains(&name) {
                    return;
                }
                comma(to);
                match serde_json::to_string(name) {
                    Ok(name) => to.push_str(&name),
                    Err(_) => failed = Some(unreadable()),
                }
                to.push(':');
                failed = failed.take().or(copy(value, names, depth + 1, to).err());
            })
            .map_err(|_| unreadable())?;
            to.push('}');
        }
        Some(b'[') => {
            to.push('[');
            elements(text, |value| {
                comma(to);
                failed = failed.take().or(copy(value, names, depth + 1, to).err());
            })
            .map_err(|_| unreadable())?;
            to.push(']');
        }
        _ => to.push_str(text),
    }
    failed.map_or(Ok(()), Err)
}

fn unreadable() -> Error {
    Error::new(ErrorKind::InvalidResponse, "expected JSON that is not nested without end")
}

fn unescape(step: &str) -> Cow<'_, str> {
    if step.contains('~') {
        Cow::Owned(step.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(step)
    }
}

/// Calls back with each member of an object.
pub(super) fn members<'a>(
    object: &'a str,
    each: impl FnMut(&str, &'a RawValue),
) -> Result<(), serde_json::Error> {
    struct Members<F>(F);
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Name(name)) = map.next_key()? {
                (self.0)(&name, map.next_value()?);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Members(each))
}

/// Calls back with each element of an array.
pub(super) fn elements<'a>(array: &'a str, each: impl FnMut(&'a RawValue)) -> Result<(), serde_json::Error> {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(value) = seq.next_element()? {
                (self.0)(value);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array).deserialize_seq(Elements(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Raw {
        Raw::new(RawValue::from_string(json.into()).unwrap())
    }

    #[test]
    fn a_pointer_follows_escapes_and_elements_and_nothing_else() {
        let raw = raw(r#"{"a/b": {"m~n": [10, {"x": 1e400}]}, "a/b2": 1, "twice": 1, "twice": 2}"#);
        let at = |pointer| raw.at(pointer).map(RawValue::get);
        assert_eq!(at("/a~1b/m~0n/0"), Some("10"));
        assert_eq!(at("/a~1b/m~0n/1/x"), Some("1e400"));
        assert_eq!(at("/twice"), Some("2"));
        assert_eq!(at(""), Some(raw.get()));
        for nothing in
            ["/", "a", "/a", "/a~1b/m~0n/2", "/a~1b/m~0n/x", "/a~1b/m~0n/-1", "/twice/0", "/a~1b2/x"]
        {
            assert_eq!(at(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn members_are_left_out_at_every_depth_and_by_their_real_names() {
        let kept = raw(r#"{"\u006awt": 1, "a": [[{"jwt": {"jwt": 1}}], 0.10], "b": "jwt", "é\"": null}"#);
        assert_eq!(kept.without(&["jwt"]).unwrap().get(), r#"{"a":[[{}],0.10],"b":"jwt","é\"":null}"#);
        assert_eq!(raw("7").without(&["jwt"]).unwrap().get(), "7");
        let deep = raw(&format!("{}1{}", "[".repeat(100), "]".repeat(100)));
        assert_eq!(deep.without(&["jwt"]).unwrap_err().kind(), ErrorKind::InvalidResponse);
    }
}
