//! What is in the tables afterwards.

use std::time::Duration;

use ml_connector_core::{
    CheckResult, ErrorKind, Scope, Sink,
    model::{Column, Columns, Delivery, RecordKind},
};
use ml_connector_databricks::{Config, Databricks, Difference, DriftPolicy, table, tables};
use ml_connector_sim::databricks::WarehouseState;

use crate::{
    lake::{Lake, TABLE},
    support::{Kept, Ledger, attempt, batch, delivery, detailed, error, event, gone, good},
};

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
async fn what_is_in_other_tables_or_of_another_account_is_not_taken_for_deleted() {
    let lake = Lake::new();
    let sink = lake.builder().change_log().build().unwrap();
    let of = |epoch: u64, id: &str| {
        let mut event = event(id, 1, r#"{"number":"a"}"#);
        event.epoch = epoch;
        delivery(epoch, event)
    };
    let to_paid = |mut delivery: Delivery| {
        delivery.destination = table("paid");
        delivery
    };
    good(lake.deliver(&sink, &[of(1, "lost"), of(1, "kept"), of(1, "elsewhere")]).await);
    good(lake.deliver(&sink, &[to_paid(of(1, "lost"))]).await);
    lake.sim.sql(&format!("UPDATE {TABLE} SET _account = 'org:8', _n = 1 WHERE _id = 'elsewhere'")).unwrap();
    // The table's name of before the prefix was changed.
    let renamed = lake.builder().change_log().with(|config: &mut Config| {
        config.table_prefix = Some("finance_".to_owned());
    });
    let renamed = renamed.build().unwrap();
    good(lake.deliver(&renamed, &[of(2, "kept")]).await);
    assert_eq!(renamed.bury_lost(&lake.ctx(), &"books".into()).await.unwrap(), 0, "nor under another name");

    good(lake.deliver(&sink, &[of(2, "kept")]).await);
    assert_eq!(sink.bury_lost(&lake.ctx(), &"books".into()).await.unwrap(), 1);
    let dead = |table: &str| lake.rows(&format!("SELECT _id FROM {table} WHERE _deleted ORDER BY _id"));
    assert_eq!(dead(TABLE), [["lost"]]);
    for other in ["main.ml_finance.paid".to_owned(), format!("{TABLE}_changes")] {
        assert_eq!(dead(&other), <[[&str; 1]; 0]>::default(), "{other}");
        assert!(lake.sim.rows_of(&other).unwrap() > 0, "{other}");
    }
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

#[tokio::test(start_paused = true)]
async fn a_table_that_only_a_route_names_is_checked_and_what_differs_is_a_remark() {
    let lake = Lake::new();
    let sink = lake.builder().change_log().build().unwrap();
    let look = async |sink: &Databricks, name: &str| {
        let steps = sink.check_destination(&lake.ctx(), &table(name)).await;
        steps.into_iter().map(|step| (step.step.to_string(), step.result)).collect::<Vec<_>>()
    };
    assert_eq!(sink.check_destination(&lake.ctx(), &tables()).await, [], "the connection's check says it");
    let (of, log) = ("table main.ml_finance.paid", "table main.ml_finance.paid_changes");
    let good = [(of.to_owned(), CheckResult::Passed), (log.to_owned(), CheckResult::Passed)];
    assert_eq!(look(&sink, "paid").await, good, "it will be made");
    let strict = lake.builder().with(|config: &mut Config| config.create_tables = false).build().unwrap();
    assert_eq!(look(&strict, "paid").await, [(of.to_owned(), CheckResult::Failed)], "nobody will make it");
    // As the statements make the table of the kind.
    let made = &sink.create_statements()[0].replace("ledger_invoices", "paid");
    lake.sim.sql(made).unwrap();
    assert_eq!(look(&sink, "paid").await, good);
    lake.sim.sql("CREATE TABLE main.ml_finance.theirs (id STRING)").unwrap();
    assert_eq!(look(&strict, "theirs").await[0].1, CheckResult::Failed, "it was not made for the connector");

    assert!(sink.remarks().is_empty());
    let frozen = lake.builder().drift(DriftPolicy::Freeze).build().unwrap();
    let made = made.replace("paid", "ledger_invoices").replacen("`number`", "`other_number`", 1);
    lake.sim.sql(&made).unwrap();
    frozen.check(&lake.ctx()).await;
    assert_eq!(frozen.remarks(), [format!("{TABLE}, column number: the table lacks the column").into()]);
}

#[tokio::test(start_paused = true)]
async fn a_statement_under_way_is_waited_for_where_a_second_one_would_double_its_rows() {
    let lake = Lake::new();
    let [one, two] = [lake.builder().build().unwrap(), lake.builder().build().unwrap()];
    good(lake.deliver(&one, &batch(1)).await);
    lake.sim.tune(|tuning| {
        tuning.execution = Duration::from_secs(20);
        tuning.doubles_inserts = true;
    });
    let new = |id: &str| [delivery(id.parse().unwrap(), event(id, 1, r#"{"number":"new"}"#))];
    let there = |id: &str| lake.rows(&format!("SELECT number FROM {TABLE} WHERE _id = '{id}'")).len();
    // Two connectors that know nothing of each other, on a workspace that does not notice either.
    let (seven, also) = (new("70"), new("70"));
    let (first, second) = tokio::join!(lake.deliver(&one, &seven), lake.deliver(&two, &also));
    good(first);
    good(second);
    assert_eq!(there("70"), 2, "that is what the simulator does on purpose");

    // One that is killed after its statement was submitted, and another that takes over.
    let (batch, kept) = (new("71"), Kept::default());
    let killed =
        tokio::time::timeout(Duration::from_secs(5), attempt(&one, &lake.ctx(), &batch, &kept)).await;
    assert!(killed.is_err());
    good(attempt(&two, &lake.ctx(), &kept.again(&batch), &Kept::default()).await);
    assert_eq!(there("71"), 1, "it waited for the statement that was noted");
}
