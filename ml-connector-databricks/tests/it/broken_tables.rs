//! Tables that cannot be written as they are: what stops, what is named, and what goes on.

use std::time::Duration;

use ml_connector_core::{
    CheckResult, ErrorKind, Scope, Sink,
    model::{Column, Delivery},
};
use ml_connector_databricks::{Config, Difference, DriftPolicy};
use ml_connector_sim::databricks::WarehouseState;

use crate::{
    lake::{Lake, TABLE},
    support::{Kept, Ledger, attempt, batch, delivery, error, event, good},
};

#[tokio::test(start_paused = true)]
async fn missing_grants_filters_and_masks_stop_the_table_and_work_again_by_themselves() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(1)).await);
    lake.sim.revoke("MODIFY", TABLE);
    let denied = error(lake.deliver(&sink, &batch(2)).await);
    assert_eq!((denied.kind(), denied.scope()), (ErrorKind::PermissionDenied, &Scope::Lane), "{denied:?}");
    lake.sim.grant("MODIFY", TABLE);
    lake.sim.set_row_filter(TABLE, Some(("main.sec.f", "_connection <> 'books'"))).unwrap();
    let fresh = lake.builder().build().unwrap();
    let filtered = error(lake.deliver(&fresh, &batch(2)).await);
    assert!(filtered.message().contains("row filter"), "{filtered}");
    lake.sim.set_row_filter(TABLE, None).unwrap();
    good(lake.deliver(&fresh, &batch(2)).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_hides_rows_doubles_one_and_no_other() {
    let lake = Lake::new();
    // As with a policy from above the table, which is not shown with it.
    let sink = lake.builder().with(|config: &mut Config| config.allow_row_filter = true).build().unwrap();
    let send = async |n| lake.deliver(&sink, &[delivery(n, event("1", n, r#"{"number":"a"}"#))]).await;
    good(send(1).await);
    lake.sim.set_row_filter(TABLE, Some(("main.sec.f", "_connection <> 'books'"))).unwrap();
    good(send(2).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(2), "the statement succeeds, and there are two");
    for n in 3..6 {
        let stopped = error(send(n).await);
        assert!(stopped.message().contains("a policy hides rows"), "{stopped}");
    }
    assert_eq!(lake.sim.rows_of(TABLE), Some(2), "and no more");
    lake.sim.set_row_filter(TABLE, None).unwrap();
    let doubled = error(send(6).await);
    assert_eq!((doubled.kind(), doubled.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane));
}

#[tokio::test(start_paused = true)]
async fn bad_rows_at_the_head_are_named_and_the_good_ones_behind_them_written() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &[delivery(1, event("0", 1, r#"{"total":99}"#))]).await);
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT c CHECK (total > 4)")).unwrap();
    let results = lake.deliver(&sink, &batch(10)).await;
    for (n, result) in (1..).zip(results) {
        match result {
            Ok(_) => assert!(n > 3),
            Err(error) => {
                assert!(n <= 3, "{n} {error}");
                assert_eq!((error.kind(), error.scope()), (ErrorKind::InvalidRequest, &Scope::Entry));
            }
        }
    }
    assert_eq!(lake.sim.rows_of(TABLE), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_column_of_the_customer_that_must_have_a_value_stops_the_table_and_gives_up_no_row() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(1)).await);
    for sql in ["DELETE FROM", "ALTER TABLE"] {
        let rest = if sql == "ALTER TABLE" { "ADD COLUMNS (region STRING)" } else { "" };
        lake.sim.sql(&format!("{sql} {TABLE} {rest}")).unwrap();
    }
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ALTER COLUMN region SET NOT NULL")).unwrap();
    let sink = lake.builder().build().unwrap();
    for count in [1, 5] {
        let stopped = error(lake.deliver(&sink, &batch(count)).await);
        assert_eq!((stopped.scope(), stopped.context("column")), (&Scope::Lane, Some("region")), "{stopped}");
    }
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ALTER COLUMN region DROP NOT NULL")).unwrap();
    good(lake.deliver(&sink, &batch(5)).await);
}

#[tokio::test(start_paused = true)]
async fn a_bad_row_is_found_however_slow_the_warehouse_is() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &[delivery(1, event("0", 1, r#"{"total":99}"#))]).await);
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT c CHECK (total > 2)")).unwrap();
    lake.sim.tune(|tuning| tuning.execution = Duration::from_secs(13));
    let (mut waiting, kept) = (batch(64), Kept::default());
    let mut dead = Vec::new();
    for tries in 0.. {
        assert!(tries < 12, "every attempt gets further");
        let results = attempt(&sink, &lake.ctx(), &waiting, &kept).await;
        let mut left = Vec::new();
        for (at, delivery) in waiting.iter().enumerate() {
            match results.get(at).unwrap_or(&results[0]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::InvalidRequest => {
                    dead.push(error.context("row").unwrap().to_owned());
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
                    left.push(delivery.clone());
                }
            }
        }
        if left.is_empty() {
            break;
        }
        waiting = kept.again(&left);
    }
    assert_eq!(dead, ["invoice/1"]);
    assert_eq!(lake.sim.rows_of(TABLE), Some(64));
}

#[tokio::test(start_paused = true)]
async fn numbers_that_go_back_stop_the_table_until_somebody_has_looked() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    let change = |n: u64, hours: u64, number: &str| {
        let mut event = event("1", n, &format!(r#"{{"number":"{number}"}}"#));
        event.at = event.at + Duration::from_secs(hours * 3600);
        delivery(n, event)
    };
    good(lake.deliver(&sink, &[change(9, 1, "nine")]).await);
    // An earlier change that comes late, or once more, is nothing.
    good(lake.deliver(&sink, &[change(8, 0, "eight")]).await);
    good(lake.deliver(&sink, &[change(9, 1, "nine")]).await);
    // The log was put back to where the record had five changes: its next one is number six.
    let kept = Kept::default();
    let mut both = vec![change(6, 2, "six"), delivery(7, event("2", 1, r#"{"number":"other"}"#))];
    for _ in 0..3 {
        let results = attempt(&sink, &lake.ctx(), &both, &kept).await;
        let stopped = results[0].as_ref().unwrap_err();
        assert_eq!((stopped.kind(), stopped.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane), "{stopped}");
        assert!(stopped.message().contains("put back"), "{stopped}");
        assert!(results[1].is_ok(), "the rest is delivered");
        // The note of the statement does not settle it.
        both = kept.again(&both);
    }
    assert_eq!(lake.rows(&format!("SELECT number FROM {TABLE} ORDER BY _id")), [["nine"], ["other"]]);
    assert_eq!(sink.drift()[0].difference, Difference::Overtaken);
    // What the documentation says.
    lake.sim.sql(&format!("UPDATE {TABLE} SET _epoch = 0, _n = 0 WHERE _connection = 'books'")).unwrap();
    good(attempt(&sink, &lake.ctx(), &kept.again(&both), &kept).await);
    assert_eq!(lake.rows(&format!("SELECT number, _n FROM {TABLE} WHERE _id = '1'")), [["six", "6"]]);
}

#[tokio::test(start_paused = true)]
async fn of_two_connectors_with_logs_of_their_own_one_is_told() {
    let lake = Lake::new();
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let of = |epoch: u64, hours: u64, count: u64| {
        (1..=count).map(move |n| {
            let mut event = event(&n.to_string(), hours, &format!(r#"{{"number":"{epoch}"}}"#));
            (event.epoch, event.at) = (epoch, event.at + Duration::from_secs(hours * 3600));
            delivery(n, event)
        })
    };
    let small = |config: &mut Config| config.max_parameter_bytes = 2_000;
    let (one, other) =
        (lake.builder().volume("landing").with(small).build().unwrap(), lake.builder().build().unwrap());
    good(lake.deliver(&other, &of(200, 1, 20).collect::<Vec<_>>()).await);
    // Twenty that are passed over, and one that nobody else has.
    let results = lake.deliver(&one, &of(100, 2, 21).collect::<Vec<_>>()).await;
    assert!(results[..20].iter().all(|result| *result.as_ref().unwrap_err().scope() == Scope::Lane));
    assert!(results[20].is_ok());
    good(lake.deliver(&other, &of(200, 3, 20).collect::<Vec<_>>()).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_log_that_hides_changes_or_is_not_ours_is_named() {
    let lake = Lake::new();
    let log = format!("{TABLE}_changes");
    good(lake.deliver(&lake.builder().change_log().build().unwrap(), &batch(1)).await);
    lake.sim.set_row_filter(&log, Some(("main.sec.f", "_connection <> 'books'"))).unwrap();
    let stopped = error(lake.deliver(&lake.builder().change_log().build().unwrap(), &batch(2)).await);
    assert_eq!((stopped.scope(), stopped.context("table")), (&Scope::Lane, Some(&*log)), "{stopped}");
    lake.sim.sql(&format!("DROP TABLE {log}")).unwrap();
    lake.sim.sql(&format!("CREATE TABLE {log} (_connection STRING)")).unwrap();
    let stopped = error(lake.deliver(&lake.builder().change_log().build().unwrap(), &batch(2)).await);
    assert_eq!((stopped.scope(), stopped.context("table")), (&Scope::Lane, Some(&*log)), "{stopped}");
    assert_eq!(lake.sim.rows_of(TABLE), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_check_says_which_privilege_is_missing_and_what_differs() {
    let step = async |lake: &Lake, builder: ml_connector_databricks::Builder, name: &str| {
        let steps = builder.build().unwrap().check(&lake.ctx()).await;
        steps.into_iter().find(|step| step.step.starts_with(name)).unwrap()
    };
    let lake = Lake::new();
    good(lake.deliver(&lake.builder().build().unwrap(), &batch(1)).await);
    lake.sim.revoke("MODIFY", TABLE);
    let table = step(&lake, lake.builder(), "table").await;
    assert_eq!(table.result, CheckResult::Failed);
    assert!(table.found.as_ref().is_some_and(|found| found.contains("lacks MODIFY")), "{table:?}");
    lake.sim.grant("MODIFY", TABLE);
    assert_eq!(step(&lake, lake.builder(), "table").await.result, CheckResult::Passed);
    lake.sim.revoke("CREATE TABLE", "main.ml_finance");
    assert_eq!(
        step(&lake, lake.builder(), "schema").await.result,
        CheckResult::Passed,
        "none has to be made"
    );
    let schema = step(&lake, lake.builder().change_log(), "schema").await;
    assert!(schema.found.as_ref().is_some_and(|found| found.contains("lacks CREATE TABLE")), "{schema:?}");

    let with_more = || Ledger::of(crate::support::columns().with(Column::string("terms", "/terms")));
    let evolves = step(&lake, lake.builder().tables_of(&with_more()), "table").await;
    assert_eq!(evolves.result, CheckResult::Passed);
    assert!(evolves.found.as_ref().is_some_and(|found| found.contains("terms")), "{evolves:?}");
    let frozen = lake.builder().tables_of(&with_more()).drift(DriftPolicy::Freeze);
    let frozen = step(&lake, frozen, "table").await;
    assert_eq!(frozen.result, CheckResult::Warning);
    assert!(frozen.found.as_ref().is_some_and(|found| found.contains("terms")), "{frozen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_deleted_between_the_file_and_the_statement_costs_time_and_no_row() {
    let lake = Lake::new();
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let small = |config: &mut Config| config.max_parameter_bytes = 2_000;
    let sink = lake.builder().volume("landing").with(small).build().unwrap();
    good(lake.deliver(&sink, &batch(1)).await);
    lake.sim.tune(|tuning| tuning.execution = Duration::from_secs(5));
    let rows = batch(20);
    let gone = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        lake.sim.sql("DROP VOLUME landing").unwrap();
    };
    let (results, ()) = tokio::join!(lake.deliver(&sink, &rows), gone);
    let waits = error(results);
    assert_eq!(waits.kind(), ErrorKind::RateLimited, "{waits}");
    let gone = error(lake.deliver(&sink, &rows).await);
    assert_eq!((gone.kind(), gone.scope()), (ErrorKind::NotFound, &Scope::Lane), "{gone}");
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    good(lake.deliver(&sink, &rows).await);
    // Larger than a staged file may be: it is named.
    let most = |config: &mut Config| (config.max_parameter_bytes, config.max_bytes) = (2_000, 4_000);
    let sink = lake.builder().volume("landing").with(most).build().unwrap();
    let long = event("99", 1, &format!(r#"{{"number":"{}"}}"#, "x".repeat(5_000)));
    let results = lake.deliver(&sink, &[delivery(1, long), delivery(2, event("98", 1, "{}"))]).await;
    assert_eq!(results[0].as_ref().unwrap_err().context("row"), Some("invoice/99"));
    assert!(results[1].is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_is_deleted_while_a_statement_waits_stops_everything_with_what_to_do() {
    let lake = Lake::with(|config| {
        (config.warehouse_runs, config.warehouse_start) = (true, Duration::from_secs(600));
    });
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(1)).await);
    lake.sim.warehouse(|warehouse| warehouse.state = WarehouseState::Stopped);
    let deleted = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        lake.sim.warehouse(|warehouse| warehouse.state = WarehouseState::Deleted);
    };
    let rows = batch(2);
    let (results, ()) = tokio::join!(lake.deliver(&sink, &rows), deleted);
    let stopped = error(results);
    assert_eq!(
        (stopped.kind(), stopped.scope()),
        (ErrorKind::ConfigInvalid, &Scope::Connection),
        "{stopped}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_constraint_of_the_customer_is_the_tables_fault_when_every_row_breaks_it() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(1)).await);
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT small CHECK (total < 3)")).unwrap();
    let results = lake.deliver(&sink, &batch(10)).await;
    let refused = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(refused, 8, "the rows that keep it are written: {results:?}");
    assert_eq!(lake.sim.rows_of(TABLE), Some(2));
    // One that no row keeps: the table waits as a whole, and the rows with it.
    let other = Lake::new();
    let sink = other.builder().build().unwrap();
    good(other.deliver(&sink, &batch(1)).await);
    other.sim.sql(&format!("DELETE FROM {TABLE}")).unwrap();
    other.sim.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT none CHECK (total < 0)")).unwrap();
    let results = other.deliver(&sink, &batch(10)).await;
    assert_eq!(results.len(), 10);
    for result in results {
        let stopped = result.unwrap_err();
        assert_eq!((stopped.kind(), stopped.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane), "{stopped}");
    }
    assert_eq!(other.sim.rows_of(TABLE), Some(0));
    other.sim.sql(&format!("ALTER TABLE {TABLE} DROP CONSTRAINT none")).unwrap();
    good(other.deliver(&sink, &batch(10)).await);
    assert_eq!(other.sim.rows_of(TABLE), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_only_reads_is_found_by_the_check_before_the_first_row() {
    for kind in ["REALTIME", "REYDEN"] {
        let lake = Lake::new();
        let sink = lake.builder().build().unwrap();
        let step = async |name: &str| {
            let steps = sink.check(&lake.ctx()).await;
            steps.into_iter().find(|step| step.step.starts_with(name)).unwrap()
        };
        assert_eq!(step("warehouse").await.result, CheckResult::Passed);
        lake.sim.warehouse(|warehouse| warehouse.kind = kind.to_owned());
        let found = step("warehouse").await;
        assert_eq!(found.result, CheckResult::Failed, "{kind}");
        let said = found.to_string();
        assert!(said.contains("takes no writes") && said.contains("pro or classic"), "{said}");
        // What a query alone would not have told.
        assert_eq!(step("statement").await.result, CheckResult::Passed);
        // Without a check the statement says it, by a class that tables have as well; no row is given up for it.
        let stopped = error(lake.deliver(&sink, &batch(1)).await);
        assert_eq!((stopped.kind(), stopped.scope()), (ErrorKind::ConfigInvalid, &Scope::Lane), "{stopped}");
        assert!(stopped.message().contains("SQL warehouse"), "{stopped}");
        lake.sim.warehouse(|warehouse| warehouse.kind = "PRO".to_owned());
        good(lake.deliver(&sink, &batch(1)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn two_connectors_on_one_table_get_in_each_others_way_and_lose_no_row() {
    let lake = Lake::new();
    let (one, other) = (lake.builder().build().unwrap(), lake.builder().build().unwrap());
    good(lake.deliver(&one, &batch(1)).await);
    lake.sim.tune(|tuning| tuning.execution = Duration::from_secs(1));
    let theirs: Vec<Delivery> = (100..110).map(|n| delivery(n, event(&n.to_string(), 1, "{}"))).collect();
    let ours = batch(20);
    let (ours, theirs) = tokio::join!(lake.deliver(&one, &ours), lake.deliver(&other, &theirs));
    good(ours);
    good(theirs);
    assert_eq!(lake.sim.rows_of(TABLE), Some(30));
    let merges = lake.sim.statements().into_iter().filter(|sql| sql.starts_with("MERGE")).count();
    assert!(merges > 3, "one of them was in the way: {merges}");
}
