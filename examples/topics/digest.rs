//! One message at five in the afternoon, with everything of the day.

use std::time::Duration;

use ml_connector_core::{
    Result,
    model::{TimeOfDay, Weekday, Zone},
    route::{Digest, Route, Schedule, Target},
};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let schedule = Schedule::daily([TimeOfDay::parse("17:00")?], Zone::named("America/New_York")?)
        .on_days(Weekday::WORKING)
        .as_digest(Digest::of(50));
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(
            Route::new("daily")
                .on("invoice.*")
                .to_target(Target::new("slack", channel(ACCOUNTING)).scheduled(schedule)),
        )
        .build()?;
    let running = Running::start(&connector);
    for customer in ["Bluebird Logistics", "Osprey & Sons", "Cedar Supply"] {
        lab.invoice(customer, 10_000)?;
        lab.a_minute(&connector).await?;
    }
    expect("nothing is said before five", lab.shown(ACCOUNTING).is_empty())?;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    running.stop().await;
    expect("three invoices, one message", lab.shown(ACCOUNTING).len() == 1)
}
