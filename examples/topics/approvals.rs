//! A bill waits for approval: a card with buttons, a click, and the books' own approve call, once.

use ml_connector_core::{
    Money, Result, Secret,
    approval::{Approvals, Approvers, Choice, Policy},
    model::Decimal,
};
use ml_connector_sim::zoho::{Entity, NewDocument};
use ml_connector_slack::{channel, clicker};

use ml_connector_examples::lab::{APPROVALS, Lab, Running, expect};

/// A person of the simulated workspace.
const ANNA: &str = "U07APPROV1";

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    // Clicks are proven by the app's signing secret.
    let secret = Secret::from(lab.slack.signing_secret().expose());
    let slack = lab.slack().signing_secret(secret).team("T07LEDGER1").build()?;
    let limit = Money::parse("10000", "USD")?;
    let approvals = Approvals::builder("approvals")
        .documents("books", "bill.*")
        .ask("slack", channel(APPROVALS), clicker())
        .command("books", ml_connector_zoho::approve())
        .policy(Policy::default().allow(Approvers::default().person(ANNA).up_to(limit)))
        .directory(slack.directory())
        .build()?;
    let connector = lab.host().connect(lab.books().build()?).connect(approvals).connect(slack).build()?;
    let running = Running::start(&connector);

    let bill = lab.books.create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(820_000, 2)))?;
    lab.books.submit_for_approval(Entity::Bill, &bill)?;
    lab.a_minute(&connector).await?;
    let card = lab.slack.posts(APPROVALS).pop();
    expect("there is a card", card.is_some())?;
    // Anna clicks twice.
    for _ in 0..2 {
        let ts = card.as_ref().map_or("", |card| &card.ts);
        lab.slack.click(APPROVALS, ts, Choice::APPROVE, ANNA)?;
    }
    lab.clicks(&connector).await;
    running.stop().await;
    let calls = lab.books.received().iter().filter(|call| call.path.ends_with("/approve")).count();
    expect("the bill is approved", lab.books.status_of(Entity::Bill, &bill) == Some("open"))?;
    expect("by one call", calls == 1)
}
