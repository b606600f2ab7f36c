//! Zoho Books → Slack while one of them does not work: everything waits where it belongs, and goes on by itself.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    ErrorKind, TokenStore,
    audit::{EntryKind, EntryState},
    route::Route,
    token::TokenKey,
};
use ml_connector_sim::{
    Fault,
    slack::{Channel, RateLimitAnswer, SlackConfig},
    zoho::{DataCenter, ZohoBooksConfig},
};

use crate::{
    flow::{query, signed},
    world::{ACCOUNTING, Running, Story, World, amount, document, everything, secs},
};

const NONE: [&str; 0] = [];

/// A story whose Zoho connection does not work at first: nothing is told and nothing is dead; after the repair,
/// everything is told by itself and in time, each once.
async fn an_outage_of_zoho(mut story: Story, repair: impl FnOnce(&Story), within: Duration) {
    for counterparty in ["Bluebird Logistics", "Osprey & Sons", "Northgate Paper Co"] {
        story.world.books.create_invoice(document(counterparty, 10_000)).unwrap();
    }
    assert_eq!(story.told().await, NONE);
    assert_eq!(story.later(secs(2 * 3600)).await, NONE);
    let requests = story.world.books.received().len();
    // Feeds that do work are read, and let the others be tried again.
    assert!(requests < 120, "a dead connection is looked at from time to time, not hammered: {requests}");
    repair(&story);
    let mut told = story.later(within).await;
    told.sort();
    let all = ["Invoice INV-000101 created", "Invoice INV-000102 created", "Invoice INV-000103 created"];
    assert_eq!(told, all);
    assert_eq!(story.connector.stats().dead, 0);
    assert!(story.world.entries(EntryKind::Signal).await.iter().all(|entry| entry.state != EntryState::Dead));
    story.end().await;
}

fn story_with_source(
    change: impl FnOnce(&World, ml_connector_zoho::Builder) -> ml_connector_zoho::Builder,
) -> Story {
    let world = World::new();
    let connector = world
        .builder()
        .source(change(&world, world.source()).build().unwrap())
        .sink(world.sink().build().unwrap())
        .route(everything(ACCOUNTING))
        .build()
        .unwrap();
    Story::of(world, connector)
}

