//! Every invoice goes to accounting; those from 5,000 dollars on to another channel as well.

use ml_connector_core::{Money, Result, route::Route};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, APPROVALS, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.created").to("slack", channel(ACCOUNTING)))
        // A total in another currency matches, too: told rather than missed, unless `other_currencies` says otherwise.
        .route(
            Route::new("large")
                .on("invoice.created")
                .at_least(Money::parse("5000", "USD")?)
                .to("slack", channel(APPROVALS)),
        )
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.invoice("Osprey & Sons", 730_000)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    let counts = (lab.shown(ACCOUNTING).len(), lab.shown(APPROVALS).len());
    expect("two invoices for accounting, the large one for those who approve", counts == (2, 1))
}
