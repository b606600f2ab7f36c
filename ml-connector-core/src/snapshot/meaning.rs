//! The revision of what means something.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use crate::{
    Error, ErrorKind, Result,
    decode::{each_member, unescaped},
    model::{Revision, exact_decimal, reliable},
};

/// Deeper values are taken as they are written. The bound keeps a hostile document from costing quadratic time.
const MAX_DEPTH: usize = 8;
/// What the names of amounts end in.
const AMOUNT: char = '#';

/// The revision of a JSON object by an allow-list: only the members that `allowed` names make a difference.
///
/// A member is named by its path, `line_items.item_total`; the items of a list have the path of the list. Naming a
/// member that holds an object takes all of it; better name what is within, because vendors add members without notice.
///
/// A name that ends in `#`, such as `line_items.item_total#`, is an amount's: a text that is a number counts as the number
/// there, so that `"100.00"` and `"100.0"` are one. Elsewhere a text is a text: `"007"` may be somebody's number.
///
/// Two objects have one revision when their allowed members mean the same: absent, `null`, `""`, `[]` and `{}` are
/// nothing; numbers count by their value, without the residue of binary fractions; the order of members and white space
/// do not count. The order of items does.
///
/// ```
/// use ml_connector_core::snapshot::revision_of;
///
/// let allowed = ["total#", "line_items.item_total"];
/// let before = br#"{"total":"8200.0","line_items":[{"item_total":8200}]}"#;
/// let released = br#"{"total":8200.00,"views":7,"line_items":[{"image_id":"","item_total":8.2e3}]}"#;
/// let edited = br#"{"total":8200,"line_items":[{"item_total":8100}]}"#;
/// assert_eq!(revision_of(before, &allowed)?, revision_of(released, &allowed)?);
/// assert_ne!(revision_of(before, &allowed)?, revision_of(edited, &allowed)?);
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the bytes are no JSON object.
pub fn revision_of(json: &[u8], allowed: &[&str]) -> Result<Revision> {
    let not_json = || Error::new(ErrorKind::InvalidResponse, "expected a JSON object");
    let value: &RawValue = serde_json::from_slice(json).map_err(|_| not_json())?;
    if !value.get().starts_with('{') {
        return Err(not_json());
    }
    let mut written = Vec::new();
    write(value, "", Taken::Named(allowed), 0, &mut written);
    Ok(Revision::of(&written))
}

/// What is taken of a value.
#[derive(Clone, Copy)]
enum Taken<'a> {
    /// The members that are named.
    Named(&'a [&'a str]),
    /// All of it.
    Whole,
    /// All of it, and texts that are numbers count as numbers.
    Amount,
}

impl Taken<'_> {
    /// What is taken of the member at this path; `None`: nothing.
    fn of_member(self, at: &str) -> Option<Self> {
        let Self::Named(list) = self else { return Some(self) };
        let is_named = |name: &&str| name.strip_suffix(AMOUNT).unwrap_or(name) == at;
        match list.iter().copied().find(is_named) {
            Some(name) if name.ends_with(AMOUNT) => Some(Self::Amount),
            Some(_) => Some(Self::Whole),
            None => list.iter().any(|named| is_within(named, at)).then_some(self),
        }
    }
}

/// Writes a value in its one form, and tells whether there is any.
fn write(value: &RawValue, path: &str, taken: Taken<'_>, depth: usize, out: &mut Vec<u8>) -> bool {
    let text = value.get();
    let before = out.len();
    match text.as_bytes().first() {
        Some(b'{') if depth < MAX_DEPTH => {
            for (name, member) in sorted(text) {
                let at = if path.is_empty() { name.clone().into_owned() } else { format!("{path}.{name}") };
                let Some(within) = taken.of_member(&at) else { continue };
                let start = out.len();
                part(out, name.as_bytes());
                if !write(member, &at, within, depth + 1, out) {
                    out.truncate(start);
                }
            }
            enclose(out, before, *b"{}")
        }
        Some(b'[') if depth < MAX_DEPTH => {
            for item in serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default() {
                write(item, path, taken, depth + 1, out);
            }
            enclose(out, before, *b"[]")
        }
        // An object's members are asked for, and this is none.
        _ if matches!(taken, Taken::Named(_)) && depth > 0 => false,
        Some(b'"') => {
            let text = unescaped(text);
            match exact_decimal(&text).filter(|_| matches!(taken, Taken::Amount)) {
                Some(number) => write_number(&reliable(number).to_string(), out),
                None if !text.is_empty() => {
                    out.push(b'"');
                    part(out, text.as_bytes());
                }
                None => {}
            }
            !text.is_empty()
        }
        Some(b'n') | None => false,
        Some(b'-' | b'0'..=b'9') => {
            let number = exact_decimal(text).or_else(|| crate::model::without_residue(text, 9));
            let number = number.map_or_else(|| text.to_owned(), |number| reliable(number).to_string());
            write_number(&number, out);
            true
        }
        Some(_) => {
            part(out, text.as_bytes());
            true
        }
    }
}

/// The members of an object by their names. Of members with one name the last counts.
fn sorted(object: &str) -> BTreeMap<Cow<'_, str>, &RawValue> {
    let mut members = BTreeMap::new();
    let read = each_member(object, |name, value| _ = members.insert(name, value));
    if read.is_some() { members } else { BTreeMap::new() }
}

