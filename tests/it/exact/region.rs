//! A connection that moves to another region of Exact Online, where another app serves other companies.

use http::Method;
use ml_connector_exact::{Builder, Config, Region};
use ml_connector_sim::{
    ExactOnlineSim,
    exact::{Kind, NewDocument},
};

use super::stage::{SUPPLIER, Story};
use crate::world::{amount, secs};

/// The settings of a connection to the company in Belgium.
fn in_belgium(sim: &ExactOnlineSim) -> Config {
    let credentials = sim.credentials();
    let mut config = Config::new("books");
    (config.region, config.division) = (Region::Be, credentials.division);
    (config.client_id, config.client_secret) = (credentials.client_id, credentials.client_secret.into());
    config.webhook_secrets = vec![credentials.webhook_secret];
    config.redirect_uri = Some(credentials.redirect_uri);
    config.refresh_token = Some(credentials.refresh_token.into());
    config
}

fn bill(sim: &ExactOnlineSim, cents: i64) -> String {
    sim.create(Kind::PurchaseEntries, &NewDocument::new(SUPPLIER, amount(cents)))
}

/// What was told of records.
async fn told(story: &Story) -> Vec<String> {
    story.told().await.into_iter().filter(|told| told.starts_with("bill.")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_no_news_and_the_old_region_is_left_first() {
    let mut story = Story::before();
    let belgian = story.another_region();
    let old = in_belgium(&belgian);
    story.connect_to(&[&belgian], Builder::from(old.clone()).poll_minutes(60)).await;
    assert_eq!((belgian.subscriptions().len(), story.sim.subscriptions().len()), (6, 0));
    let first = bill(&belgian, 11_100);
    let known = bill(&belgian, 22_200);
    tokio::time::sleep(secs(4_000)).await;
    let mut before = [format!("bill.created {first}"), format!("bill.created {known}")];
    before.sort();
    let sorted = async |story: &Story| {
        let mut all = told(story).await;
        all.sort();
        all
    };
    assert_eq!(sorted(&story).await, before);

    // In the Netherlands books have been kept for a while.
    let there: Vec<String> = (1..=3).map(|n| story.bill(33_300 * n)).collect();
    tokio::time::sleep(secs(86_400)).await;
    drop(belgian.take_webhooks());
    // Something changes in Belgium just before the connection moves: the webhook is under way.
    belgian.set_total(Kind::PurchaseEntries, &known, amount(44_400)).unwrap();
    let late = belgian.take_webhooks();
    assert!(!late.is_empty());
    let moved = Story::books(&story.sim).region(Region::Nl).poll_minutes(60).formerly(old);
    story.connect_to(&[&belgian], moved).await;
    assert_eq!((belgian.subscriptions().len(), story.sim.subscriptions().len()), (0, 6));
    let calls = |sim: &ExactOnlineSim, method: Method| {
        let calls = sim.received().into_iter().filter(move |call| call.method == method);
        calls
            .filter(|call| call.path.contains("WebhookSubscriptions"))
            .map(|call| call.at)
            .collect::<Vec<_>>()
    };
    let (ended, made) = (calls(&belgian, Method::DELETE), calls(&story.sim, Method::POST));
    assert_eq!((ended.len(), made.len()), (6, 6));
    assert!(ended.last() < made.first(), "left {ended:?} before {made:?}");
    for delivery in late {
        drop(story.connector().receive(delivery.request).await);
    }
    // A day with sweeps: neither what was there, nor what was left, is told.
    tokio::time::sleep(secs(90_000)).await;
    assert_eq!(sorted(&story).await, before);
    // From now on what happens there is told, once, and nothing of the old place.
    bill(&belgian, 55_500);
    let new = story.bill(66_600);
    story.sim.set_total(Kind::PurchaseEntries, &there[0], amount(77_700)).unwrap();
    story.later(secs(4_000)).await;
    let mut expected =
        [before.to_vec(), vec![format!("bill.created {new}"), format!("bill.updated {}", there[0])]].concat();
    expected.sort();
    assert_eq!(sorted(&story).await, expected);
    let health = story.health().await;
    assert!(health.webhooks.is_none() && health.parked.is_none() && health.dead == 0, "{health:?}");
    story.ends_well().await;
}
