//! Feeds: baseline, schedule, gaps, the past, and what disappears without a word.

use super::{super::Connector, *};
use crate::{
    Error, ErrorKind, Retry, Scope, SourceMode,
    audit::EntryState,
    engine::Act,
    model::{EntityRef, Event, Origin, PollMode, Status},
};

pub(super) const QUARTER: Duration = Duration::from_secs(900);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

impl World {
    pub(super) fn now(&self) -> Timestamp {
        crate::Clock::now(&*self.clock)
    }

    /// A connector whose ledger is read as a feed.
    pub(super) fn polled(&self, source: impl FnOnce(LedgerSource) -> LedgerSource) -> Connector {
        let connector = self.connector();
        connector.remove(&"books".into());
        connector.add_source(source(LedgerSource::new("books", &self.ledger))).unwrap();
        connector
    }

    pub(super) fn change(&self, id: &str, status: Status) {
        let created = self.ledger.invoices.lock().unwrap().get(id).and_then(|record| record.created_at);
        self.ledger.put_at(id, status, created.unwrap_or(self.now()), self.now());
    }

    /// Ten invoices from a month ago.
    pub(super) fn old_invoices(&self) {
        let then = self.now() - DAY * 30;
        (10..20).for_each(|id| self.ledger.put_at(&id.to_string(), Status::Open, then, then));
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        let entries = self.entries(EntryKind::Event).await;
        let events =
            entries.iter().map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap());
        events.filter(|event| !event.is_outcome()).collect()
    }

    pub(super) async fn told(&self) -> Vec<String> {
        self.events()
            .await
            .iter()
            .map(|event| format!("{} {}", event.event_type(), event.entity.id))
            .collect()
    }
}

// Proves: baseline.
#[tokio::test(start_paused = true)]
async fn a_new_connection_learns_what_is_there_without_telling_and_tells_what_happens_then() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    world.run(&connector, secs(60)).await;
    assert_eq!(world.told().await, [""; 0]);
    assert_eq!(world.ledger.pages(PollMode::Baseline), 4, "ten rows, three on a page");
    let progress = connector.progress(&"books".into()).await.unwrap().remove(0);
    assert!(progress.baseline.is_some() && progress.read_at.is_some() && progress.runs.is_empty());

    world.change("12", Status::Paid);
    world.change("99", Status::Draft);
    world.run(&connector, QUARTER * 2).await;
    assert_eq!(world.told().await, ["invoice.paid 12", "invoice.created 99"]);
    assert_eq!(world.events().await[0].n, 1);
    assert_eq!(world.ledger.pages(PollMode::Baseline), 4, "once");
    world.run(&connector, QUARTER * 8).await;
    assert_eq!(world.told().await.len(), 2, "rows equal to their snapshot tell nothing");
    assert_eq!(world.ledger.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn rows_without_details_are_read_one_by_one_and_once() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Poll).rows_only());
    world.run(&connector, secs(60)).await;
    world.change("12", Status::Paid);
    world.run(&connector, QUARTER).await;
    assert_eq!(world.told().await, ["invoice.paid 12"]);
    assert_eq!(world.ledger.reads(), 1);
}

