//! Zoho Books, polled, on its simulator, in virtual time: what is told is what happened.

pub(crate) mod books;

use std::time::Duration;

use books::{Office, PAGE};
use ml_connector_core::{SourceMode, model::Origin};
use ml_connector_sim::zoho::Plan;

use crate::mirror;

const QUARTER: Duration = Duration::from_secs(900);
/// Each is a day and a half of an office. Twelve have passed; three take half a minute.
const SEEDS: u64 = 3;
const DAY: Duration = Duration::from_secs(86_400);

/// Whether the events are what happened, once each. What happens to a record between two looks is one event, so the
/// office leaves every record alone for as long.
async fn same_story(office: &Office) {
    let events = office.events().await;
    assert!(events.iter().all(|event| event.origin == Origin::Live));
    let told = events.iter().map(|event| format!("{} {}", event.event_type(), event.entity.id));
    mirror::same_story(office.happened.iter().cloned(), told);
}

// Proves: nothing_lost.
#[tokio::test(start_paused = true)]
async fn whatever_happens_while_pages_are_read_and_webhooks_get_lost_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut office = Office::new(seed, Plan::Elite, Duration::from_secs(2));
        office.furnish(2 * PAGE + 50).await;
        let worker = office.connect(SourceMode::Both);
        tokio::time::sleep(Duration::from_secs(400)).await;
        for round in 0..24 {
            // Now and then so much happens at once that a window has several pages.
            let busy = if round == 8 { PAGE + 60 } else { 12 };
            office.work(busy, QUARTER * 3).await;
        }
        tokio::time::sleep(DAY + QUARTER * 2).await;
        same_story(&office).await;
        assert!(office.happened.len() > 300, "{}", office.happened.len());
        assert_eq!(office.books.limit_violations(), 0, "seed {seed}");
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn polling_alone_costs_no_more_calls_than_it_must() {
    let mut office = Office::new(7, Plan::Professional, Duration::from_millis(200));
    office.furnish(PAGE + 50).await;
    let worker = office.connect(SourceMode::Poll);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let calls = office.calls();
    assert!(calls.details.is_empty(), "the baseline reads lists only");
    for _ in 0..12 {
        office.work(15, QUARTER * 3).await;
    }
    tokio::time::sleep(QUARTER * 2).await;
    let calls = office.calls();
    for run in &calls.runs {
        let rows = office.rows_in_window(run);
        assert!(run.pages <= rows.div_ceil(PAGE) + 1, "{run:?} for {rows} rows");
    }
    let reads: usize = calls.details.values().sum();
    assert!(reads <= office.happened.len() + office.touched_twice(), "{reads} detail reads");
    tokio::time::sleep(DAY).await;
    same_story(&office).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_of_a_free_organization_stays_within_its_thousand_calls() {
    let mut office = Office::new(9, Plan::Free, Duration::from_millis(200));
    office.furnish(3 * PAGE).await;
    let worker = office.connect(SourceMode::Poll);
    tokio::time::sleep(Duration::from_secs(600)).await;
    for _ in 0..8 {
        office.work(20, DAY / 8).await;
    }
    let today = office.books.received().len();
    assert!(today < 800, "{today} calls");
    tokio::time::sleep(DAY).await;
    same_story(&office).await;
    assert_eq!(office.books.limit_violations(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_with_a_thousand_calls_a_day_is_read_less_often_whatever_its_plan_is_called() {
    let mut office = Office::new(12, Plan::Elite, Duration::from_millis(200));
    office.books.set_daily_quota(1000);
    office.furnish(2 * PAGE).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(600)).await;
    for _ in 0..8 {
        office.work(20, DAY / 8).await;
    }
    let today = office.books.received().len();
    assert!(today < 800, "{today} calls");
    tokio::time::sleep(DAY).await;
    same_story(&office).await;
    assert_eq!(office.books.limit_violations(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_past_of_a_new_connection_is_told_as_the_past_although_rows_say_less_than_details() {
    let mut office = Office::new(3, Plan::Professional, Duration::from_millis(200));
    office.furnish(60).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(120)).await;
    office.backfill("invoices").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let events = office.events().await;
    assert_eq!(events.len(), 54);
    for event in &events {
        assert_eq!(
            (event.event_type().as_str(), event.origin, event.n),
            ("invoice.updated", Origin::Backfill, 1)
        );
    }
    office.work(12, QUARTER * 3).await;
    let live = office.events().await.iter().filter(|event| event.origin == Origin::Live).count();
    assert_eq!(live, office.happened.len(), "what happens then is news as ever");
    worker.stop().await;
}

/// The vendor's stamps are by its own clock: by ours, a new invoice would be hours old, or an old one would be new.
// Proves: clock.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_hours_off_tells_what_is_new_once_as_created_and_nothing_that_is_old() {
    let (hours, none) = (Duration::from_secs(3 * 3600), Duration::ZERO);
    for (ahead, behind) in [(none, hours), (hours, none)] {
        for mode in [SourceMode::Both, SourceMode::Poll] {
            let mut office = Office::apart(5, ahead, behind);
            office.furnish(60).await;
            let worker = office.connect(mode);
            tokio::time::sleep(QUARTER * 2).await;
            assert_eq!(office.events().await.len(), 0, "{mode:?}: the past is not told");
            let shown = office.connector().health().await.unwrap();
            let skew = shown.connections[&"books".into()].vendor_clock_ahead_ms.unwrap();
            let expected =
                i64::try_from(ahead.as_millis()).unwrap() - i64::try_from(behind.as_millis()).unwrap();
            assert!((skew - expected).abs() < 5_000, "{skew} ms, not {expected}");
            for _ in 0..3 {
                office.work(15, QUARTER * 3).await;
            }
            tokio::time::sleep(DAY + QUARTER * 2).await;
            same_story(&office).await;
            let created = office.happened.iter().filter(|what| what.contains("created")).count();
            assert!(created > 2, "{:?}", office.happened);
            worker.stop().await;
        }
    }
}
