//! Answers in the vendor's envelope.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::config::Language;
use crate::toolkit::exchange;

const JSON: &str = "application/json; odata.metadata=minimal; odata.streaming=true";
/// Correlation ids are made up, and the same in every run.
const CORRELATION: &str = "7e0c3a10-0000-4000-8000-000000000003";

pub(super) fn ok(body: impl serde::Serialize) -> Response<Bytes> {
    with(StatusCode::OK, body)
}

pub(super) fn with(status: StatusCode, body: impl serde::Serialize) -> Response<Bytes> {
    let mut answer = exchange::json(status, JSON, body);
    answer.headers_mut().insert("odata-version", HeaderValue::from_static("4.0"));
    answer
}

pub(super) fn no_content() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// An error with its correlation id, two blanks before and after its name.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Response<Bytes> {
    let message = format!("{message}  CorrelationId:  {CORRELATION}.");
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    exchange::json(status, JSON, json!({ "error": { "code": code, "message": message } }))
}

pub(super) fn dialog(message: &str) -> Response<Bytes> {
    refused(400, "Application_DialogException", message)
}

pub(super) fn bad_request(message: &str) -> Response<Bytes> {
    refused(400, "BadRequest", message)
}

pub(super) fn no_segment(segment: &str) -> Response<Bytes> {
    let message = format!("Resource not found for the segment '{segment}'.");
    refused(404, "BadRequest_ResourceNotFound", &message)
}

pub(super) fn stale(is_412: bool) -> Response<Bytes> {
    if is_412 {
        let message = "The precondition given in the request headers does not hold.";
        return refused(412, "Request_EntityChanged", message);
    }
    refused(409, "Request_EntityChanged", "Another user has already changed the record.")
}

/// The database could not serve two at once; the transaction was rolled back.
pub(super) fn busy() -> Response<Bytes> {
    refused(
        409,
        "Internal_TransactionConflict",
        "The operation could not complete because a record is locked.",
    )
}

/// A related record is missing: the answer names another table, in the company's language.
pub(super) fn related(language: Language) -> Response<Bytes> {
    let message = match language {
        Language::Dutch => "De Leverancier bestaat niet. Identificatievelden en -waarden: Nr.='V00233'",
        Language::English => "The Vendor does not exist. Identification fields and values: No.='V00233'",
    };
    refused(404, "Internal_RecordNotFound", message)
}

/// Too many calls. Business Central names no time unless it is told to.
pub(super) fn throttled(retry_after_secs: Option<u32>) -> Response<Bytes> {
    let message = "Too many requests reached. Actual (101). Maximum (100).";
    let body = json!({ "error": { "code": "Application_TooManyRequests", "message": message } });
    let mut answer = exchange::json(StatusCode::TOO_MANY_REQUESTS, JSON, body);
    if let Some(secs) = retry_after_secs {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    answer
}

/// The gateway's XML for an environment that nobody has.
pub(super) fn no_environment() -> Response<Bytes> {
    let body = "<error xmlns=\"http://docs.oasis-open.org/odata/ns/metadata\"><code>NoEnvironment</code>\
                <message>Environment does not exist.</message></error>";
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}
