//! What a request asks for: names and values of a query string or a form, each of them bounded.

use std::collections::BTreeMap;

use ml_connector_core::{
    Timestamp,
    model::{Currency, Decimal, Seq},
};

use crate::{answer::Refusal, text::pretends};

/// The longest query string.
const MOST_BYTES: usize = 8 << 10;
/// The most names.
const MOST_PAIRS: usize = 40;
/// The longest value, in bytes.
const LONGEST: usize = 512;
/// The longest text of routes, in bytes.
pub(crate) const LONGEST_ROUTES: usize = 32 << 10;
/// The name that may hold a long text of several lines.
pub(crate) const ROUTES: &str = "routes";

/// Names and values. An empty value is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads the query string of a URL.
    pub(crate) fn of_query(text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or_default();
        if text.len() > MOST_BYTES {
            return Err(Refusal::bad("the address is too long"));
        }
        Self::read(text.as_bytes())
    }

    /// Reads the body of a form.
    pub(crate) fn of_form(body: &[u8]) -> Result<Self, Refusal> {
        Self::read(body)
    }

    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut found = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            if found.len() == MOST_PAIRS {
                return Err(Refusal::bad("there are too many parameters"));
            }
            let is_text = name == ROUTES;
            let is_allowed = |c: char| !pretends(c) || is_text && matches!(c, '\n' | '\r' | '\t');
            let longest = if is_text { LONGEST_ROUTES } else { LONGEST };
            if name.len() > 32 || value.len() > longest || !value.chars().all(is_allowed) {
                return Err(Refusal::bad(
                    "a parameter is too long, or holds characters that are not allowed",
                ));
            }
            if found.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::bad("a parameter is given twice"));
            }
        }
        Ok(Self(found))
    }

    /// A value; one that is empty is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A value that has to be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::bad(format!("{name} is missing")))
    }

    pub(crate) fn seq(&self, name: &'static str) -> Result<Option<Seq>, Refusal> {
        let seq = |text: &str| text.parse().map(Seq).map_err(|_| not(name, "a number of the log"));
        self.get(name).map(seq).transpose()
    }

    pub(crate) fn amount(&self, name: &'static str) -> Result<Option<Decimal>, Refusal> {
        let amount = |text: &str| text.parse().map_err(|_| not(name, "an amount such as 1250.00"));
        self.get(name).map(amount).transpose()
    }

    pub(crate) fn currency(&self, name: &'static str) -> Result<Option<Currency>, Refusal> {
        let currency = |text: &str| Currency::parse(text).map_err(|_| not(name, "a currency such as EUR"));
        self.get(name).map(currency).transpose()
    }

    /// An instant with an offset.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
        let time = |text: &str| {
            Timestamp::parse(text).map_err(|_| not(name, "an instant such as 2026-03-12T06:00:00Z"))
        };
        self.get(name).map(time).transpose()
    }
}

fn not(name: &str, what: &str) -> Refusal {
    Refusal::bad(format!("{name} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_too_much_or_double_is_refused() {
        let long = format!("q={}", "a".repeat(LONGEST + 1));
        let many: String = (0..=MOST_PAIRS).map(|i| format!("p{i}=1&")).collect();
        let vast = format!("q={}", "a".repeat(MOST_BYTES));
        for refused in
            [&*long, &many, &vast, "q=1&q=2", "q=a%00b", "q=a%0Ab", "q=%1B%5B31m", "q=%E2%80%AEfdp"]
        {
            assert!(Params::of_query(Some(refused)).is_err(), "{}", &refused[..refused.len().min(40)]);
        }
        let routes = format!("routes={}", "a".repeat(LONGEST_ROUTES + 1));
        assert!(Params::of_form(routes.as_bytes()).is_err());
        assert!(Params::of_form(b"routes=a%0Ab").is_ok());
    }

    #[test]
    fn values_have_types() {
        let params =
            Params::of_query(Some("seq=7&amount=0.10&currency=EUR&from=2026-03-12T06:00:00Z&empty=+"));
        let params = params.unwrap();
        assert_eq!(params.seq("seq").unwrap(), Some(Seq(7)));
        assert_eq!(params.amount("amount").unwrap().unwrap().to_string(), "0.10");
        assert_eq!(params.currency("currency").unwrap().unwrap().as_str(), "EUR");
        assert!(params.time("from").unwrap().is_some());
        assert_eq!(params.get("empty"), None);
        let wrong = Params::of_query(Some("seq=-1&amount=1e999&currency=EURO&from=yesterday")).unwrap();
        assert!(wrong.seq("seq").is_err() && wrong.amount("amount").is_err());
        assert!(wrong.currency("currency").is_err() && wrong.time("from").is_err());
    }
}
