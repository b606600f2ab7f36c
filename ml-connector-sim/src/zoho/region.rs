//! Zoho's data centers.

/// A data center: two hosts, neither of which can be derived from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataCenter {
    /// United States.
    Us,
    /// Europe.
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
}

impl DataCenter {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Us, Self::Eu, Self::In, Self::Au, Self::Jp, Self::Ca, Self::Cn, Self::Sa];

    /// The origin of the OAuth endpoints.
    #[must_use]
    pub fn accounts_server(self) -> String {
        format!("https://{}", self.hosts().0)
    }

    /// The origin of the API.
    #[must_use]
    pub fn api_domain(self) -> String {
        format!("https://{}", self.hosts().1)
    }

    /// The data center that a host belongs to.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|center| center.hosts().0 == host || center.hosts().1 == host)
    }

    fn hosts(self) -> (&'static str, &'static str) {
        match self {
            Self::Us => ("accounts.zoho.com", "www.zohoapis.com"),
            Self::Eu => ("accounts.zoho.eu", "www.zohoapis.eu"),
            Self::In => ("accounts.zoho.in", "www.zohoapis.in"),
            Self::Au => ("accounts.zoho.com.au", "www.zohoapis.com.au"),
            Self::Jp => ("accounts.zoho.jp", "www.zohoapis.jp"),
            Self::Ca => ("accounts.zohocloud.ca", "www.zohoapis.ca"),
            Self::Cn => ("accounts.zoho.com.cn", "www.zohoapis.com.cn"),
            Self::Sa => ("accounts.zoho.sa", "www.zohoapis.sa"),
        }
    }
}
