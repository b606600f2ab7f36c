//! Reading: single records, pages, and what is missing.

use std::collections::BTreeSet;

use bytes::Bytes;
use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    ErrorKind, PollRequest, Scope, Source,
    model::{Decimal, EntityRef, Observed, Page, Person, PollMode, Resolution, Signal},
    snapshot::{Facts, Snapshot},
};
use ml_connector_sim::{
    Fault,
    bc::{Language, NewDocument, Set},
};
use serde_json::json;

use crate::support::{World, read, record};

const FEED: &str = "purchaseInvoices";

async fn page(world: &World, erp: &BusinessCentral, feed: &str, mode: PollMode, at: Option<&Bytes>) -> Page {
    erp.poll(&world.ctx(), PollRequest::new(feed, mode).checkpoint(at)).await.unwrap()
}

/// Reads a run to its end: the ids that were shown or are to be read, and the last checkpoint.
async fn run(
    world: &World,
    erp: &BusinessCentral,
    feed: &str,
    mode: PollMode,
    mut at: Option<Bytes>,
) -> (Vec<String>, Bytes) {
    let mut ids = Vec::new();
    loop {
        let page = page(world, erp, feed, mode, at.as_ref()).await;
        ids.extend(page.observations.iter().map(|seen| seen.entity.id.to_string()));
        ids.extend(page.signals.iter().filter_map(|signal| match &signal.subject {
            ml_connector_core::model::Subject::Entity(entity) => Some(entity.id.to_string()),
            _ => None,
        }));
        if !page.more {
            return (ids, page.checkpoint);
        }
        at = Some(page.checkpoint);
    }
}

fn bill(world: &World, cents: i64) -> String {
    world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::new(cents, 2)))
}

/// What the engine would know after this observation.
fn known(seen: &ml_connector_core::model::Observation) -> Snapshot {
    let (revision, record) = seen.state.revision().zip(seen.state.record()).expect("a record");
    let facts = serde_json::to_value(Facts::of(record)).unwrap();
    let snapshot = json!({ "n": 1, "revision": revision, "read_at": seen.read_at, "facts": facts });
    Snapshot::from_bytes(snapshot.to_string().as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn pages_end_and_lose_nothing_over_restarts_and_shared_stamps() {
    let world = World::new();
    let mut made: Vec<String> = (0..250).map(|n| bill(&world, 100 + n)).collect();
    world.erp.forget_stamp(Set::PurchaseInvoices, &made[7]);
    let (mut seen, checkpoint) = run(&world, &world.connect(), FEED, PollMode::Baseline, None).await;
    made.sort();
    seen.sort();
    assert_eq!(seen, made, "rows that share a stamp, and one that has none, are read once each");
    world.sleep(3600).await;
    let changed = bill(&world, 5);
    // A connection that was just started goes on.
    let (seen, _) = run(&world, &world.connect(), FEED, PollMode::Live, Some(checkpoint)).await;
    assert!(seen.contains(&changed));
}

/// Case 10: as texts, `…04Z` is more than `…04.12Z` and `…04.127Z`. The window goes by the instant.
#[tokio::test(start_paused = true)]
async fn stamps_are_compared_as_instants() {
    let world = World::new();
    let start = world.now();
    for millis in [0, 120, 127, 127] {
        let at = start + std::time::Duration::from_millis(1_000 + millis);
        ml_connector_core::sleep_until(&*world.clock, at).await;
        drop(bill(&world, 100));
    }
    world.sleep(3600).await;
    let erp = world.connect();
    let (_, checkpoint) = run(&world, &erp, FEED, PollMode::Baseline, None).await;
    let newest: serde_json::Value = serde_json::from_slice(&checkpoint).unwrap();
    let at = ml_connector_core::Timestamp::parse(newest["newest"].as_str().unwrap_or_default());
    let at = at.unwrap_or_else(|_| panic!("{newest}"));
    assert_eq!(at, start + std::time::Duration::from_millis(1_127));
}

#[tokio::test(start_paused = true)]
async fn a_change_while_the_baseline_is_read_is_in_the_first_live_run() {
    let world = World::new();
    let made: Vec<String> = (0..150).map(|n| bill(&world, 100 + n)).collect();
    world.sleep(3600).await;
    let erp = world.connect();
    let first = page(&world, &erp, FEED, PollMode::Baseline, None).await;
    assert!(first.more);
    world.sleep(2400).await;
    world.erp.set_total(Set::PurchaseInvoices, &made[0], Decimal::new(7, 0)).unwrap();
    world.sleep(2400).await;
    let (_, checkpoint) = run(&world, &erp, FEED, PollMode::Baseline, Some(first.checkpoint)).await;
    let (seen, _) = run(&world, &erp, FEED, PollMode::Live, Some(checkpoint)).await;
    assert!(seen.contains(&made[0]));
}

#[tokio::test(start_paused = true)]
async fn links_to_other_hosts_and_to_the_same_page_are_refused() {
    let world = World::new();
    (0..150).for_each(|n| drop(bill(&world, 100 + n)));
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.foreign_next_link = true);
    let error = erp.poll(&world.ctx(), PollRequest::new(FEED, PollMode::Baseline)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    world.erp.tune(|tuning| (tuning.foreign_next_link, tuning.repeats_next_link) = (false, true));
    let mut at = None;
    for turn in 0..10 {
        let request = PollRequest::new(FEED, PollMode::Baseline).checkpoint(at.as_ref());
        match erp.poll(&world.ctx(), request).await {
            Ok(page) => at = Some(page.checkpoint),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidResponse);
                return;
            }
        }
        assert!(turn < 9, "a list that leads back to itself is noticed");
    }
}

