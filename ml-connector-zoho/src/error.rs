//! What Zoho Books' answers mean.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp, decode, error_context,
    http::{Answer, error_for_status},
};

/// The minute's limit. Zoho names no time; the window is a minute long.
const MINUTE: Duration = Duration::from_secs(60);
/// The block for "security reasons": the one recorded answer said `Retry-After: 3600`.
const BLOCKED: Duration = Duration::from_secs(3600);
/// The day's limit, when the answer does not say when the day ends: look once an hour.
const DAY_UNKNOWN: Duration = Duration::from_secs(3600);
/// Too many calls at once: they are over in seconds.
const CONCURRENT: Duration = Duration::from_secs(2);

/// The code with which the day's quota is used up.
pub(crate) const DAILY_LIMIT: &str = "45";

/// Classifies an answer of the API. The envelope's code decides, whatever the HTTP status says; the status decides
/// about codes that are not documented. The message is in the user's language and may quote a record, so it is
/// neither matched (but for the name of a parameter) nor kept.
///
/// # Errors
/// For everything that is no success; the numeric code is in the context as [`CODE`](error_context::CODE).
pub(crate) fn check(answer: &Answer) -> Result<()> {
    let status = answer.status;
    let read = decode::body(&answer.body, |envelope| Ok((envelope.text("code"), envelope.text("message"))));
    let (code, message) = read.map(|read| read.value).unwrap_or_default();
    if code.is_empty() {
        return Err(without_envelope(answer));
    }
    if code == "0" && status.is_success() {
        return Ok(());
    }
    let error = match code.as_str() {
        "2" if message.contains("organization_id") => connection(
            ErrorKind::ConfigInvalid,
            "the API does not accept the organization_id: check the connection's settings",
        ),
        "5" => connection(ErrorKind::ConfigInvalid, "the API does not know the path: check the API host"),
        "6041" => connection(
            ErrorKind::ConfigInvalid,
            "the person who connected is not in this organization: check organization_id and account",
        ),
        "14" | "57" => not_authorized(),
        "43" => limited(answer, BLOCKED, "the API blocks the organization for a while"),
        "44" => limited(answer, MINUTE, "the organization's calls of this minute are used up"),
        DAILY_LIMIT => {
            let pause = day_left(answer).unwrap_or(DAY_UNKNOWN);
            limited(answer, pause, "the organization's calls of this day are used up")
        }
        "1070" => limited(answer, CONCURRENT, "too many calls of the organization are under way"),
        "1000" => Error::new(ErrorKind::Unavailable, "the API reports an internal error")
            .with_effect(Effect::Unknown),
        "1002" | "2006" => Error::new(ErrorKind::NotFound, "the record does not exist, or is not accessible"),
        "1001" | "13011" | "107051" => Error::new(ErrorKind::Conflict, "the name or number is in use"),
        "2" | "4" | "3032" | "13009" | "110817" | "110942" => {
            Error::new(ErrorKind::InvalidRequest, "the API does not accept a value")
        }
        _ => match status {
            StatusCode::UNAUTHORIZED => not_authorized(),
            StatusCode::TOO_MANY_REQUESTS => limited(answer, MINUTE, "the API asks to slow down"),
            _ if status.is_success() => {
                Error::new(ErrorKind::InvalidResponse, "the API reports an error that is not documented")
                    .with_effect(Effect::Unknown)
            }
            _ => return Err(error_for_status(status).with_context(error_context::CODE, digits(&code))),
        },
    };
    Err(error
        .with_context(error_context::STATUS, status.as_u16())
        .with_context(error_context::CODE, digits(&code)))
}

/// A proxy's page, or an answer that broke off. Only an envelope can say that a record is gone.
fn without_envelope(answer: &Answer) -> Error {
    let status = answer.status;
    let error = match status {
        StatusCode::UNAUTHORIZED => not_authorized(),
        StatusCode::TOO_MANY_REQUESTS => limited(answer, MINUTE, "the API asks to slow down"),
        _ if status.is_redirection() => return error_for_status(status).with_scope(Scope::Connection),
        _ => Error::new(ErrorKind::Unavailable, "expected a JSON object with a code")
            .with_effect(Effect::Unknown)
            .with_context("bytes", answer.body.len()),
    };
    error.with_context(error_context::STATUS, status.as_u16())
}

/// Zoho answers the same for an expired token, a missing scope and another data center's token. The first is
/// healed by one refresh; so whatever comes back after that is for a person to look at, and nothing may be lost.
fn not_authorized() -> Error {
    connection(
        ErrorKind::Unauthenticated,
        "the token is not accepted: expired, without the scope, or of another data center",
    )
}

fn connection(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).with_scope(Scope::Connection)
}

fn limited(answer: &Answer, pause: Duration, message: &'static str) -> Error {
    let at: Timestamp = answer.retry_after().unwrap_or(answer.received_at + pause);
    Error::new(ErrorKind::RateLimited, message).with_retry(Retry::At(at))
}

/// How long the organization's day still takes, by the answer's header: its midnight, not UTC's.
pub(crate) fn day_left(answer: &Answer) -> Option<Duration> {
    let secs = answer.header("x-rate-limit-reset")?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(u64::from(secs)))
}

