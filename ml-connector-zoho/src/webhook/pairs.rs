//! The names and values that Zoho signs.

use ml_connector_core::webhook::Form;

/// Whether a query is of plain characters only, which no encoder touches: ours has `a-z`, `0-9`, `.`, `_` and `-`.
fn is_plain(query: &str) -> bool {
    query.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'=' | b'&'))
}

/// The pairs of a query that has exactly these names, each once.
pub(super) fn of_query<'a>(query: &'a str, names: &[&str]) -> Option<Form<'a>> {
    let form = Form::strict(query.as_bytes()).filter(|_| is_plain(query))?;
    let is_complete =
        form.pairs().count() == names.len() && names.iter().all(|name| form.get(name).is_some());
    is_complete.then_some(form)
}

/// The pairs of a form that has no name of the query's.
pub(super) fn of_form<'a>(body: &'a [u8], query: &Form<'_>) -> Option<Form<'a>> {
    Form::strict(body).filter(|form| query.pairs().all(|(name, _)| form.get(name).is_none()))
}

/// Name, value, name, value …, of both together, sorted by name: without separators, as Zoho signs them.
pub(super) fn signed_parts<'a>(query: &'a Form<'_>, form: Option<&'a Form<'_>>) -> Vec<&'a [u8]> {
    let mut pairs: Vec<(&str, &str)> = query.pairs().chain(form.into_iter().flat_map(Form::pairs)).collect();
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect()
}
