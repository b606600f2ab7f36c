use std::time::Duration;

use http::{Method, StatusCode};
use ml_connector_sim::{
    Fault,
    databricks::{SqlStatePlace, StatementFailure, WarehouseState},
};
use serde_json::{Value, json};

use super::{Bench, lost, refusal};

const TABLE: &str = include_str!("../../fixtures/databricks/create_table.sql");
/// The complete upsert of the vendor sheet.
const MERGE: &str = include_str!("../../fixtures/databricks/execute_request_merge_param.json");

async fn with_table() -> Bench {
    let bench = Bench::new().await;
    assert_eq!(bench.submit(TABLE, json!({})).await.body["status"]["state"], "SUCCEEDED");
    bench
}

/// The sheet's request for this simulator's warehouse.
fn merge(bench: &Bench) -> String {
    MERGE.replace("4b1f0c7d2e9a8360", &bench.lake.credentials().warehouse_id)
}

async fn merged(bench: &Bench) -> Value {
    bench.call(Method::POST, "/api/2.0/sql/statements/", merge(bench)).await.body
}

#[tokio::test]
async fn a_bad_request_runs_nothing() {
    let bench = Bench::new().await;
    let many: Vec<_> = (0..256).map(|n| json!({ "name": format!("p{n}"), "value": "1" })).collect();
    for (with, message) in [
        (json!({ "wait_timeout": "4s" }), "wait_timeout must be 0 or between 5 and 50 seconds, inclusive."),
        (json!({ "wait_timeout": "10" }), "wait_timeout must be 0 or between"),
        (json!({ "statement": " " }), "The statement must not be empty."),
        (json!({ "warehouse_id": "not-hex" }), "not-hex is not a valid endpoint id."),
        (json!({ "warehouse_id": "" }), " is not a valid endpoint id."),
        (json!({ "warehouse_id": "00ff" }), "Warehouse 00ff does not exist"),
        (json!({ "format": "ARROW_STREAM" }), "The format is supported only with EXTERNAL_LINKS."),
        (json!({ "parameters": many }), "A statement takes at most 255 parameters."),
        (
            json!({ "parameters": [{ "name": "b", "value": "x".repeat(1_000_001) }] }),
            "The values of all parameters",
        ),
        (json!({ "parameters": [{ "name": "b", "type": "ARRAY<INT>", "value": "1" }] }), "Unsupported type"),
        (json!({ "parameters": [{ "name": "b" }, { "name": "b" }] }), "The parameter b is given twice."),
        (json!({ "statement": "x".repeat((16 << 20) + 1) }), "The statement exceeds"),
    ] {
        let (status, _, text) = refusal(&bench.submit("SELECT 1", with).await);
        assert_eq!(status, 400, "{message}");
        assert!(text.starts_with(message), "{text}");
    }
    let malformed = bench.call(Method::POST, "/api/2.0/sql/statements", "{").await;
    assert_eq!(refusal(&malformed).1, "MALFORMED_REQUEST");
    bench.lake.warehouse(|warehouse| warehouse.can_use = false);
    assert_eq!(refusal(&bench.submit("SELECT 1", json!({})).await).1, "PERMISSION_DENIED");
    assert_eq!(bench.lake.statements(), Vec::<String>::new());
    let id = json!("01f1163a-0000-1000-8000-000000000000");
    assert_eq!(refusal(&bench.poll(&id).await).0, 404);
}

