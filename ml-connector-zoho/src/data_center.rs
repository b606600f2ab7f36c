//! Where an organization lives.

use ml_connector_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use url::Url;

/// Zoho's data centers. Every organization lives in exactly one, and a token of one is useless in another.
///
/// The hosts come from a table and are never derived from each other: Canada's accounts host does not resemble its
/// API host. The hosts of [`Uk`](Self::Uk) and [`Ae`](Self::Ae) are not confirmed by Zoho's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DataCenter {
    /// United States.
    Us,
    /// European Union.
    Eu,
    /// India.
    In,
    /// Australia.
    Au,
    /// Japan.
    Jp,
    /// Canada.
    Ca,
    /// China.
    Cn,
    /// Saudi Arabia.
    Sa,
    /// United Kingdom.
    Uk,
    /// United Arab Emirates.
    Ae,
}

impl DataCenter {
    /// All of them.
    pub const ALL: [Self; 10] =
        [Self::Us, Self::Eu, Self::In, Self::Au, Self::Jp, Self::Ca, Self::Cn, Self::Sa, Self::Uk, Self::Ae];

    /// Where tokens are issued, such as `https://accounts.zoho.eu`.
    #[must_use]
    pub fn accounts_url(self) -> &'static str {
        self.hosts().0
    }

    /// Where the API is, such as `https://www.zohoapis.eu`: what Zoho calls `api_domain`.
    #[must_use]
    pub fn api_url(self) -> &'static str {
        self.hosts().1
    }

    /// Where people open a record, such as `https://books.zoho.eu`.
    #[must_use]
    pub fn web_url(self) -> &'static str {
        self.hosts().2
    }

    /// The data center that Zoho calls so: the `location` on the redirect after consent, such as `eu`.
    #[must_use]
    pub fn of_location(location: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dc| dc.location() == location)
    }

    /// What Zoho calls it: `us`, `eu`, … `uk` and `ae` are unconfirmed.
    #[must_use]
    pub fn location(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "au",
            Self::Jp => "jp",
            Self::Ca => "ca",
            Self::Cn => "cn",
            Self::Sa => "sa",
            Self::Uk => "uk",
            Self::Ae => "ae",
        }
    }

    /// The data center whose accounts host this is. An `accounts-server` arrives through a browser: the app's secret
    /// is sent to it only if it is in the table.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when it is none of Zoho's.
    pub fn of_accounts_server(url: &str) -> Result<Self> {
        Self::find(url, Self::accounts_url, "the accounts server is none of Zoho's")
    }

    /// The data center whose API host this is. A token is sent to an `api_domain` only if it is in the table.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when it is none of Zoho's.
    pub fn of_api_domain(url: &str) -> Result<Self> {
        Self::find(url, Self::api_url, "the API domain is none of Zoho's")
    }

    fn find(url: &str, host: fn(Self) -> &'static str, refusal: &'static str) -> Result<Self> {
        // Parsed and written again, so that no spelling of another host can look like one of the table.
        let normal = Url::parse(url).map(String::from).unwrap_or_default();
        let known = Self::ALL.into_iter().find(|dc| normal.strip_suffix('/') == Some(host(*dc)));
        known.ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, refusal).with_context("chars", url.len()))
    }

    /// Accounts, API and web hosts. From the vendor's pages "Multi DC support" and "Introduction" (Books API v3);
    /// the web hosts of `Ca` and `Cn`, and all hosts of `Uk` and `Ae` but the British accounts host, are unconfirmed.
    fn hosts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Us => ("https://accounts.zoho.com", "https://www.zohoapis.com", "https://books.zoho.com"),
            Self::Eu => ("https://accounts.zoho.eu", "https://www.zohoapis.eu", "https://books.zoho.eu"),
            Self::In => ("https://accounts.zoho.in", "https://www.zohoapis.in", "https://books.zoho.in"),
            Self::Au => {
                ("https://accounts.zoho.com.au", "https://www.zohoapis.com.au", "https://books.zoho.com.au")
            }
            Self::Jp => ("https://accounts.zoho.jp", "https://www.zohoapis.jp", "https://books.zoho.jp"),
            Self::Ca => {
                ("https://accounts.zohocloud.ca", "https://www.zohoapis.ca", "https://books.zohocloud.ca")
            }
            Self::Cn => {
                ("https://accounts.zoho.com.cn", "https://www.zohoapis.com.cn", "https://books.zoho.com.cn")
            }
            Self::Sa => ("https://accounts.zoho.sa", "https://www.zohoapis.sa", "https://books.zoho.sa"),
            Self::Uk => ("https://accounts.zoho.uk", "https://www.zohoapis.uk", "https://books.zoho.uk"),
            Self::Ae => ("https://accounts.zoho.ae", "https://www.zohoapis.ae", "https://books.zoho.ae"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lead_back_to_their_data_center() {
        for dc in DataCenter::ALL {
            assert_eq!(DataCenter::of_accounts_server(dc.accounts_url()).unwrap(), dc);
            assert_eq!(DataCenter::of_api_domain(&format!("{}/", dc.api_url())).unwrap(), dc);
        }
    }

    #[test]
    fn a_host_that_only_looks_like_zoho_s_is_refused() {
        for url in [
            "",
            "accounts.zoho.com",
            "http://accounts.zoho.com",
            "https://accounts.zoho.com.evil.example",
            "https://accounts.zoho.com@evil.example",
            "https://user@accounts.zoho.com",
            "https://accounts.zoho.com:8443",
            "https://accounts.zoho.com/x",
            "https://accounts.zoho.com?x",
            "https://evil.example/accounts.zoho.com",
            "https://accounts.zoho.ca",
            "https://www.zohoapis.com",
        ] {
            let error = DataCenter::of_accounts_server(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
        }
        assert!(DataCenter::of_api_domain("https://accounts.zoho.com").is_err());
    }
}
