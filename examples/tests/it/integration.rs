//! How a host tests its own integration. This file uses nothing of the other examples: take it into your crate's `tests/`, and call your
//! own function in place of `invoices_to_slack`.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, ConnectorBuilder, Result, Secret, Timestamp, TokioClock,
    audit::{EntryKind, EntryState, MemoryLog, Query},
    model::Decimal,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    Fault, SimTransport, SlackSim, ZohoBooksSim,
    zoho::{Entity, EventKind, NewDocument, WebhookRule},
};
use ml_connector_slack::{Slack, channel};
use ml_connector_zoho::{DataCenter, ZohoBooks};

/// The integration, as it stands in the host's crate: the program gives it a database and real accounts, the test simulators.
fn invoices_to_slack(host: ConnectorBuilder, books: ZohoBooks, slack: Slack) -> Result<Connector> {
    host.connect(books)
        .connect(slack)
        .route(Route::new("new invoices").on("invoice.created").to("slack", channel(ACCOUNTING)))
        .build()
}

/// A channel that the simulated workspace has.
const ACCOUNTING: &str = "C07ACCTNG1";
const SECRET: &str = "testSecret2026";

// Tokio's clock is paused: a minute passes at once.
#[tokio::test(start_paused = true)]
async fn an_invoice_is_told_once_although_slack_s_answer_is_lost() {
    let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T14:00:00Z").unwrap()));
    let zoho = ZohoBooksSim::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let workspace = SlackSim::new(Arc::clone(&clock) as Arc<dyn Clock>);
    // A host that mounts the connector below `/hooks` hands a path on without it, and so does this test.
    let url = "https://erp.example.com/books".parse().unwrap();
    let rule = WebhookRule::new(Entity::Invoice, EventKind::Created, url, Some(Secret::from(SECRET)));
    zoho.add_webhook(rule).unwrap();

    let credentials = zoho.credentials();
    let books = ZohoBooks::builder("books")
        .organization_id(credentials.organization_id)
        .data_center(DataCenter::Us)
        .client(credentials.client_id, credentials.client_secret)
        .refresh_token(credentials.refresh_token)
        .webhook_secret(SECRET)
        .time_zone("America/New_York")
        .build()
        .unwrap();
    let slack = Slack::builder("slack").token(workspace.bot_token()).build().unwrap();
    let host = Connector::builder()
        .audit_log(MemoryLog::new())
        .token_store(MemoryTokenStore::new())
        .transport(SimTransport::new().with_zoho_books(&zoho).with_slack(&workspace))
        .clock(clock)
        .public_url("https://erp.example.com");
    let connector = invoices_to_slack(host, books, slack).unwrap();
    // The connector works while this future runs; between two calls it stands still, as between two processes.
    let a_minute = || connector.run(tokio::time::sleep(Duration::from_secs(60)));
    a_minute().await;

    // Slack posts the message, and its answer never arrives.
    workspace.plant(Fault::reset().having_acted().on("chat.postMessage"));
    zoho.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(125_050, 2))).unwrap();
    for webhook in zoho.take_webhooks() {
        // A webhook that comes twice is one invoice.
        for request in [webhook.request.clone(), webhook.request] {
            assert!(connector.receive(request).await.status().is_success());
        }
    }
    a_minute().await;
    a_minute().await;

    let told: Vec<String> = workspace.posts(ACCOUNTING).into_iter().map(|message| message.text).collect();
    assert!(told.len() == 1 && told[0].contains("Bluebird Logistics"), "{told:?}");
    assert!(workspace.duplicates().is_empty() && workspace.limit_violations() == 0);
    let deliveries = connector.search(&Query::of_kind(EntryKind::Delivery)).await.unwrap();
    assert!(deliveries.iter().all(|delivery| delivery.state == EntryState::Done), "{deliveries:?}");
}
