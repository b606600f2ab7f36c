//! A customer comes while the connector runs, with everything of theirs, and leaves for good.

use ml_connector_core::{Connection, Result, route::Route};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab.host().connect(lab.slack().build()?).build()?;
    let running = Running::start(&connector);

    let tenant = Connection::new()
        .source(lab.books().build()?)
        .routes([Route::new("books/all").from("books").on("invoice.*").to("slack", channel(ACCOUNTING))]);
    // All of it, or an error and nothing.
    connector.connect_all([tenant])?;
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    expect("the tenant's invoice is told", lab.shown(ACCOUNTING).len() == 1)?;

    let gone = connector.forget(["books".into()]).await?;
    running.stop().await;
    expect("nothing is left to do at the vendor", gone.left.is_empty())?;
    expect("and nothing of the tenant's is connected", connector.connections().len() == 1)
}