/// A code as the vendor sent it, unless it is no number: then it may be anything.
fn digits(code: &str) -> &str {
    let plain = (1..=9).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    if plain { code } else { "none" }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Answer::new(response.body(Bytes::from(body.to_owned())).unwrap(), NOW)
    }

    fn classified(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        check(&answer(status, headers, body)).unwrap_err()
    }

    /// Every code of the vendor sheet, with the status it was seen with.
    #[test]
    fn every_documented_code_has_its_kind_scope_and_effect() {
        use ErrorKind::*;
        for (status, code, message, kind, scope) in [
            (400, 2, "Invalid value passed for Payment Terms", InvalidRequest, Scope::Entry),
            (400, 2, "Invalid value passed for organization_id", ConfigInvalid, Scope::Connection),
            (400, 4, "Invalid value passed for bill_number", InvalidRequest, Scope::Entry),
            (404, 5, "Invalid URL Passed", ConfigInvalid, Scope::Connection),
            (401, 14, "Invalid authtoken", Unauthenticated, Scope::Connection),
            (429, 43, "", RateLimited, Scope::Entry),
            (429, 44, "", RateLimited, Scope::Entry),
            (429, 45, "", RateLimited, Scope::Entry),
            (429, 1070, "", RateLimited, Scope::Entry),
            (401, 57, "You are not authorized", Unauthenticated, Scope::Connection),
            (500, 1000, "Internal error", Unavailable, Scope::Entry),
            (400, 1001, "exists", Conflict, Scope::Entry),
            (404, 1002, "Invoice does not exist.", NotFound, Scope::Entry),
            (400, 1002, "The Customer is not accessible.", NotFound, Scope::Entry),
            (400, 2006, "does not exist", NotFound, Scope::Entry),
            (400, 3032, "GST", InvalidRequest, Scope::Entry),
            (400, 6041, "not associated", ConfigInvalid, Scope::Connection),
            (401, 6041, "not associated", ConfigInvalid, Scope::Connection),
            (400, 13009, "", InvalidRequest, Scope::Entry),
            (400, 13011, "", Conflict, Scope::Entry),
            (400, 107_051, "", Conflict, Scope::Entry),
            (400, 110_817, "", InvalidRequest, Scope::Entry),
            (400, 110_942, "", InvalidRequest, Scope::Entry),
            (400, 999, "not documented", InvalidRequest, Scope::Entry),
            (403, 999, "not documented", PermissionDenied, Scope::Entry),
            (404, 999, "not documented", NotFound, Scope::Entry),
            (401, 999, "not documented", Unauthenticated, Scope::Connection),
            (429, 36, "not documented", RateLimited, Scope::Entry),
            (503, 999, "not documented", Unavailable, Scope::Entry),
            (200, 999, "not documented", InvalidResponse, Scope::Entry),
            (500, 0, "success", Unavailable, Scope::Entry),
        ] {
            let error = classified(status, &[], &format!(r#"{{"code":{code},"message":"{message}"}}"#));
            assert_eq!((error.kind(), error.scope()), (kind, &scope), "{status} {code}");
            assert_eq!(error.context(error_context::CODE), Some(&*code.to_string()));
            let unknown = status >= 500 || code == 999 && status == 200;
            assert_eq!(error.effect() == Effect::Unknown, unknown, "{status} {code}");
        }
    }

    #[test]
    fn a_code_counts_behind_a_200_too_and_success_is_zero_only() {
        assert_eq!(classified(200, &[], r#"{"code":1002,"message":"x"}"#).kind(), ErrorKind::NotFound);
        assert_eq!(classified(200, &[], r#"{"code":"57"}"#).kind(), ErrorKind::Unauthenticated);
        check(&answer(201, &[], r#"{"code":0,"message":"The bill has been created."}"#)).unwrap();
    }

    #[test]
    fn every_limit_says_when_to_come_back() {
        let after = |status, headers: &[_], body| match classified(status, headers, body).retry() {
            Retry::At(at) => at.saturating_since(NOW).as_secs(),
            other => panic!("{other:?}"),
        };
        let blocked = include_str!("../tests/fixtures/error-429-code43-block-1h.json");
        assert_eq!(after(429, &[("retry-after", "1800")], blocked), 1800);
        assert_eq!(after(429, &[], blocked), 3600);
        let minute = include_str!("../tests/fixtures/error-429-code44-per-minute.json");
        assert_eq!(after(429, &[], minute), 60);
        assert_eq!(after(429, &[("retry-after", "90")], minute), 90);
        let day = include_str!("../tests/fixtures/error-429-code45-daily.json");
        assert_eq!(after(429, &[("x-rate-limit-reset", "52189")], day), 52_189);
        assert_eq!(after(429, &[("x-rate-limit-reset", "soon")], day), 3600);
        let concurrent = include_str!("../tests/fixtures/error-429-code1070-concurrent.json");
        assert_eq!(after(429, &[], concurrent), 2);
        assert_eq!(after(429, &[], "<html>slow down</html>"), 60);
        assert_eq!(after(200, &[], r#"{"code":44}"#), 60);
    }

    #[test]
    fn no_record_is_gone_because_of_a_proxy_s_page() {
        for (status, body) in
            [(404, "<html>"), (502, "<html>Bad gateway"), (200, r#"{"code":0,"mess"#), (200, "")]
        {
            let error = classified(status, &[], body);
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{status}");
        }
        assert_eq!(classified(302, &[], "").kind(), ErrorKind::ConfigInvalid);
        assert_eq!(classified(401, &[], "").kind(), ErrorKind::Unauthenticated);
    }

    #[test]
    fn no_error_quotes_what_the_vendor_wrote() {
        for code in ["1002", "6041", "999", r#""planted""#] {
            let error = classified(
                400,
                &[],
                &format!(r#"{{"code":{code},"message":"planted: Bluebird owes 1250.50"}}"#),
            );
            assert!(!format!("{error:?} {error}").contains("planted"), "{error:?}");
        }
    }
}
