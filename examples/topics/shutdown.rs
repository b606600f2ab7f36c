//! A process stops, and the next one goes on with what waited.

use ml_connector_core::{Connector, Result, route::Route};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

fn process(lab: &Lab) -> Result<Connector> {
    lab.host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()
}

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let first = process(&lab)?;
    let running = Running::start(&first);
    lab.invoice("Bluebird Logistics", 125_050)?;
    for webhook in lab.books.take_webhooks() {
        // Answered as soon as it is in the log.
        expect("the webhook is stored", first.receive(webhook.request).await.status().is_success())?;
    }
    // What is under way ends, leases and counts of the limits are handed over.
    running.stop().await;
    expect("the first process has told nothing yet", lab.shown(ACCOUNTING).is_empty())?;

    let second = process(&lab)?;
    let running = Running::start(&second);
    lab.a_minute(&second).await?;
    running.stop().await;
    expect("the second process has told it, once", lab.shown(ACCOUNTING).len() == 1)
}
