//! What a request has to carry besides its signature.

use std::time::Duration;

use http::HeaderMap;
use subtle::{Choice, ConstantTimeEq};

use super::hmac::refused;
use crate::{Result, Secret, Timestamp};

/// The value of a header that has to be there exactly once: with two, the vendor's proxy and we could each look at
/// another one.
///
/// # Errors
/// [`SignatureInvalid`](crate::ErrorKind::SignatureInvalid) when it is missing, repeated, empty or no ASCII text.
pub fn single_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| refused("a header that proves the sender is empty or no text")),
        (None, _) => Err(refused("a header that proves the sender is missing")),
        (Some(_), Some(_)) => Err(refused("a header that proves the sender is there more than once")),
    }
}

/// Reads when a request was signed, in seconds since the Unix epoch, and checks that this is at most `tolerance`
/// away from `now`: in the past, as a replay would be, or in the future.
///
/// # Errors
/// [`SignatureInvalid`](crate::ErrorKind::SignatureInvalid) when it is no such number or too far away.
pub fn fresh_unix_seconds(text: &str, now: Timestamp, tolerance: Duration) -> Result<Timestamp> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let secs = digits.then(|| text.parse().ok()).flatten();
    let signed = Timestamp::from_secs(secs.ok_or_else(|| refused("the time of signing is no number"))?);
    if signed.saturating_since(now).max(now.saturating_since(signed)) > tolerance {
        return Err(refused("the time of signing is too far from now"));
    }
    Ok(signed)
}

/// Checks a token that the vendor repeats in each request, in constant time. Only its length can be learned.
///
/// # Errors
/// [`SignatureInvalid`](crate::ErrorKind::SignatureInvalid) when it is another one, and always when `expected` is
/// empty: nothing is ever accepted unsigned.
pub fn require_token(received: &str, expected: &Secret) -> Result<()> {
    let is =
        |good: &str| received.as_bytes().ct_eq(good.as_bytes()) & Choice::from(u8::from(!good.is_empty()));
    let same = expected.accepted().fold(Choice::from(0), |same, good| same | is(good));
    if !bool::from(same) {
        return Err(refused("the token is another one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_proving_header_is_there_exactly_once() {
        let name = "x-signature";
        let mut headers = HeaderMap::new();
        assert_eq!(single_header(&headers, name).unwrap_err().kind(), ErrorKind::SignatureInvalid);
        headers.insert(name, HeaderValue::from_static("abc"));
        assert_eq!(single_header(&headers, "X-Signature").unwrap(), "abc");
        headers.append(name, HeaderValue::from_static("abc"));
        assert_eq!(single_header(&headers, name).unwrap_err().kind(), ErrorKind::SignatureInvalid);
        for bad in [&b""[..], b"\xff\xfe", "ä".as_bytes()] {
            headers.insert(name, HeaderValue::from_bytes(bad).unwrap());
            assert_eq!(single_header(&headers, name).unwrap_err().kind(), ErrorKind::SignatureInvalid);
        }
    }

    #[test]
    fn the_time_of_signing_is_near_on_both_sides() {
        let now = Timestamp::from_secs(1_792_000_000);
        let fresh = |text: &str| fresh_unix_seconds(text, now, Duration::from_secs(300));
        for good in ["1792000000", "1791999700", "1792000300"] {
            assert_eq!(fresh(good).unwrap().as_secs().to_string(), good);
        }
        for bad in [
            "1791999699",
            "1792000301",
            "0",
            "",
            "-1792000000",
            "+1792000000",
            " 1792000000",
            "1792000000.0",
            "1792000000000",
            "9223372036854775807",
            "99999999999999999999999",
            "soon",
        ] {
            assert_eq!(fresh(bad).unwrap_err().kind(), ErrorKind::SignatureInvalid, "{bad}");
        }
    }

    #[test]
    fn a_token_is_accepted_whole_or_not_at_all() {
        let expected = Secret::from("s3cr3t");
        require_token("s3cr3t", &expected).unwrap();
        for bad in ["", "s3cr3", "s3cr3tt", "S3cr3t", "é"] {
            let error = require_token(bad, &expected).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignatureInvalid);
            assert!(!format!("{error:?}").contains("s3cr3t"));
        }
        assert!(require_token("", &Secret::from("")).is_err());
    }

    proptest! {
        #[test]
        fn no_time_of_signing_panics(text in ".{0,40}", now in any::<i64>(), tolerance in any::<u64>()) {
            let _ = fresh_unix_seconds(&text, Timestamp::from_millis(now), Duration::from_secs(tolerance));
        }

        #[test]
        fn no_header_panics(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..3)) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                headers.append("x-signature", value);
            }
            let _ = single_header(&headers, "x-signature");
        }
    }
}
