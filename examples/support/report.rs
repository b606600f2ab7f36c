//! What came of the story, and whether it is what should have.

use http::Method;
use ml_connector_core::{
    Connector, Result,
    audit::{EntryKind, EntryState, Query},
};
use ml_connector_sim::zoho::Entity;

use crate::{
    simulation::{ACCOUNTING, APPROVALS, Simulation},
    story::Told,
};

/// Prints what happened, with the whole trace of the approval where that is wanted, and tells whether everything arrived
/// exactly once.
///
/// # Errors
/// Those of the log.
pub async fn report(
    simulation: &Simulation,
    connector: &Connector,
    told: &Told,
    explain: bool,
) -> Result<bool> {
    for (name, channel) in [("accounting", ACCOUNTING), ("invoice-approvals", APPROVALS)] {
        println!("\nThe channel #{name}:");
        for message in simulation.slack.posts(channel) {
            println!("  {}  {}", message.at, as_shown(&message.text));
        }
    }
    let mut all = Query::of_kind(EntryKind::Delivery);
    all.limit = 1_000;
    let deliveries = connector.search(&all).await?;
    let approved = deliveries.iter().rfind(|delivery| delivery.connection.as_str() == "books");
    if let Some(last) = approved.filter(|_| explain) {
        println!("\nThe story of the approval, from the bytes to the receipt:");
        print!("{}", connector.explain(last.seq).await?);
    }
    let stats = connector.stats();
    println!(
        "\nreceived {} · unchanged {} · rejected {} · delivered {} · dead {}   (looked up {}, tried again {})",
        stats.received,
        stats.unchanged,
        stats.forged + stats.rejected,
        stats.delivered,
        stats.dead,
        stats.looked_up,
        stats.retried
    );
    let (books, slack) = (&simulation.books, &simulation.slack);
    let approvals = books.received().iter().filter(|call| call.path.ends_with("/approve")).count();
    let comments = books.comments(Entity::Invoice, &told.acknowledged);
    let written = books.received().iter().filter(|call| call.method != Method::GET).count();
    let checks = [
        ("every delivery is done", deliveries.iter().all(|delivery| delivery.state == EntryState::Done)),
        ("no message came twice", slack.duplicates().is_empty()),
        ("no limit of Slack or Zoho was broken", slack.limit_violations() + books.limit_violations() == 0),
        ("the forged webhook was refused, and nothing else", (stats.forged, stats.dead) == (1, 0)),
        ("repeated webhooks were no change", stats.unchanged > 0),
        ("the bill was approved, by one call", approvals == 1 && is_open(simulation, &told.approved)),
        ("the acknowledgement is noted on the invoice, once", comments.len() == 1 && written > 0),
        ("who may not approve was told so", slack.ephemerals("U07CLERK01").len() == 1),
        ("the invoice from Europe was told, and whose it is", in_channel(simulation, "(books-eu): Zeeland")),
        (
            "a payment is one message",
            told_of(simulation, "Osprey", "Payment") == 1 && told_of(simulation, "Osprey", " paid") == 0,
        ),
        ("Slack did all it was asked to", slack.faults_waiting() == 0),
    ];
    println!();
    for (what, holds) in checks {
        println!("  {} {what}", if holds { "yes" } else { " NO" });
    }
    Ok(checks.iter().all(|(_, holds)| *holds))
}

fn is_open(simulation: &Simulation, bill: &str) -> bool {
    simulation.books.status_of(Entity::Bill, bill) == Some("open")
}

fn in_channel(simulation: &Simulation, about: &str) -> bool {
    simulation.slack.posts(ACCOUNTING).iter().filter(|message| message.text.contains(about)).count() == 1
}

/// How many messages name both.
fn told_of(simulation: &Simulation, who: &str, what: &str) -> usize {
    let posts = simulation.slack.posts(ACCOUNTING).into_iter();
    posts.filter(|message| message.text.contains(who) && message.text.contains(what)).count()
}

/// A message's text as people see it: what comes from outside is escaped on its way to Slack.
fn as_shown(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
