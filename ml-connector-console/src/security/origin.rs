//! Whether a form was sent by a page of ours.

use http::{HeaderMap, Uri, header, request::Parts};
use url::Url;

/// Whether the browser says that the request comes from this very place. Without its word it does not.
///
/// `Sec-Fetch-Site` is the browser's own word, whatever proxies do to the host. A browser that does not send it, such as on
/// plain HTTP, sends an origin, which has to be the host that was asked.
pub(crate) fn is_same_origin(request: &Parts) -> bool {
    match one(&request.headers, "sec-fetch-site") {
        Ok(Some(site)) => site == "same-origin",
        Ok(None) => origin_is_host(&request.headers, &request.uri),
        Err(Doubled) => false,
    }
}

fn origin_is_host(headers: &HeaderMap, uri: &Uri) -> bool {
    let Ok(Some(origin)) = one(headers, header::ORIGIN.as_str()) else { return false };
    let Ok(host) = one(headers, header::HOST.as_str()) else { return false };
    let Some(host) = host.or_else(|| uri.authority().map(http::uri::Authority::as_str)) else { return false };
    let Ok(origin) = Url::parse(origin) else { return false };
    // The scheme's own port may be written, or not.
    let Ok(asked) = Url::parse(&format!("{}://{host}/", origin.scheme())) else { return false };
    matches!(origin.scheme(), "http" | "https")
        && origin.host_str().is_some()
        && origin.host_str() == asked.host_str()
        && origin.port_or_known_default() == asked.port_or_known_default()
}

/// A header that was sent twice.
struct Doubled;

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Doubled> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| Doubled)).transpose()?;
    if values.next().is_some() { Err(Doubled) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(headers: &[(&str, &str)], expected: bool) {
        let mut request = Request::post("/console/act");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(is_same_origin(&parts), expected, "{headers:?}");
    }

    #[test]
    fn only_what_the_browser_says_to_come_from_here_does() {
        check(&[("sec-fetch-site", "same-origin")], true);
        check(
            &[("sec-fetch-site", "same-origin"), ("host", "internal:8080"), ("origin", "https://a.example")],
            true,
        );
        check(&[("host", "a.example"), ("origin", "https://a.example")], true);
        check(&[("host", "a.example:443"), ("origin", "https://a.example")], true);
        check(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")], true);
    }

    #[test]
    fn everything_else_comes_from_elsewhere() {
        check(&[], false);
        check(&[("host", "a.example")], false);
        for site in ["cross-site", "same-site", "none", ""] {
            check(&[("sec-fetch-site", site), ("host", "a.example"), ("origin", "https://a.example")], false);
        }
        check(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false);
        for origin in
            ["null", "https://b.example", "https://a.example:8443", "ftp://a.example", "a.example", ""]
        {
            check(&[("host", "a.example"), ("origin", origin)], false);
        }
        check(
            &[("host", "a.example"), ("origin", "https://a.example"), ("origin", "https://b.example")],
            false,
        );
        check(&[("host", "a.example@b.example"), ("origin", "https://a.example")], false);
    }
}
