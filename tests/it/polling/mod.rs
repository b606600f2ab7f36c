//! Zoho Books, polled, on its simulator, in virtual time: what is told is what happened.

pub(crate) mod books;

use std::time::Duration;

use books::{PAGE, World};
use ml_connector_core::{SourceMode, model::Origin};
use ml_connector_sim::zoho::Plan;

use crate::mirror;

const QUARTER: Duration = Duration::from_secs(900);
/// Each is a day and a half of an organization. Twelve have passed; three take half a minute.
const SEEDS: u64 = 3;
const DAY: Duration = Duration::from_secs(86_400);

/// Whether the events are what happened, once each, and nothing else was told.
async fn same_story(world: &World) {
    world.same_story().await;
    assert_eq!(world.notices().await.len(), 0);
}

// Proves: nothing_lost.
#[tokio::test(start_paused = true)]
async fn whatever_happens_while_pages_are_read_and_webhooks_get_lost_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut world = books::world(seed, Plan::Elite, Duration::from_secs(2));
        world.furnish(2 * PAGE + 50).await;
        let running = world.connect(SourceMode::Both);
        world.settle(Duration::from_secs(400)).await;
        for round in 0..24 {
            // Now and then so much happens at once that a window has several pages.
            let busy = if round == 8 { 260 } else { 12 };
            world.work_and_settle(busy, QUARTER * 3).await;
        }
        world.settle(DAY + QUARTER * 2).await;
        same_story(&world).await;
        assert!(world.happened().count() > 300, "{}", world.happened().count());
        assert_eq!(world.vendor.sim.limit_violations(), 0, "seed {seed}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn polling_alone_costs_no_more_calls_than_it_must() {
    let mut world = books::world(7, Plan::Professional, Duration::from_millis(200));
    world.furnish(PAGE + 50).await;
    let running = world.connect(SourceMode::Poll);
    world.settle(Duration::from_secs(120)).await;
    let calls = world.vendor.calls();
    assert!(calls.details.is_empty(), "the baseline reads lists only");
    for _ in 0..12 {
        world.work_and_settle(15, QUARTER * 3).await;
    }
    world.settle(QUARTER * 2).await;
    let calls = world.vendor.calls();
    for run in &calls.runs {
        let rows = world.vendor.rows_in_window(run);
        assert!(run.pages <= rows.div_ceil(PAGE) + 1, "{run:?} for {rows} rows");
    }
    let reads: usize = calls.details.values().sum();
    assert!(reads <= world.happened().count() + world.vendor.touched_twice(), "{reads} detail reads");
    world.settle(DAY).await;
    same_story(&world).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_of_a_free_organization_stays_within_its_thousand_calls() {
    let mut world = books::world(9, Plan::Free, Duration::from_millis(200));
    world.furnish(3 * PAGE).await;
    let running = world.connect(SourceMode::Poll);
    world.settle(Duration::from_secs(600)).await;
    for _ in 0..8 {
        world.work_and_settle(20, DAY / 8).await;
    }
    let today = world.vendor.sim.received().len();
    assert!(today < 800, "{today} calls");
    world.settle(DAY).await;
    same_story(&world).await;
    assert_eq!(world.vendor.sim.limit_violations(), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_with_a_thousand_calls_a_day_is_read_less_often_whatever_its_plan_is_called() {
    let mut world = books::world(12, Plan::Elite, Duration::from_millis(200));
    world.vendor.sim.set_daily_quota(1000);
    world.furnish(2 * PAGE).await;
    let running = world.connect(SourceMode::Both);
    world.settle(Duration::from_secs(600)).await;
    for _ in 0..8 {
        world.work_and_settle(20, DAY / 8).await;
    }
    let today = world.vendor.sim.received().len();
    assert!(today < 800, "{today} calls");
    world.settle(DAY).await;
    same_story(&world).await;
    assert_eq!(world.vendor.sim.limit_violations(), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_past_of_a_new_connection_is_told_as_the_past_although_rows_say_less_than_details() {
    let mut world = books::world(3, Plan::Professional, Duration::from_millis(200));
    world.furnish(60).await;
    let running = world.connect(SourceMode::Both);
    world.settle(Duration::from_secs(120)).await;
    world.backfill("books", "invoices").await;
    world.settle(Duration::from_secs(600)).await;
    let events = world.events().await;
    assert_eq!(events.len(), 54);
    for event in &events {
        assert_eq!(
            (event.event_type().as_str(), event.origin, event.n),
            ("invoice.updated", Origin::Backfill, 1)
        );
    }
    world.work_and_settle(12, QUARTER * 3).await;
    world.settle(DAY).await;
    let live = world.events().await.iter().filter(|event| event.origin == Origin::Live).count();
    assert_eq!(live, world.happened().count(), "what happens then is news as ever");
    running.stop().await;
}

/// The vendor's stamps are by its own clock: by ours, a new invoice would be hours old, or an old one would be new.
// Proves: clock.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_hours_off_tells_what_is_new_once_as_created_and_nothing_that_is_old() {
    let (hours, none) = (Duration::from_secs(3 * 3600), Duration::ZERO);
    for (ahead, behind) in [(none, hours), (hours, none)] {
        for mode in [SourceMode::Both, SourceMode::Poll] {
            let mut world = books::world_apart(5, ahead, behind);
            world.furnish(60).await;
            let running = world.connect(mode);
            world.settle(QUARTER * 2).await;
            assert_eq!(world.events().await.len(), 0, "{mode:?}: the past is not told");
            let shown = world.connector().health().await.unwrap();
            let skew = shown.connections[&"books".into()].vendor_clock_ahead_ms.unwrap();
            let expected =
                i64::try_from(ahead.as_millis()).unwrap() - i64::try_from(behind.as_millis()).unwrap();
            assert!((skew - expected).abs() < 5_000, "{skew} ms, not {expected}");
            for _ in 0..3 {
                world.work_and_settle(15, QUARTER * 3).await;
            }
            world.settle(DAY + QUARTER * 2).await;
            same_story(&world).await;
            let created = world.happened().filter(|what| what.contains("created")).count();
            assert!(created > 2, "{:?}", world.happened().collect::<Vec<_>>());
            running.stop().await;
        }
    }
}
