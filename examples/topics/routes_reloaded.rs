//! Routes come from a file, and another file takes their place while it runs. One with a wrong word is refused.

use ml_connector_core::{
    Result,
    audit::{EntryKind, Query},
    route::RouteSet,
};

use ml_connector_examples::lab::{ACCOUNTING, APPROVALS, Lab, Running, expect};

fn file(channel: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "invoices"
        on = ["invoice.created"]

        [[routes.to]]
        sink = "slack"
        destination = "channel:{channel}"
        "#
    )
}

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .routes(RouteSet::from_toml(&file(ACCOUNTING))?)
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;

    let wrong = RouteSet::from_toml(&file(ACCOUNTING).replace("invoice.created", "invoce.created"))?;
    let refused = connector.set_routes(wrong).err();
    expect("a wrong word is refused, and the routes stay", refused.is_some())?;
    connector.set_routes(RouteSet::from_toml(&file(APPROVALS))?)?;
    lab.invoice("Osprey & Sons", 730_000)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    let counts = (lab.shown(ACCOUNTING).len(), lab.shown(APPROVALS).len());
    expect("the second invoice goes where the new file says", counts == (1, 1))?;
    let told = connector.count(&Query::of_kind(EntryKind::Delivery), 10).await?;
    expect("and nothing was told twice", told == 2)
}
