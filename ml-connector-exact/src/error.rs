//! What Exact Online's answers mean.
//!
//! The status decides, and besides it the header `Reason` and a few texts. Any text may be in the user's language and may
//! quote a record, so none is kept.

use std::time::Duration;

use http::{StatusCode, header};
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    decode::{self, Object},
    error_context,
    http::{Answer, error_for_status},
};

/// The context that says which window of calls is used up.
pub(crate) const WINDOW: &str = "window";
/// The day's.
pub(crate) const DAY: &str = "day";
const MINUTE: &str = "minute";
/// The context that says that an answer took the server too much: the same question is asked smaller.
pub(crate) const TOO_MUCH: &str = "too_much";

/// The context that says that a webhook's URL was not answered as it should be.
pub(crate) const UNREACHED: &str = "unreached";

/// How long a server that was overtaxed is left alone.
const OVERTAXED: Duration = Duration::from_secs(10);
/// What is added to the end of a window, because clocks have whole seconds.
const SPARE: Duration = Duration::from_secs(1);
/// The pause where a limit names no end.
const NO_END: Duration = Duration::from_secs(60);
/// No window is longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Classifies an answer of the API.
///
/// # Errors
/// For everything that is no success.
pub(crate) fn check(answer: &Answer) -> Result<()> {
    let status = answer.status;
    if status.is_success() {
        return match status == StatusCode::NO_CONTENT || is_json(&answer.body) {
            true => Ok(()),
            false if leads_to_login(answer) => Err(not_authenticated()),
            false => Err(Error::new(ErrorKind::Unavailable, "expected JSON").with_effect(Effect::Unknown)),
        };
    }
    Err(classify(answer).with_context(error_context::STATUS, status.as_u16()))
}

fn classify(answer: &Answer) -> Error {
    let status = answer.status;
    match status.as_u16() {
        401 => not_authenticated(),
        300..=399 if leads_to_login(answer) => not_authenticated(),
        300..=399 => error_for_status(status).with_scope(Scope::Connection),
        403 => forbidden(answer),
        // Records are never asked for by their URL, so it is the resource that is not there.
        404 => Error::new(
            ErrorKind::Unsupported,
            "Exact Online does not have this resource: the customer's package may lack the module",
        ),
        408 | 599 => Error::new(ErrorKind::Unavailable, "the question took Exact Online too long")
            .with_effect(Effect::Unknown)
            .with_retry(Retry::At(answer.received_at + OVERTAXED))
            .with_context(TOO_MUCH, true),
        429 => limited(answer),
        500 if says(answer, "Data already exists") => {
            Error::new(ErrorKind::Conflict, "it exists already").with_effect(Effect::None)
        }
        500 if says(answer, "Post to callback URL") => Error::new(
            ErrorKind::InvalidRequest,
            "Exact Online could not reach the webhook's URL, or was not answered with 200",
        )
        .with_effect(Effect::None)
        .with_context(UNREACHED, true),
        503 => Error::new(
            ErrorKind::Unavailable,
            "Exact Online is down; should that last for hours, look whether a browser on this network reaches it: Exact's \
             load balancer may block the address",
        )
        .with_effect(Effect::Unknown),
        _ => error_for_status(status),
    }
}

/// Why a call is not allowed. Several reasons concern everything that the connection does.
fn forbidden(answer: &Answer) -> Error {
    let all = |message: &'static str| {
        Error::new(ErrorKind::PermissionDenied, message).with_scope(Scope::Connection)
    };
    let reason = answer.header("reason").unwrap_or_default().trim();
    match reason {
        "BlockedUser" => {
            return all("Exact Online has blocked the user who connected: ask an administrator there");
        }
        "InactiveUser" => {
            return all("the user who connected is inactive: ask an administrator of Exact Online");
        }
        "BlockedCustomer" => return all("Exact Online has blocked the customer: ask Exact"),
        "LicenseExpired" => return all("the customer's licence of Exact Online has expired"),
        "DivisionBlocked" => return all("the company is blocked, such as during a backup or a conversion"),
        "NoDivisionAccess" => {
            return all("the user who connected may not open this company: check division and region");
        }
        _ => {}
    }
    let text = message(answer);
    let scope = text.split_once("Cannot ").and_then(|(_, rest)| rest.split('\'').nth(1));
    let is_scope = |scope: &&str| {
        scope.len() <= 60 && scope.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_')
    };
    match scope.filter(is_scope) {
        Some(scope) => Error::new(
            ErrorKind::PermissionDenied,
            "the app lacks a scope: tick it in the App Center, then connect again",
        )
        .with_context("scope", scope),
        None => Error::new(
            ErrorKind::PermissionDenied,
            "Exact Online does not allow this: the user's role, the module, the company or the app lacks it",
        ),
    }
}