fn write_number(number: &str, out: &mut Vec<u8>) {
    out.push(b'#');
    part(out, number.as_bytes());
}

/// Whether a named member lies within the member at this path.
fn is_within(named: &str, at: &str) -> bool {
    named.strip_prefix(at).is_some_and(|rest| rest.starts_with('.'))
}

fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Puts brackets around what was written since; nothing around nothing.
fn enclose(out: &mut Vec<u8>, since: usize, [open, close]: [u8; 2]) -> bool {
    if out.len() == since {
        return false;
    }
    out.insert(since, open);
    out.push(close);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: [&str; 5] = ["id", "total", "lines.total", "lines.name", "custom"];

    fn revision(json: &str) -> Revision {
        revision_of(json.as_bytes(), &ALLOWED).unwrap()
    }

    #[test]
    fn what_is_not_named_or_stands_for_nothing_makes_no_difference() {
        let one = revision(r#"{"id":"1","total":249.98,"lines":[{"total":0.3}],"custom":{"a":1}}"#);
        for same in [
            r#"{"custom":{"a":1.0},"lines":[{"total":3e-1}],"total":249.980,"id":"1"}"#,
            r#"{"id":"1","total":249.97999999999999,"lines":[{"total":0.30000000000000004}],"custom":{"a":1}}"#,
            r#"{"id":"1","total":249.98,"lines":[{"total":0.3,"image":"","name":null}],"custom":{"a":1,"b":[]}}"#,
            r#"{"id":"1","total":249.98,"lines":[null,{"total":0.3},{}],"custom":{"a":1},"views":[1],"to":"x"}"#,
        ] {
            assert_eq!(revision(same), one, "{same}");
        }
        for other in [
            r#"{"id":"2","total":249.98,"lines":[{"total":0.3}],"custom":{"a":1}}"#,
            r#"{"id":"1","total":249.97,"lines":[{"total":0.3}],"custom":{"a":1}}"#,
            r#"{"id":"1","total":249.98,"lines":[{"total":0.31}],"custom":{"a":1}}"#,
            r#"{"id":"1","total":249.98,"lines":[{"total":0.3},{"total":0.3}],"custom":{"a":1}}"#,
            r#"{"id":"1","total":249.98,"lines":[{"total":0.3}],"custom":{"a":1,"b":true}}"#,
            r#"{"id":"1","total":249.98,"lines":[{"total":0.3}]}"#,
            r#"{"id":1,"total":249.98,"lines":[{"total":0.3}],"custom":{"a":1}}"#,
        ] {
            assert_ne!(revision(other), one, "{other}");
        }
    }

    #[test]
    fn an_amount_written_as_text_counts_by_its_value() {
        let allowed = ["number", "amount.amount#", "lines.amount#"];
        let revision = |json: &str| revision_of(json.as_bytes(), &allowed).unwrap();
        let one = revision(r#"{"number":"1.0","amount":{"amount":"100.00"},"lines":[{"amount":"0.50"}]}"#);
        for same in [
            r#"{"number":"1.0","amount":{"amount":"100.0","code":"USD"},"lines":[{"amount":"0.5"}]}"#,
            r#"{"number":"1.0","amount":{"amount":100},"lines":[{"amount":5e-1}]}"#,
        ] {
            assert_eq!(revision(same), one, "{same}");
        }
        for other in [
            r#"{"number":"1.0","amount":{"amount":"100.01"},"lines":[{"amount":"0.50"}]}"#,
            r#"{"number":"1.00","amount":{"amount":"100.00"},"lines":[{"amount":"0.50"}]}"#,
            r#"{"number":"1.0","amount":{"amount":"100,00"},"lines":[{"amount":"0.50"}]}"#,
            r#"{"number":"1.0","amount":{"amount":""},"lines":[{"amount":"0.50"}]}"#,
        ] {
            assert_ne!(revision(other), one, "{other}");
        }
    }

    #[test]
    fn binary_dust_is_zero_and_long_numbers_are_told_apart() {
        assert_eq!(revision(r#"{"total":2.8421709430404007E-14}"#), revision(r#"{"total":0}"#));
        let long =
            |last: &str| revision(&format!(r#"{{"total":123456789012345678901234567890123456789{last}}}"#));
        assert_ne!(long("0"), long("1"));
    }

    #[test]
    fn an_order_of_items_counts_and_parts_are_told_apart() {
        let lines = |json: &str| revision(&format!(r#"{{"lines":[{json}]}}"#));
        assert_ne!(lines(r#"{"name":"a"},{"name":"b"}"#), lines(r#"{"name":"b"},{"name":"a"}"#));
        assert_ne!(lines(r#"{"name":"a","total":1}"#), lines(r#"{"name":"a"},{"total":1}"#));
        assert_ne!(lines(r#"{"name":"ab"}"#), lines(r#"{"name":"a"},{"name":"b"}"#));
        assert_ne!(lines(r#"{"name":"1"}"#), lines(r#"{"name":1}"#));
    }

    #[test]
    fn what_is_no_object_has_no_revision() {
        for json in ["", "[1]", "7", "{"] {
            assert_eq!(
                revision_of(json.as_bytes(), &ALLOWED).unwrap_err().kind(),
                ErrorKind::InvalidResponse
            );
        }
        let _ = revision(&format!(r#"{{"custom":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000)));
    }
}
