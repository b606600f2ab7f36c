//! Business Central, mirrored: what is told is what happened, and tables are what the company is.

mod office;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    SourceMode,
    model::{Decimal, Origin},
};
use ml_connector_sim::{
    Conditions,
    bc::{NewDocument, Set},
};
use office::{SETS, World};

use crate::mirror::{self, Course};

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);
/// Each is a day and a half of a company.
const SEEDS: u64 = 1;

/// Whether the events are what happened, once each, and nothing else was told.
async fn same_story(world: &World) {
    world.same_story().await;
    assert_eq!(world.notices().await.len(), 0);
}

// Proves: nothing_lost.
#[tokio::test(start_paused = true)]
async fn whatever_happens_while_pages_are_read_and_notices_get_lost_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut world = office::world(seed, Duration::from_secs(2));
        world.furnish(450).await;
        let running = world.connect(SourceMode::Both);
        world.settle(Duration::from_secs(400)).await;
        for round in 0..24 {
            // Now and then so much happens at once that a window has several pages, and one notice stands for many.
            let busy = if round == 8 { 260 } else { 12 };
            world.vendor.erp.tune(|tuning| tuning.collection_above = if round % 6 == 2 { 2 } else { 1_000 });
            if round == 12 {
                // Every stamp is new, and nothing else: nothing is told.
                SETS.into_iter().for_each(|set| world.vendor.erp.upgrade(set));
            }
            if round % 5 == 3 {
                world.lose_subscription();
            }
            world.work_and_settle(busy, QUARTER * 3).await;
        }
        world.settle(DAY + QUARTER * 2).await;
        same_story(&world).await;
        assert_eq!(world.vendor.erp.subscriptions().len(), SETS.len(), "seed {seed}: the lost ones are back");
        assert!(world.happened().count() > 300, "{}", world.happened().count());
        assert_eq!(world.vendor.erp.limit_violations(), 0, "seed {seed}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn polling_alone_tells_the_same_and_the_past_is_told_as_the_past() {
    let mut world = office::world(4, Duration::from_millis(200));
    world.furnish(60).await;
    let running = world.connect(SourceMode::Poll);
    world.settle(Duration::from_secs(120)).await;
    for _ in 0..8 {
        world.work_and_settle(12, QUARTER * 3).await;
    }
    world.settle(DAY + QUARTER * 2).await;
    same_story(&world).await;
    assert!(world.vendor.erp.subscriptions().is_empty(), "nobody subscribes who only polls");
    let live = world.events().await.len();
    for set in SETS {
        world.backfill("erp", set.name()).await;
    }
    world.settle(Duration::from_secs(1_200)).await;
    let events = world.events().await;
    assert!(events.len() > live + 40);
    assert!(events[live..].iter().all(|event| event.origin == Origin::Backfill));
    running.stop().await;
}

/// An upgrade or a copy brings what is old: nobody is told of it. It is remembered, so that what happens to it later is told.
#[tokio::test(start_paused = true)]
async fn what_is_old_when_it_is_first_seen_is_told_of_as_soon_as_something_happens_to_it() {
    const BILLS: Set = Set::PurchaseInvoices;
    for mode in [SourceMode::Both, SourceMode::Poll] {
        let mut world = office::world(12, Duration::from_millis(200));
        world.vendor.first = &[BILLS];
        world.post.is_reliable = true;
        world.furnish(8).await;
        let running = world.connect(mode);
        world.settle(QUARTER).await;
        let old: Vec<String> = (0..5_u32)
            .map(|n| {
                let new = NewDocument::new("Northline Packaging", Decimal::from(100 + n));
                let id = world.vendor.erp.create(BILLS, &new);
                for date in ["invoiceDate", "postingDate"] {
                    world.vendor.erp.set(BILLS, &id, date, "2019-05-04").unwrap();
                }
                if n < 3 {
                    world.vendor.erp.post(BILLS, &id).unwrap();
                }
                id
            })
            .collect();
        let reads = |world: &World| {
            let calls = world.vendor.erp.received();
            calls.iter().filter(|call| old.iter().any(|id| call.path.ends_with(&format!("({id})")))).count()
        };
        world.settle(QUARTER * 2).await;
        let before = reads(&world);
        // Every set is compared in full once a day, and swept.
        world.settle(DAY + QUARTER).await;
        assert_eq!(world.events().await.len(), 0, "{mode:?}");
        assert_eq!(reads(&world), before, "{mode:?}: what is known is not read again at every look");

        world.vendor.erp.pay(BILLS, &old[0]).unwrap();
        world.vendor.erp.cancel(BILLS, &old[1]).unwrap();
        world.vendor.erp.post(BILLS, &old[3]).unwrap();
        world.vendor.erp.set_total(BILLS, &old[4], Decimal::from(900)).unwrap();
        world.settle(QUARTER * 2).await;
        let told = world.events().await;
        let told = told.iter().map(|event| format!("{} {}", event.event_type(), event.entity.id));
        let wanted = [("paid", 0), ("voided", 1), ("posted", 3), ("updated", 4)];
        mirror::same_story(wanted.iter().map(|(what, n)| format!("bill.{what} {}", old[*n])), told);
        running.stop().await;
    }
}