/// Which window is used up, and when it ends by the server's own clock. Of an exhausted window only its own headers come.
fn limited(answer: &Answer) -> Error {
    let (day, minute) = (window(answer, ""), window(answer, "Minutely-"));
    let exhausted = |window: Option<Window>| window.filter(|window| window.remaining == Some(0));
    let (name, end) = match (exhausted(day), exhausted(minute)) {
        (Some(day), _) => (DAY, day.reset),
        (None, Some(minute)) => (MINUTE, minute.reset),
        (None, None) => (MINUTE, minute.or(day).and_then(|window| window.reset)),
    };
    let until = end
        .unwrap_or(answer.received_at + NO_END)
        .clamp(answer.received_at + SPARE, answer.received_at + LONGEST);
    Error::new(ErrorKind::RateLimited, "Exact Online's limit of calls is reached")
        .with_retry(Retry::At(until))
        .with_context(WINDOW, name)
}

/// What an answer says of a window of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: Option<u32>,
    pub(crate) remaining: Option<u32>,
    /// When it ends, on our clock.
    pub(crate) reset: Option<Timestamp>,
}

/// The window of the day (`""`) or of the minute (`"Minutely-"`). `None`: the answer says nothing of it.
pub(crate) fn window(answer: &Answer, name: &str) -> Option<Window> {
    let of = |member: &str| answer.header(&format!("x-ratelimit-{}{member}", name.to_ascii_lowercase()));
    let number = |member: &str| of(member).and_then(|text| text.trim().parse::<u32>().ok());
    let reset = of("reset").and_then(|text| text.trim().parse::<i64>().ok()).map(|millis| {
        let reset = Timestamp::from_millis(millis);
        // By the server's clock; without it ours may be a little behind.
        match answer.date() {
            Some(date) => answer.received_at + reset.saturating_since(date) + SPARE,
            None => reset + Duration::from_secs(5),
        }
    });
    let window = Window { limit: number("limit"), remaining: number("remaining"), reset };
    (window.limit.is_some() || window.remaining.is_some() || window.reset.is_some()).then_some(window)
}

fn not_authenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Exact Online does not accept the token")
        .with_scope(Scope::Connection)
}

/// A broken token leads to a page for people, whatever the status says.
fn leads_to_login(answer: &Answer) -> bool {
    let is_login = |text: &str| text.to_ascii_lowercase().contains("/docs/login.aspx");
    answer.header(header::LOCATION.as_str()).is_some_and(is_login)
        || is_login(&String::from_utf8_lossy(answer.body.get(..4096).unwrap_or(&answer.body)))
}

fn is_json(body: &[u8]) -> bool {
    let first = decode::clean(body).trim_start().bytes().next();
    matches!(first, Some(b'{' | b'['))
}

fn says(answer: &Answer, text: &str) -> bool {
    message(answer).contains(text)
}

