//! A client secret that is changed at the vendor, while two hosts with one token store run.

use std::sync::Arc;

use ml_connector_core::{Connector, token::NamedSecrets};

use super::{CENTS, CUSTOMER};
use crate::world::{ACCOUNTING, Running, Story, World, document, everything, secs, source};

async fn host(world: &World, secrets: &NamedSecrets) -> Connector {
    let credentials = world.books.credentials();
    let client_secret = secrets.get("zoho/client").await.unwrap();
    let books = source("books", &credentials).client(credentials.client_id.as_str(), client_secret);
    let builder = world.builder().source(books.build().unwrap()).sink(world.sink().build().unwrap());
    builder.route(everything(ACCOUNTING)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_is_changed_while_two_hosts_run() {
    let world = World::new();
    let one = NamedSecrets::new(Arc::clone(&world.tokens));
    one.set("zoho/client", world.books.credentials().client_secret).await.unwrap();
    let first = host(&world, &one).await;
    let two = NamedSecrets::new(Arc::clone(&world.tokens));
    let second = host(&world, &two).await;
    let mut story = Story::of(world, first);
    story.later(secs(60)).await;
    let books = story.world.books.clone();
    let invoice = || drop(books.create_invoice(document(CUSTOMER, CENTS)).unwrap());
    invoice();
    assert_eq!(story.told().await.len(), 1);

    // The vendor knows the new one only. Nothing is refreshed with the old one, and nothing is lost.
    books.change_client_secret("the next client secret of these books");
    books.expire_tokens();
    invoice();
    assert_eq!(story.told().await.len(), 0);
    one.set("zoho/client", "the next client secret of these books").await.unwrap();
    story.connector.resume(&"books".into()).await.unwrap();
    assert!(!story.later(secs(900)).await.is_empty(), "the new one is used, without a restart");

    // Another host does not know it yet: it takes over, and is told.
    let world = story.end().await;
    books.expire_tokens();
    let running = Running::start(&second);
    invoice();
    for webhook in books.take_webhooks() {
        assert!(second.receive(webhook.request).await.status().is_success());
    }
    tokio::time::sleep(secs(300)).await;
    let told = world.headlines(ACCOUNTING).len();
    two.reload().await.unwrap();
    second.resume(&"books".into()).await.unwrap();
    tokio::time::sleep(secs(900)).await;
    assert!(world.headlines(ACCOUNTING).len() > told, "as soon as it has read the secrets anew");
    running.stop().await;
}
