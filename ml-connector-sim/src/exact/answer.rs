//! Answers and refusals of the data API.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::toolkit::exchange;

pub(super) const JSON: &str = "application/json;charset=utf-8";

/// An answer that is the reason why there is no other.
pub(super) type Refusal = Box<Response<Bytes>>;

/// 200 with what belongs under `d`.
pub(super) fn d(value: impl Serialize) -> Response<Bytes> {
    with(StatusCode::OK, value)
}

pub(super) fn with(status: StatusCode, value: impl Serialize) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Envelope<T> {
        d: T,
    }
    exchange::json(status, JSON, Envelope { d: value })
}

pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

/// The vendor's error body. `code` is always empty.
pub(super) fn error(status: StatusCode, lang: &str, text: &str) -> Response<Bytes> {
    exchange::json(
        status,
        JSON,
        json!({ "error": { "code": "", "message": { "lang": lang, "value": text } } }),
    )
}

/// 403 with a header that tells why.
pub(super) fn forbidden(reason: Option<&'static str>) -> Response<Bytes> {
    let mut answer = error(StatusCode::FORBIDDEN, "", "Forbidden");
    if let Some(reason) = reason {
        answer.headers_mut().insert(HeaderName::from_static("reason"), HeaderValue::from_static(reason));
    }
    answer
}

/// 403 for an area that the app may not use.
pub(super) fn scope_violated(scope: &str, verb: &str) -> Response<Bytes> {
    let text = format!("Forbidden - Application Scope Violated. Cannot {verb} '{scope}' scope.");
    error(StatusCode::FORBIDDEN, "", &text)
}

pub(super) fn token_expired() -> Response<Bytes> {
    let mut answer = empty(StatusCode::UNAUTHORIZED);
    let told = "Bearer error=\"invalid_token\", error_description=\"access token expired\"";
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(told));
    answer
}

/// What a browser gets without a session, and a caller with a broken token at times.
pub(super) fn login_page(path: &str) -> Response<Bytes> {
    let to: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let to = format!("/docs/Login.aspx?ReturnUrl={to}");
    let page = format!(
        "<html><head><title>Object moved</title></head><body>\r\n<h2>Object moved to <a href=\"{to}\">here</a>.</h2>\r\n\
         </body></html>\r\n"
    );
    let mut answer = Response::new(Bytes::from(page));
    *answer.status_mut() = StatusCode::FOUND;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(to) = HeaderValue::try_from(to) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}

/// What comes without `Accept: application/json`.
pub(super) fn atom() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"></feed>",
    ));
    let kind = HeaderValue::from_static("application/atom+xml;type=feed;charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

pub(super) fn refused(status: StatusCode, text: &str) -> Refusal {
    Box::new(error(status, "", text))
}

pub(super) fn bad(text: &str) -> Refusal {
    refused(StatusCode::BAD_REQUEST, text)
}

pub(super) fn not_found() -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "", "Resource not found for the segment or key.")
}