/// A baseline knows the rows only. The first detail says more, and that is no change; the second change is one.
#[tokio::test(start_paused = true)]
async fn the_first_detail_of_a_row_is_no_change_and_what_follows_is() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Both).rows_only());
    world.run(&connector, secs(60)).await;
    for _ in 0..2 {
        connector.receive(vendor::webhook("account:books 12", "good")).await;
        world.run(&connector, secs(60)).await;
    }
    assert_eq!(world.told().await, [""; 0]);
    // The ledger's stamp stays, as some vendors' do.
    world.ledger.invoices.lock().unwrap().get_mut("12").unwrap().reference = Some("PO 7".into());
    connector.receive(vendor::webhook("account:books 12", "good")).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(world.told().await, ["invoice.updated 12"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_by_webhook_during_the_baseline_is_told_once() {
    for first in ["webhook", "baseline"] {
        let world = World::new();
        world.old_invoices();
        let connector = world.polled(|source| source.polled(SourceMode::Both));
        // The first page does not come for a while.
        let later = Retry::At(world.now() + secs(30));
        let late = || Error::new(ErrorKind::RateLimited, "later").with_retry(later);
        if first == "webhook" {
            world.ledger.fail_page(late());
        } else {
            world.ledger.fail(late());
        }
        let (stop, running) = start(&connector);
        tokio::time::sleep(secs(5)).await;
        world.change("98", Status::Open);
        connector.receive(vendor::webhook("account:books 98", "good")).await;
        tokio::time::sleep(secs(300)).await;
        drop(stop);
        running.await.unwrap();
        assert_eq!(world.told().await, ["invoice.sent 98"], "{first} first");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_and_a_poll_of_one_change_make_one_event() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Both));
    world.run(&connector, secs(60)).await;
    world.change("12", Status::Paid);
    connector.receive(vendor::webhook("account:books 12", "good")).await;
    connector.poll_now(&"books".into(), "invoices").await.unwrap();
    world.run(&connector, QUARTER * 2).await;
    assert_eq!(world.told().await, ["invoice.paid 12"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_goes_on_with_the_page_that_failed_also_after_a_restart() {
    let world = World::new();
    world.old_invoices();
    let down = || Error::new(ErrorKind::Unavailable, "down");
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    world.ledger.page_failures.lock().unwrap().push_back(None);
    (0..3).for_each(|_| world.ledger.fail_page(down()));
    world.run(&connector, Duration::from_millis(1500)).await;
    assert!((2..4).contains(&world.ledger.pages(PollMode::Baseline)), "one page, and failures");
    world.run(&world.polled(|source| source.polled(SourceMode::Poll)), secs(120)).await;
    assert_eq!(world.ledger.pages(PollMode::Baseline), 4 + 3);
    let snapshots: Vec<_> = (10..20)
        .map(|id| crate::snapshot::Snapshot::key(&"books".into(), &EntityRef::new("invoice", id.to_string())))
        .collect();
    let known = crate::AuditLog::documents(&*world.log, &snapshots).await.unwrap();
    assert!(known.iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn the_schedule_survives_restarts_is_not_doubled_and_is_caught_up_once() {
    let world = World::new();
    let connector = || world.polled(|source| source.polled(SourceMode::Poll));
    world.run(&connector(), secs(60)).await;
    let after = |pages: &mut usize| {
        let now = world.ledger.pages(PollMode::Live);
        now - std::mem::replace(pages, now)
    };
    let mut pages = 0;
    after(&mut pages);
    for _ in 0..8 {
        world.run(&connector(), QUARTER / 2).await;
    }
    assert_eq!(after(&mut pages), 4, "an hour in eight pieces");
    tokio::time::sleep(DAY).await;
    world.run(&connector(), secs(5)).await;
    assert_eq!(after(&mut pages), 1, "after a downtime");
    let waiting = world.entries(EntryKind::Signal).await;
    let reads = waiting.iter().filter(|entry| {
        entry.state == EntryState::Pending && entry.index.name.as_deref() == Some("invoices.read")
    });
    assert_eq!(reads.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_for_good_is_dead_and_read_again_at_its_next_time() {
    let world = World::new();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    world.run(&connector, secs(60)).await;
    let wrong = || Error::new(ErrorKind::InvalidRequest, "no such filter");
    (0..3).for_each(|_| world.ledger.fail_page(wrong()));
    world.change("99", Status::Draft);
    world.run(&connector, QUARTER * 3).await;
    assert_eq!(world.told().await, ["invoice.created 99"]);
    let reads = world.entries(EntryKind::Signal).await;
    assert_eq!(reads.iter().filter(|entry| entry.state == EntryState::Dead).count(), 1);
    let parked = Error::new(ErrorKind::Unauthenticated, "revoked").with_scope(Scope::Connection);
    world.ledger.fail_page(parked);
    world.change("99", Status::Open);
    world.run(&connector, QUARTER * 3).await;
    assert_eq!(world.told().await, ["invoice.created 99", "invoice.sent 99"]);
}

#[tokio::test(start_paused = true)]
async fn the_past_is_told_once_per_record_on_request_and_only_to_who_asks_for_it() {
    for rows_only in [false, true] {
        let world = World::new();
        world.old_invoices();
        let then = world.now() - DAY * 30;
        world.ledger.put_at("13", Status::PendingApproval, then, then);
        let shape = |source: LedgerSource| {
            let source = source.polled(SourceMode::Poll);
            if rows_only { source.rows_only() } else { source }
        };
        let connector = world.polled(shape);
        world.run(&connector, secs(60)).await;
        let seq = connector.backfill(&"books".into(), "invoices", None).await.unwrap();
        world.run(&connector, secs(2)).await;
        world.run(&world.polled(shape), secs(60)).await;
        let events = world.events().await;
        assert_eq!(events.len(), 10);
        let updated: std::collections::BTreeSet<_> = [crate::model::Change::Updated].into();
        assert!(events.iter().all(|event| event.origin == Origin::Backfill && event.n == 1));
        assert!(events.iter().all(|event| event.changes == updated), "a detail is no news beside its row");
        assert_eq!(world.board.corner("a"), [""; 0], "no route asks for the past");
        let run = connector.progress(&"books".into()).await.unwrap().remove(0).runs.remove(0);
        assert_eq!((run.what, run.seq, run.rows, run.ended.is_some()), ("backfill", Some(seq), 10, true));
        world.change("12", Status::Paid);
        world.run(&connector, QUARTER).await;
        let last = world.events().await.pop().unwrap();
        assert_eq!((last.origin, last.n), (Origin::Live, 2));
    }
    let connector = World::new().connector();
    let missing = connector.backfill(&"books".into(), "invoices", None).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_since_the_baseline_is_news_also_when_the_past_is_asked_for() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Poll).rows_only());
    world.run(&connector, secs(60)).await;
    world.change("12", Status::Paid);
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(60)).await;
    let events = world.events().await;
    let live = events.iter().filter(|event| event.origin == Origin::Live);
    let live: Vec<_> = live.map(|event| format!("{} {}", event.event_type(), event.entity.id)).collect();
    assert_eq!((events.len(), live), (10, vec!["invoice.paid 12".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_stamp_tells_of_is_news_also_when_the_past_is_asked_for() {
    let world = World::new();
    world.ledger.put("12", Status::Open, "2026-06-01");
    let connector = world.polled(|source| source.polled(SourceMode::Poll).rows_only());
    world.run(&connector, secs(60)).await;
    world.ledger.put("12", Status::Paid, "2026-06-01");
    connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    world.run(&connector, secs(60)).await;
    let events = world.events().await;
    assert_eq!(events.iter().map(|event| event.origin).collect::<Vec<_>>(), [Origin::Live]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_webhooks_alone_has_a_baseline_and_reads_its_gaps() {
    let world = World::new();
    world.old_invoices();
    let connector = world.polled(|source| source.polled(SourceMode::Webhook));
    world.run(&connector, secs(3600)).await;
    assert_eq!((world.ledger.pages(PollMode::Baseline), world.ledger.pages(PollMode::Live)), (4, 1));
    let lost_at = world.now();
    world.change("12", Status::Paid);
    world.ledger.subscription.lock().unwrap().lost_at = Some(lost_at);
    world.run(&connector, secs(3700)).await;
    assert_eq!(world.told().await, ["invoice.paid 12"]);
    assert_eq!(world.events().await[0].origin, Origin::Live, "a gap is news");
    assert_eq!(world.ledger.pages(PollMode::Backfill { since: Some(lost_at) }), 1);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_looked_after_in_time_and_their_secret_verifies() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.subscription.lock().unwrap().secret = Some("first".to_owned());
    world.run(&connector, secs(60)).await;
    let url = Some("https://erp.example/hooks/ledger".to_owned());
    assert_eq!(world.ledger.subscription.lock().unwrap().callbacks, [url]);
    let post = async |connector: &Connector, proof| {
        connector.receive(vendor::webhook("account:books 1", proof)).await.status()
    };
    assert_eq!(post(&connector, "good").await, 401);
    assert_eq!(post(&connector, "first").await, 200);
    // Another host agrees on another secret; this one finds out when it matters, but not at every forger's call.
    world.ledger.subscription.lock().unwrap().secret = Some("second".to_owned());
    let other = world.connector();
    world.run(&other, secs(3700)).await;
    assert_eq!(world.ledger.subscription.lock().unwrap().callbacks.len(), 2, "once an hour");
    assert_eq!(post(&connector, "second").await, 200);
    assert_eq!(post(&connector, "first").await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_threshold_and_a_zone_that_come_later_hold_for_what_is_known_already() {
    let world = World::new();
    let long_ago = world.now() - DAY * 30;
    for (id, due) in [("10", "2026-03-04"), ("11", "2026-01-01")] {
        world.ledger.put(id, Status::Open, due);
        let record = world.ledger.invoices.lock().unwrap().get_mut(id).map(|record| {
            (record.created_at, record.modified_at) = (Some(long_ago), Some(long_ago));
        });
        assert!(record.is_some());
    }
    let first = world.polled(|source| source.polled(SourceMode::Both).overdue_after(&[7]));
    world.run(&first, secs(60)).await;
    let later = || {
        world.polled(|source| {
            source.polled(SourceMode::Both).overdue_after(&[1, 3, 7, 100]).in_zone("America/New_York")
        })
    };
    world.run(&later(), DAY * 5).await;
    assert_eq!(world.told().await, ["invoice.overdue 10"]);
    // Also in other processes, and once each.
    world.run(&later(), DAY * 3).await;
    world.run(&later(), DAY * 40).await;
    let days: Vec<_> = world.events().await.iter().map(|event| (event.at, event.changes.clone())).collect();
    let at = |day: &str| Timestamp::parse(day).unwrap();
    let midnights =
        ["2026-03-05T05:00:00Z", "2026-03-07T05:00:00Z", "2026-03-11T04:00:00Z", "2026-04-11T04:00:00Z"];
    assert_eq!(days.len(), midnights.len(), "{days:?}");
    for ((told, _), midnight) in days.iter().zip(midnights) {
        assert!(told.saturating_since(at(midnight)) < secs(5) && *told >= at(midnight), "{days:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_never_there_is_given_up_quietly_after_an_hour() {
    let world = World::new();
    let connector = world.polled(LedgerSource::not_yet);
    connector.receive(vendor::webhook("account:books 7", "good")).await;
    world.run(&connector, secs(3000)).await;
    assert!(world.outcomes(EntryKind::Signal).await[0].contains("Retry"));
    world.run(&connector, secs(1800)).await;
    let outcomes = world.outcomes(EntryKind::Signal).await;
    assert!(outcomes[0].contains("before it could be read"), "{outcomes:?}");
    assert_eq!(connector.health().await.unwrap().connections[&"books".into()].dead, 0);
    world.ledger.put("7", Status::Open, "2026-06-01");
    connector.receive(vendor::webhook("account:books 7", "good")).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(world.told().await, ["invoice.sent 7"], "it was there after all");
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_years_is_asked_about_again_within_the_hour() {
    let world = World::new();
    let connector = world.polled(|source| source.polled(SourceMode::Poll));
    let years = Retry::At(world.now() + DAY * 3000);
    let slip = Error::new(ErrorKind::RateLimited, "later").with_retry(years);
    world.ledger.fail(slip);
    world.ledger.put("7", Status::Open, "2026-06-01");
    connector.receive(vendor::webhook("account:books 7", "good")).await;
    world.run(&connector, secs(3700)).await;
    assert_eq!(world.told().await, ["invoice.sent 7"]);
}

/// The same name for another company, whose records have the same ids.
// Proves: baseline.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_pointed_at_another_account_begins_anew_without_a_flood() {
    let world = World::new();
    world.old_invoices();
    world.run(&world.polled(|source| source.polled(SourceMode::Poll)), DAY).await;
    let then = world.now() - DAY * 30;
    (10..20).for_each(|id| world.ledger.put_at(&id.to_string(), Status::Paid, then, then));
    let moved = || world.polled(|source| source.polled(SourceMode::Poll).of_account("account:other"));
    world.run(&moved(), DAY).await;
    assert_eq!(world.told().await, [""; 0]);
    assert_eq!(world.ledger.pages(PollMode::Baseline), 8, "a baseline each");
    world.run(&moved(), secs(60)).await;
    assert_eq!(world.ledger.pages(PollMode::Baseline), 8, "once");
    world.change("12", Status::Void);
    world.run(&moved(), QUARTER * 2).await;
    assert_eq!(world.told().await, ["invoice.voided 12"]);
}

/// For somebody who corrects what was told: one record, without its feed.
#[tokio::test(start_paused = true)]
async fn one_record_is_read_again_and_told_again() {
    let world = World::new();
    let connector = world.connector();
    connector
        .set_routes(vec![
            Route::new("news").to("board", Destination::from("a")),
            Route::new("corrections").with_origin(Origin::Backfill).to("board", Destination::from("b")),
        ])
        .unwrap();
    world.ledger.put("7", Status::Open, "2026-06-01");
    let (books, record) = ("books".into(), EntityRef::new("invoice", "7"));
    connector.read_again(&books, &record).await.unwrap();
    world.run(&connector, secs(60)).await;
    connector.read_again(&books, &record).await.unwrap();
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 7"], "nothing has changed since");

    let told =
        connector.act("anna", Act::Read { connection: books.clone(), entity: record.clone(), tell: true });
    let told = told.await.unwrap().entry.unwrap();
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("b"), ["invoice.updated 7"]);
    assert_eq!(world.board.corner("a").len(), 1);
    let story = connector.explain(told).await.unwrap();
    assert!(story.to_string().contains("invoice/7"), "{story}");

    // What has changed is news, whatever was asked for.
    world.ledger.put("7", Status::Paid, "2026-06-01");
    connector.tell_again(&books, &record).await.unwrap();
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 7", "invoice.paid 7"]);
    let nobody = connector.read_again(&"nobody".into(), &record).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
}
