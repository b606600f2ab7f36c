//! Zoho Books → Slack: every story ends in exactly the right messages.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use ml_connector_core::{
    Connector, HttpTransport, Secret, Timestamp, audit::EntryKind, engine::StepKind, http::Limits,
    model::Date, route::Route,
};
use ml_connector_sim::{
    Conditions, Fault,
    slack::SlackConfig,
    zoho::{Entity, ZohoBooksConfig, signature},
};

use crate::world::{
    ACCOUNTING, HARBOR, Running, Story, WEBHOOK_SECRET, World, amount, document, everything, organization,
    secs, source,
};

const NONE: [&str; 0] = [];

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_life_of_an_invoice() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 125_050)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 sent"]);
    books.pay_invoice(&id, amount(25_050)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 partially paid", "Payment 1 received"]);
    books.pay_invoice(&id, amount(100_000)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 paid", "Payment 2 received"]);
    books.delete(Entity::Invoice, &id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 deleted"]);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_story_of_an_event_shows_each_call_with_how_long_it_took() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    books.plant(Fault::delay(secs(2)).on("/invoices/"));
    story.world.slack.plant(Fault::delay(secs(3)).on("chat.postMessage"));
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    let event = story.world.entries(EntryKind::Event).await.remove(0);
    assert_eq!(event.index.entity.as_ref().unwrap().id, id.into());
    let told = story.connector.explain(event.seq).await.unwrap();
    let calls: Vec<_> = told
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            StepKind::Called { call } => Some((&*call.operation, step.to?.saturating_since(step.from))),
            _ => None,
        })
        .collect();
    let took = |of: &str| {
        let call = calls.iter().find(|(operation, _)| operation.contains(of));
        call.unwrap_or_else(|| panic!("no {of} in {calls:?}")).1
    };
    assert!(took("invoice") >= secs(2) && took("invoice") < secs(3), "{calls:?}");
    assert!(took("chat") >= secs(3) && took("chat") < secs(4), "{calls:?}");
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_is_voided_and_one_that_is_created_and_sent_within_the_collecting_time() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 sent"], "one read, one event, the stronger word");
    books.void(Entity::Invoice, &id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 voided"]);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_bill_is_submitted_approved_and_paid() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_bill(document("Northgate Paper Co", 820_000).numbered("NP-2302")).unwrap();
    assert_eq!(story.told().await, ["Bill NP-2302 created"]);
    books.submit_for_approval(Entity::Bill, &id).unwrap();
    assert_eq!(story.told().await, ["Bill NP-2302 awaiting approval"]);
    books.approve(Entity::Bill, &id).unwrap();
    assert_eq!(story.told().await, ["Bill NP-2302 approved"]);
    books.pay_bill(&id, amount(820_000)).unwrap();
    assert_eq!(story.told().await, ["Bill NP-2302 paid", "Payment 1 made"]);
    story.end().await;
}

// Proves: duplicates.
#[tokio::test(start_paused = true)]
async fn webhooks_that_are_repeated_are_told_once() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    books.tune_webhooks(|tuning| tuning.duplicates = 3);
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    let webhooks = books.take_webhooks();
    assert_eq!(webhooks.len(), 4);
    // At once, and again hours later.
    for _ in 0..2 {
        for webhook in &webhooks {
            assert_eq!(story.send(webhook.request.clone()).await, StatusCode::OK);
        }
        story.later(secs(7200)).await;
    }
    assert_eq!(story.world.headlines(ACCOUNTING), ["Invoice INV-000101 created"]);
    let stats = story.connector.stats();
    assert_eq!((stats.received, stats.events), (8, 1));
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 sent"], "four webhooks, one message");
    story.end().await;
}

// Proves: order.
#[tokio::test(start_paused = true)]
async fn webhooks_that_arrive_in_the_wrong_order_tell_the_truth() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    let created = books.take_webhooks();
    books.mark_sent(&id).unwrap();
    let sent = books.take_webhooks();
    books.pay_invoice(&id, amount(10_000)).unwrap();
    let paid = books.take_webhooks();
    for webhook in paid.iter().chain(&sent) {
        story.send(webhook.request.clone()).await;
    }
    // The first webhook overtook the others: one read shows everything that happened.
    assert_eq!(story.later(secs(30)).await, ["Invoice INV-000101 paid", "Payment 1 received"]);
    for webhook in created {
        story.send(webhook.request).await;
    }
    assert_eq!(story.later(secs(30)).await, NONE, "an old hint is no news");
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_webhook_is_made_good_by_the_next_touch() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 sent"]);
    books.tune_webhooks(|tuning| tuning.lose = 2);
    books.pay_invoice(&id, amount(10_000)).unwrap();
    assert_eq!(story.told().await, NONE);
    books.set_reference(Entity::Invoice, &id, "PO 17").unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 paid"]);
    story.end().await;
}

