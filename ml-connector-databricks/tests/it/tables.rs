//! What is in the tables afterwards.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, StatusCode};
use ml_connector_core::{
    CheckResult, ErrorKind, Scope, Sink,
    model::{Change, Column, Columns, Delivery, RecordKind},
};
use ml_connector_databricks::{Config, Databricks, DriftPolicy};
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
    let columns = Columns::new(RecordKind::Invoice, "invoices", "")
        .whole_with("/lines")
        .with(Column::string("number", "/number"))
        .with(Column::list("lines", "/lines", [Column::decimal("rate", "/rate", 2)]).in_detail());
    let sink = lake.builder().tables_of(&Ledger::of(columns)).build().unwrap();
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
    assert_eq!((lake.sim.rows_of(TABLE), sink.drift()), (Some(4), vec![]));
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