/// Of more changes than it lists one by one Business Central names none, and among them are deletions.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_among_many_changes_is_told_at_once_and_not_at_the_daily_look() {
    const BILLS: Set = Set::PurchaseInvoices;
    let mut world = office::world(7, Duration::from_millis(200));
    world.vendor.erp.tune(|tuning| tuning.collection_above = 2);
    world.vendor.first = &[BILLS];
    world.post.is_reliable = true;
    world.furnish(0).await;
    let drafts: Vec<String> = (0..40_u32)
        .map(|n| {
            world.vendor.erp.create(BILLS, &NewDocument::new("Northline Packaging", Decimal::from(100 + n)))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let running = world.connect(SourceMode::Both);
    // The baseline, and the first sweep: what is there is known.
    world.settle(DAY + QUARTER * 2).await;
    assert_eq!(world.events().await.len(), 0);

    for id in &drafts[..4] {
        world.vendor.erp.delete(BILLS, id).unwrap();
    }
    world.settle(QUARTER).await;
    let told = world.events().await;
    let told = told.iter().map(|event| format!("{} {}", event.event_type(), event.entity.id));
    mirror::same_story(drafts[..4].iter().map(|id| format!("bill.deleted {id}")), told);
    running.stop().await;
}

/// Business Central lists an invoiced order no more: that many are is no sign that a list is wrong.
#[tokio::test(start_paused = true)]
async fn a_day_on_which_many_orders_are_invoiced_stops_no_sweep() {
    let mut world = office::world(6, Duration::from_millis(200));
    world.vendor.first = &[Set::PurchaseOrders];
    world.post.is_reliable = true;
    world.furnish(60).await;
    let running = world.connect(SourceMode::Both);
    world.settle(QUARTER).await;
    (0..24).for_each(|order| world.vendor.advance(order));
    world.settle(DAY + QUARTER).await;
    let health = world.connector().health().await.unwrap();
    assert!(health.connections[&"erp".into()].stopped_sweeps.is_empty());
    same_story(&world).await;
    assert_eq!(world.happened().count(), 48);
    running.stop().await;
}

/// Reading a draft with an app that may write writes to it, which is told, which leads to a read. It gets rarer by itself.
#[tokio::test(start_paused = true)]
async fn an_app_that_may_write_does_not_feed_itself() {
    const DRAFTS: usize = 40;
    let mut world = office::world(3, Duration::from_millis(200));
    world.vendor.erp.tune(|tuning| tuning.reading_touches_drafts = true);
    world.vendor.first = &[Set::PurchaseInvoices];
    world.post.is_reliable = true;
    world.furnish(0).await;
    let running = world.connect(SourceMode::Both);
    world.settle(QUARTER).await;
    let mut drafts = Vec::new();
    for _ in 0..DRAFTS {
        let new = NewDocument::new("Northline Packaging", Decimal::from(100));
        drafts.push(world.vendor.erp.create(Set::PurchaseInvoices, &new));
    }
    let reads = |world: &World| {
        let calls = world.vendor.erp.received();
        calls.iter().filter(|call| drafts.iter().any(|id| call.path.ends_with(&format!("({id})")))).count()
    };
    let mut hours = Vec::new();
    for _ in 0..3 {
        let before = reads(&world);
        world.settle(QUARTER * 4).await;
        hours.push(reads(&world) - before);
    }
    assert!(hours[0] >= DRAFTS && hours[2] <= DRAFTS * 10, "{hours:?} reads in three hours");
    let events = world.events().await;
    assert_eq!(events.len(), DRAFTS, "each is told once");
    // What somebody changes is told all the same.
    world.vendor.erp.set_total(Set::PurchaseInvoices, &drafts[0], Decimal::from(200)).unwrap();
    world.settle(QUARTER).await;
    assert_eq!(world.events().await.len(), DRAFTS + 1);
    assert_eq!(world.vendor.erp.limit_violations(), 0);
    running.stop().await;
}

/// Business Central counts calls when they arrive, which is not in the order in which they were sent: as many drafts as there
/// are notices are read at once.
// Proves: limits_of_bc.
#[tokio::test(start_paused = true)]
async fn four_hundred_notices_over_a_jittery_line_exceed_no_limit() {
    let mut world = office::world(14, Duration::ZERO);
    world.vendor.erp.set_conditions(Conditions::ordinary());
    world.vendor.erp.tune(|tuning| tuning.notice_after = Duration::ZERO);
    world.vendor.first = &[Set::PurchaseInvoices];
    world.post.is_reliable = true;
    world.furnish(0).await;
    let running = world.connect(SourceMode::Both);
    world.settle(QUARTER).await;
    let before = world.vendor.erp.received().len();
    for n in 0..400_u32 {
        let new = NewDocument::new("Northline Packaging", Decimal::from(100 + n));
        drop(world.vendor.erp.create(Set::PurchaseInvoices, &new));
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.deliver().await;
    }
    world.settle(QUARTER / 3).await;
    assert_eq!(world.events().await.len(), 400);
    assert!(world.vendor.erp.received().len() - before >= 400, "each is read");
    assert_eq!(world.vendor.erp.limit_violations(), 0);
    running.stop().await;
}

/// A path belongs to the company that issued it, whichever is asked first; nobody else's path is anybody's.
#[tokio::test(start_paused = true)]
async fn companies_at_one_endpoint_keep_their_subscriptions() {
    let (one, two) =
        (office::world(8, Duration::from_millis(200)), office::world(9, Duration::from_millis(200)));
    for order in [[&one, &two], [&two, &one]] {
        let (connector, running) = office::connect_at_one_endpoint(order);
        tokio::time::sleep(QUARTER).await;
        for company in order {
            assert_eq!(company.vendor.erp.subscriptions().len(), 3);
            let new = NewDocument::new("Northline Packaging", Decimal::from(100));
            drop(company.vendor.erp.create(Set::PurchaseInvoices, &new));
            tokio::time::sleep(Duration::from_secs(40)).await;
            let batches = company.vendor.erp.take_notices();
            assert!(!batches.is_empty());
            for batch in batches {
                let answer = connector.receive(batch.request.clone()).await;
                assert_eq!(answer.status(), 200);
                company.vendor.erp.settle_notice(&batch, &Ok(answer));
            }
            assert_eq!(company.vendor.erp.subscriptions().len(), 3);
        }
        let hooks = async || {
            let health = connector.health().await.unwrap();
            health.connections.into_values().map(|connection| connection.hooks).collect::<Vec<_>>()
        };
        let before = hooks().await;
        assert!(before.iter().all(|hooks| hooks.accepted_at.is_some()), "{before:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        for _ in 0..5 {
            let scan =
                Request::get("https://erp.example.com/companies/never-issued").body(Bytes::new()).unwrap();
            assert_eq!(connector.receive(scan).await.status(), 404);
        }
        assert_eq!(hooks().await, before, "a path that nobody has issued says nothing of any connection");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn tables_mirror_the_company_through_faults_kills_and_a_lost_log() {
    let world = office::world(5, Duration::from_millis(200));
    let course = Course { documents: 60, rounds: 6, acts: 14, round: QUARTER * 3, calm: DAY, rows: [40, 60] };
    mirror::tables_mirror_the_books(world, SourceMode::Both, course).await;
}
