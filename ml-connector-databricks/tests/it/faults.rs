//! Rows, tables and places that fail: what is written, what waits, and what is named.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ml_connector_core::{
    Clock, Effect, ErrorKind, Retry, Scope, Sink,
    model::{Change, EntityRef, Event, Origin, Raw},
};
use ml_connector_databricks::{Config, DriftPolicy};
use serde_json::{Value, json};

use crate::support::*;

const STATEMENTS: &str = "/api/2.0/sql/statements";
const TABLE: &str = "/api/2.1/unity-catalog/tables/main.books.ledger_invoices";

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The ids of the rows that a statement carries.
fn ids(seen: &Seen) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(&seen.parameter("batch").unwrap()).unwrap();
    rows.iter().map(|row| row["_id"].as_str().unwrap().to_owned()).collect()
}

/// Fails every statement that carries a row with one of these ids, and collects what the others carry.
fn refuse(
    workspace: &Workspace,
    poison: &'static [&'static str],
    class: &'static str,
) -> Arc<Mutex<Vec<String>>> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&written);
    workspace.on(move |seen| {
        if seen.method != "POST" || seen.path != STATEMENTS {
            return None;
        }
        let ids = ids(seen);
        if ids.iter().any(|id| poison.contains(&id.as_str()) || poison.contains(&"*")) {
            return Some((200, failed(class, "22003")));
        }
        taken.lock().unwrap().extend(ids);
        None
    });
    written
}

