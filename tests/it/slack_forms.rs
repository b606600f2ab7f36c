//! Conversations and digests from Zoho Books to Slack, answers that get lost included.

use ml_connector_core::{
    audit::EntryKind,
    model::Follow,
    route::{Digest, Route, Schedule, Target},
};
use ml_connector_sim::Fault;
use ml_connector_slack::{admin, channel, email};
use serde_json::Value;

use crate::world::{ACCOUNTING, Story, World, amount, document, secs};

fn story(target: Target) -> Story {
    let world = World::new();
    let connector = world
        .builder()
        .source(world.source().build().unwrap())
        .sink(world.sink().admin(ACCOUNTING).build().unwrap())
        .route(Route::new("invoices").on("invoice.*").to_target(target))
        .build()
        .unwrap();
    Story::of(world, connector)
}

fn accounting() -> Target {
    Target::new("slack", channel(ACCOUNTING))
}

/// Slack acts, and its answer never arrives.
fn lost_answer(method: &str) -> Fault {
    Fault::reset().having_acted().on(method)
}

fn headline(blocks: &Value) -> &str {
    blocks[0]["text"]["text"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn later_events_of_an_invoice_are_replies_to_its_first_message_each_once() {
    let mut story = story(accounting().following(Follow::Thread));
    let (books, slack) = (story.world.books.clone(), story.world.slack.clone());
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    slack.plant(lost_answer("chat.postMessage"));
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 sent"]);
    slack.plant(Fault::reset().on("chat.postMessage"));
    books.pay_invoice(&id, amount(10_000)).unwrap();
    assert_eq!(story.told().await, [""; 0], "Slack's history is looked at for half a minute first");
    assert_eq!(story.later(secs(30)).await, ["Invoice INV-000101 paid"]);
    let posts = slack.posts(ACCOUNTING);
    let parents: Vec<_> = posts.iter().map(|post| post.thread_ts.as_deref()).collect();
    let first = Some(&*posts[0].ts);
    assert_eq!(parents, [None, first, first]);
    assert_eq!(slack.faults_waiting(), 0);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_answer_is_lost_is_made_once_and_one_that_is_lost_is_made() {
    let mut story = story(accounting().following(Follow::Update));
    let (books, slack) = (story.world.books.clone(), story.world.slack.clone());
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    story.told().await;
    slack.plant(lost_answer("chat.update"));
    books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, [""; 0], "no message of its own");
    let card = || slack.posts(ACCOUNTING).remove(0);
    assert_eq!((headline(&card().blocks), card().edits), ("Invoice INV-000101 sent", 1));
    slack.plant(Fault::reset().on("chat.update"));
    books.pay_invoice(&id, amount(10_000)).unwrap();
    story.told().await;
    story.later(secs(30)).await;
    assert_eq!((headline(&card().blocks), card().edits), ("Invoice INV-000101 paid", 2));
    assert_eq!(slack.posts(ACCOUNTING).len(), 1);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_card_is_rewritten_ahead_of_a_hundred_posts_in_its_channel() {
    let mut story = story(accounting().following(Follow::Update));
    let (books, slack) = (story.world.books.clone(), story.world.slack.clone());
    let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    books.mark_sent(&id).unwrap();
    story.told().await;
    for n in 0..100 {
        books.create_invoice(document("Northgate Paper Co", 1_000 + n)).unwrap();
    }
    books.pay_invoice(&id, amount(10_000)).unwrap();
    for webhook in books.take_webhooks() {
        story.send(webhook.request).await;
    }
    let mut waited = 0;
    while slack.posts(ACCOUNTING)[0].edits == 0 {
        story.later(secs(1)).await;
        waited += 1;
        assert!(waited < 300, "the card is not rewritten");
    }
    let before = slack.posts(ACCOUNTING).len();
    assert!(before < 90, "the card waited behind {before} posts");
    story.later(secs(300)).await;
    assert_eq!(slack.posts(ACCOUNTING).len(), 101);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_becomes_one_table_that_every_delivery_has_as_its_receipt() {
    let schedule = Schedule::default().as_digest(Digest::new(20, 60));
    let mut story = story(accounting().scheduled(schedule));
    let (books, slack) = (story.world.books.clone(), story.world.slack.clone());
    slack.plant(lost_answer("chat.postMessage"));
    for n in 0..7 {
        books.create_invoice(document("Bluebird Logistics", 10_000 + n)).unwrap();
    }
    assert_eq!(story.told().await, [""; 0], "it waits for others");
    assert_eq!(story.later(secs(120)).await, ["Invoice created: 7"]);
    let blocks = &slack.posts(ACCOUNTING)[0].blocks;
    let table = blocks.as_array().unwrap().iter().find(|block| block["type"] == "table").unwrap();
    assert_eq!(table["rows"].as_array().unwrap().len(), 8);
    let deliveries = story.world.entries(EntryKind::Delivery).await;
    let receipts: Vec<_> = deliveries.iter().map(|entry| entry.receipt().map(str::to_owned)).collect();
    assert_eq!(receipts, vec![receipts[0].clone(); 7]);
    assert!(receipts[0].is_some());
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn admins_and_people_by_address_are_destinations_too() {
    let mut story = story(Target::new("slack", email("anna.verhoeven@ledgerworks.example")));
    let books = story.world.books.clone();
    books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, [""; 0], "nothing in the channel");
    assert_eq!(story.connector.stats().delivered, 1);
    story.end().await;

    let mut story = self::story(Target::new("slack", admin()));
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    story.end().await;
}
