//! What a notification is about.

use ml_connector_core::Timestamp;
use url::{Url, form_urlencoded};

use crate::models::is_guid;

/// A resource of ours, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Record(String),
    /// More than a thousand changes: since when, unless deletions are among them.
    Collection(Option<Timestamp>),
}

impl Resource {
    /// Reads a resource in any of its three spellings, if company, set and (where it is there) host are the expected ones.
    pub(crate) fn parse(text: &str, company: &str, set: &str, host: &str) -> Option<Self> {
        let relative = match text.split_once("://") {
            None => text.trim_start_matches('/').to_owned(),
            Some(_) => {
                let url = Url::parse(text).ok().filter(|url| url.host_str() == Some(host))?;
                let path = url.path().split_once("/api/")?.1;
                let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                format!("api/{path}{query}")
            }
        };
        let (path, query) = match relative.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*relative, None),
        };
        let (_, below) = path.split_once("companies(")?;
        let (named, rest) = below.split_once(")/")?;
        let rest = rest.strip_prefix(set).filter(|_| named.eq_ignore_ascii_case(company))?;
        if rest.is_empty() {
            return Some(Self::Collection(query.and_then(since)));
        }
        let id = rest.strip_prefix('(')?.strip_suffix(')')?.to_ascii_lowercase();
        is_guid(&id).then_some(Self::Record(id))
    }
}

/// The instant in a filter by the last modification, however its field is spelled.
fn since(query: &str) -> Option<Timestamp> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let filter = pairs.into_iter().find(|(name, _)| name == "$filter")?.1;
    filter.split_whitespace().find_map(|word| Timestamp::parse(word).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPANY: &str = "3f9d6a1e-58c4-ef11-8a77-6045bd2f5510";
    const ID: &str = "c7a41d90-3f1e-f011-9a12-6045bd2f5510";

    fn parse(text: &str) -> Option<Resource> {
        Resource::parse(text, COMPANY, "purchaseInvoices", "api.example.com")
    }

    #[test]
    fn three_spellings_are_one_and_others_are_none() {
        let path = format!("api/v2.0/companies({COMPANY})/purchaseInvoices({ID})");
        for text in
            [path.clone(), format!("/{path}"), format!("https://api.example.com/v2.0/t/Production/{path}")]
        {
            assert_eq!(parse(&text), Some(Resource::Record(ID.to_owned())), "{text}");
        }
        for text in [
            String::new(),
            format!("https://evil.example/{path}"),
            path.replace(COMPANY, ID),
            path.replace("purchaseInvoices", "salesInvoices"),
            path.replace("purchaseInvoices", "purchaseInvoicesX"),
            path.replace(ID, "x"),
            format!("{path})"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_collection_says_since_when_or_not() {
        let set = format!("api/v2.0/companies({COMPANY})/purchaseInvoices");
        let at = Timestamp::parse("2026-03-15T22:00:03.45Z").unwrap();
        for field in ["lastModifiedDateTime", "lastDateTimeModified"] {
            let text = format!("{set}?$filter={field}%20gt%202026-03-15T22:00:03.45Z");
            assert_eq!(parse(&text), Some(Resource::Collection(Some(at))), "{text}");
        }
        assert_eq!(parse(&set), Some(Resource::Collection(None)));
        assert_eq!(parse(&format!("{set}?$filter=x")), Some(Resource::Collection(None)));
    }
}
