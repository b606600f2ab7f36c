//! What FreshBooks' answers mean.
//!
//! Errors come in five forms, of several generations. In each the vendor's number decides, whatever the HTTP status says:
//! an answer with status 200 may hold an error in place of a result.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    decode::{self, Object},
    error_context,
    http::{Answer, error_for_status},
};

/// No limit of FreshBooks is known to last longer: a `Retry-After` beyond it is a slip.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Classifies an answer of the API. What FreshBooks writes besides its number may be in any language and may quote a record, so
/// it is not kept.
///
/// # Errors
/// For everything that is no success; the vendor's number is in the context as [`CODE`](error_context::CODE).
pub(crate) fn check(answer: &Answer) -> Result<()> {
    let status = answer.status;
    let read = decode::body(&answer.body, |envelope| Ok(number(envelope)));
    let code = match read.map(|read| read.value) {
        Ok(Some(code)) => code,
        Ok(None) if status.is_success() => return Ok(()),
        Ok(None) => String::new(),
        Err(_) if status == StatusCode::NO_CONTENT => return Ok(()),
        Err(_) => return Err(without_envelope(answer)),
    };
    Err(classify(answer, &code)
        .with_context(error_context::STATUS, status.as_u16())
        .with_context(error_context::CODE, digits(&code)))
}

/// The vendor's number of the error in an envelope, empty where it has none; `None`: it holds no error.
fn number(envelope: &Object<'_>) -> Option<String> {
    // Accounting: `{"response":{"errors":[{"errno":…}]}}`, or one error instead of a list.
    if let Some(response) = envelope.object("response") {
        let errors = response.raw("errors")?;
        let first = match errors.get().starts_with('[') {
            true => response.objects("errors").first().map(|error| error.text("errno")),
            false => response.object("errors").map(|error| error.text("errno")),
        };
        return Some(first.unwrap_or_default());
    }
    // Ledger: `{"errors":{"status":…}}`.
    if let Some(errors) = envelope.object("errors") {
        return Some(errors.text("status"));
    }
    // Events, projects and time: `{"errno":…}`.
    if envelope.has("errno") {
        return Some(envelope.text("errno"));
    }
    // The versions of 2022 and 2023: `{"code":5,"details":[{"reason":"1012"}]}`.
    if envelope.has("code") && envelope.has("details") {
        let details = envelope.objects("details");
        let reason = details.iter().map(|detail| detail.text("reason")).find(|reason| !reason.is_empty());
        return Some(reason.unwrap_or_default());
    }
    // Everything around tokens: `{"error":"unauthenticated"}`; others: `{"message":…}`.
    (envelope.has("error") || envelope.has("message")).then(String::new)
}

fn classify(answer: &Answer, code: &str) -> Error {
    let status = answer.status;
    match (code, status.as_u16()) {
        (_, 429) => limited(answer),
        ("1003", 403) => Error::new(
            ErrorKind::PermissionDenied,
            "FreshBooks denies access: the role of the person who connected may not see this",
        ),
        ("1003" | "401", _) | (_, 401) => not_authenticated(),
        ("1011" | "1012", _) => Error::new(ErrorKind::NotFound, "the record does not exist"),
        // The account is looked for before the token and the record are.
        ("404", 404) if is_accounting(answer) => Error::new(
            ErrorKind::ConfigInvalid,
            "FreshBooks does not find the account for this login: check account_id, whether the business is still open, \
             and whether the person who connected still belongs to it",
        )
        .with_scope(Scope::Connection),
        ("12001", _) => unavailable("FreshBooks gives this login no access to items"),
        ("31001", _) => unavailable("FreshBooks gives this login no access to bill vendors"),
        ("41001", _) => unavailable("FreshBooks gives this login no access to bills"),
        ("41101", _) => unavailable("FreshBooks gives this login no access to bill payments"),
        ("1038", _) => Error::new(ErrorKind::PermissionDenied, "FreshBooks does not let this field be written"),
        ("1042", _) => Error::new(
            ErrorKind::ConfigInvalid,
            "the account is not active: its subscription to FreshBooks has ended",
        )
        .with_scope(Scope::Connection),
        ("409", _) => Error::new(ErrorKind::Conflict, "another request is changing the record")
            .with_retry(Retry::Backoff),
        ("1001" | "1004" | "1005" | "1013" | "1014" | "1015" | "1016" | "1017" | "1033", _) => {
            Error::new(ErrorKind::InvalidRequest, "FreshBooks does not accept a value")
        }
        _ if status.is_success() => {
            Error::new(ErrorKind::InvalidResponse, "FreshBooks reports an error that is not documented")
                .with_effect(Effect::Unknown)
        }
        _ => error_for_status(status),
    }
}

