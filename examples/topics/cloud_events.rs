//! Events for a stream or a lake of your own: every event of the log as a CloudEvent.

use ml_connector_core::{
    Result,
    audit::{EntryKind, Query},
    model::Event,
};

use ml_connector_examples::lab::{Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab.host().connect(lab.books().build()?).build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    // A host keeps the number of the last one, and asks for what follows.
    let query = Query::of_kind(EntryKind::Event).with_bodies();
    let found = connector.search(&query).await?;
    let mut types = Vec::new();
    for body in found.iter().filter_map(|entry| entry.body.as_deref()) {
        types.push(Event::from_cloudevent(body)?.event_type().to_string());
    }
    expect("the event is there without any route", types == ["invoice.created"])
}
