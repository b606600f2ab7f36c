//! URLs: which may carry a token, and which may come from outside.

use url::{Host, Url};

use crate::{Error, ErrorKind, Result};

/// Reads a URL that came from outside, such as one in a payload, and that may lead to any public host.
///
/// A name can still resolve to an address inside the host's own network: prefer [`outside_url_below`] wherever the
/// hosts are known, and send such a URL nothing but what the other side may know.
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
