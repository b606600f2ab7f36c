//! Every odd answer of a token endpoint that the vendor sheets know.

use http::StatusCode;

use super::*;
use crate::{
    auth::{TokenError, TokenResponse, oauth2::answer},
    http::Answer,
    token::{Cause, TokenOutcome},
};

fn classify(answer: &Answer) -> TokenOutcome {
    answer::classify(answer, TokenResponse::rfc6749(answer))
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        received_at: EPOCH,
    }
}

fn granted(status: u16, body: &str) -> (String, Option<u64>, Option<String>) {
    match classify(&answer(status, body)) {
        TokenOutcome::Granted(granted) => (
            granted.access.unwrap().expose().to_owned(),
            granted.expires_in.map(|life| life.as_secs()),
            granted.refresh.map(|refresh| refresh.expose().to_owned()),
        ),
        other => panic!("{body}: {other:?}"),
    }
}

fn failed(status: u16, body: &str) -> (Cause, String) {
    match classify(&answer(status, body)) {
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
        // Zoho Books: no refresh token, more fields
        (
            200,
            r#"{"access_token":"a","api_domain":"https://x","token_type":"Bearer","expires_in":3600}"#,
            a(Some(3600), None),
        ),
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
fn a_life_ends_at_the_earlier_end_within_reason() {
    let secs = Duration::from_secs;
    let success = answer(200, r#"{"access_token":"a"}"#);
    for (expires_in, expires_at, left) in [
        (Some(43_200), Some(EPOCH + secs(39_600)), Some(39_600)),
        (Some(43_200), Some(EPOCH + secs(50_000)), Some(43_200)),
        (Some(43_200), Some(Timestamp::from_secs(0)), Some(60)),
        (Some(30), Some(Timestamp::from_secs(0)), Some(30)),
        (Some(43_200), None, Some(43_200)),
        (None, Some(EPOCH + secs(600)), Some(600)),
        (None, Some(Timestamp::MAX), Some(Timestamp::MAX.saturating_since(EPOCH).as_secs())),
        (None, None, None),
    ] {
        let mut response = TokenResponse::rfc6749(&success);
        (response.expires_in, response.expires_at) = (expires_in.map(secs), expires_at);
        let TokenOutcome::Granted(granted) = answer::classify(&success, response) else { panic!("no token") };
        assert_eq!(granted.expires_in.map(|life| life.as_secs()), left, "{expires_in:?} {expires_at:?}");
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
        (400, r#"{"error":"unsupported_grant_type"}"#, Misconfigured, "unsupported_grant_type"),
        (400, r#"{"error":"invalid_request"}"#, Unavailable, "invalid_request"),
        (200, r#"{"error":"general_error"}"#, Unavailable, "general_error"),
        (400, r#"{"error":"slow_down"}"#, Throttled, "slow_down"),
        (200, r#"{"error":"invalid_client"}"#, Misconfigured, "invalid_client"),
        (400, r#"{"error":"invalid_client","access_token":"a"}"#, Misconfigured, "invalid_client"),
        (503, r#"{"error":"temporarily_unavailable"}"#, Unavailable, "temporarily_unavailable"),
        (400, r#"{"error":"temporarily_unavailable"}"#, Unavailable, "temporarily_unavailable"),
        (429, r#"{"error":"invalid_grant"}"#, Throttled, "invalid_grant"),
        (429, "<html>slow down</html>", Throttled, "429"),
        (502, "<html>bad gateway</html>", Unavailable, "502"),
        (500, r#"{"error":"invalid_grant"}"#, Unavailable, "invalid_grant"),
        (401, "", Unavailable, "401"),
        (403, "<html>your proxy</html>", Unavailable, "403"),
        (302, "", Unavailable, "302"),
        (400, r#"{"error":"with a \"secret\""}"#, Unavailable, "unreadable_code"),
        (400, r#"{"error":{"code":1}}"#, Unavailable, "400"),
    ] {
        assert_eq!(failed(status, body), (cause, code.to_owned()), "{status} {body}");
    }
}

#[test]
fn a_success_that_cannot_be_read_is_no_failure() {
    for body in ["", "{}", "<html>", "[]", r#"{"access_token":""}"#, r#"{"access_token":7}"#] {
        assert!(matches!(classify(&answer(200, body)), TokenOutcome::Unreadable), "{body}");
    }
}

#[test]
fn a_refresh_token_beside_an_error_is_not_lost() {
    let verdict = classify(&answer(400, r#"{"error":"access_denied","refresh_token":"r2"}"#));
    let TokenOutcome::Failed { refresh: Some(refresh), .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(refresh.expose(), "r2");
}

#[test]
fn a_vendor_s_own_words_count_unless_its_server_fails() {
    let until = EPOCH + Duration::from_secs(900);
    let of = |status, error: TokenError| {
        let answer = answer(status, r#"{"access_token":"a"}"#);
        match answer::classify(&answer, TokenResponse::rfc6749(&answer).error(error)) {
            TokenOutcome::Failed { cause, code, message, until, .. } => (cause, code, message, until),
            other => panic!("{other:?}"),
        }
    };
    let refused = || TokenError::refused("invalid_code", "connect again");
    let expected = (Cause::Refused, "invalid_code".to_owned(), Some("connect again".to_owned()), None);
    assert_eq!(of(200, refused()), expected);
    let throttled = TokenError::throttled("Access Denied").retry_at(until);
    assert_eq!(of(200, throttled), (Cause::Throttled, "Access Denied".into(), None, Some(until)));
    assert_eq!(of(503, refused()), (Cause::Unavailable, "invalid_code".into(), None, None));
}

#[test]
fn the_end_of_a_refresh_token_is_read_where_a_vendor_names_it() {
    for (body, ends) in [
        (r#"{"access_token":"a","refresh_token":"r","refresh_token_expires_in":7776000}"#, Some(7_776_000)),
        (r#"{"access_token":"a","refresh_token":"r","refresh_expires_in":"1800"}"#, Some(1800)),
        (r#"{"access_token":"a","refresh_token":"r","refresh_expires_in":0}"#, None),
        (r#"{"access_token":"a","refresh_token":"r"}"#, None),
    ] {
        let TokenOutcome::Granted(granted) = classify(&answer(200, body)) else { panic!("{body}") };
        assert_eq!(granted.refresh_expires_in.map(|life| life.as_secs()), ends, "{body}");
    }
}
