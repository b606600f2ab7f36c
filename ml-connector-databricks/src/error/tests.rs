use bytes::Bytes;
use http::Response;
use ml_connector_core::{Effect, ErrorKind, Retry, Scope, Timestamp, http::Answer};

use super::*;
use crate::models::{Statement, Status};

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::new(response.body(Bytes::from(body.to_owned())).unwrap(), Timestamp::from_secs(1_792_000_000))
}

fn classified(status: u16, body: &str) -> Error {
    check(&answer(status, &[], body)).unwrap_err()
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/", $name, ".json"))
    };
}

#[test]
fn every_status_and_wording_says_who_has_to_act() {
    use ErrorKind as K;
    let connection = || Scope::Connection;
    for (status, body, kind, scope) in [
        (302, "", K::ConfigInvalid, connection()),
        (401, fixture!("api_401_no_credential"), K::Unauthenticated, Scope::Entry),
        (403, fixture!("api_403_invalid_token"), K::Unauthenticated, Scope::Entry),
        (403, r#"{"error_code":403,"message":"JWT has expired"}"#, K::Unauthenticated, Scope::Entry),
        (403, r#"{"message":"Token is expiring within 30 seconds."}"#, K::Unauthenticated, Scope::Entry),
        (400, r#"{"message":"io.jsonwebtoken.ExpiredJwtException: x"}"#, K::Unauthenticated, Scope::Entry),
        (403, r#"{"error_code":403,"message":"Invalid access to Org: 1"}"#, K::ConfigInvalid, connection()),
        (403, fixture!("api_403_permission_denied"), K::PermissionDenied, connection()),
        (
            403,
            r#"{"error_code":"PERMISSION_DENIED","message":"x is not authorized to use or monitor this SQL Endpoint."}"#,
            K::PermissionDenied,
            connection(),
        ),
        (403, fixture!("files_put_403"), K::PermissionDenied, Scope::Entry),
        (403, "<html>Forbidden</html>", K::ConfigInvalid, connection()),
        (404, "<html>Not found</html>", K::ConfigInvalid, connection()),
        (404, "", K::NotFound, Scope::Entry),
        (404, fixture!("api_404_no_endpoint"), K::ConfigInvalid, connection()),
        (404, fixture!("statement_404"), K::NotFound, Scope::Entry),
        (404, fixture!("table_get_404"), K::NotFound, Scope::Entry),
        (404, fixture!("schema_get_404"), K::NotFound, Scope::Entry),
        (404, fixture!("files_put_404_volume"), K::NotFound, Scope::Entry),
        (
            404,
            r#"{"error_code":"ENDPOINT_NOT_FOUND","message":"SQL warehouse (0a) does not exist at all in the database!"}"#,
            K::ConfigInvalid,
            connection(),
        ),
        (
            400,
            r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Warehouse 0a does not exist"}"#,
            K::ConfigInvalid,
            connection(),
        ),
        (
            400,
            r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"0a is not a valid endpoint id."}"#,
            K::ConfigInvalid,
            connection(),
        ),
        (
            400,
            r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"Unable to load OAuth Config"}"#,
            K::ConfigInvalid,
            connection(),
        ),
        (
            400,
            r#"{"error_code":"BAD_REQUEST","message":"The request could not be processed by the warehouse."}"#,
            K::Unavailable,
            connection(),
        ),
        (400, fixture!("api_400_invalid_parameter"), K::InvalidRequest, Scope::Entry),
        (400, fixture!("files_dir_delete_400_not_empty"), K::InvalidRequest, Scope::Entry),
        (409, fixture!("files_put_409_exists"), K::Conflict, Scope::Entry),
        (413, "", K::InvalidRequest, Scope::Entry),
        (429, fixture!("api_429"), K::RateLimited, Scope::Entry),
        (500, fixture!("api_500"), K::Unavailable, Scope::Entry),
        (503, fixture!("api_503"), K::Unavailable, Scope::Entry),
        (503, "<html>", K::Unavailable, Scope::Entry),
        (408, "", K::Unavailable, Scope::Entry),
    ] {
        let error = classified(status, body);
        assert_eq!((error.kind(), error.scope()), (kind, &scope), "{status} {body}");
        assert_eq!(error.context("status"), Some(&*status.to_string()));
        let doubt = matches!(status, 302 | 408 | 500..);
        assert!(error.effect() == Effect::None || doubt, "{status} {body}");
    }
    check(&answer(204, &[], "")).unwrap();
}

#[test]
fn a_blocked_address_is_no_matter_of_tokens_and_is_named() {
    let body = r#"{"error_code":403,"message":"Source IP address: 203.0.113.7 is blocked by Databricks IP ACL for workspace: 1"}"#;
    let error = classified(403, body);
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert!(error.message().contains("203.0.113.7") && error.message().contains("access list"), "{error}");
    let in_header =
        answer(403, &[("x-databricks-reason-phrase", "Source IP address: 203.0.113.7 is blocked")], "");
    assert_eq!(check(&in_header).unwrap_err().context("address"), Some("203.0.113.7"));
    let planted = r#"{"message":"Source IP address: <b>call me</b>"}"#;
    assert!(!classified(403, planted).to_string().contains("call"));
}

#[test]
fn a_stale_token_may_be_told_in_a_header_and_facts_are_kept_without_the_text() {
    let refused = answer(
        403,
        &[("x-databricks-reason-phrase", "Invalid access token."), ("x-request-id", "r-1")],
        r#"{"error_code":"PERMISSION_DENIED","message":"'Bluebird Logistics'"}"#,
    );
    let error = check(&refused).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(
        (error.context("code"), error.context("request_id")),
        (Some("PERMISSION_DENIED"), Some("r-1"))
    );
    assert!(!format!("{error:?}").contains("Bluebird"));
}

fn statement(json: &str) -> (Fault, Error) {
    let statement: Statement = serde_json::from_str(json).unwrap();
    failed(&statement.status, &statement.statement_id)
}

fn said(state: &str, code: &str, message: &str) -> (Fault, Error) {
    let status = serde_json::json!({ "state": "FAILED", "error": { "error_code": code, "message": message }, "sql_state": state });
    failed(&serde_json::from_value::<Status>(status).unwrap(), "s-1")
}

#[test]
fn recorded_failures_are_told_apart() {
    for (json, fault) in [
        (fixture!("statement_failed_cast"), Fault::Row),
        (fixture!("statement_failed_malformed_record"), Fault::Row),
        (fixture!("statement_failed_not_null"), Fault::Constraint),
        (fixture!("statement_failed_concurrent_append"), Fault::Conflict),
        (fixture!("statement_failed_insufficient_permissions"), Fault::Table(Repair::Grant)),
        (fixture!("statement_failed_multiple_match"), Fault::Table(Repair::DuplicateKeys)),
        (fixture!("statement_failed_syntax"), Fault::Table(Repair::Ours)),
        (fixture!("statement_failed_syntax_without_sql_state"), Fault::Table(Repair::Ours)),
        (fixture!("statement_failed_table_not_found"), Fault::Changed),
        (fixture!("statement_failed_unresolved_column"), Fault::Changed),
        (fixture!("statement_canceled"), Fault::Cancelled),
    ] {
        let (classified, error) = statement(json);
        assert_eq!(classified, fault, "{json}");
        assert_eq!(error.context("statement").map(str::len), Some(36));
        assert!(!error.to_string().contains("twelve") && !error.to_string().contains("INSER"), "{error}");
    }
}

#[test]
fn every_documented_class_has_its_class() {
    let by_class = |class: &str| said("", "BAD_REQUEST", &format!("\n[{class}] text")).0;
    for (fault, classes) in [
        (
            Fault::Conflict,
            &[
                "DELTA_CONCURRENT_APPEND",
                "DELTA_CONCURRENT_APPEND.WITH_PARTITION_HINT",
                "DELTA_CONCURRENT_DELETE_READ",
                "DELTA_CONCURRENT_DELETE_DELETE",
                "DELTA_CONCURRENT_WRITE",
                "DELTA_CONCURRENT_TRANSACTION",
                "DELTA_MAX_COMMIT_RETRIES_EXCEEDED",
            ][..],
        ),
        (
            Fault::Changed,
            &[
                "DELTA_METADATA_CHANGED",
                "DELTA_PROTOCOL_CHANGED",
                "TABLE_OR_VIEW_NOT_FOUND",
                "DELTA_TABLE_NOT_FOUND",
                "UNRESOLVED_COLUMN",
                "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
                "UNRESOLVED_FIELD.WITH_SUGGESTION",
            ],
        ),
        (Fault::Committed, &["DELTA_POST_COMMIT_HOOK_FAILED", "TABLE_OR_VIEW_ALREADY_EXISTS"]),
        (
            Fault::Row,
            &[
                "CAST_INVALID_INPUT",
                "NUMERIC_VALUE_OUT_OF_RANGE",
                "CAST_OVERFLOW",
                "CAST_OVERFLOW_IN_TABLE_INSERT",
                "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
            ],
        ),
        (
            Fault::Constraint,
            &[
                "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
                "DELTA_MISSING_NOT_NULL_COLUMN_VALUE",
                "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
            ],
        ),
        (Fault::FileGone, &["PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST"]),
        (Fault::Table(Repair::Grant), &["INSUFFICIENT_PERMISSIONS"]),
        (Fault::Table(Repair::DuplicateKeys), &["MERGE_CARDINALITY_VIOLATION"]),
        (Fault::Table(Repair::Protocol), &["DELTA_UNSUPPORTED_FEATURES_FOR_WRITE"]),
        (Fault::Table(Repair::Ours), &["PARSE_SYNTAX_ERROR", "UNBOUND_SQL_PARAMETER"]),
        (Fault::Place(Repair::MissingSchema), &["SCHEMA_NOT_FOUND"]),
        (Fault::Place(Repair::MissingCatalog), &["CATALOG_NOT_FOUND"]),
        (Fault::Table(Repair::Unknown), &["INVENTED_TOMORROW", "CAST_OVERFLOWS"]),
    ] {
        for class in classes {
            assert_eq!(by_class(class), fault, "{class}");
        }
    }
    for (state, fault) in [
        ("2D521", Fault::Conflict),
        ("40000", Fault::Conflict),
        ("2DKD0", Fault::Committed),
        ("08006", Fault::Passing),
        ("57014", Fault::Cancelled),
        ("58030", Fault::Passing),
        ("22003", Fault::Row),
        ("23001", Fault::Constraint),
        ("0A000", Fault::Table(Repair::Unsupported)),
        ("42501", Fault::Table(Repair::Grant)),
        ("XX000", Fault::Table(Repair::Unknown)),
    ] {
        assert_eq!(said(state, "BAD_REQUEST", "text").0, fault, "{state}");
    }
    for code in [
        "TEMPORARILY_UNAVAILABLE",
        "SERVICE_UNDER_MAINTENANCE",
        "WORKSPACE_TEMPORARILY_UNAVAILABLE",
        "RESOURCE_EXHAUSTED",
        "IO_ERROR",
        "INTERNAL_ERROR",
        "ABORTED",
    ] {
        assert_eq!(said("", code, "text").0, Fault::Passing, "{code}");
    }
    for code in ["CANCELLED", "DEADLINE_EXCEEDED"] {
        assert_eq!(said("", code, "text").0, Fault::Cancelled, "{code}");
    }
    assert_eq!(
        said("", "BAD_REQUEST", "PERMISSION_DENIED: User does not have SELECT").0,
        Fault::Table(Repair::Grant)
    );
}

#[test]
fn the_other_grammar_names_the_quota_and_no_digit_of_the_request_id_is_a_status() {
    let message = "[RequestId=00000000-0000-4000-8000-000000429503 ErrorClass=QUOTA_EXCEEDED.UC_RESOURCE_QUOTA_EXCEEDED] No further \
                   Table in Metastore 00000000-0000-4000-8000-0000000000aa (count: 523, limit: 500).";
    let (fault, error) = said("", "BAD_REQUEST", message);
    assert_eq!(fault, Fault::Table(Repair::Quota));
    assert_eq!(error.context("class"), Some("QUOTA_EXCEEDED.UC_RESOURCE_QUOTA_EXCEEDED"));
    assert_eq!((error.context("limit"), error.scope()), (Some("500"), &Scope::Lane));
}

#[test]
fn the_same_error_once_more_keeps_what_decides() {
    let error = Arc::new(
        Error::new(ErrorKind::Unavailable, "down")
            .with_effect(Effect::Unknown)
            .with_scope(Scope::Connection)
            .with_retry(Retry::At(Timestamp::from_secs(5)))
            .with_operation("databricks.execute_statement")
            .with_context("status", 503),
    );
    let same = again(&error);
    assert_eq!(same.to_string(), error.to_string());
    assert_eq!((same.effect(), same.scope(), same.retry()), (error.effect(), error.scope(), error.retry()));
}
