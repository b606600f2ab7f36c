//! Answers in the vendor's envelope.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::toolkit::exchange;

pub(super) const JSON: &str = "application/json";

pub(super) fn ok(body: impl serde::Serialize) -> Response<Bytes> {
    exchange::json(StatusCode::OK, JSON, body)
}

/// Success without a body, as the Files API answers.
pub(super) fn no_content() -> Response<Bytes> {
    empty(StatusCode::NO_CONTENT)
}

pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

/// An error with its code as a word.
pub(super) fn refused(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    detailed(status, code, message, &[])
}

/// An error with details, each of one `@type`.
pub(super) fn detailed(status: StatusCode, code: &str, message: &str, details: &[Value]) -> Response<Bytes> {
    let mut body = json!({ "error_code": code, "message": message });
    if !details.is_empty() {
        body["details"] = details.into();
    }
    exchange::json(status, JSON, body)
}

/// Why the Files API refuses.
pub(super) fn reason(reason: &str, metadata: &Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "filesystem.databricks.com",
        "metadata": metadata,
    })
}

pub(super) fn invalid(message: &str) -> Response<Bytes> {
    refused(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message)
}

pub(super) fn denied(message: &str) -> Response<Bytes> {
    refused(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
}

/// The layer before the API: the code is a number, and the message stands in a header, too.
pub(super) fn numeric(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut answer =
        exchange::json(status, JSON, json!({ "error_code": status.as_u16(), "message": message }));
    if let Ok(reason) = HeaderValue::from_str(message) {
        answer.headers_mut().insert("x-databricks-reason-phrase", reason);
    }
    if status == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Bearer realm=\"DatabricksRealm\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    }
    answer
}

/// A page for people, where a program called the wrong door.
pub(super) fn html(status: StatusCode, page: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(page.as_bytes()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

/// The vendor's answer to too many calls.
pub(super) fn throttled(retry_after_secs: Option<u32>) -> Response<Bytes> {
    let message = "RPC token bucket limit has been exceeded.";
    let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message);
    if let Some(secs) = retry_after_secs {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    answer
}
