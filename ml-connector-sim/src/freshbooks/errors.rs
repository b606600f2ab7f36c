//! Error answers, in every generation that FreshBooks has had.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::config::ErrorForm;
use crate::toolkit::exchange;

pub(super) const JSON: &str = "application/json";

/// A refusal by accounting.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) errno: u32,
    pub(super) message: String,
    pub(super) object: &'static str,
    pub(super) field: &'static str,
    pub(super) value: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, errno: u32, message: impl Into<String>) -> Self {
        Self { status, errno, message: message.into(), object: "", field: "", value: String::new() }
    }

    /// What it is about.
    pub(super) fn about(mut self, object: &'static str, field: &'static str, value: &str) -> Self {
        (self.object, self.field) = (object, field);
        value.clone_into(&mut self.value);
        self
    }

    /// As accounting answers.
    pub(super) fn answer(&self, form: ErrorForm) -> Response<Bytes> {
        let error = |errno: Value| {
            json!({
                "errno": errno,
                "field": self.field,
                "message": self.message,
                "object": self.object,
                "value": self.value,
            })
        };
        let body = match form {
            ErrorForm::Today => json!({ "response": { "errors": [error(self.errno.into())] } }),
            ErrorForm::Single => json!({ "response": { "errors": error(self.errno.into()) } }),
            ErrorForm::ErrnoAsText => {
                json!({ "response": { "errors": [error(self.errno.to_string().into())] } })
            }
            ErrorForm::Rpc => json!({
                "code": rpc_code(self.status),
                "message": format!("Request failed with status_code: {}", self.status.as_u16()),
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.errno.to_string(),
                    "domain": "accounting.api.freshbooks.com",
                    "metadata": {
                        "object": self.object,
                        "message": self.message,
                        "value": self.value,
                        "field": self.field,
                    },
                }],
            }),
        };
        exchange::json(self.status, JSON, body)
    }
}

/// The account of the path is none of this login's, or is gone: looked at before the token.
pub(super) fn account_not_found() -> Response<Bytes> {
    let body = json!({ "response": { "errors": [{ "message": "Account not found", "errno": 404 }] } });
    exchange::json(StatusCode::NOT_FOUND, JSON, body)
}

/// No token, or one that opens nothing.
pub(super) fn unauthenticated() -> Response<Bytes> {
    let body = json!({
        "error": "unauthenticated",
        "error_description": "This action requires authentication to continue.",
    });
    exchange::json(StatusCode::UNAUTHORIZED, JSON, body)
}

/// The same, as accounting says it.
pub(super) fn accounting_unauthenticated(form: ErrorForm) -> Response<Bytes> {
    const MESSAGE: &str = "The server could not verify that you are authorized to access the URL requested.";
    if form == ErrorForm::Rpc {
        return Failure::new(StatusCode::UNAUTHORIZED, 1003, MESSAGE).answer(form);
    }
    let body = json!({ "response": { "errors": [{ "errno": 1003, "message": MESSAGE }] } });
    exchange::json(StatusCode::UNAUTHORIZED, JSON, body)
}

/// A path that FreshBooks may have and the simulator has not.
pub(super) fn not_simulated(what: &str) -> Response<Bytes> {
    let body = json!({ "error": format!("Requested resource could not be found. (not simulated: {what})") });
    exchange::json(StatusCode::NOT_FOUND, JSON, body)
}

/// A refusal by the chart of accounts.
pub(super) fn ledger(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = json!({
        "errors": {
            "message": format!("Request failed with status code {}", status.as_u16()),
            "status": status.as_u16(),
            "details": [{ "reason": message, "metadata": { "message": message, "field": null } }],
        }
    });
    exchange::json(status, JSON, body)
}

/// A refusal by the service that has the callbacks. Fields are named with what is wrong with each.
pub(super) fn callbacks(status: StatusCode, form: ErrorForm, fields: &[(&str, &str)]) -> Response<Bytes> {
    let message = match status {
        StatusCode::NOT_FOUND => "Requested resource could not be found.",
        StatusCode::UNAUTHORIZED => "invalid_token: The request token failed to authenticate or validate.",
        StatusCode::FORBIDDEN => "insufficient_scope: The request requires higher privileges.",
        _ => "The request was well-formed but was unable to be followed due to semantic errors.",
    };
    let body = match (form, fields.is_empty()) {
        (ErrorForm::Rpc, false) => {
            let violations: Vec<Value> = fields
                .iter()
                .map(|(field, wrong)| json!({ "field": field, "description": rpc_words(wrong) }))
                .collect();
            json!({
                "code": rpc_code(status),
                "message": "Invalid data in this request.",
                "details": [
                    { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations },
                    {
                        "@type": "type.googleapis.com/google.rpc.Help",
                        "links": [{
                            "description": "API Documentation",
                            "url": "https://www.freshbooks.com/api/webhooks",
                        }],
                    },
                ],
            })
        }
        (ErrorForm::Rpc, true) => json!({ "code": rpc_code(status), "message": message, "details": [] }),
        (_, true) => json!({ "errno": status.as_u16(), "message": message }),
        (_, false) => {
            let details: Vec<String> =
                fields.iter().map(|(field, wrong)| format!("{field}: {wrong}")).collect();
            // Recorded: the status may be 400 where errno says 422.
            json!({ "errno": 422, "message": message, "details": details })
        }
    };
    exchange::json(status, JSON, body)
}

/// Too many calls. Its body is made up: nobody has shown one.
pub(super) fn throttled(retry_after_secs: Option<u32>) -> Response<Bytes> {
    let mut answer =
        exchange::json(StatusCode::TOO_MANY_REQUESTS, JSON, json!({ "message": "Rate limit exceeded." }));
    if let Some(secs) = retry_after_secs {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    answer
}

fn rpc_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::NOT_FOUND => 5,
        StatusCode::FORBIDDEN => 7,
        StatusCode::UNAUTHORIZED => 16,
        _ => 3,
    }
}

fn rpc_words(wrong: &str) -> &str {
    match wrong {
        UNKNOWN_EVENT => "Unrecognized event.",
        BAD_URI => "Not a well-formed URL.",
        other => other,
    }
}

pub(super) const UNKNOWN_EVENT: &str = "Value error, Unrecognized event.";
pub(super) const BAD_URI: &str = "Input should be a valid URL, relative URL without a base";