#[tokio::test]
async fn a_failed_statement_is_a_200() {
    let bench = Bench::new().await;
    for (statement, message, sql_state) in [
        (
            "INSER INTO t VALUES (1)",
            "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'INSER'. SQLSTATE: 42601 (line 1, pos 0)\n\n== SQL ==\nINSER INTO t VALUES (1)\n^^^\n",
            "42601",
        ),
        (
            "SELECT * FROM nope",
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`ml_finance`.`nope` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42P01; line 1 pos 14",
            "42P01",
        ),
        (
            "SELECT CAST('twelve' AS DECIMAL(18,4))",
            "[CAST_INVALID_INPUT] The value 'twelve' of the type \"STRING\" cannot be cast to \"DECIMAL(18,4)\" because it is malformed. Correct the value as per the syntax, or change its target type. Use `try_cast` to tolerate malformed input and return NULL instead. SQLSTATE: 22018",
            "22018",
        ),
    ] {
        let answer = bench.submit(statement, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK);
        let error = json!({ "error_code": "BAD_REQUEST", "message": message });
        assert_eq!(
            answer.body["status"],
            json!({ "state": "FAILED", "error": error, "sql_state": sql_state })
        );
    }
    bench.lake.tune(|tuning| tuning.sql_state = SqlStatePlace::Inside);
    assert_eq!(bench.submit("SELECT x", json!({})).await.body["status"]["error"]["sql_state"], "42703");
    bench.lake.tune(|tuning| tuning.sql_state = SqlStatePlace::Message);
    let status = bench.submit("SELECT x", json!({})).await.body["status"].clone();
    assert!(status["sql_state"].is_null() && status["error"]["sql_state"].is_null());
}

