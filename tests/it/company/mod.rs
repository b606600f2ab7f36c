//! Business Central, mirrored: what is told is what happened, and tables are what the company is.

mod office;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Clock, Source, SourceMode,
    model::{Decimal, Origin},
};
use ml_connector_sim::{
    Conditions,
    bc::{NewDocument, Set},
};
use office::{Office, SETS};

use crate::{
    mirror,
    warehouse::{self, mirrored, trouble},
};

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);
/// Each is a day and a half of an office.
const SEEDS: u64 = 1;

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
async fn whatever_happens_while_pages_are_read_and_notices_get_lost_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut office = Office::new(seed, Duration::from_secs(2));
        office.furnish(450).await;
        let worker = office.connect(SourceMode::Both);
        tokio::time::sleep(Duration::from_secs(400)).await;
        for round in 0..24 {
            // Now and then so much happens at once that a window has several pages, and one notice stands for many.
            let busy = if round == 8 { 260 } else { 12 };
            office.erp.tune(|tuning| tuning.collection_above = if round % 6 == 2 { 2 } else { 1_000 });
            if round == 12 {
                // Every stamp is new, and nothing else: nothing is told.
                SETS.into_iter().for_each(|set| office.erp.upgrade(set));
            }
            if round % 5 == 3 {
                office.lose_subscription();
            }
            office.work(busy, QUARTER * 3).await;
        }
        tokio::time::sleep(DAY + QUARTER * 2).await;
        same_story(&office).await;
        assert_eq!(office.erp.subscriptions().len(), SETS.len(), "seed {seed}: the lost ones are back");
        assert!(office.happened.len() > 300, "{}", office.happened.len());
        assert_eq!(office.erp.limit_violations(), 0, "seed {seed}");
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn polling_alone_tells_the_same_and_the_past_is_told_as_the_past() {
    let mut office = Office::new(4, Duration::from_millis(200));
    office.furnish(60).await;
    let worker = office.connect(SourceMode::Poll);
    tokio::time::sleep(Duration::from_secs(120)).await;
    for _ in 0..8 {
        office.work(12, QUARTER * 3).await;
    }
    tokio::time::sleep(DAY + QUARTER * 2).await;
    same_story(&office).await;
    assert!(office.erp.subscriptions().is_empty(), "nobody subscribes who only polls");
    let live = office.events().await.len();
    for set in SETS {
        office.backfill(set).await;
    }
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    let events = office.events().await;
    assert!(events.len() > live + 40);
    assert!(events[live..].iter().all(|event| event.origin == Origin::Backfill));
    worker.stop().await;
}

/// An upgrade or a copy brings what is old: nobody is told of it. It is remembered, so that what happens to it later is told.
#[tokio::test(start_paused = true)]
async fn what_is_old_when_it_is_first_seen_is_told_of_as_soon_as_something_happens_to_it() {
    const BILLS: Set = Set::PurchaseInvoices;
    for mode in [SourceMode::Both, SourceMode::Poll] {
        let mut office = Office::new(12, Duration::from_millis(200));
        office.furnish_with(8, |_| BILLS).await;
        let worker = office.connect(mode);
        tokio::time::sleep(QUARTER).await;
        let old: Vec<String> = (0..5_u32)
            .map(|n| {
                let new = NewDocument::new("Northline Packaging", Decimal::from(100 + n));
                let id = office.erp.create(BILLS, &new);
                for date in ["invoiceDate", "postingDate"] {
                    office.erp.set(BILLS, &id, date, "2019-05-04").unwrap();
                }
                if n < 3 {
                    office.erp.post(BILLS, &id).unwrap();
                }
                id
            })
            .collect();
        let reads = |office: &Office| {
            let calls = office.erp.received();
            calls.iter().filter(|call| old.iter().any(|id| call.path.ends_with(&format!("({id})")))).count()
        };
        office.hear(QUARTER * 2).await;
        let before = reads(&office);
        // Every set is compared in full once a day, and swept.
        tokio::time::sleep(DAY + QUARTER).await;
        assert_eq!(office.events().await.len(), 0, "{mode:?}");
        assert_eq!(reads(&office), before, "{mode:?}: what is known is not read again at every look");

        office.erp.pay(BILLS, &old[0]).unwrap();
        office.erp.cancel(BILLS, &old[1]).unwrap();
        office.erp.post(BILLS, &old[3]).unwrap();
        office.erp.set_total(BILLS, &old[4], Decimal::from(900)).unwrap();
        office.hear(QUARTER * 2).await;
        let told = office.events().await;
        let told = told.iter().map(|event| format!("{} {}", event.event_type(), event.entity.id));
        let wanted = [("paid", 0), ("voided", 1), ("posted", 3), ("updated", 4)];
        mirror::same_story(wanted.iter().map(|(what, n)| format!("bill.{what} {}", old[*n])), told);
        worker.stop().await;
    }
}