/// Replaces the source by one that is configured as it should be.
fn reconfigure(story: &Story) {
    assert!(story.connector.remove(&"books".into()));
    story.connector.add_source(story.world.source().build().unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_for_another_region_is_an_outage_until_the_region_is_set_right() {
    let story = story_with_source(|_, source| source.data_center(ml_connector_zoho::DataCenter::Eu));
    an_outage_of_zoho(story, reconfigure, secs(1200)).await;
    // The right accounts server, but another region's API: that is seen before anything is sent.
    let error = World::new().source().api_url(DataCenter::Eu.api_domain()).build().unwrap_err();
    assert_eq!((error.kind(), error.context("api")), (ErrorKind::ConfigInvalid, Some("eu")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn feeds_whose_scope_is_missing_wait_until_somebody_consents() {
    let story =
        story_with_source(|world, source| source.refresh_token(world.books.grant(&["ZohoBooks.bills.READ"])));
    let tokens = Arc::clone(&story.world.tokens);
    // The stored token still works, for too little: the host forgets it and puts in the one of the new consent.
    let key = TokenKey::new(&"books".into());
    let forget = async move {
        let stored = tokens.load(&key).await.unwrap().unwrap();
        tokens.swap(&key, Some(stored.version), None).await.unwrap();
    };
    let repair = |story: &Story| {
        // In memory it takes no time.
        tokio::spawn(forget);
        reconfigure(story);
    };
    // They are asked for after an hour, and then after twice as long each time.
    an_outage_of_zoho(story, repair, secs(2 * 3600)).await;
}

#[tokio::test(start_paused = true)]
async fn an_organization_that_the_person_is_not_in_is_an_outage() {
    let story = story_with_source(|_, source| source.organization_id("600111222"));
    // Its webhooks name the right organization, which no connection has: they are kept as unrouted.
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    let webhook = story.world.books.take_webhooks().remove(0);
    assert_eq!(story.send(webhook.request).await, StatusCode::OK);
    assert_eq!(story.connector.stats().unrouted, 1);
    // A webhook for the wrong one leads to reads that Zoho refuses.
    let id = "778812000000200007";
    let body = format!(r#"{{"invoice":{{"invoice_id":"{id}"}}}}"#);
    assert_eq!(story.send(signed(&query("invoice.changed", "600111222"), &body)).await, StatusCode::OK);
    let mut story = story;
    assert_eq!(story.later(secs(7200)).await, NONE);
    assert_eq!(story.connector.stats().dead, 0);
    story.end().await;
}

// Proves: order.
#[tokio::test(start_paused = true)]
async fn a_channel_that_refuses_messages_parks_its_lane_and_resumes_in_order() {
    let broken = [
        Channel::new(ACCOUNTING, "accounting").archived(),
        Channel::new(ACCOUNTING, "accounting").private().without_bot(),
    ];
    for channel in broken {
        let mut story = Story::new();
        let books = story.world.books.clone();
        let id = books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
        story.world.slack.set_channel(channel.clone());
        assert_eq!(story.told().await, NONE);
        books.mark_sent(&id).unwrap();
        assert_eq!(story.told().await, NONE);
        books.pay_invoice(&id, amount(10_000)).unwrap();
        assert_eq!(story.told().await, NONE);
        assert_eq!(story.later(secs(3 * 3600)).await, NONE);
        let states: Vec<EntryState> =
            story.world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect();
        assert_eq!(
            states,
            [EntryState::Parked, EntryState::Pending, EntryState::Pending, EntryState::Pending]
        );
        story.world.slack.set_channel(Channel::new(ACCOUNTING, "accounting"));
        let told = story.later(secs(1000)).await;
        let in_order = ["Invoice INV-000101 created", "Invoice INV-000101 sent", "Invoice INV-000101 paid"];
        assert_eq!(told[..3], in_order, "{channel:?}");
        assert_eq!((told.len(), story.connector.stats().dead), (4, 0));
        story.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_is_not_in_a_public_channel_posts_only_with_the_scope_for_it() {
    let mut story = Story::new();
    story.world.slack.set_channel(Channel::new(ACCOUNTING, "accounting").without_bot());
    story.world.slack.set_scopes(&["chat:write", "channels:history"]);
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, NONE);
    story.world.slack.set_scopes(&["chat:write", "chat:write.public", "channels:history"]);
    assert_eq!(story.later(secs(1000)).await, ["Invoice INV-000101 created"]);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_or_a_revoked_token_of_slack_stops_the_connection_and_counts_nothing() {
    let mut story = Story::new();
    story.world.slack.set_scopes(&["channels:history"]);
    let id = story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, NONE);
    story.world.books.mark_sent(&id).unwrap();
    assert_eq!(story.told().await, NONE);
    assert_eq!(story.later(secs(3 * 3600)).await, NONE);
    let attempts = story.world.slack.received().len();
    assert!(attempts < 20, "{attempts} attempts in three hours");
    story.world.slack.set_scopes(&["chat:write", "channels:history"]);
    assert_eq!(
        story.later(secs(1000)).await,
        ["Invoice INV-000101 created", "Invoice INV-000101 sent"],
        "it goes on by itself, in order"
    );
    assert_eq!(story.connector.stats().dead, 0);
    story.end().await;

    // The wrong token, until the host puts the right one in.
    let world = World::new();
    let connector = world
        .builder()
        .source(world.source().build().unwrap())
        .sink(world.sink().token("xoxb-revoked").build().unwrap())
        .route(everything(ACCOUNTING))
        .build()
        .unwrap();
    let mut story = Story::of(world, connector);
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, NONE);
    story.connector.remove(&"slack".into());
    story.connector.add_sink(story.world.sink().build().unwrap()).unwrap();
    assert_eq!(story.later(secs(5)).await, ["Invoice INV-000101 created"], "at once");
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn channels_are_found_by_name_and_a_wrong_name_parks_only_its_own_lane() {
    let world = World::new();
    let connector = world
        .builder()
        .source(world.source().build().unwrap())
        .sink(world.sink().build().unwrap())
        .route(Route::new("by name").to("slack", ml_connector_slack::channel("#accounting")))
        .route(Route::new("typo").to("slack", ml_connector_slack::channel("#acounting")))
        .build()
        .unwrap();
    let mut story = Story::of(world, connector);
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000101 created"]);
    story.later(secs(3600)).await;
    let mut states = Vec::new();
    for entry in story.world.entries(EntryKind::Delivery).await {
        states.push((entry.index.name.unwrap().to_string(), entry.state));
    }
    assert_eq!(states, [("by name".to_owned(), EntryState::Done), ("typo".to_owned(), EntryState::Parked)]);
    story.world.slack.set_channel(Channel::new("C07NEWCHAN", "acounting"));
    story.later(secs(1000)).await;
    assert_eq!(story.world.headlines("C07NEWCHAN"), ["Invoice INV-000101 created"]);
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_429_is_waited_for() {
    for form in [RateLimitAnswer::Ratelimited, RateLimitAnswer::RateLimited, RateLimitAnswer::WithinOk] {
        // A simulated workspace that allows less than we think: one message in three minutes.
        let mut config = SlackConfig::default();
        config.rate_limit_answer = form;
        config.posts_per_minute = 1;
        let world = World::with("2026-03-02T14:00:00Z", ZohoBooksConfig::default(), config);
        let connector = world.connector();
        let running = Running::start(&connector);
        for _ in 0..4 {
            world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
        }
        for webhook in world.books.take_webhooks() {
            connector.receive(webhook.request).await;
        }
        tokio::time::sleep(secs(900)).await;
        assert_eq!(world.headlines(ACCOUNTING).len(), 4, "{form:?}");
        assert_eq!(world.slack.duplicates(), NONE);
        if form != RateLimitAnswer::WithinOk {
            assert_eq!(world.slack.ignored_retry_afters(), 0, "{form:?} says how long to wait");
        }
        assert_eq!(connector.stats().dead, 0);
        running.stop().await;
    }
    let mut story = Story::new();
    story.world.slack.plant(Fault::too_many_requests(40).on("chat.postMessage").times(2));
    story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    assert_eq!(story.told().await, NONE);
    assert_eq!(story.later(secs(60)).await, ["Invoice INV-000101 created"]);
    story.end().await;
}