#[tokio::test]
async fn the_sheets_upsert_writes_once_however_often_it_runs() {
    let bench = with_table().await;
    let body = merged(&bench).await;
    assert_eq!(body["manifest"], {
        let recorded: Value =
            serde_json::from_str(include_str!("../../fixtures/databricks/statement_succeeded_merge.json"))
                .unwrap();
        recorded["manifest"].clone()
    });
    assert_eq!(body["result"]["data_array"], json!([["1", "0", "0", "1"]]));
    assert_eq!(merged(&bench).await["result"]["data_array"], json!([["0", "0", "0", "0"]]));
    let row = bench.rows("SELECT invoice_id, total_amount, issue_date, _ml_version_ts, _ml_is_deleted, lines[0].description, raw FROM invoices").await;
    assert_eq!(
        row,
        json!([[
            "982000000567001",
            "1210.0000",
            "2026-03-01",
            "2026-03-02T09:15:05.000Z",
            "false",
            "Consulting – O'Neil",
            "{\"invoice_id\":\"982000000567001\",\"total\":1210}",
        ]])
    );
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_leaves_the_row() {
    let bench = with_table().await;
    bench.lake.plant(Fault::reset().having_acted().target("MERGE"));
    let request = bench.request(Method::POST, "/api/2.0/sql/statements", merge(&bench));
    assert!(lost(&bench, request).await);
    assert_eq!(bench.lake.rows_of("main.ml_finance.invoices"), Some(1));
    assert_eq!(merged(&bench).await["result"]["data_array"], json!([["0", "0", "0", "0"]]));
}

#[tokio::test]
async fn a_closed_answer_carries_the_result_and_is_forgotten() {
    let bench = with_table().await;
    bench.lake.tune(|tuning| tuning.closed_at_once = true);
    let body = merged(&bench).await;
    assert_eq!(
        (&body["status"]["state"], &body["result"]["data_array"]),
        (&json!("CLOSED"), &json!([["1", "0", "0", "1"]]))
    );
    assert_eq!(refusal(&bench.poll(&body["statement_id"]).await).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_warehouse_starts_and_the_statement_waits() {
    let bench = Bench::new().await;
    bench.lake.warehouse(|warehouse| {
        warehouse.state = WarehouseState::Stopped;
        warehouse.start = Duration::from_secs(180);
    });
    let body = bench.submit("CREATE TABLE late (a INT)", json!({ "wait_timeout": "5s" })).await.body;
    assert_eq!(body["status"], json!({ "state": "PENDING" }));
    bench.clock.advance(Duration::from_secs(179));
    assert_eq!(bench.poll(&body["statement_id"]).await.body["status"]["state"], "PENDING");
    assert_eq!(bench.lake.rows_of("main.ml_finance.late"), None);
    bench.clock.advance(Duration::from_secs(1));
    let done = bench.poll(&body["statement_id"]).await.body;
    let recorded: Value =
        serde_json::from_str(include_str!("../../fixtures/databricks/statement_succeeded_ddl.json")).unwrap();
    assert_eq!(
        (&done["status"], &done["manifest"], &done["result"]),
        (&recorded["status"], &recorded["manifest"], &recorded["result"])
    );
    // 12 hours later nobody knows it.
    bench.clock.advance(Duration::from_secs(12 * 3600));
    bench.lake.rotate_secret("dose-other");
    let mut bench = bench;
    bench.login().await;
    assert_eq!(refusal(&bench.poll(&body["statement_id"]).await).0, 404);
}

#[tokio::test]
async fn a_warehouse_may_refuse_with_400_and_may_never_start() {
    let bench = Bench::new().await;
    bench.lake.warehouse(|warehouse| {
        warehouse.state = WarehouseState::Stopped;
        warehouse.refusals = 1;
    });
    let refused = bench.submit("SELECT 1", json!({})).await;
    let sentence = "The request could not be processed by the warehouse.".to_owned();
    assert_eq!(refusal(&refused), (400, "BAD_REQUEST".to_owned(), sentence));
    let path = format!("/api/2.0/sql/warehouses/{}", bench.lake.credentials().warehouse_id);
    assert_eq!(bench.get(&path).await.body["state"], "STOPPED");
    bench.lake.warehouse(|warehouse| {
        warehouse.start_failure =
            Some(("QUOTA_EXCEEDED".to_owned(), "Current Limit: 10, Additional Required: 32".to_owned()));
    });
    assert_eq!(bench.call(Method::POST, &format!("{path}/start"), "{}").await.status, StatusCode::OK);
    let body = bench.submit("SELECT 1", json!({ "wait_timeout": "0s" })).await.body;
    bench.clock.advance(Duration::from_secs(3000));
    assert_eq!(bench.poll(&body["statement_id"]).await.body["status"]["state"], "PENDING");
    let shown = bench.get(&path).await.body;
    assert_eq!(
        (&shown["state"], &shown["health"]["failure_reason"]["code"]),
        (&json!("STARTING"), &json!("QUOTA_EXCEEDED"))
    );
    bench.lake.warehouse(|warehouse| warehouse.start_failure = None);
    assert_eq!(bench.poll(&body["statement_id"]).await.body["status"]["state"], "SUCCEEDED");
    bench.lake.warehouse(|warehouse| {
        warehouse.start_refused = Some("The free compute of today is used up.".to_owned());
    });
    assert_eq!(
        bench.call(Method::POST, &format!("{path}/start"), "{}").await.status,
        StatusCode::BAD_REQUEST
    );
    bench.lake.warehouse(|warehouse| warehouse.kind = "REALTIME".to_owned());
    assert_eq!(bench.rows("SELECT 1").await, json!([["1"]]));
    assert_eq!(bench.submit("CREATE TABLE t (a INT)", json!({})).await.body["status"]["state"], "FAILED");
}

#[tokio::test(start_paused = true)]
async fn statements_that_overlap_on_one_table_conflict() {
    let bench = with_table().await;
    merged(&bench).await;
    bench.lake.tune(|tuning| tuning.execution = Duration::from_secs(20));
    let slow = json!({ "wait_timeout": "0s" });
    let first = bench.submit("UPDATE invoices SET status = 'paid'", slow.clone()).await.body;
    assert_eq!(first["status"]["state"], "PENDING");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.poll(&first["statement_id"]).await.body["status"]["state"], "RUNNING");
    let second = bench.submit("UPDATE invoices SET status = 'void'", slow).await.body;
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.poll(&first["statement_id"]).await.body["status"]["state"], "SUCCEEDED");
    let conflict = bench.poll(&second["statement_id"]).await.body;
    assert_eq!(conflict["status"]["sql_state"], "2D521");
    assert!(
        conflict["status"]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] ")
    );
    bench.lake.tune(|tuning| {
        tuning.execution = Duration::ZERO;
        tuning.conflicts = 2;
    });
    let states = [merged(&bench).await, merged(&bench).await, merged(&bench).await];
    assert_eq!(states.map(|body| body["status"]["state"].clone()), ["FAILED", "FAILED", "SUCCEEDED"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_statement_does_nothing_unless_it_has_ended() {
    let bench = Bench::new().await;
    bench.lake.tune(|tuning| tuning.execution = Duration::from_secs(60));
    let canceled = bench
        .submit("CREATE TABLE a (x INT)", json!({ "wait_timeout": "5s", "on_wait_timeout": "CANCEL" }))
        .await;
    assert_eq!(canceled.body["status"]["state"], "CANCELED");
    let body = bench.submit("CREATE TABLE b (x INT)", json!({ "wait_timeout": "0s" })).await.body;
    let cancel = format!("/api/2.0/sql/statements/{}/cancel", body["statement_id"].as_str().unwrap());
    let answer = bench.call(Method::POST, &cancel, "{}").await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})));
    bench.clock.advance(Duration::from_secs(120));
    assert_eq!(bench.poll(&body["statement_id"]).await.body["status"]["state"], "CANCELED");
    assert_eq!(bench.lake.rows_of("main.ml_finance.b"), None);
}