/// Whether the answer is of the accounting family, whose number 404 is about the account.
fn is_accounting(answer: &Answer) -> bool {
    decode::body(&answer.body, |envelope| Ok(envelope.has("response"))).is_ok_and(|read| read.value)
}

/// A feature that this login cannot use. FreshBooks does not say why, so every cause is named and none is picked.
fn unavailable(what: &'static str) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{what}: the plan lacks the feature, the scope is not ticked on the app, or the role of the person who \
             connected may not see it"
        ),
    )
}

/// A proxy's page, or an answer that broke off. Only an envelope can say that a record is gone.
fn without_envelope(answer: &Answer) -> Error {
    let status = answer.status;
    let error = match status {
        StatusCode::UNAUTHORIZED => not_authenticated(),
        StatusCode::TOO_MANY_REQUESTS => limited(answer),
        _ if status.is_redirection() => return error_for_status(status).with_scope(Scope::Connection),
        _ => Error::new(ErrorKind::Unavailable, "expected a JSON object")
            .with_effect(Effect::Unknown)
            .with_context(error_context::BYTES, answer.body.len()),
    };
    error.with_context(error_context::STATUS, status.as_u16())
}

fn not_authenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "FreshBooks does not accept the token")
        .with_scope(Scope::Connection)
}

fn limited(answer: &Answer) -> Error {
    let error = Error::new(ErrorKind::RateLimited, "FreshBooks asks to slow down");
    match answer.retry_after() {
        Some(at) => error.with_retry(Retry::At(Timestamp::min(at, answer.received_at + LONGEST_PAUSE))),
        None => error,
    }
}