/// The text of an error: `{"error":{"message":{"value":…}}}`.
fn message(answer: &Answer) -> String {
    let text =
        |error: &Object<'_>| error.object("error")?.object("message").map(|message| message.text("value"));
    decode::body(&answer.body, |body| Ok(text(body))).ok().and_then(|read| read.value).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;

    use super::*;

    /// When the recorded answers came.
    const NOW: Timestamp = Timestamp::from_secs(1_773_310_519);

    /// A recorded answer, as it was sent.
    pub(crate) fn recorded(name: &str) -> Answer {
        let path = format!("{}/tests/fixtures/{name}.http", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = http::Response::builder().status(status);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            response = response.header(name, value);
        }
        Answer::new(response.body(Bytes::from(body.to_owned())).unwrap(), NOW)
    }

    pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Answer::new(response.body(Bytes::from(body.to_owned())).unwrap(), NOW)
    }

    fn classified(status: u16, body: &str) -> Error {
        check(&answer(status, &[], body)).unwrap_err()
    }

    #[test]
    fn recorded_answers_have_their_kind_and_scope() {
        use ErrorKind::*;
        for (name, kind, scope) in [
            ("error_400_filter_not_supported", InvalidRequest, Scope::Entry),
            ("error_400_mandatory_filter", InvalidRequest, Scope::Entry),
            ("error_400_select_required", InvalidRequest, Scope::Entry),
            ("error_401_access_token_expired", Unauthenticated, Scope::Connection),
            ("error_403_no_division_access", PermissionDenied, Scope::Connection),
            ("error_403_scope", PermissionDenied, Scope::Entry),
            ("error_429_daily", RateLimited, Scope::Entry),
            ("error_429_minutely", RateLimited, Scope::Entry),
            ("webhook_subscription_duplicate", Conflict, Scope::Entry),
            ("webhook_subscription_callback_failed", InvalidRequest, Scope::Entry),
        ] {
            let error = check(&recorded(name)).unwrap_err();
            assert_eq!((error.kind(), error.scope()), (kind, &scope), "{name}: {error:?}");
        }
        check(&recorded("ok_200_rate_headers")).unwrap();
        let scope = check(&recorded("error_403_scope")).unwrap_err();
        assert_eq!(scope.context("scope"), Some("organization.administration"));
    }

    #[test]
    fn a_limit_ends_when_the_server_s_clock_says_so() {
        let until = |answer: &Answer| match check(answer).unwrap_err() {
            error if error.context(WINDOW).is_some() => {
                let Retry::At(at) = error.retry() else { panic!("{error:?}") };
                (error.context(WINDOW).unwrap().to_owned(), at.saturating_since(NOW).as_secs())
            }
            error => panic!("{error:?}"),
        };
        assert_eq!(until(&recorded("error_429_minutely")), ("minute".into(), 42));
        assert_eq!(until(&recorded("error_429_daily")).0, "day");
        // The window is a minute away for the server, however late it is here.
        let early = [
            ("date", "Thu, 12 Mar 2026 09:15:19 GMT"),
            ("x-ratelimit-minutely-remaining", "0"),
            ("x-ratelimit-minutely-reset", "1773306960000"),
        ];
        assert_eq!(until(&answer(429, &early, "")), ("minute".into(), 42));
        assert_eq!(until(&answer(429, &[], "")), ("minute".into(), 60));
        let slip = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999999")];
        assert_eq!(until(&answer(429, &slip, "")).1, 24 * 3600);
    }

    #[test]
    fn windows_are_read_and_absent_ones_are_not_exhausted() {
        let both = recorded("ok_200_rate_headers");
        assert_eq!(window(&both, "").unwrap().remaining, Some(4733));
        assert_eq!(window(&both, "Minutely-").unwrap().limit, Some(60));
        assert_eq!(window(&recorded("error_429_minutely"), ""), None);
    }

    #[test]
    fn an_overtaxed_server_is_left_alone_for_ten_seconds() {
        for status in [408, 599] {
            let error = classified(status, "");
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.retry(), Retry::At(NOW + Duration::from_secs(10)));
            assert!(error.context(TOO_MUCH).is_some());
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(classified(status, "<html>").kind(), ErrorKind::Unavailable, "{status}");
        }
    }

    #[test]
    fn a_page_for_people_is_a_refused_token_or_an_outage() {
        let moved = "<html>Object moved to <a href=\"/docs/Login.aspx?ReturnUrl=%2fapi\">here</a>";
        for status in [200, 302] {
            assert_eq!(classified(status, moved).kind(), ErrorKind::Unauthenticated, "{status}");
        }
        for body in ["<html>Bad gateway", "", "<?xml version=\"1.0\"?><feed/>"] {
            assert_eq!(classified(200, body).kind(), ErrorKind::Unavailable, "{body}");
        }
        assert_eq!(classified(302, "").kind(), ErrorKind::ConfigInvalid);
    }

    #[test]
    fn a_resource_that_is_refused_is_not_the_connection_and_nothing_is_gone() {
        let case: serde_json::Value =
            serde_json::from_str(include_str!("../tests/cases/g4-forbidden-one-resource.json")).unwrap();
        let error = classified(403, &case["answers"][0]["body"].to_string());
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
        assert_eq!(classified(404, "").kind(), ErrorKind::Unsupported);
        for reason in ["BlockedUser", "InactiveUser", "BlockedCustomer", "LicenseExpired", "DivisionBlocked"]
        {
            let error = check(&answer(403, &[("reason", reason)], "")).unwrap_err();
            assert_eq!(error.scope(), &Scope::Connection, "{reason}");
        }
    }

    #[test]
    fn no_text_of_the_vendor_s_is_shown() {
        for status in [400, 403, 500, 503] {
            let planted = r#"{"error":{"message":{"value":"planted. Cannot read 'Planted Scope' scope."}}}"#;
            let error = classified(status, planted);
            assert!(!format!("{error:?} {error}").to_lowercase().contains("planted"), "{error:?}");
        }
    }
}