/// Of more changes than it lists one by one Business Central names none, and among them are deletions.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_among_many_changes_is_told_at_once_and_not_at_the_daily_look() {
    const BILLS: Set = Set::PurchaseInvoices;
    let mut office = Office::new(7, Duration::from_millis(200));
    office.erp.tune(|tuning| tuning.collection_above = 2);
    office.furnish_with(0, |_| BILLS).await;
    let drafts: Vec<String> = (0..40_u32)
        .map(|n| office.erp.create(BILLS, &NewDocument::new("Northline Packaging", Decimal::from(100 + n))))
        .collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let worker = office.connect(SourceMode::Both);
    // The baseline, and the first sweep: what is there is known.
    office.hear(DAY + QUARTER * 2).await;
    assert_eq!(office.events().await.len(), 0);

    for id in &drafts[..4] {
        office.erp.delete(BILLS, id).unwrap();
    }
    office.hear(QUARTER).await;
    let told = office.events().await;
    let told = told.iter().map(|event| format!("{} {}", event.event_type(), event.entity.id));
    mirror::same_story(drafts[..4].iter().map(|id| format!("bill.deleted {id}")), told);
    worker.stop().await;
}

/// Business Central lists an invoiced order no more: that many are is no sign that a list is wrong.
#[tokio::test(start_paused = true)]
async fn a_day_on_which_many_orders_are_invoiced_stops_no_sweep() {
    let mut office = Office::new(6, Duration::from_millis(200));
    office.furnish_with(60, |_| Set::PurchaseOrders).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(QUARTER).await;
    office.invoice_orders(24).await;
    tokio::time::sleep(DAY + QUARTER).await;
    let health = office.connector().health().await.unwrap();
    assert!(health.connections[&"erp".into()].stopped_sweeps.is_empty());
    same_story(&office).await;
    assert_eq!(office.happened.len(), 48);
    worker.stop().await;
}

/// Reading a draft with an app that may write writes to it, which is told, which leads to a read. It gets rarer by itself.
#[tokio::test(start_paused = true)]
async fn an_app_that_may_write_does_not_feed_itself() {
    const DRAFTS: usize = 40;
    let mut office = Office::new(3, Duration::from_millis(200));
    office.erp.tune(|tuning| tuning.reading_touches_drafts = true);
    office.furnish_with(0, |_| Set::PurchaseInvoices).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(QUARTER).await;
    let mut drafts = Vec::new();
    for _ in 0..DRAFTS {
        let new = NewDocument::new("Northline Packaging", Decimal::from(100));
        drafts.push(office.erp.create(Set::PurchaseInvoices, &new));
    }
    let reads = |office: &Office| {
        let calls = office.erp.received();
        calls.iter().filter(|call| drafts.iter().any(|id| call.path.ends_with(&format!("({id})")))).count()
    };
    let mut hours = Vec::new();
    for _ in 0..3 {
        let before = reads(&office);
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            office.tell_all().await;
        }
        hours.push(reads(&office) - before);
    }
    assert!(hours[0] >= DRAFTS && hours[2] <= DRAFTS * 10, "{hours:?} reads in three hours");
    let events = office.events().await;
    assert_eq!(events.len(), DRAFTS, "each is told once");
    // What somebody changes is told all the same.
    office.erp.set_total(Set::PurchaseInvoices, &drafts[0], Decimal::from(200)).unwrap();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        office.tell_all().await;
    }
    assert_eq!(office.events().await.len(), DRAFTS + 1);
    assert_eq!(office.erp.limit_violations(), 0);
    worker.stop().await;
}

