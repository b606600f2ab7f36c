//! What FreshBooks signs: the form's fields as a JSON text, written as Python writes it.

use std::{borrow::Cow, fmt::Write as _};

use ml_connector_core::webhook::Form;

/// Reads a form whose pairs are signed. A name without a value is one with an empty value, as Python reads it.
/// `None`: it could be read in two ways, or there is nothing in it.
pub(super) fn form(body: &[u8]) -> Option<Vec<(String, String)>> {
    if body.is_empty() {
        return None;
    }
    let body = with_values(body);
    let form = Form::strict(&body)?;
    Some(form.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn with_values(body: &[u8]) -> Cow<'_, [u8]> {
    let bare = |pair: &[u8]| !pair.is_empty() && !pair.contains(&b'=');
    if !body.split(|byte| *byte == b'&').any(bare) {
        return Cow::Borrowed(body);
    }
    let mut whole = Vec::with_capacity(body.len() + 8);
    for (n, pair) in body.split(|byte| *byte == b'&').enumerate() {
        if n > 0 {
            whole.push(b'&');
        }
        whole.extend_from_slice(pair);
        if bare(pair) {
            whole.push(b'=');
        }
    }
    Cow::Owned(whole)
}

/// The text that is signed: an object of strings in the order of arrival, as `json.dumps` of Python writes it.
pub(super) fn message(fields: &[(String, String)]) -> String {
    let mut text =
        String::with_capacity(fields.iter().map(|(name, value)| name.len() + value.len() + 8).sum());
    text.push('{');
    for (n, (name, value)) in fields.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        quote(name, &mut text);
        text.push_str(": ");
        quote(value, &mut text);
    }
    text.push('}');
    text
}

/// Python writes ASCII only, and leaves the slash as it is.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    _ = write!(out, "\\u{unit:04x}"); // a string takes whatever is written
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_vector_has_its_message() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/webhook_signatures.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 22);
        for vector in vectors {
            let fields = form(vector["body"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(message(&fields), vector["message"].as_str().unwrap(), "{}", vector["name"]);
        }
    }

    #[test]
    fn a_bare_name_has_an_empty_value_and_what_is_ambiguous_is_refused() {
        assert_eq!(message(&form(b"a&b=").unwrap()), r#"{"a": "", "b": ""}"#);
        for body in ["", "=1", "a=1&a=2", "a=1&&b=2", "a=%ff", "a=%4"] {
            assert!(form(body.as_bytes()).is_none(), "{body}");
        }
    }

    proptest! {
        /// Whatever the fields say, a JSON reader finds them again.
        #[test]
        fn the_message_is_json_in_ascii(pairs in prop::collection::btree_map("\\PC{1,9}", "(?s).{0,20}", 1..5)) {
            let fields: Vec<(String, String)> = pairs.clone().into_iter().collect();
            let text = message(&fields);
            let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
            prop_assert!(printable);
            let read: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, pairs);
        }
    }
}
