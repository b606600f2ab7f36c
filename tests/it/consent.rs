//! A person connects Zoho Books through the browser, before anything else and after the tokens have died.

use std::collections::HashMap;

use ml_connector_core::{
    Connector, ErrorKind, Secret,
    auth::{Authorizer, Connected},
    route::Route,
};
use ml_connector_sim::{Conditions, slack::SlackConfig, zoho::ZohoBooksConfig};
use ml_connector_zoho::{DataCenter, ZohoBooks};

use crate::world::{ACCOUNTING, Running, WEBHOOK_SECRET, World, document, everything, secs};

/// Zoho Books in Europe; the app is registered in the US.
fn world() -> World {
    let mut books = ZohoBooksConfig::default();
    books.center = ml_connector_sim::zoho::DataCenter::Eu;
    // What happens at once is told in one order.
    books.conditions = Conditions::kind();
    World::with("2026-03-02T14:00:00Z", books, SlackConfig::default())
}

/// A connector whose source has no refresh token: only the token store can have one.
fn connector(world: &World) -> Connector {
    let app = world.books.credentials();
    let source = ZohoBooks::builder("books")
        .organization_id(&app.organization_id)
        .data_center(DataCenter::Eu)
        .client(app.client_id.as_str(), app.client_secret.as_str())
        .webhook_secret(WEBHOOK_SECRET)
        .time_zone("America/New_York")
        .build()
        .unwrap();
    world
        .builder()
        .source(source)
        .sink(world.sink().build().unwrap())
        .route(everything(ACCOUNTING))
        .route(Route::new("admins").on("connection.*").to("slack", ml_connector_slack::channel(ACCOUNTING)))
        .build()
        .unwrap()
}

fn authorizer(world: &World) -> Authorizer {
    let app = world.books.credentials();
    let back = "https://erp.example.com/connected".parse().unwrap();
    let secret = Secret::from(app.client_secret.as_str());
    let config = ZohoBooks::authorizer_config(&app.client_id, secret, back, DataCenter::Us).unwrap();
    Authorizer::new(config).unwrap()
}

/// The person says yes, and Zoho sends the browser back.
async fn connect(world: &World, connector: &Connector) -> ml_connector_core::Result<Connected> {
    let ctx = connector.context();
    let url = authorizer(world).begin(&ctx, &"books".into(), Some("session")).await.unwrap();
    let page: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let (state, code) = (&page["state"], world.books.authorization_code());
    let query =
        format!("state={state}&location=eu&code={code}&accounts-server=https%3A%2F%2Faccounts.zoho.eu");
    authorizer(world).finish(&ctx, &query, Some("session")).await
}

/// Sends the webhooks that wait.
async fn send(world: &World, connector: &Connector) {
    for webhook in world.books.take_webhooks() {
        assert_eq!(connector.receive(webhook.request).await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_nobody_has_connected_waits_for_a_person_and_loses_nothing() {
    let world = world();
    let connector = connector(&world);
    let running = Running::start(&connector);
    world.books.create_invoice(document("Bluebird Logistics", 125_050)).unwrap();
    send(&world, &connector).await;
    tokio::time::sleep(secs(3600)).await;
    let parked = connector.health().await.unwrap().connections[&"books".into()].parked.clone().unwrap();
    assert!(parked.reason.contains("nobody has connected this account"), "{parked:?}");

    let connected = connect(&world, &connector).await.unwrap();
    assert_eq!(DataCenter::of_connected(&connected).unwrap(), DataCenter::Eu);
    assert_eq!(connected.missing_scopes, [""; 0]);
    connector.resume(&connected.connection).await.unwrap();
    tokio::time::sleep(secs(10)).await;
    let told =
        ["Connection books waits for a repair", "Invoice INV-000101 created", "Connection books works again"];
    assert_eq!(world.headlines(ACCOUNTING), told);
    assert!(connector.health().await.unwrap().is_good());
    assert_eq!(world.books.tokens_issued(), 1, "the consent's own token is used");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_account_is_parked_and_resumes_by_itself_once_it_is_connected_again() {
    let world = world();
    let connector = connector(&world);
    connect(&world, &connector).await.unwrap();
    let running = Running::start(&connector);
    world.books.create_invoice(document("Bluebird Logistics", 125_050)).unwrap();
    send(&world, &connector).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.headlines(ACCOUNTING), ["Invoice INV-000101 created"]);

    world.books.revoke_grants();
    let id = world.books.create_invoice(document("Cedar Supply", 10_000)).unwrap();
    send(&world, &connector).await;
    tokio::time::sleep(secs(6 * 3600)).await;
    let parked = connector.health().await.unwrap().connections[&"books".into()].parked.clone().unwrap();
    assert!(parked.reason.contains("connected anew"), "{parked:?}");
    world.books.mark_sent(&id).unwrap();
    send(&world, &connector).await;
    let received = world.books.received().len();
    tokio::time::sleep(secs(6 * 3600)).await;
    assert_eq!(world.books.received().len(), received, "Zoho is left alone");

    connect(&world, &connector).await.unwrap();
    tokio::time::sleep(secs(15 * 60)).await;
    let mut told = world.headlines(ACCOUNTING);
    assert_eq!(told[..2], ["Invoice INV-000101 created", "Connection books waits for a repair"]);
    // Which of the two comes first is nobody's promise.
    told[2..].sort();
    assert_eq!(told[2..], ["Connection books works again", "Invoice INV-000102 sent"]);
    assert!(connector.health().await.unwrap().is_good());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_code_is_worth_nothing_the_second_time() {
    let world = world();
    let connector = connector(&world);
    let ctx = connector.context();
    let code = world.books.authorization_code();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let url = authorizer(&world).begin(&ctx, &"books".into(), None).await.unwrap();
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let query = format!("state={state}&location=eu&code={code}");
        let finished = authorizer(&world).finish(&ctx, &query, None).await;
        outcomes.push(finished.map(drop).map_err(|error| error.kind()));
    }
    assert_eq!(outcomes, [Ok(()), Err(ErrorKind::Unauthenticated)]);
}