#[tokio::test(start_paused = true)]
async fn of_five_hundred_rows_the_bad_ones_are_named_and_the_others_written() {
    let workspace = Workspace::new();
    let written = refuse(&workspace, &["7", "313"], "CAST_OVERFLOW");
    let results = workspace.deliver(&sink(), &batch(500)).await;
    for (n, result) in (1..).zip(&results) {
        match result {
            Ok(receipt) => assert!(receipt.reference.starts_with("01f0-") && n != 7 && n != 313),
            Err(error) => {
                assert!(n == 7 || n == 313, "{n} {error}");
                assert_eq!(error.context("row"), Some(&*format!("invoice/{n}")));
                assert_eq!((error.kind(), error.scope()), (ErrorKind::InvalidRequest, &Scope::Entry));
                assert!(!error.to_string().contains("Bluebird"));
            }
        }
    }
    assert_eq!(written.lock().unwrap().len(), 498);
    assert!(workspace.statements().len() < 45, "{}", workspace.statements().len());
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_bad_row_writes_the_others_and_says_which_it_is() {
    let workspace = Workspace::new();
    let written = refuse(&workspace, &["3"], "CAST_OVERFLOW");
    let mut page = Event::new(
        "books".into(),
        EntityRef::new(Event::PAGE, "invoices-1"),
        1,
        [Change::Created].into(),
        NOW,
        None,
    );
    page.origin = Origin::Backfill;
    page.page = (1..=5).map(|n| event(&n.to_string(), 1, r#"{"total":"1"}"#)).collect();
    page.page.push(event("6", 1, r#"{"total":"NaN"}"#));
    let error = error(workspace.deliver(&sink(), &[delivery(1, page)]).await);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::InvalidRequest, Retry::Never));
    assert!(error.message().starts_with("2 of 6 rows cannot be written"), "{error}");
    assert_eq!(error.context("row"), Some("invoice/6"), "the first that was met");
    assert_eq!(error.context("others"), Some("invoice/3"));
    assert_eq!(*written.lock().unwrap(), ["1", "2", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_bad_row_is_not_done_when_the_statement_of_the_others_is_picked_up() {
    let workspace = Workspace::new();
    let running = json!({ "statement_id": "01f0-long", "status": { "state": "RUNNING" } });
    workspace.answers("POST", STATEMENTS, vec![(200, running.clone())]);
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, running));
    let mut page = event("1", 1, "{}");
    (page.entity, page.raw) = (EntityRef::new(Event::PAGE, "invoices-1"), None);
    page.page = vec![event("1", 1, r#"{"total":1}"#), event("2", 1, r#"{"total":"NaN"}"#)];
    let (first, kept) = ([delivery(1, page)], Kept::default());
    error(attempt(&sink(), &workspace.ctx(), &first, &kept).await);
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, succeeded("01f0-long")));
    let named = error(workspace.deliver(&sink(), &kept.again(&first)).await);
    assert_eq!((named.kind(), named.context("row")), (ErrorKind::InvalidRequest, Some("invoice/2")));
}

#[tokio::test(start_paused = true)]
async fn when_every_row_is_refused_it_is_the_table_and_no_row_is_given_up() {
    let workspace = Workspace::new();
    refuse(&workspace, &["*"], "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES");
    let error = error(workspace.deliver(&sink(), &batch(500)).await);
    assert_eq!(
        (error.kind(), error.scope(), error.retry()),
        (ErrorKind::ConfigInvalid, &Scope::Lane, Retry::Never)
    );
    assert!(error.message().contains("refuses every row"), "{error}");
    assert!(workspace.statements().len() < 20, "{}", workspace.statements().len());
}

#[tokio::test(start_paused = true)]
async fn an_older_change_is_written_when_the_newer_one_is_refused() {
    let workspace = Workspace::new();
    workspace.on(|seen| {
        let poison =
            seen.method == "POST" && seen.path == STATEMENTS && seen.parameter("batch")?.contains("POISON");
        poison.then(|| (200, failed("CAST_OVERFLOW", "22003")))
    });
    let both = [
        delivery(1, event("1", 1, r#"{"number":"good"}"#)),
        delivery(2, event("1", 2, r#"{"number":"POISON"}"#)),
    ];
    let results = workspace.deliver(&sink(), &both).await;
    assert!(results[0].is_ok() && results[1].is_err());
    assert!(workspace.statements().iter().any(|seen| seen.parameter("batch").unwrap().contains("good")));
}

#[tokio::test(start_paused = true)]
async fn conflicts_and_passing_failures_are_met_with_the_same_statement() {
    for (class, state) in [("DELTA_CONCURRENT_APPEND.WITHOUT_HINT", "2D521"), ("INTERNAL_ERROR_X", "58030")] {
        let workspace = Workspace::new();
        workspace.answers("POST", STATEMENTS, vec![(200, failed(class, state)); 3]);
        workspace.deliver(&sink(), &batch(2)).await.remove(0).unwrap();
        let sent = workspace.statements();
        assert_eq!(sent.len(), 4);
        assert!(
            sent.iter().all(|seen| seen.body == sent[0].body),
            "a repetition is the same to the last byte"
        );
    }
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, (200, failed("DELTA_CONCURRENT_APPEND", "2D521")));
    let busy = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!((busy.kind(), busy.scope()), (ErrorKind::RateLimited, &Scope::Entry), "nothing is counted");
    assert!(matches!(busy.retry(), Retry::At(at) if at > workspace.clock.now()), "{busy}");
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_and_failed_after_that_is_done() {
    let workspace = Workspace::new();
    workspace.answers("POST", STATEMENTS, vec![(200, failed("DELTA_POST_COMMIT_HOOK_FAILED", "2DKD0"))]);
    workspace.deliver(&sink(), &batch(1)).await.remove(0).unwrap();
    assert_eq!(workspace.statements().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_table_is_made_or_says_what_to_do() {
    let workspace = Workspace::new();
    workspace.answers("GET", TABLE, vec![(404, json!({ "error_code": "TABLE_DOES_NOT_EXIST" }))]);
    workspace.deliver(&sink(), &batch(1)).await.remove(0).unwrap();
    let sent = workspace.statements();
    assert!(sent[0].sql().starts_with("CREATE TABLE IF NOT EXISTS `main`.`books`.`ledger_invoices`"));
    assert!(sent[1].sql().starts_with("MERGE INTO `main`.`books`.`ledger_invoices`"));

    let workspace = Workspace::new();
    workspace.always("GET", TABLE, (404, Value::Null));
    let closed = builder().with(|config: &mut Config| config.create_tables = false).build().unwrap();
    let missing = error(workspace.deliver(&closed, &batch(1)).await);
    assert_eq!((missing.kind(), missing.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane));
    assert!(workspace.statements().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_column_that_was_dropped_under_our_hands_comes_back_or_is_left_out() {
    for policy in [DriftPolicy::Evolve, DriftPolicy::Freeze, DriftPolicy::Quarantine] {
        let workspace = Workspace::new();
        let sink = builder().drift(policy).build().unwrap();
        workspace.deliver(&sink, &batch(1)).await.remove(0).unwrap();
        let mut dropped = table();
        dropped["columns"].as_array_mut().unwrap().retain(|column| column["name"] != "total");
        let looks = if policy == DriftPolicy::Evolve {
            vec![dropped, table()]
        } else {
            vec![dropped.clone(), dropped]
        };
        workspace.answers("GET", TABLE, looks.into_iter().map(|table| (200, table)).collect());
        workspace.answers(
            "POST",
            STATEMENTS,
            vec![(200, failed("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"))],
        );
        let result = workspace.deliver(&sink, &batch(1)).await.remove(0);
        let sent = workspace.statements();
        match policy {
            DriftPolicy::Evolve => {
                result.unwrap();
                assert!(sent[2].sql().contains("ADD COLUMNS (`total` DECIMAL(38,4))"), "{}", sent[2].sql());
                assert!(sent[3].sql().contains("s.`total`") && sink.drift().is_empty());
            }
            DriftPolicy::Freeze => {
                result.unwrap();
                assert!(!sent[2].sql().contains("`total`"));
                assert_eq!(&*sink.drift()[0].column, "total");
            }
            _ => {
                let error = result.unwrap_err();
                assert_eq!(
                    (error.kind(), error.context("column")),
                    (ErrorKind::InvalidRequest, Some("total"))
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_grant_stops_its_table_and_a_missing_place_everything() {
    for (class, state, scope) in [
        ("INSUFFICIENT_PERMISSIONS", "42501", Scope::Lane),
        ("SCHEMA_NOT_FOUND", "42704", Scope::Connection),
        ("DELTA_UNSUPPORTED_FEATURES_FOR_WRITE", "56038", Scope::Lane),
        ("INVENTED_TOMORROW", "XX001", Scope::Lane),
    ] {
        let workspace = Workspace::new();
        workspace.always("POST", STATEMENTS, (200, failed(class, state)));
        let error = error(workspace.deliver(&sink(), &batch(20)).await);
        assert_eq!((error.scope(), error.retry()), (&scope, Retry::Never), "{error}");
        assert_eq!(workspace.statements().len(), 1, "{class}: nothing is bisected");
    }
    for (body, kind) in [
        (
            json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Warehouse 0a does not exist" }),
            ErrorKind::ConfigInvalid,
        ),
        (json!({ "error_code": 403, "message": "Invalid access to Org: 12" }), ErrorKind::ConfigInvalid),
    ] {
        let workspace = Workspace::new();
        let status = if body["error_code"] == 403 { 403 } else { 400 };
        workspace.always("POST", STATEMENTS, (status, body));
        let error = error(workspace.deliver(&sink(), &batch(2)).await);
        assert_eq!((error.kind(), error.scope()), (kind, &Scope::Connection));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_any_length_gives_up_no_row() {
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, (503, json!("<html>")));
    let down = error(workspace.deliver(&sink(), &batch(3)).await);
    assert_eq!(
        (down.kind(), down.scope(), down.effect()),
        (ErrorKind::Unavailable, &Scope::Connection, Effect::Unknown)
    );
    assert_eq!(workspace.statements().len(), 1, "a write whose end is not known is not sent again at once");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_understands_gives_up_no_row() {
    for (status, body) in
        [(200, json!("<html>a proxy</html>")), (200, json!({ "status": 1 })), (200, Value::Null)]
    {
        let workspace = Workspace::new();
        workspace.always("POST", STATEMENTS, (status, body));
        let odd = error(workspace.deliver(&sink(), &batch(3)).await);
        assert_eq!(
            (odd.scope(), odd.retry(), odd.effect()),
            (&Scope::Connection, Retry::Backoff, Effect::Unknown)
        );
    }
    for (status, body) in
        [(400, json!({ "error_code": "MALFORMED_REQUEST", "message": "x" })), (404, Value::Null)]
    {
        let workspace = Workspace::new();
        workspace.always("POST", STATEMENTS, (status, body));
        let odd = error(workspace.deliver(&sink(), &batch(3)).await);
        assert_eq!((odd.scope(), odd.retry()), (&Scope::Lane, Retry::Never), "{odd}: it waits for a person");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for_by_time_and_then_by_a_person_and_gives_up_no_row() {
    let cancelled = json!({ "statement_id": "01f0-cut", "status": { "state": "CANCELED" } });
    let cases = [
        (failed("DELTA_CONCURRENT_APPEND", "2D521"), "others write to the table"),
        (failed("INTERNAL_ERROR_X", "58030"), "could not run the statement"),
        (failed("PATH_NOT_FOUND", "42K03"), "the staged file is gone"),
        (failed("DELTA_METADATA_CHANGED", "2D521"), "the table has changed"),
        (cancelled, "STATEMENT_TIMEOUT"),
    ];
    for (answer, text) in cases {
        let (workspace, sink) = (Workspace::new(), sink());
        workspace.always("POST", STATEMENTS, (200, answer));
        let began = workspace.clock.now();
        let mut last = None;
        while workspace.clock.now().saturating_since(began) < Duration::from_secs(15 * 60) {
            let waits = error(workspace.deliver(&sink, &batch(2)).await);
            assert_eq!((waits.kind(), waits.scope()), (ErrorKind::RateLimited, &Scope::Entry), "{waits}");
            assert!(waits.message().contains(text) && waits.context("table").is_some(), "{waits}");
            let Retry::At(at) = waits.retry() else { panic!("{waits}") };
            let pause = at.saturating_since(workspace.clock.now());
            assert!(pause >= Duration::from_secs(10) && pause <= Duration::from_secs(60), "{pause:?}");
            tokio::time::sleep(pause).await;
            last = Some(pause);
        }
        assert_eq!(last, Some(Duration::from_secs(60)), "the pauses grow");
        let stopped = error(workspace.deliver(&sink, &batch(2)).await);
        assert_eq!((stopped.scope(), stopped.retry()), (&Scope::Lane, Retry::Never), "{stopped}");
        assert!(stopped.message().contains(text), "{stopped}");
        // Once it works, the next failure is the first again.
        workspace.answers("POST", STATEMENTS, vec![(200, succeeded("01f0-well"))]);
        workspace.deliver(&sink, &batch(2)).await.remove(0).unwrap();
        let waits = error(workspace.deliver(&sink, &batch(2)).await);
        assert_eq!(waits.kind(), ErrorKind::RateLimited);
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_fails_is_an_outage_only_when_the_warehouse_says_so() {
    let workspace = Workspace::new();
    workspace.always("POST", STATEMENTS, (200, failed("INTERNAL_ERROR_X", "58030")));
    let path = format!("/api/2.0/sql/warehouses/{WAREHOUSE}");
    workspace.always("GET", path.clone(), (200, json!({ "state": "STOPPED" })));
    let down = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!((down.kind(), down.scope()), (ErrorKind::Unavailable, &Scope::Connection), "{down}");
    workspace.always("GET", path.clone(), (503, Value::Null));
    let down = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!((down.kind(), down.scope()), (ErrorKind::Unavailable, &Scope::Connection), "{down}");
    workspace.always("GET", path, (403, json!({ "error_code": "PERMISSION_DENIED" })));
    let waits = error(workspace.deliver(&sink(), &batch(2)).await);
    assert_eq!((waits.kind(), waits.scope()), (ErrorKind::RateLimited, &Scope::Entry), "{waits}");
}

#[tokio::test(start_paused = true)]
async fn rows_that_come_alone_and_are_all_refused_stop_their_table() {
    let (workspace, sink) = (Workspace::new(), sink());
    workspace.on(|seen| {
        let refuses =
            seen.method == "POST" && seen.path == STATEMENTS && !ids(seen).contains(&"good".to_owned());
        refuses.then(|| (200, failed("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")))
    });
    let one = async |id: &str| workspace.deliver(&sink, &[delivery(1, event(id, 1, "{}"))]).await.remove(0);
    for id in ["1", "2"] {
        let refused = one(id).await.unwrap_err();
        assert_eq!((refused.kind(), refused.scope()), (ErrorKind::InvalidRequest, &Scope::Entry));
    }
    for id in ["3", "3", "3"] {
        let waits = one(id).await.unwrap_err();
        assert_eq!((waits.scope(), waits.retry()), (&Scope::Lane, Retry::Never), "{waits}");
        assert!(waits.message().contains("refuses every row"), "{waits}");
        assert_eq!(waits.context("class"), Some("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"));
    }
    one("good").await.unwrap();
    assert_eq!(*one("4").await.unwrap_err().scope(), Scope::Entry, "the table takes rows");
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_noted_before_it_is_waited_for_also_one_that_makes_a_table() {
    let workspace = Workspace::new();
    workspace.answers("GET", TABLE, vec![(404, Value::Null)]);
    let running = json!({ "statement_id": "01f0-long", "status": { "state": "RUNNING" } });
    workspace.always("POST", STATEMENTS, (200, running.clone()));
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, running.clone()));
    let (first, kept) = (batch(2), Kept::default());
    // The process is killed while the statement runs.
    let killed = async |batch: &[_]| {
        let (ctx, sink) = (workspace.ctx(), sink());
        tokio::time::timeout(Duration::from_secs(10), attempt(&sink, &ctx, batch, &kept)).await.unwrap_err();
    };
    killed(&first).await;
    assert_eq!(kept.0.lock().unwrap().len(), 1, "CREATE TABLE");
    killed(&kept.again(&first)).await;
    assert_eq!(workspace.statements().len(), 1, "it is waited for, and not sent again");
    let made = (200, succeeded("01f0-long"));
    workspace.answers("GET", format!("{STATEMENTS}/01f0-long"), vec![made.clone()]);
    killed(&kept.again(&first)).await;
    assert_eq!(kept.0.lock().unwrap().len(), 2, "MERGE");
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), made);
    let done = attempt(&sink(), &workspace.ctx(), &kept.again(&first), &kept).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(workspace.statements().len(), 2);
    assert!(workspace.statements().iter().all(|seen| seen.json()["wait_timeout"] == "0s"));
}

#[tokio::test(start_paused = true)]
async fn a_query_that_nobody_waits_for_any_more_is_cancelled() {
    let workspace = Workspace::new();
    let running = json!({ "statement_id": "01f0-long", "status": { "state": "RUNNING" } });
    workspace.always("POST", STATEMENTS, (200, running.clone()));
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, running));
    workspace.always("POST", format!("{STATEMENTS}/01f0-long/cancel"), (200, fixture("cancel_200")));
    let late = sink().query(&workspace.ctx(), "SELECT 1", &[]).await.unwrap_err();
    assert_eq!(late.context("statement"), Some("01f0-long"));
    assert_eq!(workspace.seen("POST", &format!("{STATEMENTS}/01f0-long/cancel")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_comes_in_chunks_that_do_not_go_in_a_circle() {
    let (first, second) = (fixture("statement_succeeded_two_chunks"), fixture("statement_chunk_1"));
    let id = first["statement_id"].as_str().unwrap().to_owned();
    let rows = |of: &Value| of["data_array"].as_array().unwrap().len();
    let all = rows(&first["result"]) + rows(&second);
    let workspace = Workspace::new();
    let mut submitted = first.clone();
    submitted["manifest"]["total_row_count"] = all.into();
    workspace.always("POST", STATEMENTS, (200, submitted));
    workspace.always("GET", format!("{STATEMENTS}/{id}/result/chunks/1"), (200, second.clone()));
    let seen = sink().query(&workspace.ctx(), "SELECT x FROM t", &[]).await.unwrap();
    assert_eq!((seen.rows.len(), seen.columns.is_empty()), (all, false));
    let mut circle = second;
    circle["next_chunk_index"] = 1.into();
    workspace.always("GET", format!("{STATEMENTS}/{id}/result/chunks/1"), (200, circle));
    let error = sink().query(&workspace.ctx(), "SELECT x FROM t", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.message().contains("circle"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_renewed_once_and_the_call_made_again() {
    let workspace = Workspace::new();
    workspace.answers(
        "POST",
        STATEMENTS,
        vec![(403, json!({ "error_code": 403, "message": "Invalid access token." }))],
    );
    workspace.deliver(&sink(), &batch(1)).await.remove(0).unwrap();
    assert_eq!(workspace.seen("POST", "/oidc/v1/token").len(), 2);
    let token = &workspace.seen("POST", "/oidc/v1/token")[0];
    assert!(token.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    assert!(std::str::from_utf8(&token.body).unwrap().contains("scope=all-apis"));
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_runs_for_long_is_picked_up_by_whoever_comes_next() {
    let workspace = Workspace::new();
    let running = json!({ "statement_id": "01f0-long", "status": { "state": "RUNNING" } });
    workspace.always("POST", STATEMENTS, (200, running.clone()));
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, running));
    let (first, kept) = (batch(3), Kept::default());
    let waits = error(attempt(&sink(), &workspace.ctx(), &first, &kept).await);
    assert_eq!(
        (waits.kind(), waits.effect()),
        (ErrorKind::RateLimited, Effect::Unknown),
        "nothing is counted"
    );
    // Another host, which has a new row beside them.
    let mut again = kept.again(&first);
    again.push(delivery(9, event("9", 1, "{}")));
    let others = error(workspace.deliver(&sink(), &again).await);
    assert_eq!(others.context("statement"), Some("01f0-long"), "one statement of a table at a time");
    assert_eq!(workspace.statements().len(), 1);
    workspace.always("GET", format!("{STATEMENTS}/01f0-long"), (200, succeeded("01f0-long")));
    workspace.always("POST", STATEMENTS, (200, succeeded("01f0-next")));
    let done = workspace.deliver(&sink(), &again).await;
    let references: Vec<_> =
        done.iter().map(|result| result.as_ref().unwrap().reference.to_string()).collect();
    assert_eq!(references, ["01f0-long", "01f0-long", "01f0-long", "01f0-next"]);
    assert_eq!(ids(&workspace.statements()[1]), ["9"]);
}

#[tokio::test(start_paused = true)]
async fn large_batches_are_split_without_a_volume_and_an_oversize_row_is_named() {
    let workspace = Workspace::new();
    let small = |config: &mut Config| config.max_parameter_bytes = 2_000;
    let sink = builder().with(small).build().unwrap();
    let mut batch = batch(20);
    let long = format!(r#"{{"number":"{}"}}"#, "x".repeat(3_000));
    batch.push(delivery(99, event("99", 1, &long)));
    let results = workspace.deliver(&sink, &batch).await;
    assert_eq!(results[20].as_ref().unwrap_err().context("row"), Some("invoice/99"));
    assert!(results[..20].iter().all(Result::is_ok));
    assert!(workspace.statements().len() > 2);
    for statement in workspace.statements() {
        assert!(statement.parameter("batch").unwrap().len() <= 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_gone_stops_large_batches_with_what_to_do() {
    let workspace = Workspace::new();
    workspace.on(|seen| {
        let gone =
            json!({ "error_code": "NOT_FOUND", "message": "Volume 'main.books.landing' does not exist." });
        (seen.method == "PUT").then_some((404, gone))
    });
    let small = |config: &mut Config| config.max_parameter_bytes = 1_000;
    let sink = builder().volume("landing").with(small).build().unwrap();
    let gone = error(workspace.deliver(&sink, &batch(20)).await);
    assert_eq!((gone.kind(), gone.scope()), (ErrorKind::NotFound, &Scope::Lane));
    assert!(gone.message().contains("volume for staged files is missing"), "{gone}");
    workspace.deliver(&sink, &batch(1)).await.remove(0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn abandoned_files_are_deleted_and_young_ones_stay() {
    let workspace = Workspace::new();
    let old = (NOW.as_secs() - 100_000) * 1_000;
    let contents = json!({ "contents": [
        { "name": "a.json", "path": "x", "is_directory": false, "last_modified": old },
        { "name": "b.json", "path": "x", "is_directory": false, "last_modified": NOW.as_millis() },
        { "name": "c", "path": "x", "is_directory": true, "last_modified": old },
    ] });
    workspace.always("GET", "/api/2.0/fs/directories/Volumes/main/books/landing/staged", (200, contents));
    let sink = builder().volume("landing").build().unwrap();
    let next = sink.maintain(&workspace.ctx()).await.unwrap();
    assert_eq!(next, Some(NOW + Duration::from_secs(6 * 3600)), "every few hours");
    let deleted: Vec<_> = workspace.seen("DELETE", "/").into_iter().map(|seen| seen.path).collect();
    assert_eq!(deleted, ["/api/2.0/fs/files/Volumes/main/books/landing/staged/a.json"]);
    workspace.deliver(&sink, &batch(1)).await.remove(0).unwrap();
    assert_eq!(workspace.seen("GET", "/api/2.0/fs/directories").len(), 1, "no delivery waits for it");
    let no_volume = builder().build().unwrap();
    assert_eq!(no_volume.maintain(&workspace.ctx()).await.unwrap(), None);

    // Many are deleted a few at a time, and what cannot be listed is tried again by the engine.
    let many: Vec<_> = (0..120)
        .map(|n| json!({ "name": format!("{n}.json"), "path": "x", "is_directory": false, "last_modified": old }))
        .collect();
    let listing = json!({ "contents": many });
    workspace.always("GET", "/api/2.0/fs/directories/Volumes/main/books/landing/staged", (200, listing));
    let next = sink.maintain(&workspace.ctx()).await.unwrap();
    assert_eq!(next, Some(workspace.clock.now() + Duration::from_secs(60)));
    assert_eq!(workspace.seen("DELETE", "/").len(), 51);
    let refused = (403, json!({ "error_code": "PERMISSION_DENIED" }));
    workspace.always("GET", "/api/2.0/fs/directories/Volumes/main/books/landing/staged", refused);
    sink.maintain(&workspace.ctx()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_list_of_staged_files_that_has_no_end_is_not_followed_for_ever() {
    let workspace = Workspace::new();
    let mut page = 0;
    workspace.on(move |seen| {
        page += 1;
        let empty = json!({ "contents": null, "next_page_token": format!("page {page}") });
        seen.path.contains("/fs/directories/").then_some((200, empty))
    });
    let sink = builder().volume("landing").build().unwrap();
    let error = sink.maintain(&workspace.ctx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(workspace.seen("GET", "/api/2.0/fs/directories").len() < 100);
}

#[tokio::test(start_paused = true)]
async fn a_change_log_gets_every_change_and_the_table_the_latest() {
    let workspace = Workspace::new();
    let sink = builder().change_log().build().unwrap();
    workspace.always(
        "GET",
        "/api/2.1/unity-catalog/tables/main.books.ledger_invoices_changes",
        (404, Value::Null),
    );
    let mut gone = event("1", 2, "{}");
    gone.changes = [Change::Deleted].into();
    let both = [delivery(1, event("1", 1, r#"{"number":"a"}"#)), delivery(2, gone)];
    assert!(workspace.deliver(&sink, &both).await.iter().all(Result::is_ok));
    let sent: Vec<_> = workspace.statements();
    assert!(sent[0].sql().starts_with("CREATE TABLE IF NOT EXISTS `main`.`books`.`ledger_invoices_changes`"));
    assert!(sent[1].sql().starts_with("MERGE INTO `main`.`books`.`ledger_invoices_changes`"));
    assert!(!sent[1].sql().contains("WHEN MATCHED"));
    assert!(sent[2].sql().starts_with("MERGE INTO `main`.`books`.`ledger_invoices` "));
    assert_eq!(
        (ids(&sent[1]), ids(&sent[2]), ids(&sent[3])),
        (vec!["1".into(); 2], vec!["1".into()], vec!["1".into()])
    );
    assert_eq!(sent.len(), 4, "what was known of it, and then that it is gone");
    workspace.deliver(&sink, &batch(3)).await.remove(0).unwrap();
    let sent = workspace.statements().split_off(4);
    assert_eq!((sent.len(), sent[0].parameter("batch")), (2, sent[1].parameter("batch")));
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_source_nobody_named_waits_for_that() {
    let workspace = Workspace::new();
    let mut stranger = event("1", 1, "{}");
    stranger.connection = "elsewhere".into();
    let delivery = delivery(1, stranger);
    sink().plan(&delivery).unwrap();
    let error = error(workspace.deliver(&sink(), &[delivery]).await);
    assert_eq!(
        (error.kind(), error.scope(), error.retry()),
        (ErrorKind::ConfigInvalid, &Scope::Lane, Retry::Never)
    );
    assert!(error.message().contains("tables_of"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn text_of_others_never_becomes_sql() {
    let workspace = Workspace::new();
    let odd = "it's \\ \"` -- ; DROP TABLE x \u{2028} \u{1F600} \u{0}";
    let json = serde_json::to_string(&json!({ "number": odd })).unwrap();
    let mut event = event("1'; --`", 1, "{}");
    event.raw = Some(serde_json::from_str::<Raw>(&json).unwrap());
    workspace.deliver(&sink(), &[delivery(1, event)]).await.remove(0).unwrap();
    let [sent] = &workspace.statements()[..] else { panic!() };
    assert!(!sent.sql().contains("DROP") && !sent.sql().contains("--"));
    let rows: Vec<Value> = serde_json::from_str(&sent.parameter("batch").unwrap()).unwrap();
    assert_eq!((rows[0]["number"].as_str(), rows[0]["_id"].as_str()), (Some(odd), Some("1'; --`")));
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_both_token_endpoints_are_read() {
    for name in ["token_ok_200", "token_entra_ok_200"] {
        let workspace = Workspace::new();
        let answer: Value = fixture(name);
        let token = answer["access_token"].as_str().unwrap().to_owned();
        workspace.always("POST", "/oidc/v1/token", (200, answer));
        workspace.deliver(&sink(), &batch(1)).await.remove(0).unwrap();
        let authorized = &workspace.statements()[0].headers["authorization"];
        assert_eq!(authorized, &format!("Bearer {token}"), "{name}");
    }
}
