//! Zoho Books → Databricks: the tables are what the books are, whatever happens on the way.

use std::time::Duration;

use futures_util::StreamExt;
use ml_connector_core::{
    SourceMode,
    audit::{EntryKind, EntryState, Query},
    engine::{Progress, Replay},
    model::Origin,
};
use ml_connector_sim::{
    DatabricksSim,
    databricks::StatementFailure,
    zoho::{Entity, Plan},
};

use crate::{
    mirror::{self, Course, Vendor, mirrored},
    polling::books::{self, World},
};

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);

/// Books that go into the warehouse.
fn world(seed: u64) -> (World, DatabricksSim) {
    let mut world = books::world(seed, Plan::Elite, Duration::from_millis(200));
    let lake = mirror::lake(world.clock());
    world.lake = Some(lake.clone());
    (world, lake)
}

// Proves: tables, limits_of_databricks.
#[tokio::test(start_paused = true)]
async fn tables_mirror_the_books_through_faults_kills_and_a_lost_log() {
    let world = books::world(5, Plan::Elite, Duration::from_millis(200));
    let course =
        Course { documents: 120, rounds: 10, acts: 14, round: QUARTER * 3, calm: DAY, rows: [60, 100] };
    mirror::tables_mirror_the_books(world, SourceMode::Both, course).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_whose_statements_are_always_cancelled_keeps_no_other_waiting() {
    let (mut world, lake) = world(6);
    world.furnish(60).await;
    let running = world.connect(SourceMode::Both);
    world.settle(Duration::from_secs(400)).await;
    for _ in 0..60 {
        lake.fail_statement(StatementFailure {
            error_code: "CANCELLED".to_owned(),
            message: "the statement was cancelled: it ran for longer than 60 s".to_owned(),
            sql_state: Some("57014".to_owned()),
            after_commit: false,
            statement: "zoho_books_invoices`".to_owned(),
        });
    }
    world.work_and_settle(20, QUARTER * 3).await;
    world.settle(QUARTER).await;
    let [mut others] = world.infos(SourceMode::Both).try_into().unwrap();
    others.columns.retain(|columns| columns.table != "invoices");
    assert!(mirrored(world.events().await, &others, &lake) > 0, "the others go on");
    world.settle(DAY).await;
    assert_eq!(world.connector().stats().dead, 0);
    assert!(world.are_mirrored(SourceMode::Both, &lake).await > 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_past_comes_at_the_speed_of_lists_and_a_column_says_which_rows_have_their_details() {
    let (mut world, lake) = world(8);
    world.furnish(450).await;
    let running = world.connect(SourceMode::Poll);
    world.settle(Duration::from_secs(400)).await;
    let count = |what: &str| {
        let sql = format!("SELECT count(*) FROM main.ml_finance.zoho_books_invoices WHERE {what}");
        let count = lake.sql(&sql).ok().and_then(|rows| rows[0][0].clone());
        count.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    world.backfill("books", "invoices").await;
    world.settle(Duration::from_secs(90)).await;
    let (all, detailed) = (count("true"), count("_detailed"));
    assert!(all > 400 && detailed < 100, "{detailed} of {all} have their details");
    world.settle(Duration::from_secs(3600)).await;
    assert_eq!((count("true"), count("_detailed")), (all, all));
    assert!(world.are_mirrored(SourceMode::Both, &lake).await >= all);
    assert_eq!(world.events().await.iter().filter(|event| event.origin == Origin::Live).count(), 0);
    running.stop().await;
}

/// Zoho counts its invoices, so that a backfill says how long it takes. What it does not count ends without a guess.
#[tokio::test(start_paused = true)]
async fn a_backfill_of_invoices_says_how_long_it_takes_and_others_do_not_guess() {
    let mut world = books::world(9, Plan::Elite, Duration::from_secs(3));
    world.furnish(450).await;
    let running = world.connect(SourceMode::Poll);
    world.settle(DAY / 24).await;
    let (connection, connector) = ("books".into(), world.connector());
    let seen = async |feed: &str| {
        let past = connector.backfill(&connection, feed, None).await.unwrap();
        let all: Vec<Progress> = connector
            .watch_backfill(&connection, feed, past)
            .map(|progress| progress.unwrap())
            .collect()
            .await;
        all
    };
    let invoices = seen("invoices").await;
    let end = invoices.last().unwrap();
    assert!(end.ended && end.done > 200 && end.total == Some(end.done), "{end:?}");
    let middle = invoices.iter().find(|progress| progress.time_left.is_some()).unwrap();
    assert!(!middle.ended && middle.per_minute > 0 && middle.total == Some(end.done), "{middle:?}");
    let left = middle.time_left.unwrap();
    assert!(left > Duration::ZERO && left < Duration::from_secs(120), "{middle:?}");
    let bills = seen("bills").await;
    let (end, before) = bills.split_last().unwrap();
    assert!(end.ended && end.done > 0 && end.total == Some(end.done), "{end:?}");
    assert!(!before.is_empty());
    assert!(
        before.iter().all(|progress| progress.total.is_none() && progress.time_left.is_none()),
        "{before:?}"
    );
    running.stop().await;
}

/// What one row breaks is that row's: it is given up with its name, the others are written, and a replay after the repair writes
/// it.
#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_stored_is_given_up_with_its_name_and_written_when_it_is_replayed() {
    const TABLE: &str = "main.ml_finance.zoho_books_invoices";
    let (mut world, lake) = world(10);
    world.furnish(30).await;
    let running = world.connect(SourceMode::Both);
    world.settle(Duration::from_secs(400)).await;
    world.backfill("books", "invoices").await;
    world.settle(DAY / 4).await;
    lake.sql(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT known CHECK (reference_number <> 'unheard of')"))
        .unwrap();
    let invoices = world.vendor.records().into_iter().filter(|kept| kept.kind == "invoice");
    let invoices: Vec<String> = invoices.map(|kept| kept.id).take(5).collect();
    for (n, id) in invoices.iter().enumerate() {
        let reference = if n == 2 { "unheard of".to_owned() } else { format!("PO {n}") };
        world.vendor.sim.set_reference(Entity::Invoice, id, &reference).unwrap();
    }
    world.settle(DAY / 4).await;
    let reference = |id: &str| {
        let rows = lake.sql(&format!("SELECT reference_number FROM {TABLE} WHERE _id = '{id}'")).unwrap();
        rows[0][0].clone().unwrap_or_default()
    };
    let written: Vec<String> = invoices.iter().map(|id| reference(id)).collect();
    assert_eq!([0, 1, 3, 4].map(|n| &*written[n]), ["PO 0", "PO 1", "PO 3", "PO 4"]);
    assert_ne!(written[2], "unheard of");

    let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    let given_up = world.connector().search(&dead).await.unwrap();
    let [given_up] = &given_up[..] else { panic!("{given_up:#?}") };
    let said = format!("{:?}", given_up.outcomes);
    assert!(said.contains(&format!("invoice/{}", invoices[2])) && said.contains("constraint"), "{said}");

    lake.sql(&format!("ALTER TABLE {TABLE} DROP CONSTRAINT known")).unwrap();
    let replay = Replay::new("after the repair", dead);
    assert_eq!(world.connector().replay(&replay).await.unwrap().appended, 1);
    world.settle(QUARTER).await;
    assert_eq!(reference(&invoices[2]), "unheard of");
    assert!(world.are_mirrored(SourceMode::Both, &lake).await > 20);
    running.stop().await;
}
