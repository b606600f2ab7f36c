//! URLs over which a token may travel.
//!
//! There is no way to fetch a URL that came from outside. A [`Client`](super::Client) sends to its connection's own origin
//! only, so a link that a vendor gives leads there or nowhere; a vendor's word for where its API is, such as Zoho's
//! `api_domain`, is looked up in a table; `response_url`s are not used, and attachments are shown as links. So nothing has to
//! judge the addresses that names resolve to.

use url::{Host, Url};

use crate::{Error, ErrorKind, Result};

/// Refuses URLs over which a token would travel in clear.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] unless the URL is https, or http to a loopback address, and names no user.
pub fn require_secure(url: &Url) -> Result<()> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if secure && url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ConfigInvalid,
        "expected an https URL, or http to a loopback address, without user or password",
    )
    .with_context("scheme", url.scheme())
    .with_context("host", url.host_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_over_tls_or_stays_on_the_machine() {
        let secure = |text: &str| require_secure(&Url::parse(text).unwrap());
        for good in
            ["https://api.example.com/v3", "http://localhost:1", "http://127.8.8.8:1", "http://[::1]:1"]
        {
            assert!(secure(good).is_ok(), "{good}");
        }
        for bad in
            ["http://api.example.com", "http://10.0.0.1", "http://localhost.example.com", "ftp://localhost"]
        {
            assert_eq!(secure(bad).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{bad}");
        }
        let error = secure("https://user:planted@api.example.com").unwrap_err();
        assert!(!format!("{error:?}").contains("planted"));
    }
}
