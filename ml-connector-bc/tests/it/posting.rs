//! Posting: what is refused, what counts as done, and what an approval is bound to.

use ml_connector_core::{
    Effect, ErrorKind, Retry, Scope, Sink,
    model::{Decimal, EntityRef},
};
use ml_connector_sim::{
    Fault,
    bc::{Language, NewDocument, Refusal, Set},
};

use crate::support::{World, attempt, command, read, record, settle};

fn draft(world: &World) -> (String, EntityRef) {
    let new =
        NewDocument::new("Northline Packaging", Decimal::new(95_300, 2)).vendor_invoice_number("NP-77120");
    let id = world.erp.create(Set::PurchaseInvoices, &new);
    let entity = EntityRef::new("bill", id.as_str());
    (id, entity)
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_posted_once_and_the_receipt_names_its_new_number() {
    let (world, seen) = {
        let world = World::new();
        let (_, entity) = draft(&world);
        let seen = read(&world, &world.connect(), &entity).await;
        (world, seen)
    };
    let erp = world.connect();
    let receipt = settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(&*receipt.reference, format!("{}#posted:10800001", seen.entity));
    let posted = receipt.result.as_ref().unwrap();
    assert_eq!((posted.number.as_deref(), posted.differs), (Some("10800001"), false));
    assert!(!posted.elsewhere);
    assert!(posted.url.as_ref().unwrap().contains("page=146"));
    let observed = receipt.observed.unwrap();
    let url = record(&observed).url.clone().unwrap();
    assert!(url.contains("page=146") && url.contains("10800001"), "{url}");
    let again = settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(again.reference, receipt.reference, "what is posted already counts as done");
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_separate_app_posts_and_does_nothing_else() {
    let world = World::new();
    let known = world.erp.credentials();
    let erp = world.builder().poster(&known.poster_id, known.poster_secret.as_str()).build().unwrap();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings()[0].by, known.poster_id);
    let writes = world.erp.received().into_iter().filter(|call| call.path.contains("Microsoft.NAV.")).count();
    assert_eq!(writes, 1);
}

/// Case 07: with one number series the number stays, and success does not depend on it.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_success_also_where_the_number_stays() {
    let world = World::new();
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.one_series = true);
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.plant(Fault::reset().having_acted().on("Microsoft.NAV.post"));
    let receipt = settle(&world, &erp, command(&world, &seen)).await.unwrap();
    let number = record(&seen).number.clone().unwrap();
    assert_eq!(&*receipt.reference, format!("{entity}#posted:{number}"));
    assert!(record(&receipt.observed.unwrap()).url.as_ref().unwrap().contains("page=146"));
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_posting_that_goes_on_for_minutes_is_waited_for_and_not_repeated() {
    let world = World::new();
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.posts_after = std::time::Duration::from_secs(7 * 60));
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    let began = world.now();
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert!(world.now().saturating_since(began).as_secs() >= 420);
    let sent = world.erp.received().into_iter().filter(|call| call.path.contains("Microsoft.NAV.")).count();
    assert_eq!((sent, world.erp.postings().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_sent_again_after_the_documented_time() {
    let world = World::new();
    let erp = world.connect();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.plant(Fault::reset().on("Microsoft.NAV.post"));
    let began = world.now();
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert!(world.now().saturating_since(began).as_secs() >= 600, "still Draft is no answer before");
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_400_that_came_after_the_posting_is_success() {
    let world = World::new();
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.although_posted = 1);
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    let receipt = attempt(&world, &erp, &command(&world, &seen)).await.unwrap();
    assert!(receipt.reference.contains("#posted:"));
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_changed_since_it_was_shown_is_not_posted() {
    let world = World::new();
    let erp = world.connect();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.set_total(Set::PurchaseInvoices, &id, Decimal::new(95_301, 2)).unwrap();
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    assert!(error.message().contains("changed since it was shown"), "{error}");
    assert!(world.erp.postings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_edit_between_read_and_post_is_seen_by_the_etag_with_either_status() {
    for is_412 in [false, true] {
        let world = World::new();
        let erp = world.connect();
        world.erp.tune(|tuning| tuning.stale_is_412 = is_412);
        let (id, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        world.erp.plant(Fault::delay(std::time::Duration::from_secs(2)).on("Microsoft.NAV.post"));
        let delivery = command(&world, &seen);
        let edit = async {
            world.sleep(1).await;
            world.erp.set_total(Set::PurchaseInvoices, &id, Decimal::new(1, 0)).unwrap();
        };
        let (result, ()) = tokio::join!(attempt(&world, &erp, &delivery), edit);
        assert!(result.unwrap_err().message().contains("changed since it was shown"));
        assert!(world.erp.postings().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_etag_under_the_same_values_is_no_edit() {
    let world = World::new();
    let erp = world.connect();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.plant(Fault::delay(std::time::Duration::from_secs(2)).on("Microsoft.NAV.post"));
    let delivery = command(&world, &seen);
    let restamp = async {
        world.sleep(1).await;
        world.erp.upgrade(Set::PurchaseInvoices);
    };
    let (result, ()) = tokio::join!(attempt(&world, &erp, &delivery), restamp);
    assert!(result.unwrap().reference.contains("#posted:"), "{id}");
    assert_eq!(world.erp.postings().len(), 1);
}

/// Case 05: a refused posting has touched the draft; "Try again" works, and a new total asks for a new decision.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_touched_the_draft_can_be_tried_again() {
    let world = World::new();
    let erp = world.connect();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| tuning.refuse = Some(Refusal::BlockedAccount));
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert_eq!((error.effect(), error.context("reason")), (Effect::None, Some("blocked")));
    let after = read(&world, &erp, &entity).await;
    assert_eq!(revision(&after), revision(&seen), "etag and stamp are no edit");
    world.erp.tune(|tuning| tuning.refuse = None);
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_calculated_anew_asks_for_a_new_decision() {
    let world = World::new();
    let erp = world.connect();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| {
        tuning.refuse = Some(Refusal::BlockedAccount);
        tuning.refusal_recalculates = Some(Decimal::new(93_394, 2));
    });
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert!(error.message().contains("calculated it anew"), "{error}");
    world.erp.tune(|tuning| tuning.refuse = None);
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert!(error.message().contains("changed since it was shown"), "{error}");
    assert!(world.erp.postings().is_empty());
    let fresh = read(&world, &erp, &entity).await;
    settle(&world, &erp, command(&world, &fresh)).await.unwrap();
    assert_eq!(world.erp.postings()[0].total, Decimal::new(93_394, 2));
}

fn revision(seen: &ml_connector_core::model::Observation) -> String {
    match &seen.state {
        ml_connector_core::model::Observed::Present { revision, .. } => revision.to_string(),
        _ => String::new(),
    }
}

/// Case 03: a missing right is configuration, whatever its code, and the three names are told.
#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_and_not_repeated() {
    for language in [Language::English, Language::Dutch] {
        let world = World::new();
        let erp = world.connect();
        let (_, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        world.erp.tune(|tuning| {
            tuning.refuse = Some(Refusal::Permission);
            tuning.language = language;
        });
        let error = settle(&world, &erp, command(&world, &seen)).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
        let right = error.context("right").unwrap();
        assert!(
            right.contains("71442000") && right.contains("Read") && right.contains("Contoso Freight"),
            "{right}"
        );
        let sent =
            world.erp.received().into_iter().filter(|call| call.path.contains("Microsoft.NAV.")).count();
        assert_eq!(sent, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_said_in_plain_words_of_ours() {
    // What lies elsewhere can be tried again as it was approved; a document that is in its own way has to change.
    let (elsewhere, document) = (ErrorKind::InvalidRequest, ErrorKind::Conflict);
    for (refusal, reason, kind) in [
        (Refusal::ClosedPeriod, "closed_period", elsewhere),
        (Refusal::VendorInvoiceNumber, "vendor_invoice_number", document),
        (Refusal::Blocked, "blocked", elsewhere),
        (Refusal::UnknownLocation, "reference", elsewhere),
        (Refusal::NeedsApproval, "needs_approval", elsewhere),
    ] {
        let world = World::new();
        let erp = world.connect();
        let (_, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        world.erp.tune(|tuning| tuning.refuse = Some(refusal));
        let error = settle(&world, &erp, command(&world, &seen)).await.unwrap_err();
        assert_eq!((error.context("reason"), error.kind()), (Some(reason), kind), "{error}");
        assert!(!format!("{error:?}").contains("Northline"), "{error:?}");
        assert!(world.erp.postings().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_in_business_central_s_own_workflow_is_left_to_it() {
    let world = World::new();
    let erp = world.builder().approval_entries(true).build().unwrap();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| tuning.workflow = true);
    world.erp.send_for_approval(Set::PurchaseInvoices, &id, "LK", "MV").unwrap();
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert!(error.message().contains("approval inside Business Central"), "{error}");
    world.erp.release(Set::PurchaseInvoices, &id).unwrap();
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_released_sales_invoice_reads_open_and_is_posted_all_the_same() {
    let world = World::new();
    let erp = world.connect();
    let id = world.erp.create(Set::SalesInvoices, &NewDocument::new("Osprey Foods", Decimal::new(14_997, 2)));
    world.erp.release(Set::SalesInvoices, &id).unwrap();
    let entity = EntityRef::new("invoice", id.as_str());
    let seen = read(&world, &erp, &entity).await;
    assert_eq!(record(&seen).status.as_str(), "approved");
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings().len(), 1);
    assert_eq!(record(&read(&world, &erp, &entity).await).status.as_str(), "open");
}

#[tokio::test(start_paused = true)]
async fn too_often_without_a_time_waits_half_a_minute_and_is_no_attempt() {
    let world = World::new();
    let erp = world.connect();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.plant(Fault::throttled().on("Microsoft.NAV.post"));
    let began = world.now();
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert!(world.now().saturating_since(began).as_secs() >= 30);
    assert_eq!(world.erp.postings().len(), 1);
}

/// What was posted inside Business Central, and what is gone, ends at once; what is no invoice is never sent.
#[tokio::test(start_paused = true)]
async fn endings_that_need_no_posting() {
    let world = World::new();
    let erp = world.connect();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.post(Set::PurchaseInvoices, &id).unwrap();
    let receipt = attempt(&world, &erp, &command(&world, &seen)).await.unwrap();
    assert!(receipt.reference.contains("#posted:"));
    assert!(receipt.result.unwrap().elsewhere, "it is another ending than our own posting");
    let mut ours = command(&world, &seen);
    ours.note = Some(world.now().as_millis().to_string().into());
    let receipt = attempt(&world, &erp, &ours).await.unwrap();
    assert!(!receipt.result.unwrap().elsewhere, "an attempt of ours may have done it");
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.delete(Set::PurchaseInvoices, &id).unwrap();
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert!(error.message().contains("no longer exists"), "{error}");
    let mut order = command(&world, &seen);
    let event = std::sync::Arc::make_mut(&mut order.event);
    event.entity = EntityRef::new("purchase_order", id.as_str());
    assert_eq!(erp.plan(&order).unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert!(!world.erp.received().iter().any(|call| call.path.contains("Microsoft.NAV.")));
}

fn posts(world: &World) -> usize {
    world.erp.received().into_iter().filter(|call| call.path.contains("Microsoft.NAV.")).count()
}

/// A busy database and a 412 without a body say nothing about the invoice: it is read anew and posted.
#[tokio::test(start_paused = true)]
async fn a_busy_database_is_no_edit() {
    let empty = |status| Fault::status(status).with_body("text/plain", "").on("Microsoft.NAV.post");
    for n in 0..3 {
        let world = World::new();
        let erp = world.connect();
        let (_, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        match n {
            0 => world.erp.tune(|tuning| tuning.busy_postings = 1),
            1 => world.erp.plant(empty(http::StatusCode::PRECONDITION_FAILED)),
            _ => world.erp.plant(empty(http::StatusCode::CONFLICT)),
        }
        attempt(&world, &erp, &command(&world, &seen)).await.unwrap();
        assert_eq!((posts(&world), world.erp.postings().len()), (2, 1), "{n}");
    }
}

/// Whatever lasts longer waits, and lies in no document: the button stays.
#[tokio::test(start_paused = true)]
async fn a_database_that_stays_busy_is_waited_for() {
    let world = World::new();
    let erp = world.connect();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| tuning.busy_postings = 4);
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    let is = (error.kind(), error.effect(), error.retry());
    assert_eq!(is, (ErrorKind::Unavailable, Effect::None, Retry::Backoff), "{error}");
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings().len(), 1);
}

/// Reading a draft can write to it, and so meet somebody else.
#[tokio::test(start_paused = true)]
async fn a_409_of_a_read_is_read_again() {
    for is_412 in [false, true] {
        let world = World::new();
        let erp = world.connect();
        let (_, entity) = draft(&world);
        world.erp.tune(|tuning| (tuning.busy_reads, tuning.stale_is_412) = (2, is_412));
        let seen = read(&world, &erp, &entity).await;
        world.erp.tune(|tuning| tuning.busy_reads = 9);
        let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{error}");
        settle(&world, &erp, command(&world, &seen)).await.unwrap();
        assert_eq!(world.erp.postings().len(), 1);
    }
}

/// Case 01, at a click: the invoice is there, and is posted once the reference is repaired.
#[tokio::test(start_paused = true)]
async fn a_404_about_a_related_record_is_no_missing_invoice() {
    let world = World::new();
    let erp = world.connect();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| tuning.broken_reference = Some(id.clone()));
    let error = attempt(&world, &erp, &command(&world, &seen)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
    assert!(error.message().contains("repair the reference"), "{error}");
    world.erp.tune(|tuning| tuning.broken_reference = None);
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!(world.erp.postings().len(), 1);
}

/// A 400 that came after the posting, and an invoice that cannot be read then: it is looked up until it can.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_told_before_the_invoice_can_be_read() {
    let world = World::new();
    let erp = world.connect();
    let (id, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    world.erp.tune(|tuning| tuning.although_posted = 1);
    let missing = serde_json::json!({ "error": { "code": "Internal_RecordNotFound", "message": "The Vendor does not exist." } });
    let reads = Fault::status(http::StatusCode::NOT_FOUND).with_body("application/json", missing.to_string());
    world.erp.plant(reads.method(http::Method::GET).target(&id).after(1).times(4));
    let receipt = settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert!(receipt.reference.contains("#posted:"));
    assert_eq!((posts(&world), world.erp.postings().len()), (1, 1));
}

/// Without the route that lists posted documents, the action itself tells: it posts drafts only.
#[tokio::test(start_paused = true)]
async fn a_released_sales_invoice_is_posted_once_where_no_route_tells() {
    for is_posted_before in [false, true] {
        let world = World::new();
        let erp = world.connect();
        world.erp.tune(|tuning| (tuning.automate, tuning.one_series) = (false, true));
        let id =
            world.erp.create(Set::SalesInvoices, &NewDocument::new("Osprey Foods", Decimal::new(14_997, 2)));
        world.erp.release(Set::SalesInvoices, &id).unwrap();
        let entity = EntityRef::new("invoice", id.as_str());
        let seen = read(&world, &erp, &entity).await;
        assert_eq!(record(&seen).status.as_str(), "approved", "nothing proves that it is posted");
        if is_posted_before {
            world.erp.post(Set::SalesInvoices, &id).unwrap();
        }
        let receipt = settle(&world, &erp, command(&world, &seen)).await.unwrap();
        let result = receipt.result.unwrap();
        assert_eq!((result.elsewhere, result.status.as_str()), (is_posted_before, "open"));
        assert_eq!(world.erp.postings().len(), 1);
    }
}

/// Case 09: any spelling posts, so nothing but the posting step may come near the action.
#[tokio::test(start_paused = true)]
async fn nothing_but_the_posting_writes_and_the_reader_may_be_read_only() {
    let world = World::new();
    let known = world.erp.credentials();
    world.erp.tune(|tuning| tuning.reads_only = true);
    let erp = world.builder().poster(&known.poster_id, known.poster_secret.as_str()).build().unwrap();
    let (_, entity) = draft(&world);
    let seen = read(&world, &erp, &entity).await;
    settle(&world, &erp, command(&world, &seen)).await.unwrap();
    assert_eq!((posts(&world), world.erp.postings()[0].by.as_str()), (1, known.poster_id.as_str()));
    // Without it the reader is told which right it lacks.
    let (_, entity) = draft(&world);
    let erp = world.connect();
    let seen = read(&world, &erp, &entity).await;
    let error = settle(&world, &erp, command(&world, &seen)).await.unwrap_err();
    assert_eq!((error.kind(), posts(&world)), (ErrorKind::PermissionDenied, 2));
    assert!(error.context("right").unwrap().contains("Purchase Header"), "{error}");
}