/// Case 01: a 404 that names another table is no statement about our record, on lists and on single reads.
#[tokio::test(start_paused = true)]
async fn a_404_about_a_related_record_deletes_nothing() {
    for language in [Language::English, Language::Dutch] {
        let world = World::new();
        let erp = world.connect();
        let (broken, whole) = (bill(&world, 1), bill(&world, 2));
        let entity = EntityRef::new("bill", broken.as_str());
        let last = known(&read(&world, &erp, &entity).await);
        world.erp.tune(|tuning| {
            tuning.broken_reference = Some(broken.clone());
            tuning.language = language;
        });
        let error =
            erp.resolve(&world.ctx(), &[Signal::entity(entity.clone())], Some(&last)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "it is tried again, and heals by itself");
        for mode in [PollMode::Live, PollMode::Baseline] {
            let mut at = None;
            let page = loop {
                let page = page(&world, &erp, FEED, mode, at.as_ref()).await;
                if !page.more {
                    break page;
                }
                at = Some(page.checkpoint);
            };
            let ids: Vec<&str> = page.observations.iter().map(|seen| &*seen.entity.id).collect();
            assert_eq!(ids, [whole.as_str()], "what can be read is shown as ever");
            assert_eq!(page.signals.len(), 1, "and the one that cannot is asked for again");
        }
        read(&world, &erp, &EntityRef::new("bill", whole.as_str())).await;
        world.erp.tune(|tuning| tuning.broken_reference = None);
        read(&world, &erp, &entity).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_readable_list_does_not_show_is_gone() {
    let world = World::new();
    let erp = world.connect();
    let id = bill(&world, 100);
    let entity = EntityRef::new("bill", id.as_str());
    let last = known(&read(&world, &erp, &entity).await);
    world.erp.delete(Set::PurchaseInvoices, &id).unwrap();
    let signals = [Signal::entity(entity.clone())];
    let Resolution::Observed(seen) = erp.resolve(&world.ctx(), &signals, Some(&last)).await.unwrap() else {
        panic!("the record is gone")
    };
    assert!(matches!(seen[0].state, Observed::Gone(_)));
    let never = erp.resolve(&world.ctx(), &signals, None).await.unwrap();
    assert!(matches!(never, Resolution::NotYet { .. }), "it may not be visible yet");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_vanished_was_invoiced_if_an_invoice_names_it() {
    let world = World::new();
    let erp = world.connect();
    for is_invoiced in [true, false] {
        let id =
            world.erp.create(Set::PurchaseOrders, &NewDocument::new("Northline Packaging", Decimal::TEN));
        let entity = EntityRef::new("purchase_order", id.as_str());
        let last = known(&read(&world, &erp, &entity).await);
        if is_invoiced {
            drop(world.erp.invoice_order(Set::PurchaseOrders, &id).unwrap());
        } else {
            world.erp.delete(Set::PurchaseOrders, &id).unwrap();
        }
        let signals = [Signal::entity(entity)];
        let Resolution::Observed(seen) = erp.resolve(&world.ctx(), &signals, Some(&last)).await.unwrap()
        else {
            panic!("the order is not there")
        };
        match &seen[0].state {
            Observed::Present { content, .. } => {
                let record = content.record().expect("a record");
                assert!(is_invoiced);
                assert_eq!(record.status.as_str(), "invoiced");
                let last = known(&seen[0]);
                let mut swept = signals;
                swept[0].hint = Some(Signal::SWEPT.into());
                let calls = world.erp.received().len();
                let again = erp.resolve(&world.ctx(), &swept, Some(&last)).await.unwrap();
                assert!(matches!(again, Resolution::Done { .. }));
                assert_eq!(world.erp.received().len(), calls, "it costs no call any more");
            }
            _ => assert!(!is_invoiced),
        }
    }
}

/// A part was invoiced, and the rest deleted: that is no order that became an invoice.
#[tokio::test(start_paused = true)]
async fn an_order_that_was_invoiced_in_part_and_deleted_is_deleted() {
    for (parts, is_invoiced) in [(&[40, 60][..], true), (&[40], false)] {
        let world = World::new();
        let erp = world.connect();
        let new = NewDocument::new("Northline Packaging", Decimal::ONE_HUNDRED);
        let id = world.erp.create(Set::PurchaseOrders, &new);
        let entity = EntityRef::new("purchase_order", id.as_str());
        let last = known(&read(&world, &erp, &entity).await);
        for part in parts {
            let part = Decimal::from(*part);
            drop(world.erp.invoice_order_in_part(Set::PurchaseOrders, &id, part).unwrap());
        }
        world.erp.delete(Set::PurchaseOrders, &id).unwrap();
        let seen = erp.resolve(&world.ctx(), &[Signal::entity(entity)], Some(&last)).await.unwrap();
        let Resolution::Observed(seen) = seen else { panic!("the order is gone") };
        assert_eq!(matches!(seen[0].state, Observed::Present { .. }), is_invoiced, "{parts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_placeholder_and_an_old_posted_document_are_no_news() {
    let world = World::new();
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.placeholders = true);
    let id = bill(&world, 100);
    world.erp.delete(Set::PurchaseInvoices, &id).unwrap();
    let old = bill(&world, 200);
    world.erp.post(Set::PurchaseInvoices, &old).unwrap();
    for date in ["invoiceDate", "postingDate"] {
        world.erp.set(Set::PurchaseInvoices, &old, date, "2019-05-04").unwrap();
    }
    world.sleep(60).await;
    let page = page(&world, &erp, FEED, PollMode::Live, None).await;
    assert!(page.observations.is_empty() && page.signals.is_empty(), "{page:?}");
    let remembered: Vec<_> = page.past.iter().map(|seen| &*seen.entity.id).collect();
    assert_eq!(remembered, [&*old], "a placeholder is not even that");
    let signals = [Signal::entity(EntityRef::new("bill", old.as_str()))];
    let seen = erp.resolve(&world.ctx(), &signals, None).await.unwrap();
    assert!(matches!(seen, Resolution::Past { seen, .. } if *seen[0].entity.id == *old));
}

/// Case 12: a data upgrade brings what nobody has seen. What is old by its own dates asks nobody and is told to nobody,
/// unless somebody wants the past.
#[tokio::test(start_paused = true)]
async fn old_drafts_that_appear_at_once_are_no_news() {
    let world = World::new();
    let erp = world.connect();
    let (_, checkpoint) = run(&world, &erp, FEED, PollMode::Baseline, None).await;
    let mut old = Vec::new();
    for n in 0..40 {
        let id = bill(&world, 100 + n);
        world.erp.set(Set::PurchaseInvoices, &id, "invoiceDate", "2024-05-04").unwrap();
        world.erp.set(Set::PurchaseInvoices, &id, "postingDate", "2024-05-06").unwrap();
        old.push(id);
    }
    // An old invoice that is entered today is posted today.
    let late = bill(&world, 900);
    world.erp.set(Set::PurchaseInvoices, &late, "invoiceDate", "2025-11-30").unwrap();
    world.sleep(60).await;
    let (seen, _) = run(&world, &erp, FEED, PollMode::Live, Some(checkpoint)).await;
    assert_eq!(seen, std::slice::from_ref(&late));
    for id in &old {
        let mut signal = Signal::entity(EntityRef::new("bill", id.as_str()));
        signal.hint = Some("created".into());
        let told = erp.resolve(&world.ctx(), &[signal.clone()], None).await.unwrap();
        assert!(matches!(told, Resolution::Past { .. }), "{told:?}");
        signal.hint = Some(Signal::BACKFILL.into());
        let asked = erp.resolve(&world.ctx(), &[signal], None).await.unwrap();
        assert!(matches!(asked, Resolution::Observed(_)), "somebody wants the past");
    }
    let (past, _) = run(&world, &erp, FEED, PollMode::Backfill { since: None }, None).await;
    assert_eq!(past.len(), 41);
}

/// One record that cannot be read makes no news of the others: the baseline stays one, wherever the record lies and whatever
/// shares its stamp.
#[tokio::test(start_paused = true)]
async fn a_baseline_with_a_broken_reference_is_a_baseline() {
    for (at_once, place) in [(false, 0), (false, 70), (false, 129), (true, 70)] {
        let world = World::new();
        let mut made = Vec::new();
        for n in 0..130 {
            made.push(bill(&world, 100 + n));
            world.sleep(u64::from(!at_once)).await;
        }
        let erp = world.connect();
        world.erp.tune(|tuning| tuning.broken_reference = Some(made[place].clone()));
        world.sleep(3600).await;
        let (mut observed, mut signaled, mut at) = (BTreeSet::new(), BTreeSet::new(), None);
        loop {
            let page = page(&world, &erp, FEED, PollMode::Baseline, at.as_ref()).await;
            observed.extend(page.observations.iter().map(|seen| {
                assert!(record(seen).total.is_some(), "a row is whole");
                seen.entity.id.to_string()
            }));
            signaled.extend(page.signals.into_iter().map(|signal| format!("{:?}", signal.subject)));
            if !page.more {
                break;
            }
            at = Some(page.checkpoint);
        }
        assert_eq!((observed.len(), signaled.len()), (129, 1), "{place}: {signaled:?}");
        assert!(!observed.contains(&made[place]));
        let calls = world.erp.received().len();
        // What shares the stamp of the broken one is read one by one.
        assert!(calls < if at_once { 190 } else { 60 }, "{place}: {calls} calls");
    }
}

/// A sales invoice that is released reads Open like a posted one, in lists as well: one call tells for a page of them.
#[tokio::test(start_paused = true)]
async fn pages_tell_released_sales_invoices_from_posted_ones() {
    let world = World::new();
    let erp = world.connect();
    let made: Vec<String> = (0..6)
        .map(|n| world.erp.create(Set::SalesInvoices, &NewDocument::new("Osprey Foods", Decimal::new(n, 0))))
        .collect();
    made[..3].iter().for_each(|id| world.erp.release(Set::SalesInvoices, id).unwrap());
    made[3..].iter().for_each(|id| world.erp.post(Set::SalesInvoices, id).unwrap());
    world.sleep(60).await;
    for mode in [PollMode::Baseline, PollMode::Live] {
        let before = world.erp.received().len();
        let page = page(&world, &erp, "salesInvoices", mode, None).await;
        for seen in &page.observations {
            let expected =
                if made[..3].iter().any(|id| **id == *seen.entity.id) { "approved" } else { "open" };
            assert_eq!(record(seen).status.as_str(), expected, "{mode:?}");
        }
        assert_eq!((page.observations.len(), page.signals.len()), (6, 0));
        assert!(world.erp.received().len() - before <= 3, "a token, a list, and one question");
    }
}

/// Case 12 and the part payment: stamps say nothing, values do, and once a day all of them are compared.
#[tokio::test(start_paused = true)]
async fn a_part_payment_is_found_and_a_data_upgrade_changes_nothing() {
    let world = World::new();
    let erp = world.connect();
    let id = world.erp.create(Set::SalesInvoices, &NewDocument::new("Osprey Foods", Decimal::ONE_HUNDRED));
    world.erp.post(Set::SalesInvoices, &id).unwrap();
    let entity = EntityRef::new("invoice", id.as_str());
    let revision = |seen: &ml_connector_core::model::Observation| known(seen).revision;
    let before = read(&world, &erp, &entity).await;
    world.erp.upgrade(Set::SalesInvoices);
    let restamped = read(&world, &erp, &entity).await;
    assert_eq!(revision(&before), revision(&restamped));
    let (_, checkpoint) = run(&world, &erp, "salesInvoices", PollMode::Baseline, None).await;
    world.sleep(7200).await;
    world.erp.pay_part(&id, Decimal::new(40, 0));
    let paid = read(&world, &erp, &entity).await;
    assert_eq!(record(&paid).status.as_str(), "partially_paid");
    assert_ne!(revision(&paid), revision(&before));
    world.sleep(23 * 3600).await;
    let (seen, _) = run(&world, &erp, "salesInvoices", PollMode::Live, Some(checkpoint)).await;
    assert!(seen.contains(&id), "no filter by stamps finds it");
}

#[tokio::test(start_paused = true)]
async fn a_purchase_invoice_sent_for_approval_is_submitted_by_its_approval_entry() {
    let world = World::new();
    let erp = world.builder().approval_entries(true).build().unwrap();
    let id = bill(&world, 95_300);
    world.erp.send_for_approval(Set::PurchaseInvoices, &id, "LK", "MV").unwrap();
    let seen = read(&world, &erp, &EntityRef::new("bill", id.as_str())).await;
    let waits = record(&seen);
    assert_eq!((waits.status.as_str(), &*waits.vendor_status), ("pending_approval", "Draft"));
    assert_eq!(waits.submitted_by, Some(Person::named("LK")));
    world.sleep(60).await;
    let page = page(&world, &erp, FEED, PollMode::Live, None).await;
    assert_eq!(known(&page.observations[0]).revision, known(&seen).revision, "a page shows the same");
    let (ids, _) = run(&world, &erp, "approvalEntries", PollMode::Live, None).await;
    assert_eq!(ids, [id]);
}

#[tokio::test(start_paused = true)]
async fn reads_go_to_the_primary_and_a_slow_page_is_halved() {
    let world = World::new();
    world.erp.tune(|tuning| tuning.replica_lag = std::time::Duration::from_secs(600));
    let erp = world.connect();
    let id = bill(&world, 100);
    read(&world, &erp, &EntityRef::new("bill", id.as_str())).await;
    world.erp.plant(Fault::status(http::StatusCode::GATEWAY_TIMEOUT).times(3));
    let first = page(&world, &erp, FEED, PollMode::Live, None).await;
    assert!(first.more && first.observations.is_empty());
    let (seen, _) = run(&world, &erp, FEED, PollMode::Live, Some(first.checkpoint)).await;
    assert_eq!(seen, [id]);
}

/// Rows do not say whose they are, but the answer does: nothing of another company is told, and nothing more is read.
#[tokio::test(start_paused = true)]
async fn an_answer_about_another_company_stops_the_connection() {
    let world = World::new();
    let erp = world.connect();
    let ids: Vec<String> = (0..150).map(|n| bill(&world, 100 + n)).collect();
    let stops = |error: ml_connector_core::Error| {
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection), "{error}");
    };
    world.erp.tune(|tuning| tuning.answers_for = Some("6f1c2d3e-1a2b-ef11-9345-6045bd0a1b2c".to_owned()));
    let entity = EntityRef::new("bill", ids[0].as_str());
    stops(erp.resolve(&world.ctx(), &[Signal::entity(entity.clone())], None).await.unwrap_err());
    for mode in [PollMode::Baseline, PollMode::Live, PollMode::Sweep] {
        stops(erp.poll(&world.ctx(), PollRequest::new(FEED, mode)).await.unwrap_err());
    }
    world.erp.tune(|tuning| tuning.answers_for = None);
    read(&world, &erp, &entity).await;
}

/// Vendors, customers, employees, accounts, items, dimensions and currencies: shown by their lists as they are read by id, with
/// the names people use, and told once they change.
#[tokio::test(start_paused = true)]
async fn what_documents_refer_to_is_read_of_every_set() {
    let blocked = |word: serde_json::Value| ("blocked", word);
    for (set, kind, code, change, before, after) in [
        (Set::Vendors, "vendor", "number", blocked("Payment".into()), "active", "blocked"),
        (Set::Customers, "customer", "number", blocked("All".into()), "active", "blocked"),
        (Set::Employees, "employee", "number", ("status", "Inactive".into()), "active", "inactive"),
        (Set::Accounts, "account", "number", blocked(true.into()), "active", "blocked"),
        (Set::Items, "item", "number", blocked(true.into()), "active", "blocked"),
        (Set::Dimensions, "dimension", "code", ("displayName", "Renamed".into()), "active", "active"),
        (Set::Currencies, "currency", "code", ("displayName", "Renamed".into()), "active", "active"),
    ] {
        let feed = set.name();
        let world = World::new();
        let mut values = vec![(code, "X-17".into()), ("displayName", "Kept & Sons".into())];
        if set == Set::Employees {
            values.push(("status", "Active".into()));
        }
        let id = world.erp.create_master(set, &values);
        world.sleep(3600).await;
        let erp = world.builder().sets([feed]).build().unwrap();
        let first = page(&world, &erp, feed, PollMode::Baseline, None).await;
        assert!(!first.more && first.signals.is_empty(), "{feed}");
        let [listed] = &first.observations[..] else { panic!("{feed}: {:?}", first.observations) };
        let detail = read(&world, &erp, &EntityRef::new(kind, id.as_str())).await;
        assert_eq!(listed.entity, detail.entity, "{feed}");
        assert_eq!(listed.state.revision(), detail.state.revision(), "{feed}: a row is the record");
        let shown = record(&detail);
        assert_eq!((shown.kind.as_str(), &*shown.id), (kind, &*id), "{feed}");
        assert_eq!(shown.number.as_deref(), Some("X-17"), "{feed}");
        assert_eq!(shown.name.as_deref(), Some("Kept & Sons"), "{feed}");
        assert_eq!(shown.status.as_str(), before, "{feed}");
        assert!(shown.modified_at.is_some() && shown.total.is_none(), "{feed}");

        let (member, value) = change;
        world.erp.set(set, &id, member, value).unwrap();
        let (changed, _) = run(&world, &erp, feed, PollMode::Live, Some(first.checkpoint)).await;
        assert_eq!(changed, [&*id], "{feed}");
        let anew = read(&world, &erp, &detail.entity).await;
        assert_ne!(anew.state.revision(), detail.state.revision(), "{feed}: that is a change");
        assert_eq!(record(&anew).status.as_str(), after, "{feed}");

        world.erp.delete(set, &id).unwrap();
        let resolved = erp
            .resolve(&world.ctx(), &[Signal::entity(detail.entity.clone())], Some(&known(&anew)))
            .await
            .unwrap();
        let Resolution::Observed(seen) = resolved else { panic!("{feed}: {resolved:?}") };
        assert!(matches!(seen[0].state, Observed::Gone(_)), "{feed}: {:?}", seen[0].state);
    }
}

/// Invoices and orders of both sides, with number, party, total and lines; the row of a list is the record.
#[tokio::test(start_paused = true)]
async fn documents_of_every_set_are_read_whole() {
    for (set, kind) in [
        (Set::PurchaseInvoices, "bill"),
        (Set::SalesInvoices, "invoice"),
        (Set::PurchaseOrders, "purchase_order"),
        (Set::SalesOrders, "sales_order"),
    ] {
        let feed = set.name();
        let world = World::new();
        let id = world.erp.create(set, &NewDocument::new("Northline Packaging", Decimal::new(12_345, 2)));
        world.sleep(3600).await;
        let erp = world.builder().sets([feed]).build().unwrap();
        let first = page(&world, &erp, feed, PollMode::Baseline, None).await;
        let [listed] = &first.observations[..] else { panic!("{feed}: {:?}", first.observations) };
        let detail = read(&world, &erp, &EntityRef::new(kind, id.as_str())).await;
        assert_eq!(listed.state.revision(), detail.state.revision(), "{feed}: a row is the record");
        let shown = record(&detail);
        assert_eq!(shown.number, world.erp.field(set, &id, "number"), "{feed}");
        assert_eq!(
            shown.counterparty.as_ref().map(|party| &*party.name),
            Some("Northline Packaging"),
            "{feed}"
        );
        let total = shown.total.expect("a total");
        assert_eq!((total.amount, shown.lines.len()), (Decimal::new(12_345, 2), 1), "{feed}");
        assert!(shown.lines[0].amount.is_some(), "{feed}: {:?}", shown.lines[0]);
    }
}

/// A kind without a table would be a row that no warehouse takes.
#[tokio::test(start_paused = true)]
async fn what_is_read_has_a_table_and_what_the_connection_does_not_read_is_not_told() {
    let world = World::new();
    let erp = world.builder().sets(["salesInvoices", "customers"]).build().unwrap();
    let kinds: BTreeSet<&str> = erp.info().columns.iter().map(|table| table.kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["customer", "invoice"]));
    let (bill, invoice) = (bill(&world, 100), {
        let new = NewDocument::new("Osprey Foods", Decimal::new(100, 2));
        world.erp.create(Set::SalesInvoices, &new)
    });
    let asked = |kind: &str, id: &str| [Signal::entity(EntityRef::new(kind, id))];
    let read = erp.resolve(&world.ctx(), &asked("invoice", &invoice), None).await.unwrap();
    assert!(matches!(read, Resolution::Observed(_)), "{read:?}");
    let read = erp.resolve(&world.ctx(), &asked("bill", &bill), None).await.unwrap();
    assert!(matches!(read, Resolution::Done { .. }), "{read:?}");
}
