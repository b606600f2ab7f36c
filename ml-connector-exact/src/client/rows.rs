//! The rows of an answer, in each of the shapes that they come in.

use std::collections::BTreeMap;

use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Scope, Timestamp,
    decode::{self, Object, Row},
    http::Answer,
    model::LostRow,
};
use serde_json::value::RawValue;

/// A page of a list.
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<ReadRow<T>>,
    /// Rows that could not be read; most have an id.
    pub(crate) unreadable: Vec<LostRow>,
    /// The link to the next page, as it came.
    pub(crate) next: Option<String>,
    /// The server's clock when it answered.
    pub(crate) date: Option<Timestamp>,
}

/// A row that was read.
pub(crate) struct ReadRow<T> {
    pub(crate) value: T,
    /// The row, byte for byte.
    pub(crate) raw: Box<RawValue>,
}

/// Reads the rows: `{"d":[…]}`, `{"d":{"results":[…],"__next":"…"}}`, or one record in `{"d":{…}}`. `id` is the member that
/// holds a row's id.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the answer has none of these shapes. An error of a row in the scope of the connection.
pub(crate) fn read<T>(
    answer: &Answer,
    id: &'static str,
    read: impl Fn(&Object<'_>) -> Result<T>,
) -> Result<Rows<T>> {
    let wrong =
        || Error::new(ErrorKind::InvalidResponse, "expected a list of records").with_effect(Effect::Unknown);
    let mut body: BTreeMap<String, Box<RawValue>> = answer.json()?;
    let content = body.remove("d").ok_or_else(wrong)?;
    let mut next = None;
    let list = if content.get().starts_with('{') {
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(content.get()).map_err(|_| wrong())?;
        next = members.remove("__next").and_then(|raw| Some(decode::plain_text(&raw)?.into_owned()));
        match members.remove("results") {
            Some(list) => list,
            None => RawValue::from_string(format!("[{}]", content.get())).map_err(|_| wrong())?,
        }
    } else {
        content
    };
    let mut page = Rows { rows: Vec::new(), unreadable: Vec::new(), next, date: answer.date() };
    for row in decode::rows(&list, id, read)? {
        match row {
            Row::Read { decoded, raw } => page.rows.push(ReadRow { value: decoded.value, raw }),
            Row::Unreadable { error, .. } if error.scope() == &Scope::Connection => return Err(error),
            Row::Unreadable { row, error } => {
                tracing::warn!(%error, number = row.number, "a row cannot be read");
                page.unreadable.push(row);
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use ml_connector_core::decode::apart;

    use super::*;
    use crate::error::tests::answer;

    fn ids(body: &str) -> (Vec<String>, Vec<String>, Option<String>) {
        let page = read(&answer(200, &[], body), "EntryID", |row| row.id("EntryID")).unwrap();
        (page.rows.into_iter().map(|row| row.value).collect(), apart(page.unreadable).0, page.next)
    }

    #[test]
    fn every_shape_has_its_rows() {
        let (rows, _, next) = ids(include_str!("../../tests/fixtures/list_page_with_next.json"));
        assert_eq!((rows.len(), next.is_some()), (3, true));
        let (rows, _, next) = ids(include_str!("../../tests/fixtures/list_bare_array.json"));
        assert_eq!((rows.len(), next), (1, None));
        assert_eq!(ids(include_str!("../../tests/fixtures/list_empty_results.json")).0, [""; 0]);
        assert_eq!(ids(r#"{"d":[]}"#).0, [""; 0]);
        assert_eq!(ids(r#"{"d":{"EntryID":"7"}}"#).0, ["7"]);
        for body in ["{}", "[]", r#"{"d":7}"#, r#"{"d":{"results":7}}"#, r#"{"d":"#] {
            assert!(read(&answer(200, &[], body), "ID", |_| Ok(())).is_err(), "{body}");
        }
    }

    #[test]
    fn an_unreadable_row_keeps_its_id_and_one_of_another_company_ends_it() {
        let refuse = |scope: Scope| {
            let refused = move |row: &Object<'_>| match row.text("bad").as_str() {
                "true" => Err(Error::new(ErrorKind::InvalidResponse, "no").with_scope(scope.clone())),
                _ => row.id("ID"),
            };
            let body = r#"{"d":[{"ID":"1"},{"ID":"2","bad":true},{"ID":"3"}]}"#;
            read(&answer(200, &[], body), "ID", refused)
                .map(|page| (page.rows.len(), apart(page.unreadable).0))
        };
        assert_eq!(refuse(Scope::Entry).unwrap(), (2, vec!["2".to_owned()]));
        assert!(refuse(Scope::Connection).is_err());
    }
}