/// A number as the vendor sent it, unless it is none: then it may be anything.
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

    fn classified(status: u16, body: &str) -> Error {
        check(&answer(status, &[], body)).unwrap_err()
    }

    #[test]
    fn every_documented_number_has_its_kind_and_scope_behind_any_status() {
        use ErrorKind::*;
        for (status, code, kind, scope) in [
            (422, 1001, InvalidRequest, Scope::Entry),
            (400, 1004, InvalidRequest, Scope::Entry),
            (400, 1005, InvalidRequest, Scope::Entry),
            (400, 1013, InvalidRequest, Scope::Entry),
            (400, 1014, InvalidRequest, Scope::Entry),
            (422, 1015, InvalidRequest, Scope::Entry),
            (422, 1016, InvalidRequest, Scope::Entry),
            (422, 1017, InvalidRequest, Scope::Entry),
            (422, 1033, InvalidRequest, Scope::Entry),
            (401, 1003, Unauthenticated, Scope::Connection),
            (403, 1003, PermissionDenied, Scope::Entry),
            (403, 1038, PermissionDenied, Scope::Entry),
            (404, 1011, NotFound, Scope::Entry),
            (404, 1012, NotFound, Scope::Entry),
            (200, 1012, NotFound, Scope::Entry),
            (404, 404, ConfigInvalid, Scope::Connection),
            (200, 12001, PermissionDenied, Scope::Entry),
            (403, 31001, PermissionDenied, Scope::Entry),
            (200, 41001, PermissionDenied, Scope::Entry),
            (200, 41101, PermissionDenied, Scope::Entry),
            (409, 409, Conflict, Scope::Entry),
            (403, 1042, ConfigInvalid, Scope::Connection),
            (429, 429, RateLimited, Scope::Entry),
            (500, 500, Unavailable, Scope::Entry),
            (200, 99999, InvalidResponse, Scope::Entry),
            (403, 99999, PermissionDenied, Scope::Entry),
        ] {
            for code in [format!("{code}"), format!("\"{code}\"")] {
                for body in [
                    format!(r#"{{"response":{{"errors":[{{"errno":{code},"message":"planted"}}]}}}}"#),
                    format!(r#"{{"response":{{"errors":{{"errno":{code},"message":"planted"}}}}}}"#),
                ] {
                    let error = classified(status, &body);
                    assert_eq!((error.kind(), error.scope()), (kind, &scope), "{status} {body}");
                    assert_eq!(error.context(error_context::CODE), Some(code.trim_matches('"')));
                    assert!(!format!("{error:?} {error}").contains("planted"), "{error:?}");
                }
            }
        }
    }

    /// The bodies of the sheet, of every family and generation.
    #[test]
    fn errors_of_every_generation_are_read() {
        use ErrorKind::*;
        let fixture = |name: &str| {
            std::fs::read_to_string(format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR")))
                .unwrap()
        };
        for (name, status, kind, code) in [
            ("error_200_no_access", 200, PermissionDenied, "41001"),
            ("error_401", 401, Unauthenticated, "none"),
            ("error_401_accounting", 401, Unauthenticated, "1003"),
            ("error_401_accounting_rpc_style", 401, Unauthenticated, "1003"),
            ("error_403_read_only_field", 403, PermissionDenied, "1038"),
            ("error_404", 404, NotFound, "1012"),
            ("error_404_ledger", 404, NotFound, "404"),
            ("error_404_rpc_style", 404, NotFound, "1012"),
            ("error_409_conflict", 409, Conflict, "409"),
            ("error_422", 422, InvalidRequest, "1015"),
            ("error_422_rpc_style", 422, InvalidRequest, "1015"),
            ("error_429", 429, RateLimited, "none"),
            ("error_page_not_found_time_tracking", 404, NotFound, "none"),
            ("error_page_not_number", 422, InvalidRequest, "1014"),
            ("callback_error_401", 404, Unauthenticated, "401"),
            ("callback_error_404", 404, NotFound, "404"),
            ("callback_error_422", 400, InvalidRequest, "422"),
            ("callback_error_422_rpc_style", 400, InvalidRequest, "none"),
        ] {
            let error = classified(status, &fixture(name));
            assert_eq!(error.kind(), kind, "{name}: {error:?}");
            assert_eq!(error.context(error_context::CODE), Some(code), "{name}");
        }
        for name in ["invoice_get", "callbacks_list_empty", "ledger_accounts_list", "users_me", "revoke_ok"] {
            check(&answer(200, &[], &fixture(name))).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        check(&answer(204, &[], "")).unwrap();
    }

    #[test]
    fn a_refused_feature_names_every_cause_and_asks_for_no_token() {
        let bodies: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../tests/cases/06-bill-vendors-refused.two-ways.json"))
                .unwrap();
        for case in bodies {
            let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
            let error = classified(status, &case["body"].to_string());
            assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
            let text = error.to_string();
            assert!(text.contains("role") && !text.contains("again"), "{text}");
        }
    }

    #[test]
    fn an_account_that_is_not_found_is_no_deleted_record() {
        let error = classified(404, include_str!("../tests/cases/03-account-not-found.detail.http404.json"));
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
        assert!(error.to_string().contains("account_id"), "{error}");
    }

    #[test]
    fn a_limit_is_waited_for_and_never_for_long() {
        let after = |headers: &[(&'static str, &str)]| {
            let error = check(&answer(429, headers, "<html>")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            match error.retry() {
                Retry::At(at) => Some(at.saturating_since(NOW).as_secs()),
                _ => None,
            }
        };
        assert_eq!(after(&[("retry-after", "12")]), Some(12));
        assert_eq!(after(&[("retry-after", "9000")]), Some(300));
        assert_eq!((after(&[]), after(&[("retry-after", "soon")])), (None, None));
        // A pause that comes with a success is a proxy's.
        check(&answer(200, &[("retry-after", "60")], r#"{"response":{"result":{}}}"#)).unwrap();
    }

    #[test]
    fn no_record_is_gone_because_of_a_proxy_s_page() {
        for (status, body) in [
            (404, "<html>"),
            (403, "<html>"),
            (502, "<html>Bad gateway"),
            (200, r#"{"response":{"res"#),
            (200, ""),
        ] {
            let error = classified(status, body);
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{status}");
        }
        assert_eq!(classified(302, "").kind(), ErrorKind::ConfigInvalid);
        assert_eq!(classified(401, "").kind(), ErrorKind::Unauthenticated);
    }
}
