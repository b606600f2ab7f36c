//! Parameters of a request, decoded.

/// Parameters in the order they came; the first of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// From query strings and form bodies.
    pub(crate) fn parse<'a>(encoded: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(encoded.into_iter().flat_map(|part| url::form_urlencoded::parse(part).into_owned()).collect())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
