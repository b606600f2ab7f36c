//! What Business Central's answers mean: the status first, the code second.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, Scope, decode, error_context,
    http::{Answer, error_for_status},
};

/// Business Central names no time when it says "too often"; five minutes is its window, and calls free up all the time.
const TOO_OFTEN: Duration = Duration::from_secs(30);
/// The longest name of a right that is shown.
const MAX_RIGHT: usize = 120;

/// Context: which right on which table of which app is missing, as the vendor names it in parentheses.
pub(crate) const RIGHT: &str = "right";
/// Context: the kind of reason for which posting was refused.
pub(crate) const REASON: &str = "reason";

/// The record, or one that it refers to, does not exist: which of both is never believed.
pub(crate) const RECORD_NOT_FOUND: [&str; 2] = ["Internal_RecordNotFound", "BadRequest_NotFound"];

/// Classifies an answer of the API. Texts are localized and quote records; so they are neither matched (but for a reason's
/// words) nor kept.
///
/// # Errors
/// For everything that is no success; the vendor's code is in the context as [`CODE`](error_context::CODE).
pub(crate) fn check(answer: &Answer) -> Result<()> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    let (code, message) = code_and_message(answer);
    let code = word(&code);
    let error = match status.as_u16() {
        400 => bad_request(code, &message),
        401 => Error::new(
            ErrorKind::Unauthenticated,
            "the token is not accepted: enter and enable the app on the page Microsoft Entra Applications of this \
             environment, and consent to its permissions",
        )
        .with_scope(Scope::Connection),
        403 => {
            let error = Error::new(
                ErrorKind::PermissionDenied,
                "the app lacks a right: assign the permission set that holds it on its Entra application card",
            );
            match right(&message) {
                Some(right) => error.with_context(RIGHT, right),
                None => error,
            }
        }
        404 => not_found(code),
        408 => Error::new(ErrorKind::Unavailable, "the operation took longer than eight minutes")
            .with_effect(Effect::Unknown),
        409 | 412 => conflict(code),
        429 => {
            let at = answer.retry_after().unwrap_or(answer.received_at + TOO_OFTEN);
            Error::new(ErrorKind::RateLimited, "the app calls too often").with_retry(Retry::At(at))
        }
        501 => Error::new(ErrorKind::Unsupported, "this version does not offer what was asked for"),
        _ => error_for_status(status),
    };
    let error = if status.is_redirection() { error.with_scope(Scope::Connection) } else { error };
    let error = if error.context(error_context::STATUS).is_some() {
        error
    } else {
        error.with_context(error_context::STATUS, status.as_u16())
    };
    let code = if code.is_empty() { status.as_str() } else { code };
    Err(error.with_context(error_context::CODE, code))
}

fn bad_request(code: &str, message: &str) -> Error {
    match code {
        "Application_DialogException" if message.contains("Please try again later") => {
            Error::new(ErrorKind::Unavailable, "Business Central asks to try again later")
        }
        "Application_DialogException" => {
            let reason = reason(message);
            Error::new(ErrorKind::InvalidRequest, reason.words()).with_context(REASON, reason.name())
        }
        // A record was looked for inside the operation and not found: part of it may have happened.
        "Internal_DataNotFoundFilter" => {
            Error::new(ErrorKind::InvalidRequest, "Business Central failed inside the operation")
                .with_effect(Effect::Unknown)
        }
        "" => error_for_status(StatusCode::BAD_REQUEST),
        code if code.starts_with("Authorization_") => {
            Error::new(ErrorKind::PermissionDenied, "the app lacks a right")
        }
        _ => Error::new(ErrorKind::InvalidRequest, "Business Central does not accept the request"),
    }
}

fn not_found(code: &str) -> Error {
    let connection = |message| Error::new(ErrorKind::ConfigInvalid, message).with_scope(Scope::Connection);
    match code {
        code if RECORD_NOT_FOUND.contains(&code) => {
            Error::new(ErrorKind::NotFound, "the record, or one that it refers to, does not exist")
        }
        "Internal_CompanyNotFound" => connection("there is no such company: check company_id"),
        "NoEnvironment" => connection("there is no such environment: check environment and tenant"),
        "BadRequest_ResourceNotFound" => {
            Error::new(ErrorKind::Unsupported, "this version does not have the resource")
        }
        // A proxy's page says nothing about records.
        _ => Error::new(ErrorKind::Unavailable, "a 404 that does not come from Business Central"),
    }
}

