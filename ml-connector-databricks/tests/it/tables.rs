//! What is in the tables afterwards.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, StatusCode};
use ml_connector_core::{
    CheckResult, ErrorKind, Scope, Sink,
    model::{Change, Column, Columns, Delivery, RecordKind},
};
use ml_connector_databricks::{Config, Databricks, Difference, DriftPolicy};
use ml_connector_sim::{Fault, databricks::WarehouseState};
use proptest::prelude::*;

use crate::{
    lake::{Lake, TABLE},
    support::{Kept, Ledger, attempt, batch, delivery, error, event},
};

fn good(results: Vec<ml_connector_core::Result<ml_connector_core::model::Receipt>>) {
    results.into_iter().for_each(|result| drop(result.unwrap()));
}

fn gone(id: &str, n: u64) -> ml_connector_core::model::Event {
    let mut event = event(id, n, "{}");
    (event.changes, event.raw) = ([Change::Deleted].into(), None);
    event
}

/// Records whose lists do not show their lines.
fn detailed() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "")
        .whole_with("/lines")
        .with(Column::string("number", "/number"))
        .with(Column::list("lines", "/lines", [Column::decimal("rate", "/rate", 2)]).in_detail())
}

#[tokio::test(start_paused = true)]
async fn a_table_is_made_and_rows_keep_every_digit_wherever_the_warehouse_is() {
    let lake = Lake::with(|config| config.session_zone = "America/Los_Angeles".to_owned());
    let sink = lake.builder().raw_column().build().unwrap();
    let odd = r#"{"number":"it's \"odd\" \\ ` é 😀 \u2028\n\u0000","total":9999999999999999999999999999999999.0001}"#;
    let rows = [
        delivery(1, event("1", 1, odd)),
        delivery(2, event("2", 1, r#"{"total":"-0.0100","number":null}"#)),
        delivery(3, event("3", 7, r#"{"total":0}"#)),
    ];
    good(lake.deliver(&sink, &rows).await);
    let table = lake.rows(&format!(
        "SELECT _id, number, total, _connection, _system, _account, _n, _deleted FROM {TABLE} ORDER BY _id"
    ));
    let number = "it's \"odd\" \\ ` é 😀 \u{2028}\n\u{0}";
    assert_eq!(
        table,
        [
            [
                "1",
                number,
                "9999999999999999999999999999999999.0001",
                "books",
                "ledger",
                "org:7",
                "1",
                "false"
            ],
            ["2", "-", "-0.0100", "books", "ledger", "org:7", "1", "false"],
            ["3", "-", "0.0000", "books", "ledger", "org:7", "7", "false"],
        ]
    );
    let at = &lake.rows(&format!("SELECT _occurred_at, _raw FROM {TABLE} WHERE _id = '1'"))[0];
    assert_eq!((at[0].as_str(), at[1].as_str()), ("2026-10-14T10:46:40.000-07:00", odd));
    assert_eq!(sink.drift(), []);
    let asked = sink
        .query(&lake.ctx(), "SELECT count(*) AS n FROM ledger_invoices WHERE _id <> :id", &[("id", "1")])
        .await
        .unwrap();
    assert_eq!((asked.columns, asked.rows), (vec!["n".to_owned()], vec![vec![Some("2".to_owned())]]));
}

#[tokio::test(start_paused = true)]
async fn a_row_never_goes_back_and_a_tombstone_keeps_what_was_known() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    let state =
        |lake: &Lake| lake.rows(&format!("SELECT number, total, _n, _deleted FROM {TABLE}")).remove(0);
    let send = async |event| good(lake.deliver(&sink, &[delivery(1, event)]).await);
    send(event("1", 2, r#"{"number":"b","total":2}"#)).await;
    send(event("1", 1, r#"{"number":"a","total":1}"#)).await;
    assert_eq!(state(&lake), ["b", "2.0000", "2", "false"]);
    send(gone("1", 3)).await;
    send(event("1", 2, r#"{"number":"b","total":2}"#)).await;
    assert_eq!(state(&lake), ["b", "2.0000", "3", "true"]);
    send(event("1", 4, r#"{"number":"c"}"#)).await;
    assert_eq!(state(&lake), ["c", "-", "4", "false"]);
    send(gone("unknown", 9)).await;
    assert_eq!(lake.sim.rows_of(TABLE), Some(2));
    // A log that was lost begins to count anew.
    let mut later = event("1", 1, r#"{"number":"after"}"#);
    later.epoch = 1;
    send(later).await;
    assert_eq!(state(&lake), ["after", "-", "1", "false"]);
    send(event("1", 5, r#"{"number":"before"}"#)).await;
    assert_eq!(state(&lake)[0], "after");
}

#[tokio::test(start_paused = true)]
async fn rows_of_lists_never_take_away_what_a_detail_has_shown() {
    let lake = Lake::new();
    let sink = lake.builder().tables_of(&Ledger::of(detailed())).build().unwrap();
    let send = async |n, json| good(lake.deliver(&sink, &[delivery(1, event("1", n, json))]).await);
    let state = |lake: &Lake| lake.rows(&format!("SELECT number, lines, _detailed FROM {TABLE}")).remove(0);
    send(1, r#"{"number":"a"}"#).await;
    assert_eq!(state(&lake), ["a", "-", "false"]);
    send(2, r#"{"number":"b","lines":[{"rate":1.50}]}"#).await;
    assert_eq!(state(&lake), ["b", r#"[{"rate":1.50}]"#, "true"]);
    send(3, r#"{"number":"c"}"#).await;
    assert_eq!(state(&lake), ["c", r#"[{"rate":1.50}]"#, "true"]);
}

#[tokio::test(start_paused = true)]
async fn columns_come_later_and_tables_follow_or_stay() {
    for policy in [DriftPolicy::Evolve, DriftPolicy::Freeze, DriftPolicy::Quarantine] {
        let lake = Lake::new();
        let before = Columns::new(RecordKind::Invoice, "invoices", "")
            .with(Column::string("number", "/number"))
            .with(Column::list("lines", "/lines", [Column::string("item", "/item")]));
        let sink = lake.builder().tables_of(&Ledger::of(before)).build().unwrap();
        good(
            lake.deliver(
                &sink,
                &[delivery(1, event("1", 1, r#"{"number":"a","lines":[{"item":"x","unit":"kg"}]}"#))],
            )
            .await,
        );
        let after = Columns::new(RecordKind::Invoice, "invoices", "")
            .with(Column::string("number", "/number"))
            .with(Column::list(
                "lines",
                "/lines",
                [Column::string("unit", "/unit"), Column::string("item", "/item")],
            ))
            .with(Column::decimal("total", "/total", 4));
        let sink = lake.builder().tables_of(&Ledger::of(after)).drift(policy).build().unwrap();
        let with_total =
            delivery(2, event("2", 1, r#"{"number":"b","total":1,"lines":[{"item":"y","unit":"kg"}]}"#));
        let without = delivery(3, event("3", 1, r#"{"number":"c","lines":[{"item":"z"}]}"#));
        let results = lake.deliver(&sink, &[with_total, without]).await;
        assert!(results[1].is_ok(), "{results:?}");
        if policy == DriftPolicy::Quarantine {
            let nested = delivery(4, event("4", 1, r#"{"lines":[{"item":"y"},{"unit":"kg"}]}"#));
            let refused = error(lake.deliver(&sink, &[nested]).await);
            assert_eq!(refused.context("column"), Some("lines.unit"), "no value is dropped silently");
        }
        let rows = lake.rows(&format!("SELECT _id, lines FROM {TABLE} ORDER BY _id"));
        match policy {
            DriftPolicy::Evolve => {
                assert!(results[0].is_ok() && sink.drift().is_empty());
                assert_eq!(lake.rows(&format!("SELECT total FROM {TABLE} WHERE _id = '2'")), [["1.0000"]]);
                assert!(rows[1][1].contains("kg") && rows[1][1].contains("\"item\":\"y\""), "{rows:?}");
            }
            DriftPolicy::Freeze => {
                assert!(results[0].is_ok());
                let lacking: Vec<_> = sink.drift().iter().map(|drift| drift.column.to_string()).collect();
                assert_eq!(lacking, ["lines.unit", "total"]);
                assert!(!rows[1][1].contains("kg"));
            }
            _ => {
                assert_eq!(results[0].as_ref().unwrap_err().context("column"), Some("total"));
                assert_eq!(rows.len(), 2);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_batches_go_through_the_volume_and_leave_nothing_there() {
    let lake = Lake::new();
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let small = |config: &mut Config| config.max_parameter_bytes = 5_000;
    let sink = lake.builder().volume("landing").with(small).change_log().build().unwrap();
    good(lake.deliver(&sink, &batch(200)).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(200));
    assert_eq!(lake.sim.rows_of(&format!("{TABLE}_changes")), Some(200));
    assert_eq!(lake.rows(&format!("SELECT sum(total) FROM {TABLE}")), [["20200.0000"]]);
    let merges = lake.sim.statements().into_iter().filter(|sql| sql.starts_with("MERGE")).collect::<Vec<_>>();
    assert!(merges.len() == 2 && merges.iter().all(|sql| sql.contains("read_files")), "{merges:?}");
    let left = sink.check(&lake.ctx()).await;
    assert!(left.iter().all(|checked| checked.result == CheckResult::Passed), "{left:?}");
    let puts = lake
        .sim
        .received()
        .into_iter()
        .filter(|seen| seen.method == "PUT" && seen.path.contains("/files/"))
        .count();
    let deletes = lake.sim.received().into_iter().filter(|seen| seen.method == "DELETE").count();
    assert_eq!(puts, deletes);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_warehouse_a_dead_token_and_conflicts_cost_time_and_no_row() {
    let lake = Lake::with(|config| config.warehouse_runs = false);
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(3)).await);
    lake.sim.expire_tokens();
    lake.sim.tune(|tuning| tuning.conflicts = 3);
    good(lake.deliver(&sink, &batch(5)).await);
    lake.sim.tune(|tuning| tuning.closed_at_once = true);
    good(lake.deliver(&sink, &batch(7)).await);
    lake.sim.tune(|tuning| tuning.refuses_query_tags = true);
    good(lake.deliver(&sink, &batch(8)).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(8));
    lake.sim.warehouse(|warehouse| warehouse.state = WarehouseState::Deleted);
    let deleted = error(lake.deliver(&sink, &batch(9)).await);
    assert_eq!(
        (deleted.kind(), deleted.scope()),
        (ErrorKind::ConfigInvalid, &Scope::Connection),
        "{deleted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_starts_for_minutes_is_waited_for_with_one_statement() {
    let lake = Lake::with(|config| {
        (config.warehouse_runs, config.warehouse_start) = (false, Duration::from_secs(150));
    });
    lake.sim.warehouse(|warehouse| warehouse.state = WarehouseState::Running);
    good(lake.deliver(&lake.builder().build().unwrap(), &batch(1)).await);
    lake.sim.warehouse(|warehouse| warehouse.state = WarehouseState::Stopped);
    let (mut rows, kept) = (batch(3), Kept::default());
    let before = lake.sim.statements().len();
    for host in 0.. {
        // Another host each time.
        let sink = lake.builder().build().unwrap();
        let results = attempt(&sink, &lake.ctx(), &rows, &kept).await;
        if results.iter().all(Result::is_ok) {
            assert!(host >= 2);
            break;
        }
        let waits = error(results);
        assert_eq!((waits.kind(), waits.scope()), (ErrorKind::Unavailable, &Scope::Connection), "{waits:?}");
        assert!(waits.message().contains("starting"), "{waits}");
        rows = kept.again(&rows);
        assert!(host < 10);
    }
    assert_eq!(lake.sim.statements().len(), before + 1);
    assert_eq!(lake.sim.rows_of(TABLE), Some(3));
}

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
async fn a_table_that_was_emptied_by_hand_is_filled_again_without_ado() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    good(lake.deliver(&sink, &batch(3)).await);
    lake.sim.sql(&format!("DROP TABLE {TABLE}")).unwrap();
    good(lake.deliver(&sink, &batch(3)).await);
    good(lake.deliver(&sink, &batch(4)).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(4));
    let told: Vec<_> = sink.drift().into_iter().map(|drift| drift.difference).collect();
    assert_eq!(told, [Difference::MadeAnew], "what was there before is missing, and somebody should know");
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_deleted_by_hand_again_and_again_stop_nothing() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    let send = async |n| lake.deliver(&sink, &[delivery(n, event("1", n, r#"{"number":"a"}"#))]).await;
    for n in 1..5 {
        good(send(n).await);
        lake.sim.sql(&format!("DELETE FROM {TABLE}")).unwrap();
    }
    good(send(5).await);
    assert_eq!(lake.sim.rows_of(TABLE), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_was_last_known_is_kept_when_the_tombstone_comes_in_the_same_batch() {
    for log in [false, true] {
        let lake = Lake::new();
        let builder = lake.builder();
        let sink = if log { builder.change_log() } else { builder }.build().unwrap();
        let total = |n: u64, total: &str| event("1", n, &format!(r#"{{"number":"a","total":{total}}}"#));
        good(
            lake.deliver(
                &sink,
                &[delivery(1, total(4, "1250.50")), delivery(2, gone("1", 5)), delivery(3, gone("2", 1))],
            )
            .await,
        );
        let rows = lake.rows(&format!("SELECT _id, total, _deleted, _n FROM {TABLE} ORDER BY _id"));
        assert_eq!(rows, [["1", "1250.5000", "true", "5"], ["2", "-", "true", "1"]]);
        let logged = lake.sim.rows_of(&format!("{TABLE}_changes"));
        assert_eq!(logged, log.then_some(3), "every change is in the log");
        // Back again, changed and gone, in one batch.
        good(
            lake.deliver(
                &sink,
                &[delivery(4, total(6, "1")), delivery(5, total(7, "2")), delivery(6, gone("1", 8))],
            )
            .await,
        );
        let rows = lake.rows(&format!("SELECT total, _deleted, _n FROM {TABLE} WHERE _id = '1'"));
        assert_eq!(rows, [["2.0000", "true", "8"]]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_a_list_does_not_take_away_the_lines_of_the_detail_before_it() {
    let lake = Lake::new();
    let sink = lake.builder().tables_of(&Ledger::of(detailed())).build().unwrap();
    let batch = [
        delivery(1, event("1", 1, r#"{"number":"a","lines":[{"rate":1.50}]}"#)),
        delivery(2, event("1", 2, r#"{"number":"b"}"#)),
        delivery(3, gone("1", 3)),
    ];
    good(lake.deliver(&sink, &batch).await);
    let rows = lake.rows(&format!("SELECT number, lines, _detailed, _deleted, _n FROM {TABLE}"));
    assert_eq!(rows, [["b", r#"[{"rate":1.50}]"#, "true", "true", "3"]]);
}

#[tokio::test(start_paused = true)]
async fn a_table_of_the_customer_that_does_not_say_what_is_whole_loses_no_lines() {
    let (lake, other) = (Lake::new(), Lake::new());
    let form = || Ledger::of(detailed());
    good(other.deliver(&other.builder().tables_of(&form()).build().unwrap(), &batch(1)).await);
    let made = other.sim.statements().into_iter().find(|sql| sql.starts_with("CREATE TABLE")).unwrap();
    let lines: Vec<&str> = made.lines().filter(|line| !line.contains("`_detailed`")).collect();
    lake.sim.sql(&lines.join("\n")).unwrap();
    for policy in [DriftPolicy::Freeze, DriftPolicy::Quarantine] {
        let sink = lake.builder().tables_of(&form()).drift(policy).build().unwrap();
        let id = format!("{policy:?}");
        let whole = event(&id, 1, r#"{"number":"a","lines":[{"rate":1.50}]}"#);
        good(lake.deliver(&sink, &[delivery(1, whole)]).await);
        good(lake.deliver(&sink, &[delivery(2, event(&id, 2, r#"{"number":"b"}"#))]).await);
        let rows = lake.rows(&format!("SELECT number, lines FROM {TABLE} WHERE _id = '{id}'"));
        assert_eq!(rows, [["b", r#"[{"rate":1.50}]"#]]);
    }
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
async fn records_that_only_a_lost_log_knew_are_marked_as_deleted() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    let of = |epoch: u64, ids: std::ops::RangeInclusive<u64>| {
        ids.map(move |n| {
            let mut event = event(&n.to_string(), 1, r#"{"number":"a"}"#);
            event.epoch = epoch;
            delivery(n, event)
        })
        .collect::<Vec<_>>()
    };
    let nothing = sink.bury_lost(&lake.ctx(), &"books".into()).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    good(lake.deliver(&sink, &of(1, 1..=5)).await);
    assert_eq!(sink.bury_lost(&lake.ctx(), &"books".into()).await.unwrap(), 0, "there is one log");
    good(lake.deliver(&sink, &of(2, 3..=6)).await);
    assert_eq!(sink.bury_lost(&lake.ctx(), &"books".into()).await.unwrap(), 2);
    let rows = lake.rows(&format!("SELECT _id, number FROM {TABLE} WHERE _deleted ORDER BY _id"));
    assert_eq!(rows, [["1", "a"], ["2", "a"]]);
    assert_eq!(sink.bury_lost(&lake.ctx(), &"books".into()).await.unwrap(), 0, "twice is once");
    good(lake.deliver(&sink, &of(2, 1..=1)).await);
    assert_eq!(lake.rows(&format!("SELECT _deleted FROM {TABLE} WHERE _id = '1'")), [["false"]]);
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
async fn every_way_to_prove_who_is_calling_delivers() {
    for way in ["entra", "personal", "token_url"] {
        let lake = Lake::new();
        let credentials = lake.sim.credentials();
        let (id, secret) = (credentials.client_id.clone(), credentials.client_secret.clone());
        let builder = Databricks::builder("lake")
            .host(lake.sim.host())
            .warehouse(credentials.warehouse_id)
            .schema("main", "ml_finance")
            .tables_of(&Ledger::new());
        let account = format!("{}/oidc/accounts/{}/v1/token", lake.sim.host(), credentials.account_id);
        let builder = match way {
            "entra" => builder.entra(credentials.tenant_id, id, credentials.entra_secret),
            "personal" => builder.personal_access_token(credentials.token),
            _ => builder
                .service_principal(id, secret)
                .with(move |config: &mut Config| config.token_url = Some(account)),
        };
        let sink = builder.build().unwrap();
        good(lake.deliver(&sink, &batch(2)).await);
        lake.sim.expire_tokens();
        good(lake.deliver(&sink, &batch(3)).await);
        assert_eq!(lake.sim.rows_of(TABLE), Some(3), "{way}");
        assert_eq!(lake.sim.tokens_issued(), if way == "personal" { 0 } else { 2 }, "{way}");
        let steps = sink.check(&lake.ctx()).await;
        assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:?}");
    }
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
    lake.sim.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT none CHECK (total < 0)")).ok();
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

#[tokio::test(start_paused = true)]
async fn tables_that_somebody_else_makes_from_the_statements_are_complete() {
    let lake = Lake::new();
    let builder = || lake.builder().change_log().with(|config: &mut Config| config.create_tables = false);
    let sink = builder().build().unwrap();
    assert_eq!(error(lake.deliver(&sink, &batch(1)).await).scope(), &Scope::Lane);
    for statement in sink.create_statements() {
        lake.sim.sql(&statement).unwrap();
    }
    good(lake.deliver(&sink, &batch(2)).await);
    let steps = builder().drift(DriftPolicy::Freeze).build().unwrap().check(&lake.ctx()).await;
    assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:?}");
    assert_eq!(lake.sim.rows_of(&format!("{TABLE}_changes")), Some(2));
}

/// What happens to a batch.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Fine,
    AnswerLost,
    RequestLost,
    Failing,
    Conflict,
    Restart,
    Twice,
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        3 => Just(Weather::Fine),
        1 => Just(Weather::AnswerLost),
        1 => Just(Weather::RequestLost),
        1 => Just(Weather::Failing),
        1 => Just(Weather::Conflict),
        1 => Just(Weather::Restart),
        1 => Just(Weather::Twice),
    ]
}

/// A change of one of five records, and how far it is moved in the order.
fn change() -> impl Strategy<Value = (u8, bool, u32, usize)> {
    (0..5_u8, prop::bool::weighted(0.15), 0..100_000_u32, 0..6_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn tables_mirror_the_source_whatever_happens_on_the_way(
        changes in prop::collection::vec(change(), 1..60),
        sizes in prop::collection::vec((1..12_usize, weather()), 60),
        log in prop::bool::weighted(0.2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(mirror(&changes, &sizes, log));
    }
}

/// Hits the next statement.
fn on(fault: Fault) -> Fault {
    fault.on("/sql/statements").method(Method::POST)
}

async fn mirror(changes: &[(u8, bool, u32, usize)], sizes: &[(usize, Weather)], log: bool) {
    let lake = Lake::new();
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let connect = || {
        let builder =
            lake.builder().volume("landing").with(|config: &mut Config| config.max_parameter_bytes = 1_500);
        if log { builder.change_log() } else { builder }.build().unwrap()
    };
    // The truth, and the events in an order that is not theirs.
    let mut truth: BTreeMap<String, (u64, Option<u32>, bool)> = BTreeMap::new();
    let mut order: Vec<(usize, Delivery)> = Vec::new();
    for (place, (id, deleted, cents, moved)) in changes.iter().enumerate() {
        let id = id.to_string();
        let of = truth.entry(id.clone()).or_default();
        of.0 += 1;
        of.2 = *deleted;
        let event = if *deleted {
            gone(&id, of.0)
        } else {
            of.1 = Some(*cents);
            event(&id, of.0, &format!(r#"{{"total":{}.{:02}}}"#, cents / 100, cents % 100))
        };
        order.push((place + moved, delivery(place as u64 + 1, event)));
    }
    order.sort_by_key(|(place, _)| *place);
    let mut waiting: Vec<Delivery> = order.into_iter().map(|(_, delivery)| delivery).collect();
    let mut sink: Databricks = connect();
    let mut sizes = sizes.iter().cycle();
    while !waiting.is_empty() {
        let (size, weather) = *sizes.next().unwrap();
        let batch: Vec<Delivery> = waiting.drain(..size.min(waiting.len())).collect();
        match weather {
            Weather::AnswerLost => lake.sim.plant(on(Fault::reset().having_acted())),
            Weather::RequestLost => lake.sim.plant(on(Fault::reset())),
            Weather::Failing => lake.sim.plant(on(Fault::status(StatusCode::BAD_GATEWAY))),
            Weather::Conflict => lake.sim.tune(|tuning| tuning.conflicts = 2),
            Weather::Restart => sink = connect(),
            Weather::Fine | Weather::Twice => {}
        }
        if matches!(weather, Weather::Twice) {
            lake.deliver(&sink, &batch).await;
        }
        let results = lake.deliver(&sink, &batch).await;
        for (delivery, result) in batch.into_iter().zip(results) {
            if let Err(error) = result {
                assert_ne!(error.scope(), &Scope::Lane, "{error:?}");
                waiting.insert(0, delivery);
            }
        }
    }
    let rows = lake.rows(&format!("SELECT _id, _n, total, _deleted FROM {TABLE} ORDER BY _id"));
    assert_eq!(rows.len(), truth.len());
    for (row, (id, (n, cents, deleted))) in rows.iter().zip(&truth) {
        assert_eq!(
            (&row[0], &row[1], &*row[3]),
            (id, &n.to_string(), if *deleted { "true" } else { "false" })
        );
        if !deleted {
            let cents = cents.unwrap();
            assert_eq!(row[2], format!("{}.{:02}00", cents / 100, cents % 100));
        }
    }
    if log {
        assert_eq!(lake.sim.rows_of(&format!("{TABLE}_changes")), Some(changes.len()));
    }
}
