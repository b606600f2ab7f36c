//! Testing your own integration: the vendors are unkind on request, and hours pass at once.

use http::StatusCode;
use ml_connector_core::{Result, route::Route};
use ml_connector_sim::Fault;
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

const POST: &str = "/api/chat.postMessage";

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let running = Running::start(&connector);
    // Slack posts the message and answers 502 all the same; then it wants a pause.
    lab.slack.plant(Fault::status(StatusCode::BAD_GATEWAY).having_acted().on(POST));
    lab.slack.plant(Fault::too_many_requests(20).on(POST));
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.invoice("Osprey & Sons", 730_000)?;
    lab.a_minute(&connector).await?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    expect("both messages are there", lab.shown(ACCOUNTING).len() == 2)?;
    expect("none came twice", lab.slack.duplicates().is_empty())?;
    expect("no limit was broken", lab.slack.limit_violations() == 0)
}
