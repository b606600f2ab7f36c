//! A reaction in Slack becomes a comment in the books, and leaves with it: from one simulator to the other.

use ml_connector_core::{Secret, SourceMode, audit::EntryKind, route::Route};
use ml_connector_sim::{
    slack::{SlackConfig, User},
    zoho::{Entity, ZohoBooksConfig},
};

use crate::world::{ACCOUNTING, Running, World, document, everything, secs};

const EVE: &str = "U07EVE0001";
const TOM: &str = "U07CLERK01";
const CHECK: &str = "white_check_mark";

fn world() -> World {
    let mut slack = SlackConfig::default();
    slack.request_url = Some("https://erp.example.com/slack".parse().unwrap());
    slack.users.push(User::new(EVE, "Eve Winter", "eve.winter@ledgerworks.example"));
    World::with("2026-03-02T14:00:00Z", ZohoBooksConfig::default(), slack)
}

/// Sends what people did in Slack, as Slack does.
async fn send(world: &World, connector: &ml_connector_core::Connector) {
    for delivery in world.slack.take_deliveries() {
        let answer = connector.receive(delivery.request.clone()).await;
        let attempt = world.slack.settle(delivery, Ok(answer));
        assert_eq!(attempt.failure, None, "{attempt:?}");
    }
    tokio::time::sleep(secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_mark_is_noted_on_the_invoice_once_for_each_person_and_goes_when_it_is_taken_back() {
    let world = world();
    let slack = world.sink().signing_secret(Secret::from(world.slack.signing_secret().expose()));
    let about = |name: &str| Route::new(name).about("books").emoji(CHECK);
    let connector = world
        .builder()
        .connect(world.source().mode(SourceMode::Webhook).build().unwrap())
        .connect(slack.team("T07LEDGER1").build().unwrap())
        .route(everything(ACCOUNTING))
        .route(about("noted").on("reaction.created").to("books", ml_connector_zoho::acknowledge()))
        .route(about("withdrawn").on("reaction.deleted").to("books", ml_connector_zoho::withdraw()))
        .build()
        .unwrap();
    let running = Running::start(&connector);
    let ids = [125_050, 80_000]
        .map(|cents| world.books.create_invoice(document("Bluebird Logistics", cents)).unwrap());
    for webhook in world.books.take_webhooks() {
        connector.receive(webhook.request).await;
    }
    tokio::time::sleep(secs(30)).await;
    let posts = world.slack.posts(ACCOUNTING);
    assert_eq!(posts.len(), 2);
    let noted = || ids.clone().map(|id| world.books.comments(Entity::Invoice, &id));

    // Another emoji, and one on nothing of ours, is nobody's business.
    world.slack.react(EVE, ACCOUNTING, &posts[0].ts, "eyes").unwrap();
    send(&world, &connector).await;
    assert_eq!(noted().map(|comments| comments.len()), [0, 0]);

    world.slack.react(EVE, ACCOUNTING, &posts[0].ts, CHECK).unwrap();
    send(&world, &connector).await;
    let [first, second] = noted();
    assert!(first.len() == 1 && first[0].contains("Eve Winter") && second.is_empty(), "{first:?} {second:?}");
    world.slack.react(TOM, ACCOUNTING, &posts[0].ts, CHECK).unwrap();
    send(&world, &connector).await;
    assert_eq!(noted().map(|comments| comments.len()), [2, 0]);

    world.slack.unreact(EVE, ACCOUNTING, &posts[0].ts, CHECK).unwrap();
    send(&world, &connector).await;
    let [first, _] = noted();
    assert!(first.len() == 1 && !first[0].contains("Eve Winter"), "{first:?}");
    // And again, by the same person: a new acknowledgement.
    world.slack.react(EVE, ACCOUNTING, &posts[0].ts, CHECK).unwrap();
    send(&world, &connector).await;
    assert_eq!(noted().map(|comments| comments.len()), [2, 0]);

    running.stop().await;
    assert_eq!(world.limits_broken(), 0);
    let dead: Vec<_> = world.entries(EntryKind::Delivery).await;
    assert!(dead.iter().all(|entry| entry.state == ml_connector_core::audit::EntryState::Done), "{dead:#?}");
}