/// Business Central counts calls when they arrive, which is not in the order in which they were sent: as many drafts as there
/// are notices are read at once.
// Proves: limits_of_bc.
#[tokio::test(start_paused = true)]
async fn four_hundred_notices_over_a_jittery_line_exceed_no_limit() {
    let mut office = Office::new(14, Duration::ZERO);
    office.erp.set_conditions(Conditions::ordinary());
    office.erp.tune(|tuning| tuning.notice_after = Duration::ZERO);
    office.furnish_with(0, |_| Set::PurchaseInvoices).await;
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(QUARTER).await;
    let before = office.erp.received().len();
    for n in 0..400_u32 {
        let new = NewDocument::new("Northline Packaging", Decimal::from(100 + n));
        drop(office.erp.create(Set::PurchaseInvoices, &new));
        tokio::time::sleep(Duration::from_millis(10)).await;
        office.tell_all().await;
    }
    office.hear(QUARTER / 3).await;
    assert_eq!(office.events().await.len(), 400);
    assert!(office.erp.received().len() - before >= 400, "each is read");
    assert_eq!(office.erp.limit_violations(), 0);
    worker.stop().await;
}

/// A path belongs to the company that issued it, whichever is asked first; nobody else's path is anybody's.
#[tokio::test(start_paused = true)]
async fn companies_at_one_endpoint_keep_their_subscriptions() {
    let (one, two) = (Office::new(8, Duration::from_millis(200)), Office::new(9, Duration::from_millis(200)));
    for order in [[&one, &two], [&two, &one]] {
        let (connector, worker) = Office::connect_at_one_endpoint(&order);
        tokio::time::sleep(QUARTER).await;
        for company in order {
            assert_eq!(company.erp.subscriptions().len(), 3);
            let new = NewDocument::new("Northline Packaging", Decimal::from(100));
            drop(company.erp.create(Set::PurchaseInvoices, &new));
            tokio::time::sleep(Duration::from_secs(40)).await;
            let batches = company.erp.take_notices();
            assert!(!batches.is_empty());
            for batch in batches {
                let answer = connector.receive(batch.request.clone()).await;
                assert_eq!(answer.status(), 200);
                company.erp.settle_notice(&batch, &Ok(answer));
            }
            assert_eq!(company.erp.subscriptions().len(), 3);
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
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn tables_mirror_the_company_through_faults_kills_and_a_lost_log() {
    let mut office = Office::new(5, Duration::from_millis(200));
    let lake = warehouse::lake(office.clock() as Arc<dyn Clock>);
    office.lake = Some(lake.clone());
    let source = office.source(SourceMode::Both).info().clone();
    office.furnish(60).await;
    let mut worker = office.connect(SourceMode::Both);
    let troubles = tokio::spawn(trouble(lake.clone(), 11));
    tokio::time::sleep(Duration::from_secs(400)).await;
    for round in 0..6 {
        office.work(14, QUARTER * 3).await;
        if round % 3 == 2 {
            worker.kill().await;
            worker = office.connect(SourceMode::Both);
        }
    }
    troubles.abort();
    lake.tune(|tuning| tuning.execution = Duration::ZERO);
    tokio::time::sleep(DAY).await;
    assert!(mirrored(office.events().await, &source, &lake) > 40);
    assert_eq!(lake.limit_violations(), 0);

    // The log is lost: the past is read again, and what the new log says wins.
    worker.stop().await;
    office.lose_log();
    let worker = office.connect(SourceMode::Both);
    tokio::time::sleep(Duration::from_secs(400)).await;
    for set in SETS {
        office.backfill(set).await;
    }
    tokio::time::sleep(DAY / 2).await;
    // What was there and is not any more, such as orders that were invoiced.
    office.bury_lost().await;
    office.work(14, QUARTER * 3).await;
    tokio::time::sleep(DAY).await;
    assert!(mirrored(office.events().await, &source, &lake) > 60);
    worker.stop().await;
}
