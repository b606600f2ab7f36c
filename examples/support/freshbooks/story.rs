//! The story that is played on the simulators, and whether everything arrived as it should.

use std::{path::Path, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Secret,
    audit::{EntryKind, EntryState, Query},
    model::Decimal,
};
use ml_connector_sim::{
    Fault, FreshBooksSim,
    freshbooks::{Bill, BillVendor, Client, Expense, ExpenseStatus, Invoice},
};

use super::{ACCOUNTING, BOOKS, EXEC_ALERTS, Simulation};
use crate::stores::in_clear;

const POST: &str = "/api/chat.postMessage";

/// What the story was about, for the check afterwards.
#[derive(Debug)]
pub struct Told {
    /// How the forged delivery was answered.
    forged: String,
}

/// Plays the story: invoices, payments, bills and expenses come and go, deliveries are lost, repeated and forged, Slack has
/// its moods.
///
/// # Errors
/// Those of the simulators, none of which is expected.
pub async fn play(simulation: &Simulation, connector: &Connector) -> Result<Told> {
    println!("\nWhat happens:");
    let (books, slack) = (&simulation.books, &simulation.slack);
    let cents = |cents: i64| Decimal::new(cents, 2);
    let larkspur = books.create(Client::new("Larkspur Dental Group"))?;
    let osprey = books.create(Client::new("<Osprey> & Sons"))?;

    slack.plant(Fault::too_many_requests(2).on(POST));
    let large = books.create(Invoice::new(larkspur, cents(632_800)).in_currency("CAD").sent())?;
    simulation.arrive("an invoice of 6,328.00; Slack refuses the message with a 429 first").await;
    quiet().await;

    let small = books.create(Invoice::new(osprey, cents(18_000)).sent())?;
    let repeated = books.take_webhooks();
    simulation.send("an invoice to <Osprey> & Sons", &repeated).await;
    quiet().await;
    simulation.send("the same deliveries once more", &repeated).await;
    quiet().await;

    slack.plant(Fault::html(StatusCode::INTERNAL_SERVER_ERROR).having_acted().on(POST));
    let payment = books.pay_invoice(large, cents(250_000))?;
    simulation.arrive("Larkspur pays a part; Slack posts a message and answers 500 all the same").await;
    quiet().await;

    books.pay_invoice(small, cents(20_000))?;
    simulation.arrive("Osprey pays 20.00 too much, which becomes a credit").await;
    quiet().await;

    books.view(large)?;
    simulation.arrive("Larkspur looks at the invoice").await;
    quiet().await;

    books.refund(payment, cents(50_000))?;
    simulation.arrive("500.00 are given back").await;
    quiet().await;

    let vendor = books.create(BillVendor::new("Harbourview Supply Co."))?;
    let bill = books.create(Bill::new(vendor, cents(149_620)).numbered("HV-20931"))?;
    simulation.arrive("a bill").await;
    quiet().await;
    books.pay_bill(bill, cents(149_620))?;
    drop(books.take_webhooks());
    connector.poll_now(&BOOKS.into(), "bill_payments").await?;
    println!("  the bill is paid, which FreshBooks tells nobody: it is found by polling");
    quiet().await;

    books.create(Expense::new("Office Depot", cents(12_995)))?;
    let mut billable = Expense::new("Rail Canada", cents(24_000));
    billable.status = ExpenseStatus::Outstanding;
    books.create(billable)?;
    simulation.arrive("an internal expense and one that a client pays").await;

    let uri = books.callbacks().into_iter().find(|callback| callback.event == "invoice");
    let uri = uri.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no callback"))?.uri;
    let fields = [("name", "invoice.update"), ("object_id", "502317"), ("account_id", "Zq84Xk")];
    let forged = FreshBooksSim::forge(&uri, &fields, Some(&Secret::from("a forger's key")));
    let forged = forged.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the forgery cannot be built"))?;
    let forged = simulation.post(forged).await;
    println!("  somebody forges a delivery: answered {forged}");
    Ok(Told { forged })
}

/// Longer than signals of one record are collected: what comes next is another change.
async fn quiet() {
    tokio::time::sleep(Duration::from_secs(4)).await;
}

/// Prints what happened, and tells whether everything arrived exactly once.
///
/// # Errors
/// Those of the log.
pub async fn report(
    simulation: &Simulation,
    connector: &Connector,
    told: &Told,
    database: &Path,
    explain: bool,
) -> Result<bool> {
    let channel = |channel: &str| -> Vec<String> {
        simulation.slack.posts(channel).iter().map(|message| as_shown(&message.text)).collect()
    };
    let (accounting, alerts) = (channel(ACCOUNTING), channel(EXEC_ALERTS));
    for (name, messages) in [("accounting", &accounting), ("exec-alerts", &alerts)] {
        println!("\nThe channel #{name}:");
        messages.iter().for_each(|message| println!("  {message}"));
    }
    let mut all = Query::of_kind(EntryKind::Delivery);
    all.limit = 1_000;
    let deliveries = connector.search(&all).await?;
    if let Some(last) = deliveries.last().filter(|_| explain) {
        println!("\nThe story of one message, from the bytes to the receipt:");
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
    let credentials = simulation.books.credentials();
    let token = simulation.slack.bot_token();
    let secret = [&*credentials.client_secret, &*credentials.refresh_token, &*token];
    let names = ["Larkspur", "Osprey", "Harbourview"];
    let found = in_clear(database, &[&secret[..], &names[..]].concat())?;
    let count = |what: &str| accounting.iter().filter(|message| message.contains(what)).count();
    let (books, slack) = (&simulation.books, &simulation.slack);
    let checks = [
        ("every delivery is done", deliveries.iter().all(|delivery| delivery.state == EntryState::Done)),
        ("no message came twice", slack.duplicates().is_empty()),
        (
            "no limit of Slack or FreshBooks was broken",
            slack.limit_violations() + books.limit_violations() == 0,
        ),
        (
            "the forged delivery was refused, and nothing else",
            (&*told.forged, stats.forged, stats.dead) == ("401", 1, 0),
        ),
        ("repeated deliveries were no change", stats.unchanged > 0),
        (
            "the large invoice went to #exec-alerts as well, once",
            alerts.len() == 1 && alerts[0].contains("6,328.00"),
        ),
        ("two payments were received, and a credit was none", count("Payment received") == 2),
        ("what was given back is a change of its payment", count("2,000.00 CAD, was 2,500.00 CAD") == 1),
        ("the bill and its payment were told, once each", count("Harbourview") == 2),
        (
            "the expense that a client pays was told, the internal one was not",
            (count("Rail"), count("Office")) == (1, 0),
        ),
        ("Slack did all it was asked to", slack.faults_waiting() == 0),
        ("no token and no customer's name stands in the database", found.is_empty()),
    ];
    println!();
    for (what, holds) in checks {
        println!("  {} {what}", if holds { "yes" } else { " NO" });
    }
    Ok(checks.iter().all(|(_, holds)| *holds))
}

/// A message's text as people see it: what comes from outside is escaped on its way to Slack.
fn as_shown(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
