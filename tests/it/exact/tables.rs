//! Exact Online → Databricks, by configuration alone: the tables are what the companies' books are.

use std::time::Duration;

use ml_connector_core::{Source, SourceInfo, model::Origin};
use ml_connector_sim::DatabricksSim;

use super::{HOUR, WORK, office::World};
use crate::warehouse::{self, bury_lost, mirrored, trouble};

const DAY: Duration = Duration::from_secs(86_400);
/// How often lists are polled, in minutes.
const POLL: u32 = 30;

fn infos(world: &World) -> [SourceInfo; 2] {
    [0, 1].map(|company| world.source(company, POLL).info().clone())
}

/// Whether every record that was told has its row as it was told last. Returns how many there are.
async fn are_mirrored(world: &World, lake: &DatabricksSim) -> usize {
    let events = world.events().await;
    infos(world).iter().map(|source| mirrored(events.clone(), source, lake)).sum()
}

/// Whether the rows that are no tombstones are the documents that are in the books.
fn hold_what_the_books_hold(world: &World, lake: &DatabricksSim) {
    for (company, source) in world.companies.iter().zip(infos(world)) {
        for (kind, id, exists) in company.records() {
            let columns = source.columns.iter().find(|columns| columns.kind.as_str() == kind).unwrap();
            let (table, connection) = (columns.table, company.connection);
            let sql = format!(
                "SELECT _deleted FROM main.ml_finance.exact_online_{table} WHERE _id = '{id}' AND _connection = '{connection}'"
            );
            let rows = lake.sql(&sql).unwrap();
            let is_there = rows.iter().any(|row| row[0].as_deref() == Some("false"));
            assert_eq!(is_there, exists, "{connection} {kind} {id}: {rows:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tables_mirror_the_companies_through_faults_kills_and_a_lost_log() {
    let mut world = World::new(4);
    let lake = warehouse::lake(world.clock());
    world.lake = Some(lake.clone());
    world.furnish(42).await;
    let mut running = world.connect(POLL);
    let troubles = tokio::spawn(trouble(lake.clone(), 11));
    world.settle(HOUR).await;
    for round in 0..4 {
        world.work(10, WORK).await;
        world.settle(HOUR * 2).await;
        if round % 2 == 1 {
            running.kill().await;
            running = world.connect(POLL);
        }
    }
    troubles.abort();
    lake.tune(|tuning| tuning.execution = Duration::ZERO);
    world.settle(DAY).await;
    let rows = are_mirrored(&world, &lake).await;
    assert!(rows > 20, "{rows}");
    assert_eq!(lake.limit_violations(), 0);

    // The log is lost, and documents are deleted before there is another: the past is read again, what the new log says wins, and
    // what no list shows any more is marked.
    running.stop().await;
    world.lose_log();
    running = world.connect(POLL);
    world.settle(HOUR).await;
    for source in infos(&world) {
        for feed in source.feeds {
            world.connector().backfill(&source.connection, feed.name, None).await.unwrap();
        }
    }
    world.settle(DAY / 2).await;
    // A row of a list and its detail are one state of a record.
    let events = world.events().await;
    let news =
        events.iter().filter(|event| event.origin == Origin::Live).map(|event| event.entity.to_string());
    assert_eq!(news.collect::<Vec<_>>(), [""; 0]);
    let mut buried = 0;
    for company in [0, 1] {
        buried += bury_lost(&lake, world.clock(), &world.source(company, POLL)).await;
    }
    // Not all: what nobody had read before it was deleted has no row.
    assert!(buried > 0);
    hold_what_the_books_hold(&world, &lake);
    world.work(10, WORK).await;
    world.settle(DAY).await;
    let rows = are_mirrored(&world, &lake).await;
    assert!(rows > 80, "{rows}");
    hold_what_the_books_hold(&world, &lake);
    assert_eq!(world.connector().stats().dead, 0);
    running.stop().await;
}