fn conflict(code: &str) -> Error {
    match code {
        "Internal_EntityWithSameKeyExists" => {
            Error::new(ErrorKind::Conflict, "a record with this key exists")
        }
        // A stale etag, or a database that was busy with the record; reading a draft can end so, too.
        _ => Error::new(
            ErrorKind::Conflict,
            "the record was changed meanwhile, or the database was busy with it",
        )
        .with_retry(Retry::Backoff),
    }
}

/// Code and message of a JSON or an XML body.
fn code_and_message(answer: &Answer) -> (String, String) {
    let read = decode::body(&answer.body, |body| {
        Ok(body.object("error").map(|error| (error.text("code"), error.text("message"))).unwrap_or_default())
    });
    if let Ok(read) = read {
        return read.value;
    }
    let text = decode::clean(&answer.body);
    let between = |open: &str, close: &str| {
        let (_, rest) = text.split_once(open)?;
        Some(rest.split_once(close)?.0.to_owned())
    };
    (between("<code>", "</code>").unwrap_or_default(), between("<message>", "</message>").unwrap_or_default())
}

/// A code as the vendor writes them; anything else may be anything.
fn word(code: &str) -> &str {
    let plain =
        (1..=60).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { code } else { "" }
}

/// The text in parentheses that names table, right and app: the same in every language.
fn right(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("(TableData ")?;
    let inner = rest.split_once(')')?.0;
    let plain = inner.chars().all(|c| c.is_alphanumeric() || " .,:/&'_-".contains(c));
    (plain && inner.len() <= MAX_RIGHT).then(|| format!("TableData {inner}"))
}

/// Why posting was refused, in words of ours. The vendor's texts are told apart by a few of their English words, which
/// are asked for by `Accept-Language`; what is not recognized is [`Other`](Reason::Other), never something wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NotDraft,
    Reference,
    VendorInvoiceNumber,
    UsedBefore,
    NeedsApproval,
    Empty,
    ClosedPeriod,
    Blocked,
    Dimension,
    Other,
}

const REASONS: [(&str, Reason); 13] = [
    ("draft invoice only", Reason::NotDraft),
    ("cannot be found in the related table", Reason::Reference),
    ("Vendor Invoice No.", Reason::VendorInvoiceNumber),
    ("already exists for this vendor", Reason::UsedBefore),
    ("must be approved and released", Reason::NeedsApproval),
    ("when the approval process is complete", Reason::NeedsApproval),
    ("nothing to post", Reason::Empty),
    ("at least one line", Reason::Empty),
    ("allowed posting dates", Reason::ClosedPeriod),
    ("blocked", Reason::Blocked),
    ("Blocked", Reason::Blocked),
    ("imension", Reason::Dimension),
    ("", Reason::Other),
];