#[tokio::test]
async fn a_planted_failure_may_come_after_the_commit() {
    let bench = with_table().await;
    bench.lake.fail_statement(StatementFailure {
        error_code: "BAD_REQUEST".to_owned(),
        message: "[DELTA_POST_COMMIT_HOOK_FAILED] Committing to the Delta table version 3 succeeded. SQLSTATE: 2DKD0".to_owned(),
        sql_state: Some("2DKD0".to_owned()),
        after_commit: true,
        statement: "MERGE".to_owned(),
    });
    assert_eq!(merged(&bench).await["status"]["sql_state"], "2DKD0");
    assert_eq!(bench.lake.rows_of("main.ml_finance.invoices"), Some(1));
}

#[tokio::test]
async fn a_result_comes_in_chunks() {
    let bench = Bench::new().await;
    bench.lake.tune(|tuning| tuning.chunk_rows = 2);
    let body = bench
        .submit("SELECT CAST(id AS BIGINT) AS id FROM VALUES (0), (1), (2), (3) AS v(id)", json!({}))
        .await
        .body;
    let mut recorded: Value =
        serde_json::from_str(include_str!("../../fixtures/databricks/statement_succeeded_two_chunks.json"))
            .unwrap();
    recorded["statement_id"] = body["statement_id"].clone();
    let id = body["statement_id"].as_str().unwrap().to_owned();
    recorded["result"]["next_chunk_internal_link"] =
        format!("/api/2.0/sql/statements/{id}/result/chunks/1?row_offset=2").into();
    assert_eq!(body, recorded);
    let chunk: Value =
        serde_json::from_str(include_str!("../../fixtures/databricks/statement_chunk_1.json")).unwrap();
    assert_eq!(
        bench.get(&format!("/api/2.0/sql/statements/{id}/result/chunks/1?row_offset=2")).await.body,
        chunk
    );
    assert_eq!(
        bench.get(&format!("/api/2.0/sql/statements/{id}/result/chunks/2")).await.status,
        StatusCode::BAD_REQUEST
    );
    let none = bench.submit("SELECT 1 AS a WHERE false", json!({})).await.body;
    assert_eq!((&none["manifest"]["total_chunk_count"], &none["result"]), (&json!(0), &json!({})));
    let cut = bench.submit("SELECT * FROM VALUES (0), (1) AS v(id)", json!({ "row_limit": 1 })).await.body;
    assert_eq!(
        (&cut["manifest"]["truncated"], &cut["manifest"]["total_row_count"]),
        (&json!(true), &json!(1))
    );
}

#[tokio::test]
async fn too_many_statements_are_a_429() {
    let bench = Bench::new().await;
    bench.lake.tune(|tuning| tuning.statements_per_minute = Some(1));
    bench.rows("SELECT 1").await;
    let limited = bench.submit("SELECT 1", json!({})).await;
    assert_eq!((limited.status, limited.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_eq!(bench.lake.limit_violations(), 1);
    assert_eq!(bench.lake.statements().len(), 1);
}
