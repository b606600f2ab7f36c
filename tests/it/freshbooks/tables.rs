//! FreshBooks → Databricks, by configuration alone: the tables are what the offices' books are.

use std::time::Duration;

use ml_connector_core::{Source, SourceInfo, model::Origin};
use ml_connector_sim::DatabricksSim;

use super::{REST, WORK, office::World};
use crate::warehouse::{self, bury_lost, mirrored, trouble};

const DAY: Duration = Duration::from_secs(86_400);

fn infos(world: &World) -> [SourceInfo; 2] {
    [0, 1].map(|office| world.source(office).info().clone())
}

/// Whether every record that was told has its row as it was told last. Returns how many there are.
async fn are_mirrored(world: &World, lake: &DatabricksSim) -> usize {
    let events = world.events().await;
    infos(world).iter().map(|source| mirrored(events.clone(), source, lake)).sum()
}

/// Whether the rows that are no tombstones are the records that are in the books.
fn hold_what_the_books_hold(world: &World, lake: &DatabricksSim) {
    for (office, source) in infos(world).into_iter().enumerate() {
        for (kind, id, exists) in world.records(office) {
            let columns = source.columns.iter().find(|columns| columns.kind.as_str() == kind).unwrap();
            let (table, connection) = (columns.table, &source.connection);
            let sql = format!(
                "SELECT _deleted FROM main.ml_finance.freshbooks_{table} WHERE _id = '{id}' AND _connection = '{connection}'"
            );
            let rows = lake.sql(&sql).unwrap();
            let is_there = rows.iter().any(|row| row[0].as_deref() == Some("false"));
            assert_eq!(is_there, exists, "{connection} {kind} {id}: {rows:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tables_mirror_the_offices_through_faults_kills_and_a_lost_log() {
    let mut world = World::new(4);
    let lake = warehouse::lake(world.clock());
    world.lake = Some(lake.clone());
    world.furnish(40).await;
    let mut running = world.connect();
    world.proven().await;
    let troubles = tokio::spawn(trouble(lake.clone(), 11));
    for round in 0..4 {
        world.work(12, WORK).await;
        world.settle(REST).await;
        if round % 2 == 1 {
            running.kill().await;
            running = world.connect();
        }
    }
    troubles.abort();
    lake.tune(|tuning| tuning.execution = Duration::ZERO);
    world.settle(DAY / 4).await;
    let rows = are_mirrored(&world, &lake).await;
    assert!(rows > 20, "{rows}");
    assert_eq!(lake.limit_violations(), 0);

    // The log is lost, and records are deleted before there is another: the past is read again, what the new log says wins, and
    // what no list shows any more is marked.
    running.stop().await;
    world.lose_log();
    running = world.connect();
    world.settle(REST).await;
    for source in infos(&world) {
        for feed in source.feeds {
            world.connector().backfill(&source.connection, feed.name, None).await.unwrap();
        }
    }
    world.settle(DAY / 4).await;
    // What was read again is no news.
    let events = world.events().await;
    let news =
        events.iter().filter(|event| event.origin == Origin::Live).map(|event| event.entity.to_string());
    assert_eq!(news.collect::<Vec<_>>(), [""; 0]);
    let mut buried = 0;
    for office in [0, 1] {
        buried += bury_lost(&lake, world.clock(), &world.source(office)).await;
    }
    assert!(buried > 0);
    hold_what_the_books_hold(&world, &lake);
    world.work(12, WORK).await;
    world.settle(DAY / 4).await;
    let rows = are_mirrored(&world, &lake).await;
    assert!(rows > 80, "{rows}");
    hold_what_the_books_hold(&world, &lake);
    assert_eq!(world.connector().stats().dead, 0);
    running.stop().await;
}
