//! URLs: which may carry a token, and which may come from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::{Error, ErrorKind, Result};

/// Reads a URL that came from outside, such as one in a payload, and that may lead to any public host.
///
/// A name can still resolve to an address inside the host's own network. So send such a request with [`Outside`] among its
/// extensions: then the address that is dialled is checked as well. Prefer [`outside_url_below`] wherever the hosts are
/// known, and send such a URL nothing but what the other side may know.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] unless it is https on the default port, without user or password, to a name with a
/// dot in it that is not reserved for internal use. An IP address is never a public host, in whichever notation.
pub fn outside_url(text: &str) -> Result<Url> {
    const INTERNAL: [&str; 9] =
        ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa"];
    let url = Url::parse(text).map_err(|_| refused("a URL from outside is malformed"))?;
    if url.scheme() != "https" || url.port().is_some() {
        return Err(refused("a URL from outside is not https on its default port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a URL from outside names a user"));
    }
    let Some(Host::Domain(name)) = url.host() else {
        return Err(refused("a URL from outside names an IP address"));
    };
    match name.trim_end_matches('.').rsplit_once('.') {
        Some((_, top)) if !INTERNAL.contains(&top) => Ok(url),
        _ => Err(refused("a URL from outside names an internal host")),
    }
}

/// Reads a URL that came from outside and has to lead to one of these domains or a name below it.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] as [`outside_url`], and when the host is another one.
pub fn outside_url_below(text: &str, domains: &[&str]) -> Result<Url> {
    let url = outside_url(text)?;
    let host = url.host_str().unwrap_or_default();
    let below = |domain: &&str| {
        host.strip_suffix(*domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            && !domain.is_empty()
    };
    if domains.iter().any(below) {
        return Ok(url);
    }
    Err(refused("a URL from outside leads to a host that is not the vendor's"))
}

/// Marks a request to a URL that came from outside: a transport dials public addresses only, [`is_public`], and follows no
/// redirect.
///
/// ```
/// use bytes::Bytes;
/// use ml_connector_core::http::{Outside, outside_url};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = outside_url("https://files.example.com/scan.pdf")?;
/// let request = http::Request::get(url.as_str()).extension(Outside).body(Bytes::new())?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside;

/// Whether an address is one of the public internet: not private, shared, local to the link or machine, of documentation,
/// benchmarks, multicast or a cloud's metadata, and not one of those inside an IPv6 address (mapped, NAT64, 6to4, Teredo).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127 | 224.., ..) => true,
        (100, 64..=127, _) => true, // carriers, and metadata of some clouds (RFC 6598)
        (169, 254, _) => true,      // link-local, and metadata of most clouds
        (172, 16..=31, _) | (192, 168, _) => true, // private
        (192, 0, 0 | 2) | (192, 88, 99) => true, // protocols, documentation, 6to4 relays
        (198, 18 | 19, _) => true,  // benchmarks
        (198, 51, 100) | (203, 0, 113) => true, // documentation
        (168, 63, 129) => true,     // Azure's wire server
        _ => false,
    };
    !special
}

/// Of `2000::/3`, where the whole public internet is, without what stands for another network.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if address.to_ipv4_mapped().is_some() {
        return false;
    }
    match address.segments() {
        // Teredo, documentation, benchmarks, ORCHID and other protocols (2001::/23), 6to4.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

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

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_public_https_url_passes() {
        for text in
            ["https://hooks.slack.com/actions/T1/2/x?y=1", "https://EXAMPLE.com:443/", "https://a.b.c"]
        {
            assert!(outside_url(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_that_could_lead_inside_is_refused_without_quoting_it() {
        for text in [
            "",
            "no url",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://example.com:8443/",
            "https://user@example.com/",
            "https://:planted@example.com/",
            "https://localhost/",
            "https://x.localhost/",
            "https://x.localhost./",
            "https://metadata.google.internal/",
            "https://printer/",
            "https://printer./",
            "https://printer.local/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://8.8.8.8/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
        ] {
            let error = outside_url(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
            assert!(!format!("{error:?}").contains("planted"));
        }
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_dialled() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for good in [
            "8.8.8.8",
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(public(good), "{good}");
        }
        for bad in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fec0::1",
        ] {
            assert!(!public(bad), "{bad}");
        }
    }

    #[test]
    fn an_allow_list_holds_domains_and_what_is_below_them() {
        let slack = |text| outside_url_below(text, &["slack.com", "slack-gov.com"]).is_ok();
        assert!(slack("https://slack.com/x"));
        assert!(slack("https://hooks.Slack.com/x"));
        assert!(slack("https://hooks.slack-gov.com/x"));
        assert!(!slack("https://evilslack.com/x"));
        assert!(!slack("https://slack.com.evil.example/x"));
        assert!(!slack("https://slack.com@evil.example/x"));
        assert!(!slack("https://evil.example/slack.com"));
        assert!(!slack("http://slack.com/x"));
        assert!(outside_url_below("https://slack.com/", &[""]).is_err());
    }

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

    proptest! {
        #[test]
        fn no_text_makes_the_guard_panic(text in ".{0,200}") {
            let _ = outside_url(&text);
            let _ = outside_url_below(&format!("https://{text}"), &["example.com"]);
        }
    }
}
