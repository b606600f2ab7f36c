//! Every odd answer of a token endpoint that the vendor sheets know.

use http::StatusCode;

use super::*;
use crate::{
    Retry,
    auth::oauth2::answer::judge,
    http::Answer,
    token::{Cause, TokenOutcome},
};

const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        received_at: EPOCH,
    }
}

fn granted(status: u16, body: &str) -> (String, Option<u64>, Option<String>) {
    match judge(&answer(status, body), DAY, None) {
        TokenOutcome::Granted(granted) => (
            granted.access.unwrap().expose().to_owned(),
            granted.expires_in.map(|life| life.as_secs()),
            granted.refresh.map(|refresh| refresh.expose().to_owned()),
        ),
        other => panic!("{body}: {other:?}"),
    }
}

fn failed(status: u16, body: &str) -> (Cause, String) {
    match judge(&answer(status, body), DAY, None) {
        TokenOutcome::Failed { cause, code, .. } => (cause, code),
        other => panic!("{status} {body}: {other:?}"),
    }
}

#[test]
fn tokens_are_found_in_whatever_a_vendor_calls_a_success() {
    let a = |life, refresh: Option<&str>| ("a".to_owned(), life, refresh.map(str::to_owned));
    for (status, body, expected) in [
        // RFC 6749; Business Central, Databricks
        (200, r#"{"access_token":"a","token_type":"Bearer","expires_in":3599}"#, a(Some(3599), None)),
        // Exact Online: a number as text
        (
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"600","refresh_token":"r"}"#,
            a(Some(600), Some("r")),
        ),
        // Zoho Books: no refresh token, more fields, milliseconds in old answers
        (
            200,
            r#"{"access_token":"a","api_domain":"https://x","token_type":"Bearer","expires_in":3600}"#,
            a(Some(3600), None),
        ),
        (200, r#"{"access_token":"a","expires_in_sec":3600,"expires_in":3600000}"#, a(Some(3600), None)),
        // FreshBooks: objects beside it
        (
            200,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":43200,"refresh_token":"r","direct_buy_tokens":{}}"#,
            a(Some(43_200), Some("r")),
        ),
        // Slack: ok, no type or an unknown one, scopes with commas, null where a text could be
        (
            200,
            r#"{"ok":true,"access_token":"a","token_type":"bot","scope":"chat:write,users:read","enterprise":null}"#,
            a(None, None),
        ),
        (200, r#"{"access_token":"a","refresh_token":null,"token_type":null,"scope":null}"#, a(None, None)),
        (201, r#"{"access_token":"a"}"#, a(None, None)),
        (200, "\u{feff}{\"access_token\":\"a\"}", a(None, None)),
        (200, r#"{"access_token":"a","refresh_token":""}"#, a(None, None)),
        (200, r#"{"access_token":"a","expires_in":0}"#, a(None, None)),
        (200, r#"{"access_token":"a","expires_in":"soon"}"#, a(None, None)),
        (200, r#"{"access_token":"a","expires_in":-1}"#, a(None, None)),
    ] {
        assert_eq!(granted(status, body), expected, "{body}");
    }
}

#[test]
fn milliseconds_are_believed_only_where_the_vendor_is_known_for_them() {
    let verdict = judge(&answer(200, r#"{"access_token":"a","expires_in":172800}"#), None, None);
    let TokenOutcome::Granted(granted) = verdict else { panic!("{verdict:?}") };
    assert_eq!(granted.expires_in, Some(Duration::from_secs(172_800)));
}

#[test]
fn a_life_counts_from_its_creation_within_reason() {
    let now = EPOCH.as_secs();
    for (created_at, left) in [
        ((now - 3600).to_string(), 43_200 - 3600),
        ((now + 600).to_string(), 43_200),
        ((now - 90_000).to_string(), 60),
        ("0".to_owned(), 60),
        (i64::MAX.to_string(), 43_200),
        (i64::MIN.to_string(), 60),
        (r#""2026-10-14 17:46:40""#.to_owned(), 43_200),
        ("null".to_owned(), 43_200),
    ] {
        let body = format!(r#"{{"access_token":"a","expires_in":43200,"created_at":{created_at}}}"#);
        assert_eq!(granted(200, &body).1, Some(left), "{body}");
    }
}

#[test]
fn failures_are_told_apart_by_status_and_code() {
    use Cause::{Misconfigured, Refused, Throttled, Unavailable};
    for (status, body, cause, code) in [
        (400, r#"{"error":"invalid_grant"}"#, Refused, "invalid_grant"),
        (
            400,
            r#"{ "error":"invalid_grant","error_description":"invalid or empty chainId" }"#,
            Refused,
            "invalid_grant",
        ),
        (401, r#"{"error":"invalid_client","error_codes":[7000215]}"#, Misconfigured, "invalid_client"),
        (400, r#"{"error":"unauthorized_client"}"#, Misconfigured, "unauthorized_client"),
        (400, r#"{"error":"invalid_scope"}"#, Misconfigured, "invalid_scope"),
        (400, r#"{"error":"invalid_request"}"#, Misconfigured, "invalid_request"),
        (200, r#"{"error":"invalid_client"}"#, Misconfigured, "invalid_client"),
        (200, r#"{"ok":false,"error":"bad_client_secret"}"#, Misconfigured, "bad_client_secret"),
        (200, r#"{"ok":false,"error":"x","access_token":"a"}"#, Misconfigured, "x"),
        (400, r#"{"errorCode":"invalid_client","errorSummary":"no"}"#, Misconfigured, "invalid_client"),
        (503, r#"{"error":"temporarily_unavailable"}"#, Unavailable, "temporarily_unavailable"),
        (400, r#"{"error":"temporarily_unavailable"}"#, Unavailable, "temporarily_unavailable"),
        (429, r#"{"error":"invalid_grant"}"#, Throttled, "invalid_grant"),
        (429, "<html>slow down</html>", Throttled, "429"),
        (502, "<html>bad gateway</html>", Unavailable, "502"),
        (500, r#"{"error":"invalid_grant"}"#, Unavailable, "invalid_grant"),
        (401, "", Unavailable, "401"),
        (403, "<html>your proxy</html>", Unavailable, "403"),
        (302, "", Misconfigured, "302"),
        (400, r#"{"error":"with a \"secret\""}"#, Misconfigured, "unreadable_code"),
        (400, r#"{"error":{"code":1}}"#, Unavailable, "400"),
    ] {
        assert_eq!(failed(status, body), (cause, code.to_owned()), "{status} {body}");
    }
}

#[test]
fn a_success_that_cannot_be_read_is_no_failure() {
    for body in ["", "{}", "<html>", "[]", r#"{"access_token":""}"#, r#"{"access_token":7}"#] {
        assert!(matches!(judge(&answer(200, body), None, None), TokenOutcome::Unreadable), "{body}");
    }
}

#[test]
fn a_refresh_token_beside_an_error_is_not_lost() {
    let verdict = judge(&answer(400, r#"{"error":"access_denied","refresh_token":"r2"}"#), None, None);
    let TokenOutcome::Failed { refresh: Some(refresh), .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(refresh.expose(), "r2");
}

#[test]
fn a_vendor_judges_its_own_codes_and_leaves_the_rest_to_the_rfc() {
    fn vendor(answer: &Answer) -> Option<Error> {
        let body = std::str::from_utf8(&answer.body).unwrap();
        if body.contains("Access Denied") {
            let until = answer.received_at + Duration::from_secs(900);
            return Some(Error::new(ErrorKind::RateLimited, "throttled").with_retry(Retry::At(until)));
        }
        let refused = Error::new(ErrorKind::Unauthenticated, "refused").with_context("code", "invalid_code");
        body.contains("invalid_code").then_some(refused)
    }
    let of = |body| match judge(&answer(200, body), None, Some(vendor)) {
        TokenOutcome::Failed { cause, code, until, .. } => (cause, code, until),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(r#"{"error":"invalid_code"}"#), (Cause::Refused, "invalid_code".into(), None));
    let until = Some(EPOCH + Duration::from_secs(900));
    assert_eq!(of(r#"{"error":"Access Denied"}"#), (Cause::Throttled, "rate_limited".into(), until));
    assert_eq!(of(r#"{"error":"invalid_client"}"#), (Cause::Misconfigured, "invalid_client".into(), None));
    let verdict = judge(&answer(200, r#"{"access_token":"invalid_code"}"#), None, Some(vendor));
    assert!(matches!(verdict, TokenOutcome::Granted(_)));
}
