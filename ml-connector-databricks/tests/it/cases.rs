//! What others met in the field: `fixtures/cases`.

use std::{collections::BTreeSet, time::Duration};

use ml_connector_core::{CheckResult, Clock, ErrorKind, Retry, Scope, Sink, Timestamp};
use ml_connector_databricks::Difference;
use serde_json::{Value, json};

use crate::support::*;

const STATEMENTS: &str = "/api/2.0/sql/statements";
const TABLE: &str = "/api/2.1/unity-catalog/tables/main.books.ledger_invoices";

fn case(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/cases/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The answers of the nth exchange, one after another.
fn answers(case: &Value, exchange: usize) -> Vec<Answer> {
    let then = case["exchange"][exchange]["then"].as_array().unwrap();
    let one = |answer: &Value| {
        let times = usize::try_from(answer["times"].as_u64().unwrap_or(1)).unwrap().min(50);
        let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
        vec![(status, answer["body"].clone()); times]
    };
    then.iter().flat_map(one).collect()
}

fn warehouse() -> String {
    format!("/api/2.0/sql/warehouses/{WAREHOUSE}")
}

#[tokio::test(start_paused = true)]
async fn a_stopped_warehouse_that_refuses_with_400_is_started_and_gets_the_statement_once() {
    let case = case("01-warehouse-refuses-with-400");
    let workspace = Workspace::new();
    workspace.answers("POST", STATEMENTS, answers(&case, 0));
    workspace.answers("GET", warehouse(), answers(&case, 1));
    workspace.always("POST", format!("{}/start", warehouse()), (200, json!({})));
    let batch = batch(3);
    for result in workspace.deliver(&sink(), &batch).await {
        assert_eq!(&*result.unwrap().reference, "01f0c0de-0000-1000-8000-00000000a001");
    }
    assert_eq!(workspace.seen("POST", &format!("{}/start", warehouse())).len(), 1);
    let sent: BTreeSet<String> = workspace.statements().iter().map(Seen::sql).collect();
    assert_eq!((sent.len(), workspace.statements().len()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_goes_on_refusing_is_an_outage_of_the_connection_and_no_matter_of_rows() {
    let case = case("01-warehouse-refuses-with-400");
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, answers(&case, 0)[0].clone());
    workspace.always(
        "POST",
        format!("{}/start", warehouse()),
        (403, json!({ "error_code": "PERMISSION_DENIED" })),
    );
    for state in ["STOPPED", "RUNNING", "STARTING"] {
        workspace.always("GET", warehouse(), (200, json!({ "state": state })));
        let error = error(workspace.deliver(&sink(), &batch(3)).await);
        assert_eq!((error.kind(), error.scope()), (ErrorKind::Unavailable, &Scope::Connection), "{error}");
        assert!(matches!(error.retry(), Retry::At(_)));
    }
    assert!(workspace.statements().len() < 20, "{}", workspace.statements().len());
    workspace.always(
        "POST",
        STATEMENTS,
        (400, json!({ "error_code": "BAD_REQUEST", "message": "no such thing" })),
    );
    assert_eq!(error(workspace.deliver(&sink(), &batch(1)).await).kind(), ErrorKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn closed_in_the_first_answer_is_success_and_a_forgotten_statement_is_sent_again() {
    let case = case("02-closed-in-the-first-answer");
    let workspace = Workspace::new();
    workspace.answers("POST", STATEMENTS, answers(&case, 0));
    let id = "01f0c0de-0000-1000-8000-00000000a001";
    let results = workspace.deliver(&sink(), &batch(3)).await;
    assert!(results.iter().all(|result| &*result.as_ref().unwrap().reference == id));
    assert!(workspace.seen("GET", STATEMENTS).is_empty() && workspace.seen("DELETE", "/").is_empty());

    // As if the answer had been noted, and the outcome not.
    let mut noted = batch(3);
    noted.iter_mut().for_each(|delivery| {
        delivery.note = Some(json!({ "statement": id, "settles": true }).to_string().into());
    });
    let again = workspace.deliver(&sink(), &noted).await;
    assert_eq!(workspace.seen("GET", &format!("{STATEMENTS}/{id}")).len(), 1);
    assert_eq!(workspace.statements().len(), 2);
    assert!(again.iter().all(|result| &*result.as_ref().unwrap().reference == "01f0-0"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_blocked_asks_for_no_other_token_and_says_which_address() {
    let case = case("03-403-that-is-not-the-token");
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, answers(&case, 0)[0].clone());
    let blocked = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!((blocked.kind(), blocked.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert!(blocked.to_string().contains("blocks this computer's address 203.0.113.7"), "{blocked}");
    assert_eq!(workspace.seen("POST", "/oidc").len(), 1);

    let workspace = Workspace::new();
    workspace.always("POST", "/oidc/v1/token", answers(&case, 1)[0].clone());
    let blocked = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!(blocked.scope(), &Scope::Connection);
    assert!(blocked.message().contains("blocks this computer's address 203.0.113.7"), "{blocked:?}");
}

#[tokio::test(start_paused = true)]
async fn the_two_layers_of_token_errors_say_different_things() {
    for (name, expected) in [
        ("token_error_invalid_client_401", "check client_id and client_secret"),
        ("token_entra_error_401", "needs tenant"),
        ("token_error_invalid_scope_400", "check scope"),
    ] {
        let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let body: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let workspace = Workspace::new();
        let status = if name.ends_with("400") { 400 } else { 401 };
        workspace.always("POST", "/oidc/v1/token", (status, body));
        let refused = error(workspace.deliver(&sink(), &batch(1)).await);
        assert_eq!(
            (refused.kind(), refused.scope()),
            (ErrorKind::ConfigInvalid, &Scope::Connection),
            "{refused:?}"
        );
        assert!(refused.message().contains(expected), "{refused}");
    }
    for (status, body) in [(401, json!("<html>")), (500, Value::Null), (503, json!("x"))] {
        let workspace = Workspace::new();
        workspace.always("POST", "/oidc/v1/token", (status, body));
        let down = error(workspace.deliver(&sink(), &batch(1)).await);
        assert_eq!((down.kind(), down.scope()), (ErrorKind::Unavailable, &Scope::Connection), "{down:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_the_metastore_stops_the_table_that_cannot_be_made_and_no_other() {
    let case = case("05-unity-catalog-wording");
    let workspace = Workspace::new();
    workspace.always("GET", TABLE, (404, json!({ "error_code": "TABLE_DOES_NOT_EXIST" })));
    workspace.answers("POST", STATEMENTS, answers(&case, 0));
    let error = error(workspace.deliver(&sink(), &batch(8)).await);
    assert_eq!(
        (error.kind(), error.scope(), error.retry()),
        (ErrorKind::ConfigInvalid, &Scope::Lane, Retry::Never)
    );
    assert_eq!(error.context("class"), Some("QUOTA_EXCEEDED.UC_RESOURCE_QUOTA_EXCEEDED"));
    assert_eq!((error.context("limit"), error.context("status")), (Some("500"), None));
    assert_eq!(workspace.statements().len(), 1, "nothing is bisected");
}

#[tokio::test(start_paused = true)]
async fn the_workspace_of_an_address_that_serves_several_is_named_in_every_call() {
    for (host, warehouse_id) in [
        ("https://acme.cloud.databricks.com/?o=1112223334445556", WAREHOUSE.to_owned()),
        ("acme.cloud.databricks.com", format!("/sql/1.0/warehouses/{WAREHOUSE}?o=1112223334445556")),
    ] {
        let workspace = Workspace::new();
        let small = |config: &mut ml_connector_databricks::Config| config.max_parameter_bytes = 1_000;
        let sink =
            builder().host(host).warehouse(warehouse_id).volume("landing").with(small).build().unwrap();
        for result in workspace.deliver(&sink, &batch(30)).await {
            result.unwrap();
        }
        let calls: Vec<_> =
            workspace.all().into_iter().filter(|seen| seen.path.starts_with("/api/")).collect();
        for seen in &calls {
            for header in ["x-databricks-org-id", "x-databricks-workspace-id"] {
                assert_eq!(seen.headers[header], "1112223334445556", "{} {}", seen.method, seen.path);
            }
        }
        assert!(calls.iter().any(|seen| seen.method == "PUT"));
        assert_eq!(workspace.statements()[0].json()["warehouse_id"], WAREHOUSE);
        assert!(!workspace.seen("POST", "/oidc")[0].headers.contains_key("x-databricks-org-id"));
    }
    for answer in answers(&case("06-vanity-host-with-o"), 0) {
        let workspace = Workspace::new();
        workspace.always("POST", STATEMENTS, answer);
        let error = error(workspace.deliver(&sink(), &batch(1)).await);
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
        assert!(error.message().contains("workspace_id, the number after ?o="), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_filter_on_the_target_stops_the_table_before_rows_are_doubled() {
    let case = case("07-row-filter-on-the-target");
    let workspace = Workspace::new();
    let mut filtered = table();
    filtered["row_filter"] = answers(&case, 0)[0].1["row_filter"].clone();
    workspace.always("GET", TABLE, (200, filtered));
    let sink = sink();
    let stopped = error(workspace.deliver(&sink, &batch(2)).await);
    assert_eq!((stopped.kind(), stopped.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane));
    assert!(stopped.message().contains("exempt the service principal"), "{stopped}");
    assert!(workspace.statements().is_empty());
    let checked = sink.check(&workspace.ctx()).await;
    let table = checked.iter().find(|checked| checked.step.starts_with("table ")).unwrap();
    assert!(table.found.as_ref().unwrap().contains("row filter"), "{table}");

    let mut masked = table_with_mask(&case);
    masked["row_filter"] = Value::Null;
    workspace.always("GET", TABLE, (200, masked));
    let stopped = error(workspace.deliver(&sink, &batch(2)).await);
    assert_eq!(stopped.context("column"), Some("_id"));
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_inserted_twice_are_an_alarm_and_stop_the_table_until_there_is_one_of_each() {
    let case = case("07-row-filter-on-the-target");
    let workspace = Workspace::new();
    let sink = sink();
    let change = |n: u64| [delivery(n, event("1", n, r#"{"number":"INV-1"}"#))];
    workspace.deliver(&sink, &change(1)).await.remove(0).unwrap();
    assert!(sink.drift().is_empty());
    // A policy that Unity Catalog does not show with the table hides the row: the update inserts it once more.
    workspace.answers("POST", STATEMENTS, answers(&case, 1));
    workspace.deliver(&sink, &change(2)).await.remove(0).unwrap();
    for count in ["0", "2"] {
        let asked = workspace.statements().len();
        workspace.answers("POST", STATEMENTS, vec![(200, counted(count))]);
        let stopped = error(workspace.deliver(&sink, &change(3)).await);
        assert_eq!((stopped.kind(), stopped.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane), "{stopped}");
        assert!(stopped.message().contains("a policy hides rows"), "{stopped}");
        assert_eq!(stopped.context("table"), Some("main.books.ledger_invoices"));
        assert_eq!(workspace.statements().len(), asked + 1, "nothing but the question is sent");
        assert_eq!(sink.drift()[0].difference, Difference::HiddenRows);
    }
    // The policy exempts the principal, and the double was deleted.
    workspace.answers("POST", STATEMENTS, vec![(200, counted("1"))]);
    workspace.deliver(&sink, &change(3)).await.remove(0).unwrap();
    let sent = workspace.statements().last().unwrap().sql();
    assert!(sent.starts_with("MERGE"), "{sent}");
}

/// The answer to a question for one number.
fn counted(number: &str) -> Value {
    let mut counted = succeeded("01f0-count");
    counted["result"]["data_array"] = json!([[number]]);
    counted
}

fn table_with_mask(case: &Value) -> Value {
    let mask = answers(case, 0)[0].1["columns"][1]["mask"].clone();
    assert!(!mask.is_null());
    let mut masked = table();
    let id =
        masked["columns"].as_array_mut().unwrap().iter_mut().find(|column| column["name"] == "_id").unwrap();
    id["mask"] = mask;
    masked
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_never_starts_says_why_and_gets_one_statement_however_long_it_takes() {
    let case = case("09-warehouse-that-never-starts");
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, answers(&case, 0)[0].clone());
    let id = "01f0c0de-0000-1000-8000-00000000a001";
    workspace.always("GET", format!("{STATEMENTS}/{id}"), answers(&case, 1)[0].clone());
    workspace.always("GET", warehouse(), answers(&case, 2)[0].clone());
    let (mut batch, kept) = (batch(40), Kept::default());
    for _ in 0..5 {
        let waits = error(attempt(&sink(), &workspace.ctx(), &batch, &kept).await);
        assert_eq!((waits.kind(), waits.scope()), (ErrorKind::Unavailable, &Scope::Connection));
        assert!(waits.message().contains("the cloud account's quota"), "{waits}");
        assert_eq!(waits.context("reason"), Some("QUOTA_EXCEEDED"));
        batch = kept.again(&batch);
        tokio::time::sleep(Duration::from_secs(4_000)).await;
    }
    assert_eq!(workspace.statements().len(), 1);
    workspace.always("GET", format!("{STATEMENTS}/{id}"), (200, succeeded(id)));
    let results = workspace.deliver(&sink(), &batch).await;
    assert!(results.iter().all(|result| &*result.as_ref().unwrap().reference == id));
    assert_eq!(workspace.statements().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn free_compute_that_is_used_up_waits_until_the_next_day() {
    let case = case("09-warehouse-that-never-starts");
    let workspace = Workspace::new();
    let refused = json!({ "error_code": "BAD_REQUEST", "message": "The request could not be processed by the warehouse." });
    workspace.always("POST", STATEMENTS, (400, refused));
    workspace.always("GET", warehouse(), (200, json!({ "state": "STOPPED" })));
    workspace.always("POST", format!("{}/start", warehouse()), answers(&case, 3)[0].clone());
    let spent = error(workspace.deliver(&sink(), &batch(1)).await);
    let Retry::At(at) = spent.retry() else { panic!("{spent:?}") };
    let now: Timestamp = workspace.clock.now();
    assert_eq!(at.as_secs() % 86_400, 0);
    assert!(at > now && at.saturating_since(now) <= Duration::from_secs(86_400));
}

#[tokio::test(start_paused = true)]
async fn an_empty_volume_whose_directories_are_not_found_takes_files_all_the_same() {
    let case = case("11-empty-volume-looks-gone");
    let workspace = Workspace::new();
    workspace.on(|seen| {
        (seen.method == "GET" && seen.path.starts_with("/api/2.0/fs/directories")).then(|| {
            (
                404,
                json!({ "error_code": "NOT_FOUND", "message": "The directory being accessed is not found." }),
            )
        })
    });
    workspace.always(
        "GET",
        "/api/2.1/unity-catalog/volumes/main.books.landing",
        answers(&case, 2)[0].clone(),
    );
    let small = |config: &mut ml_connector_databricks::Config| config.max_parameter_bytes = 1_000;
    let sink = builder().volume("landing").with(small).build().unwrap();
    for result in workspace.deliver(&sink, &batch(30)).await {
        result.unwrap();
    }
    let [put] = &workspace.seen("PUT", "/api/2.0/fs/files/Volumes/main/books/landing/")[..] else { panic!() };
    assert_eq!(put.body.iter().filter(|byte| **byte == b'\n').count(), 30);
    let [merge] = &workspace.statements()[..] else { panic!() };
    assert!(merge.sql().contains("FROM read_files('/Volumes/main/books/landing/staged/ledger_invoices-"));
    assert_eq!(merge.json()["wait_timeout"], "0s");
    assert_eq!(workspace.seen("DELETE", &put.path).len(), 1, "what was merged is deleted");
    assert!(
        sink.check(&workspace.ctx())
            .await
            .iter()
            .all(|checked| !checked.step.starts_with("volume") || checked.result == CheckResult::Passed)
    );
}
