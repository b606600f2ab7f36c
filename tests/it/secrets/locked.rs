//! An encrypted log that a connector is given without its key.

use std::sync::Arc;

use http::StatusCode;
use ml_connector_core::{
    CheckResult,
    encryption::{EncryptLog, Key, KeyRing},
};

use super::{CENTS, CUSTOMER};
use crate::world::{Story, World, document, secs};

#[tokio::test(start_paused = true)]
async fn a_connector_without_the_key_names_it_and_takes_no_webhook() {
    let world = World::new();
    let ring = KeyRing::new(Key::generate("2026-11").unwrap());
    drop(Arc::clone(&world.log).encrypted(ring).await.unwrap());
    let connector = world.connector();
    let check = connector.check().await;
    assert!(!check.is_good());
    let failed = check.log.iter().filter(|step| step.result == CheckResult::Failed);
    assert!(failed.clone().any(|step| step.to_string().contains("key=2026-11")), "{check}");

    let story = Story::of(world, connector);
    story.world.books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    let webhooks = story.world.books.take_webhooks();
    assert!(!webhooks.is_empty());
    for webhook in webhooks {
        assert_eq!(story.send(webhook.request).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    tokio::time::sleep(secs(120)).await;
    assert!(story.world.headlines(crate::world::ACCOUNTING).is_empty(), "and tells nothing");
}
