//! Trouble reaches the host without any sink: by a stream, as long as Slack itself does not answer.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use ml_connector_core::{Result, route::Route};
use ml_connector_sim::Fault;
use ml_connector_slack::channel;

use crate::lab::{ACCOUNTING, Lab, Running, expect};

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
    let pager = tokio::spawn(async move { troubles.next().await });
    let running = Running::start(&connector);
    lab.slack.plant(Fault::status(StatusCode::SERVICE_UNAVAILABLE).times(1_000));
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let paged = pager.await.ok().flatten();
    running.stop().await;
    expect("the host has been paged", paged.is_some())?;
    expect("and health says so", !connector.health().await?.is_good())
}
