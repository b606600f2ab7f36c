//! Answers with an error status. The body may be JSON in several shapes, a proxy's page, or nothing.

use std::borrow::Cow;

use http::StatusCode;
use ml_connector_core::{
    Error, ErrorKind, Result, Scope, decode,
    http::{Answer, error_for_status},
};
use serde::Deserialize;
use serde_json::Value;

/// What the engine shows of a text that the vendor wrote: codes only.
const CODE_MAX: usize = 64;

/// Classifies an answer of any call: an error for everything but 2xx.
///
/// # Errors
/// The context holds `status`, `code` (Databricks' word, or `403` where it is a number), and `request_id`. Never the
/// body: it may quote SQL and data.
pub(crate) fn check(answer: &Answer) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let refusal = Refusal::read(answer);
    let error = refusal.classify(answer.status);
    let error = match refusal.code.as_deref().filter(|code| looks_like_code(code)) {
        Some(code) => error.with_context("code", code),
        None => error,
    };
    let error = if error.context("status").is_none() {
        error.with_context("status", answer.status.as_u16())
    } else {
        error
    };
    Err(match answer.header("x-request-id") {
        Some(id) => error.with_context("request_id", id.chars().take(CODE_MAX).collect::<String>()),
        None => error,
    })
}

/// Whether the warehouse was asked and could not: a stopped or stopping one says so with a 400.
pub(crate) fn is_warehouse_refusal(error: &Error) -> bool {
    error.context("reason") == Some(REFUSED_BY_WAREHOUSE)
}

/// Whether the account's free compute of the day is used up.
pub(crate) fn spent_until_tomorrow(error: &Error) -> bool {
    error.context("reason") == Some(SPENT)
}

/// Whether the workspace does not know query tags.
pub(crate) fn refuses_query_tags(error: &Error) -> bool {
    error.context("reason") == Some(QUERY_TAGS)
}

const QUERY_TAGS: &str = "query_tags";
const REFUSED_BY_WAREHOUSE: &str = "warehouse_refused";
const SPENT: &str = "free_compute_used_up";

/// What an error answer says.
struct Refusal {
    code: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct Envelope {
    /// A word; the authentication layer sends a number.
    #[serde(default)]
    error_code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    error: Value,
}

impl Refusal {
    fn read(answer: &Answer) -> Self {
        let envelope: Option<Envelope> = serde_json::from_str(&decode::clean(&answer.body)).ok();
        let code = envelope.as_ref().and_then(|envelope| match &envelope.error_code {
            Value::String(code) => Some(code.clone()),
            Value::Number(code) => Some(code.to_string()),
            _ => None,
        });
        let said =
            envelope.as_ref().and_then(|envelope| envelope.message.as_str().or(envelope.error.as_str()));
        let reason = answer.header("x-databricks-reason-phrase").unwrap_or_default();
        let body = if envelope.is_none() { String::from_utf8_lossy(&answer.body) } else { Cow::Borrowed("") };
        let body: String = body.chars().take(2_000).collect();
        Self { code, text: format!("{} {reason} {body}", said.unwrap_or_default()) }
    }

    fn has(&self, part: &str) -> bool {
        self.text.contains(part)
    }

    fn names_warehouse(&self) -> bool {
        let lower = self.text.to_ascii_lowercase();
        ["warehouse", "sql endpoint", "endpoint id"].iter().any(|word| lower.contains(word))
    }

    fn classify(&self, status: StatusCode) -> Error {
        let setup = |message: &'static str| {
            Error::new(ErrorKind::ConfigInvalid, message).with_scope(Scope::Connection)
        };
        match status.as_u16() {
            300..=399 => setup(
                "expected an answer of the API, got a redirect: check the host. Where it serves several workspaces, give \
                 workspace_id, the number after ?o=; behind private link call from inside",
            ),
            _ if self.has("IP ACL") || self.has("Source IP address") => {
                let address = self.address();
                let message = format!(
                    "Databricks blocks this computer's address {address}; add it to the workspace's (and the account's) IP \
                     access list"
                );
                Error::new(ErrorKind::ConfigInvalid, message)
                    .with_scope(Scope::Connection)
                    .with_context("address", address)
            }
            401 => Error::new(ErrorKind::Unauthenticated, "the API did not take the token"),
            400 | 403 if self.is_stale_token() => {
                Error::new(ErrorKind::Unauthenticated, "the API did not take the token")
            }
            403 if self.has("Invalid access to Org") => {
                setup("the token is for another workspace: check host and workspace_id")
            }
            403 if self.names_warehouse() => Error::new(
                ErrorKind::PermissionDenied,
                "the service principal may not use the SQL warehouse: grant it CAN USE",
            )
            .with_scope(Scope::Connection),
            400 if self.has("could not be processed by the warehouse") => {
                Error::new(ErrorKind::Unavailable, "the SQL warehouse takes no statements at present")
                    .with_scope(Scope::Connection)
                    .with_context("reason", REFUSED_BY_WAREHOUSE)
            }
            400 if self.has("query_tags") => {
                Error::new(ErrorKind::InvalidRequest, "the workspace does not know query tags")
                    .with_context("reason", QUERY_TAGS)
            }
            400 if self.has("CREDIT_EXHAUSTED") => {
                Error::new(ErrorKind::Unavailable, "the account's free compute of today is used up")
                    .with_scope(Scope::Connection)
                    .with_context("reason", SPENT)
            }
            400 if self.has("Unable to load OAuth Config") => {
                setup("the host serves several workspaces: give workspace_id, the number after ?o=")
            }
            400 | 404 if self.names_warehouse() && !self.has("No API found") => setup(
                "there is no such SQL warehouse: check warehouse_id, and that the service principal has CAN USE",
            ),
            404 if self.has("No API found") => setup("the host does not know the API: check the host"),
            // A page, from whatever stands before the API.
            403 | 404 if self.code.is_none() && self.has("<") => {
                setup("something before the API refused the call: check the host and the proxy")
            }
            413 => Error::new(ErrorKind::InvalidRequest, "the call is larger than Databricks takes"),
            _ => error_for_status(status),
        }
    }

    /// The wordings of a token that has ended, or is about to.
    fn is_stale_token(&self) -> bool {
        ["Invalid access token", "JWT has expired", "Token is expiring within", "ExpiredJwtException"]
            .iter()
            .any(|wording| self.has(wording))
    }

    /// The address that is blocked, if it looks like one.
    fn address(&self) -> String {
        let after = self.text.split_once("Source IP address:").map_or("", |(_, after)| after);
        let address = after.split_whitespace().next().unwrap_or_default();
        let is_address = address.parse::<std::net::IpAddr>().is_ok();
        if is_address { address.to_owned() } else { "(not told)".to_owned() }
    }
}

fn looks_like_code(text: &str) -> bool {
    (1..=CODE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
