//! A message of your own making.

use ml_connector_core::{
    Result,
    model::Event,
    route::{Route, Target},
};
use ml_connector_slack::{
    blocks::{Block, Blocks, Markup, Text},
    channel,
    message::{Message, money},
};

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

/// One line. What comes from the books is escaped by `Markup` and `Message`: nobody can write a link or a mention into it.
fn short(event: &Event) -> Message {
    let record = event.record();
    let number = record.and_then(|record| record.number.as_deref()).unwrap_or("without number");
    let total = record.and_then(|record| record.total).map(|total| money(&total)).unwrap_or_default();
    let line = Markup::new().bold(number).text(": ").text(&total);
    Message::new(&format!("{number}: {total}"), Blocks::new().with(Block::section(Text::markup(line))))
}

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().template("short", short).build()?)
        .route(
            Route::new("all")
                .on("invoice.*")
                .to_target(Target::new("slack", channel(ACCOUNTING)).with_template("short")),
        )
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    expect("the message is ours", lab.shown(ACCOUNTING) == ["INV-000101: 1,250.50 USD"])
}
