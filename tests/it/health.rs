//! What health says before, during and after what goes wrong, as a person reads it: never good while something is dead, and
//! good again by itself once it works.

use http::{HeaderValue, StatusCode};
use ml_connector_core::engine::Health;
use ml_connector_sim::Fault;

use crate::world::{Story, document, secs};

/// What another secret would have signed.
const FOREIGN: &str = "6f1ed002ab5595859014ebf0951522d9fc4d6f1ed002ab5595859014ebf09515";

async fn health(story: &Story) -> Health {
    story.connector.health().await.unwrap()
}

/// A story that has told one invoice, and whose health is good.
async fn story() -> Story {
    let mut story = Story::new();
    story.world.books.create_invoice(document("Bluebird Logistics", 125_050)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    assert!(health(&story).await.is_good());
    story
}

#[tokio::test(start_paused = true)]
async fn slack_that_does_not_answer_is_named_and_forgiven() {
    let mut story = story().await;
    story.world.slack.plant(Fault::refused().times(100_000));
    for customer in ["Cedar Supply", "Osprey & Sons"] {
        story.world.books.create_invoice(document(customer, 10_000)).unwrap();
    }
    assert_eq!(story.told().await, [""; 0]);
    story.later(secs(600)).await;
    let during = health(&story).await;
    let slack = &during.connections[&"slack".into()];
    let parked = slack.parked.as_ref().expect("it is said that Slack does not work");
    assert!(parked.reason.contains("unavailable"), "{parked:?}");
    assert_eq!((slack.deliveries.waiting, slack.dead), (2, 0));
    assert!(!during.is_good());
    assert_eq!(during.connections[&"books".into()].parked, None, "the books work");

    story.world.slack.clear_faults();
    let mut told = story.later(secs(600)).await;
    told.sort();
    assert_eq!(told, ["Invoice INV-000102 created", "Invoice INV-000103 created"]);
    assert!(health(&story).await.is_good());
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn zoho_that_does_not_answer_is_named_and_forgiven() {
    let mut story = story().await;
    story.world.books.plant(Fault::status(StatusCode::SERVICE_UNAVAILABLE).times(100_000));
    for customer in ["Cedar Supply", "Osprey & Sons"] {
        story.world.books.create_invoice(document(customer, 10_000)).unwrap();
    }
    assert_eq!(story.told().await, [""; 0]);
    story.later(secs(3600)).await;
    let during = health(&story).await;
    let books = &during.connections[&"books".into()];
    assert!(books.parked.is_some() && !during.is_good(), "{books:?}");
    assert_eq!(books.dead, 0);

    story.world.books.clear_faults();
    let mut told = story.later(secs(900)).await;
    told.sort();
    assert_eq!(told, ["Invoice INV-000102 created", "Invoice INV-000103 created"]);
    assert!(health(&story).await.is_good());
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn webhooks_with_a_wrong_secret_are_named_until_one_is_right() {
    let mut story = story().await;
    // Somebody has changed the secret in Zoho Books, and not here.
    story.later(secs(3600)).await;
    for i in 0..5 {
        story.world.books.create_invoice(document("Cedar Supply", 10_000 + i)).unwrap();
        for mut webhook in story.world.books.take_webhooks() {
            webhook
                .request
                .headers_mut()
                .insert("x-zoho-webhook-signature", HeaderValue::from_static(FOREIGN));
            assert_eq!(story.send(webhook.request).await, StatusCode::UNAUTHORIZED);
        }
        story.later(secs(900)).await;
    }
    let during = health(&story).await;
    let hooks = &during.connections[&"books".into()].hooks;
    assert!(hooks.refused >= 5 && hooks.remedy.is_some_and(|remedy| remedy.contains("secret")), "{hooks:?}");

    story.world.books.create_invoice(document("Osprey & Sons", 10_000)).unwrap();
    story.told().await;
    assert_eq!(health(&story).await.connections[&"books".into()].hooks.remedy, None);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_takes_no_writes_is_named_and_forgiven() {
    let mut story = story().await;
    story.world.log.fail_next_commits(usize::MAX);
    story.world.books.create_invoice(document("Cedar Supply", 10_000)).unwrap();
    let webhook = story.world.books.take_webhooks().remove(0);
    assert_eq!(story.send(webhook.request.clone()).await, StatusCode::SERVICE_UNAVAILABLE);
    story.later(secs(600)).await;
    let during = health(&story).await;
    assert!(during.log.is_some() && !during.is_good(), "{during:?}");

    story.world.log.fail_next_commits(0);
    story.later(secs(120)).await;
    assert_eq!(story.send(webhook.request).await, StatusCode::OK);
    story.later(secs(1200)).await;
    let told = story.world.headlines(crate::world::ACCOUNTING);
    assert_eq!(told, ["Invoice INV-000101 created", "Invoice INV-000102 created"]);
    assert!(health(&story).await.is_good());
    story.end().await;
}