fn reason(message: &str) -> Reason {
    REASONS.iter().find(|(part, _)| message.contains(part)).map_or(Reason::Other, |(_, reason)| *reason)
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotDraft => "not_draft",
            Self::Reference => "reference",
            Self::VendorInvoiceNumber => "vendor_invoice_number",
            Self::UsedBefore => "used_before",
            Self::NeedsApproval => "needs_approval",
            Self::Empty => "empty",
            Self::ClosedPeriod => "closed_period",
            Self::Blocked => "blocked",
            Self::Dimension => "dimension",
            Self::Other => "other",
        }
    }

    /// Whether the reason of this name lies in the invoice itself: then it has to be changed before it can be posted, and is
    /// another one. Everything else is repaired elsewhere.
    pub(crate) fn is_in_document(name: &str) -> bool {
        let own = [Self::NotDraft, Self::VendorInvoiceNumber, Self::UsedBefore, Self::Empty];
        own.iter().any(|reason| reason.name() == name)
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotDraft => "only a draft can be posted",
            Self::Reference => "it refers to something that does not exist: open it there to see what",
            Self::VendorInvoiceNumber => {
                "the vendor's invoice number is missing: enter it in Business Central"
            }
            Self::UsedBefore => "this vendor's invoice number was posted before",
            Self::NeedsApproval => "Business Central's own approval workflow has to release it first",
            Self::Empty => "it has no quantity or amount to post",
            Self::ClosedPeriod => "the posting date is not in an open period",
            Self::Blocked => "the vendor, the customer or an account is blocked",
            Self::Dimension => "a dimension is missing or not allowed",
            Self::Other => "Business Central refuses it: open it there to see why",
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ml_connector_core::Timestamp;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn classified(status: u16, body: &str) -> Error {
        let response = http::Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        check(&Answer::new(response, NOW)).unwrap_err()
    }

    fn coded(status: u16, code: &str, message: &str) -> Error {
        classified(status, &format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#))
    }

    /// Every code of the vendor sheet.
    #[test]
    fn every_documented_code_has_its_kind_scope_and_effect() {
        use ErrorKind::*;
        let entry = &Scope::Entry;
        for (status, code, kind, scope, effect) in [
            (400, "BadRequest", InvalidRequest, entry, Effect::None),
            (400, "BadRequest_InvalidRequestUrl", InvalidRequest, entry, Effect::None),
            (400, "BadRequest_InvalidOperation", InvalidRequest, entry, Effect::None),
            (400, "BadRequest_RequiredParamNotProvided", InvalidRequest, entry, Effect::None),
            (400, "BadRequest_InvalidToken", InvalidRequest, entry, Effect::None),
            (400, "Application_DialogException", InvalidRequest, entry, Effect::None),
            (400, "Application_FieldValidationException", InvalidRequest, entry, Effect::None),
            (400, "Application_EvaluateException", InvalidRequest, entry, Effect::None),
            (400, "Application_StringExceededLength", InvalidRequest, entry, Effect::None),
            (400, "Application_InvalidGUID", InvalidRequest, entry, Effect::None),
            (400, "Application_FilterErrorException", InvalidRequest, entry, Effect::None),
            (400, "Internal_InvalidTableRelation", InvalidRequest, entry, Effect::None),
            (400, "Application_CallbackNotAllowed", InvalidRequest, entry, Effect::None),
            (400, "Internal_DataNotFoundFilter", InvalidRequest, entry, Effect::Unknown),
            (400, "Authorization_RequestDenied", PermissionDenied, entry, Effect::None),
            (401, "Authentication_InvalidCredentials", Unauthenticated, &Scope::Connection, Effect::None),
            (403, "Authorization_RequestDenied", PermissionDenied, entry, Effect::None),
            (403, "Internal_ServerError", PermissionDenied, entry, Effect::None),
            (404, "BadRequest_ResourceNotFound", Unsupported, entry, Effect::None),
            (404, "BadRequest_NotFound", NotFound, entry, Effect::None),
            (404, "Internal_RecordNotFound", NotFound, entry, Effect::None),
            (404, "Internal_CompanyNotFound", ConfigInvalid, &Scope::Connection, Effect::None),
            (405, "BadRequest_MethodNotAllowed", InvalidRequest, entry, Effect::None),
            (408, "", Unavailable, entry, Effect::Unknown),
            (409, "Request_EntityChanged", Conflict, entry, Effect::None),
            (409, "Internal_EntityWithSameKeyExists", Conflict, entry, Effect::None),
            (412, "Request_EntityChanged", Conflict, entry, Effect::None),
            (413, "", InvalidRequest, entry, Effect::None),
            (414, "", InvalidRequest, entry, Effect::None),
            (415, "", InvalidRequest, entry, Effect::None),
            (429, "Application_TooManyRequests", RateLimited, entry, Effect::None),
            (500, "Internal_ServerError", Unavailable, entry, Effect::Unknown),
            (500, "Unknown", Unavailable, entry, Effect::Unknown),
            (501, "BadRequest_MethodNotImplemented", Unsupported, entry, Effect::None),
            (502, "", Unavailable, entry, Effect::Unknown),
            (503, "Internal_TenantUnavailable", Unavailable, entry, Effect::Unknown),
            (504, "", Unavailable, entry, Effect::Unknown),
        ] {
            let error = coded(status, code, "x");
            assert_eq!(
                (error.kind(), error.scope(), error.effect()),
                (kind, scope, effect),
                "{status} {code}"
            );
        }
    }

    #[test]
    fn xml_html_and_nothing_are_understood_or_prove_nothing() {
        let xml = include_str!("../tests/fixtures/error_404_no_environment.xml");
        assert_eq!(classified(404, xml).kind(), ErrorKind::ConfigInvalid);
        for body in ["<html>not here</html>", "", "\u{0}", r#"{"error":{"code":{}}}"#, "[]"] {
            assert_eq!(classified(404, body).kind(), ErrorKind::Unavailable, "{body}");
            assert_eq!(classified(502, body).effect(), Effect::Unknown);
        }
        assert_eq!(classified(302, "").scope(), &Scope::Connection);
    }

    #[test]
    fn a_missing_right_is_named_in_every_language() {
        for message in [
            "Sorry, the current permissions prevented the action. (TableData 71442000 Contoso Freight Setup Read: Contoso Freight)  CorrelationId:  7e0c3a10.",
            "Beklager. (TableData 71442000 Contoso Freight Setup Read: Contoso Freight)",
        ] {
            let error = coded(403, "Internal_ServerError", message);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_eq!(
                error.context(RIGHT),
                Some("TableData 71442000 Contoso Freight Setup Read: Contoso Freight")
            );
            assert_eq!(error.retry(), Retry::Never);
        }
    }

    #[test]
    fn too_often_without_a_time_waits_half_a_minute() {
        assert_eq!(coded(429, "Application_TooManyRequests", "x").retry(), Retry::At(NOW + TOO_OFTEN));
    }

    #[test]
    fn no_error_quotes_what_the_vendor_wrote() {
        for status in [400, 403, 404, 409, 429, 500] {
            for code in ["Application_DialogException", "planted code", "Unknown"] {
                let error = coded(status, code, "planted: Northline owes 953 (planted)");
                assert!(!format!("{error:?} {error}").contains("planted"), "{error:?}");
            }
        }
    }

    /// Every refusal of the sheet, and where its cause lies: in the invoice, or elsewhere.
    #[test]
    fn reasons_are_in_words_of_ours() {
        for (message, reason, in_document) in [
            ("The action can be applied to a draft invoice only.", "not_draft", true),
            // Whether it is gone, only a list tells.
            ("The invoice cannot be found.", "other", false),
            (
                "You need to enter the document number of the document from the vendor in the Vendor Invoice No. field, so \
                 that this document stays linked to the original.",
                "vendor_invoice_number",
                true,
            ),
            ("Purchase Invoice PINV-1 already exists for this vendor.", "used_before", true),
            (
                "Purchase Invoice PINV-1 must be approved and released before you can perform this action.",
                "needs_approval",
                false,
            ),
            (
                "This document can only be released when the approval process is complete.",
                "needs_approval",
                false,
            ),
            (
                "There is nothing to post because the document does not contain a quantity or amount.",
                "empty",
                true,
            ),
            ("Please add at least one line item to the invoice.", "empty", true),
            ("Posting Date is not within your range of allowed posting dates.", "closed_period", false),
            (
                "You cannot post this type of document when Vendor V1 is blocked with type All",
                "blocked",
                false,
            ),
            (
                "Blocked must be equal to 'No'  in G/L Account: No.=6120. Current value is 'Yes'.",
                "blocked",
                false,
            ),
            ("Select a Dimension Value Code for the Dimension Code DEPARTMENT.", "dimension", false),
            (
                "The field Location Code of table Purchase Line contains a value (EAST) that cannot be found in the related \
                 table (Location).",
                "reference",
                false,
            ),
            ("Boekingsdatum valt niet binnen de periode", "other", false),
        ] {
            let error = coded(400, "Application_DialogException", message);
            let found = error.context(REASON).unwrap();
            assert_eq!((found, Reason::is_in_document(found)), (reason, in_document), "{message}");
            assert_eq!((error.kind(), error.retry()), (ErrorKind::InvalidRequest, Retry::Never));
        }
        let later = coded(400, "Application_DialogException", "x. Please try again later.");
        assert_eq!((later.kind(), later.retry()), (ErrorKind::Unavailable, Retry::Backoff));
    }
}
