//! The story that is played on the simulators.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    Connector, Error, ErrorKind, Result,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    Fault,
    slack::Posted,
    zoho::{Entity, NewDocument},
};

use crate::simulation::{ACCOUNTING, APPROVALS, EU, Simulation};

/// The only approver, and somebody who is not.
const ANNA: &str = "U07APPROV1";
const TOM: &str = "U07CLERK01";
const POST: &str = "/api/chat.postMessage";

/// What the story was about, for the check afterwards.
#[derive(Debug)]
pub struct Told {
    /// The invoice that somebody acknowledged.
    pub acknowledged: String,
    /// The bill that somebody approved.
    pub approved: String,
}

/// Plays a day in an office: documents come and go, webhooks are repeated and forged, Slack has its moods, people click.
///
/// # Errors
/// Those of the simulators, none of which is expected.
pub async fn play(simulation: &Simulation, connector: &Connector, today: Date) -> Result<Told> {
    println!("\nWhat happens:");
    let document = |name: &str, cents: i64| NewDocument::new(name, Decimal::new(cents, 2));
    let (books, slack) = (&simulation.books, &simulation.slack);

    slack.plant(Fault::too_many_requests(2).on(POST));
    let late = document("Bluebird Logistics", 125_050).dated(today.minus_days(40)).due(today.minus_days(10));
    let late = books.create_invoice(late)?;
    books.mark_sent(&late)?;
    simulation.arrive("an invoice that is 10 days overdue; Slack refuses the message with a 429 first").await;

    quiet().await;
    let paid = books.create_invoice(document("<Osprey> & Sons", 14_997))?;
    books.mark_sent(&paid)?;
    let repeated = books.take_webhooks();
    simulation.send("an invoice to <Osprey> & Sons", &repeated).await;
    quiet().await;
    simulation.send("the same webhooks once more", &repeated).await;
    quiet().await;

    slack.plant(Fault::html(StatusCode::INTERNAL_SERVER_ERROR).having_acted().on(POST));
    books.pay_invoice(&paid, Decimal::new(14_997, 2))?;
    simulation.arrive("Osprey pays; Slack posts a message and answers 500 all the same").await;
    quiet().await;

    slack.plant(Fault::html(StatusCode::INTERNAL_SERVER_ERROR).on(POST));
    let bill = books.create_bill(document("Northgate Paper Co", 820_000).numbered("NP-2302"))?;
    books.submit_for_approval(Entity::Bill, &bill)?;
    simulation.arrive("a bill waits for approval; Slack answers 500 without posting").await;

    books.tune_webhooks(|tuning| tuning.wrong_secret = true);
    books.set_reference(Entity::Invoice, &late, "PO 1")?;
    simulation.arrive("somebody forges a webhook").await;
    books.tune_webhooks(|tuning| tuning.wrong_secret = false);

    let overdue = message(simulation, ACCOUNTING, "Bluebird").await?;
    slack.react(TOM, ACCOUNTING, &overdue.ts, "white_check_mark")?;
    simulation.clicks("Tom puts a check mark on the overdue invoice").await;

    let card = message(simulation, APPROVALS, "NP-2302").await?;
    slack.click(APPROVALS, &card.ts, "approval.approve", TOM)?;
    simulation.clicks("Tom clicks Approve, and may not").await;
    slack.click(APPROVALS, &card.ts, "approval.approve", ANNA)?;
    slack.click(APPROVALS, &card.ts, "approval.approve", ANNA)?;
    simulation.clicks("Anna clicks Approve, twice").await;

    simulation.baseline(connector).await?;
    let european = simulation.books_eu.create_invoice(document("Zeeland Textiel", 48_000))?;
    simulation.books_eu.mark_sent(&european)?;
    connector.poll_now(&EU.into(), "invoices").await?;
    println!("  an invoice of the organization in Europe, which is polled");
    Ok(Told { acknowledged: late, approved: bill })
}

/// Longer than signals of one record are collected: what comes next is another change.
async fn quiet() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// Waits for a message.
async fn message(simulation: &Simulation, channel: &str, about: &str) -> Result<Posted> {
    for _ in 0..300 {
        if let Some(posted) =
            simulation.slack.posts(channel).into_iter().find(|post| post.text.contains(about))
        {
            return Ok(posted);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(Error::new(ErrorKind::NotFound, "a message did not come within a minute")
        .with_context("about", about))
}