/// A request as Zoho signs it.
pub(crate) fn signed(query: &str, body: &str) -> Request<Bytes> {
    let value = signature(&Secret::from(WEBHOOK_SECRET), query, "application/json", body.as_bytes());
    let mut request = Request::new(Bytes::from(body.to_owned()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("/books?{query}").parse().unwrap();
    request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers_mut().insert("x-zoho-webhook-signature", HeaderValue::try_from(value).unwrap());
    request
}

pub(crate) fn query(event: &str, organization: &str) -> String {
    format!("mlc_event={event}&mlc_org={organization}")
}

const BODY: &str = r#"{"invoice":{"invoice_id":"778812000000200007"}}"#;

/// Sends one bad request and returns the status, and how many entries of which kind are in the log.
async fn refused(request: Request<Bytes>) -> (u16, Connector, Vec<(EntryKind, Option<String>)>) {
    let story = Story::new();
    let status = story.send(request).await.as_u16();
    let mut entries = Vec::new();
    for kind in [EntryKind::Signal, EntryKind::Event, EntryKind::Delivery, EntryKind::Note] {
        for entry in story.world.entries(kind).await {
            entries.push((kind, entry.index.name.map(|name| name.to_string())));
        }
    }
    let connector = story.connector.clone();
    story.end().await;
    (status, connector, entries)
}

#[tokio::test(start_paused = true)]
async fn what_is_not_proven_to_come_from_zoho_is_refused_and_leaves_nothing() {
    let good = || signed(&query("invoice.changed", HARBOR), BODY);
    let with = |change: fn(&mut Request<Bytes>)| {
        let mut request = good();
        change(&mut request);
        request
    };
    const SIGNATURE: &str = "x-zoho-webhook-signature";
    let wrong_secret = {
        let query = query("invoice.changed", HARBOR);
        let value =
            signature(&Secret::from("anotherSecret2026"), &query, "application/json", BODY.as_bytes());
        let mut request = good();
        request.headers_mut().insert(SIGNATURE, HeaderValue::try_from(value).unwrap());
        request
    };
    for (what, request) in [
        ("without a signature", with(|request| drop(request.headers_mut().remove(SIGNATURE)))),
        (
            "with two signatures",
            with(|request| {
                let same = request.headers()[SIGNATURE].clone();
                request.headers_mut().append(SIGNATURE, same);
            }),
        ),
        ("with another secret", wrong_secret),
        ("with another body", with(|request| *request.body_mut() = "{}".into())),
        (
            "with another query",
            with(|request| {
                *request.uri_mut() = format!("/books?{}", query("bill.changed", HARBOR)).parse().unwrap();
            }),
        ),
        (
            "with a signature that is none",
            with(|request| {
                request.headers_mut().insert(SIGNATURE, HeaderValue::from_static("zz"));
            }),
        ),
    ] {
        let (status, connector, entries) = refused(request).await;
        assert_eq!((status, entries), (401, Vec::new()), "{what}");
        assert_eq!((connector.stats().forged, connector.stats().received), (1, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_us_is_refused_and_leaves_nothing() {
    let mut elsewhere = signed(&query("invoice.changed", HARBOR), BODY);
    *elsewhere.uri_mut() = "/nobody?x=1".parse().unwrap();
    let (status, connector, entries) = refused(elsewhere).await;
    assert_eq!((status, connector.stats().rejected, entries), (404, 1, Vec::new()));

    let huge = format!(r#"{{"invoice":{{"invoice_id":"1","notes":"{}"}}}}"#, "x".repeat(2 << 20));
    let (status, connector, entries) = refused(signed(&query("invoice.changed", HARBOR), &huge)).await;
    assert_eq!((status, connector.stats().rejected, entries), (413, 1, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_zoho_sent_and_nobody_understands_leaves_one_note() {
    for (what, request, status, name) in [
        ("malformed JSON", signed(&query("invoice.changed", HARBOR), r#"{"invoice":{"#), 400, "rejected"),
        ("an unknown event kind", signed(&query("contact.changed", HARBOR), BODY), 400, "rejected"),
        (
            "a body without an id",
            signed(&query("invoice.changed", HARBOR), r#"{"invoice":{}}"#),
            400,
            "rejected",
        ),
        ("an unknown organization", signed(&query("invoice.changed", "600111222"), BODY), 200, "unrouted"),
    ] {
        let (answered, connector, entries) = refused(request).await;
        assert_eq!(answered, status, "{what}");
        let note = (EntryKind::Note, Some(name.to_owned()));
        let told = (EntryKind::Event, Some("webhook.unrouted".to_owned()));
        assert_eq!(entries, if name == "unrouted" { vec![told, note] } else { vec![note] }, "{what}");
        let stats = connector.stats();
        let counted = (stats.rejected, stats.unrouted, stats.received);
        assert_eq!(counted, if status == 400 { (1, 0, 0) } else { (0, 1, 0) }, "{what}");
    }
}

// Proves: refused.
#[tokio::test(start_paused = true)]
async fn while_the_log_cannot_store_the_vendor_is_asked_to_come_again() {
    let mut story = Story::new();
    // Let the first lease and the baseline pass.
    story.later(secs(10)).await;
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    let webhook = story.world.books.take_webhooks().remove(0);
    story.world.log.fail_next_commits(1);
    let answer = story.connector.receive(webhook.request.clone()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key(http::header::RETRY_AFTER));
    assert_eq!(story.later(secs(60)).await, NONE);
    assert_eq!(story.send(webhook.request).await, StatusCode::OK);
    assert_eq!(story.later(secs(60)).await, ["Invoice INV-000101 created"]);
    assert_eq!(story.connector.stats().refused, 1);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_organizations_share_an_endpoint_and_stay_apart() {
    let mut config = ZohoBooksConfig::default();
    let osprey = "600111222";
    config.organizations = vec![
        organization(HARBOR, "Harbor Lane", "America/New_York"),
        organization(osprey, "Osprey", "Asia/Tokyo"),
    ];
    let world = World::with("2026-03-02T14:00:00Z", config, SlackConfig::default());
    let other = world.books.within(osprey);
    let connector = world
        .builder()
        .source(world.source().build().unwrap())
        .source(source("osprey", &other.credentials()).time_zone("Asia/Tokyo").build().unwrap())
        .sink(world.sink().build().unwrap())
        .route(everything(ACCOUNTING).from("books"))
        .route(Route::new("osprey").from("osprey").to("slack", ml_connector_slack::channel("C07APPROV1")))
        .build()
        .unwrap();
    let mut story = Story::of(world, connector);
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    other.create_invoice(document("Kite GmbH", 20_000).numbered("OSP-1")).unwrap();
    for webhook in other.take_webhooks() {
        assert_eq!(story.send(webhook.request).await, StatusCode::OK);
    }
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    assert_eq!(story.world.headlines("C07APPROV1"), ["Invoice OSP-1 created"]);
    assert_eq!(other.limit_violations(), 0);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_invoice_becomes_overdue_at_midnight_of_the_organization_also_when_clocks_change() {
    // New York sets its clocks ahead on 2026-03-08 and back on 2026-11-01.
    for (start, due, midnight) in [
        ("2026-03-02T14:00:00Z", "2026-03-04", "2026-03-11T04:00:00Z"),
        ("2026-02-20T14:00:00Z", "2026-02-22", "2026-03-01T05:00:00Z"),
        ("2026-10-27T14:00:00Z", "2026-10-28", "2026-11-04T05:00:00Z"),
        ("2026-10-23T14:00:00Z", "2026-10-24", "2026-10-31T04:00:00Z"),
    ] {
        let world = World::with(start, ZohoBooksConfig::default(), SlackConfig::default());
        let connector = world.connector();
        let mut story = Story::of(world, connector);
        let id =
            story.world.books.create_invoice(document("Bluebird Logistics", 10_000).due(day(due))).unwrap();
        story.world.books.mark_sent(&id).unwrap();
        assert_eq!(story.told().await, ["Invoice INV-000101 sent"]);
        let midnight = Timestamp::parse(midnight).unwrap();
        let until = midnight.saturating_since(story.world.now());
        assert_eq!(story.later(until - secs(1)).await, NONE, "{due}");
        assert_eq!(story.later(secs(10)).await, ["Invoice INV-000101 7+ days overdue"], "{due}");
        assert_eq!(story.later(secs(2 * 86_400)).await, NONE, "{due}: once");
        story.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_is_paid_in_time_never_becomes_overdue() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let id = books.create_invoice(document("Bluebird Logistics", 10_000).due(day("2026-03-04"))).unwrap();
    books.mark_sent(&id).unwrap();
    story.told().await;
    // No webhook tells about the payment: the next poll does.
    books.tune_webhooks(|tuning| tuning.lose = 2);
    books.pay_invoice(&id, amount(10_000)).unwrap();
    let mut told = story.later(secs(10 * 86_400)).await;
    told.sort();
    assert_eq!(told, ["Invoice INV-000101 paid", "Payment 1 received"]);
    story.end().await;
}

// Proves: limits_of_zoho.
#[tokio::test(start_paused = true)]
async fn a_day_of_work_takes_one_token_every_55_minutes_and_breaks_no_limit() {
    let mut story = Story::new();
    let books = story.world.books.clone();
    let mut refreshes = 0_u64;
    let mut issued_at = None::<Timestamp>;
    let begin = story.world.now();
    let mut told = 0;
    while story.world.now() < begin + secs(86_400) {
        books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
        let webhook = books.take_webhooks().remove(0);
        story.send(webhook.request).await;
        told += story.later(secs(300)).await.len();
        // The read began two seconds after the webhook.
        let read_at = story.world.now() - secs(298);
        if issued_at.is_none_or(|at| read_at.saturating_since(at) >= secs(55 * 60)) {
            issued_at = Some(read_at);
            refreshes += 1;
        }
    }
    assert_eq!(told, 288);
    assert_eq!(books.tokens_issued(), refreshes);
    assert_eq!(refreshes, 27, "24 hours of 55 minutes each");
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_service_takes_webhooks_behind_a_mount_point_and_bounds_their_bodies() {
    let world = World::new();
    let connector = world.connector();
    let running = Running::start(&connector);
    let app = axum::Router::new().nest_service("/hooks", connector.service());
    let transport = world.transport.clone().with_router("https://hooks.example.com", app);
    let send = async |target: &str, mut request: Request<Bytes>| {
        *request.uri_mut() = format!("https://hooks.example.com{target}").parse().unwrap();
        transport.send(request, Limits::default()).await.unwrap().status().as_u16()
    };
    let id = world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    let target = format!("/hooks/books?{}", query("invoice.changed", HARBOR));
    let body = format!(r#"{{"invoice":{{"invoice_id":"{id}"}}}}"#);
    let good = signed(&query("invoice.changed", HARBOR), &body);
    assert_eq!(send(&target, good.clone()).await, 200);
    assert_eq!(send("/hooks/nobody", good.clone()).await, 404);
    let mut forged = good.clone();
    *forged.body_mut() = "{}".into();
    assert_eq!(send(&target, forged).await, 401);
    let limit = connector.max_webhook_bytes();
    let mut padded = good;
    *padded.body_mut() = vec![b' '; limit + 1].into();
    assert_eq!(send(&target, padded.clone()).await, 413);
    *padded.body_mut() = vec![b' '; limit].into();
    assert_eq!(send(&target, padded).await, 401, "at the limit it is read, and found to be forged");
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.headlines(ACCOUNTING), ["Invoice INV-000101 created"]);
    running.stop().await;
}

/// Calls of one minute arrive in the next one, and the other way round: the vendor counts when they arrive.
#[tokio::test(start_paused = true)]
async fn four_hundred_webhooks_over_a_jittery_line_exceed_no_window() {
    let mut story = Story::new();
    let mut line = Conditions::kind();
    line.jitter = std::time::Duration::from_millis(200);
    story.world.books.set_conditions(line.clone());
    story.world.slack.set_conditions(line);
    let created: Vec<_> = (0..400)
        .map(|i| story.world.books.create_invoice(document("Bluebird Logistics", 10_000 + i)).unwrap())
        .collect();
    story.told().await;
    story.later(secs(3600)).await;
    assert_eq!(story.world.headlines(ACCOUNTING).len(), created.len());
    // No window exceeded: checked at the end of every story.
    story.end().await;
}
