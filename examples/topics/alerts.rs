//! Trouble reaches the host without any sink: by a stream, even while Slack itself does not answer.

use std::time::Duration;

use futures_util::StreamExt;
use ml_connector_core::{Result, route::Route};
use ml_connector_sim::Fault;
use ml_connector_slack::channel;
use tokio::time::timeout;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let mut troubles = connector.troubles();
    // A host sends it to its pager, its e-mail, its log.
    let pager = tokio::spawn(async move { timeout(Duration::from_secs(3600), troubles.next()).await });
    let running = Running::start(&connector);
    lab.slack.plant(Fault::refused().times(1_000));
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.invoice("Osprey & Sons", 730_000)?;
    lab.a_minute(&connector).await?;
    tokio::time::sleep(Duration::from_secs(600)).await;
    expect("health says that something is wrong", !connector.health().await?.is_good())?;
    let paged = pager.await.is_ok_and(|paged| paged.is_ok());
    running.stop().await;
    expect("and the host has been paged", paged)
}
