//! The story, and what has to hold at its end.

use ml_connector_core::{Connector, Result, model::Decimal};
use ml_connector_sim::{
    Fault,
    bc::{Refusal, Set},
};

use super::simulation::{ACCOUNTING, ANNA, APPROVALS, CARA, COMPANY, Simulation, TOM};

const APPROVE: &str = "approval.approve";
const RETRY: &str = "approval.retry";
const INVOICES: Set = Set::PurchaseInvoices;
/// How the ledger is written to.
const POST: &str = "Microsoft.NAV.post";

/// Plays a day of approvals: what goes well, and what may go wrong.
///
/// # Errors
/// When something does not happen within a minute.
pub async fn play(simulation: &Simulation, connector: &Connector) -> Result<()> {
    let erp = &simulation.erp;
    println!("\nWhat happens:");
    simulation.invoice("Corner Stationery", 18_000, "CS-9");
    println!("  an invoice of 180 dollars is told, and nobody has to sign it off");

    let (_, number) = simulation.invoice("Northline Packaging", 430_000, "NP-77120");
    simulation.click(&number, APPROVE, &[TOM]).await?;
    println!("  {number}: Tom clicks Approve, and may not");
    simulation.click(&number, APPROVE, &[ANNA]).await?;
    simulation.shows(&number, "10800001").await?;
    println!("  {number}: Anna clicks Approve; it is posted as 10800001");

    let (_, number) = simulation.invoice("Osprey Freight", 250_000, "OF-1");
    simulation.click(&number, APPROVE, &[ANNA, CARA]).await?;
    simulation.shows(&number, "10800002").await?;
    println!("  {number}: Anna and Cara click at once; it is posted once, as 10800002");

    let (id, number) = simulation.invoice("Mill Race Paper", 120_000, "MR-5");
    simulation.click(&number, APPROVE, &[]).await?;
    erp.tune(|tuning| tuning.holds_notices = true);
    erp.set_total(INVOICES, &id, Decimal::new(190_000, 2))?;
    simulation.click(&number, APPROVE, &[ANNA]).await?;
    simulation.shows(&number, "changed since it was shown").await?;
    println!("  {number}: it became dearer, and no notice says so; Anna's click posts nothing");
    erp.tune(|tuning| tuning.holds_notices = false);
    connector.poll_now(&COMPANY.into(), INVOICES.name()).await?;
    simulation.click(&number, APPROVE, &[ANNA]).await?;
    simulation.shows(&number, "10800003").await?;
    println!("  {number}: the next poll finds it; Anna sees the new amount, approves, and it is posted");

    let (_, number) = simulation.invoice("Bluebird Logistics", 310_000, "BL-3");
    erp.tune(|tuning| tuning.refuse = Some(Refusal::ClosedPeriod));
    simulation.click(&number, APPROVE, &[CARA]).await?;
    simulation.shows(&number, "not in an open period").await?;
    println!("  {number}: Business Central refuses, because the period is closed");
    erp.tune(|tuning| tuning.refuse = None);
    simulation.click(&number, RETRY, &[CARA]).await?;
    simulation.shows(&number, "10800004").await?;
    println!("  {number}: somebody opens the period; Cara clicks Try again, and it is posted");

    let (_, number) = simulation.invoice("Zeeland Textiel", 480_000, "ZT-8");
    erp.plant(Fault::reset().having_acted().on(POST));
    simulation.click(&number, APPROVE, &[ANNA]).await?;
    simulation.shows(&number, "10800005").await?;
    println!("  {number}: the answer to the posting is lost; it is looked up, and not repeated");
    Ok(())
}

/// The host is away for so long that its subscriptions expire, and an invoice comes that nobody is told of. Returns its
/// number.
#[must_use]
pub fn while_nobody_listens(simulation: &Simulation) -> String {
    for subscription in simulation.erp.subscriptions() {
        simulation.erp.drop_subscription(&subscription.id);
    }
    let (_, number) = simulation.invoice("Harbor Cranes", 820_000, "HC-2");
    println!("  the host is away; its subscriptions expire, and {number} comes in");
    number
}

/// The host is back: the subscriptions are made again, and what happened meanwhile is read.
///
/// # Errors
/// When that does not happen within a minute.
pub async fn back(simulation: &Simulation, number: &str) -> Result<()> {
    simulation.click(number, APPROVE, &[ANNA]).await?;
    simulation.shows(number, "10800006").await?;
    println!("  the host is back: the subscriptions are made again, {number} is found, approved and posted");
    Ok(())
}

/// Prints the channels and what holds, and tells whether all of it does.
#[must_use]
pub fn checks(simulation: &Simulation, connector: &Connector) -> bool {
    let (erp, slack) = (&simulation.erp, &simulation.slack);
    for (name, channel) in [("accounting", ACCOUNTING), ("invoice-approvals", APPROVALS)] {
        println!("\nThe channel #{name}:");
        for message in slack.posts(channel) {
            println!("  {}", message.text);
        }
    }
    let told = |person: &str| slack.ephemerals(person).len();
    let postings = erp.postings();
    let poster = erp.credentials().poster_id;
    let sent = erp.received().iter().filter(|call| call.path.contains("Microsoft.NAV.")).count();
    let mut once: Vec<&str> = postings.iter().map(|posting| posting.id.as_str()).collect();
    once.sort_unstable();
    once.dedup();
    let totals: Vec<String> = postings.iter().map(|posting| posting.total.normalize().to_string()).collect();
    let decided = slack.posts(APPROVALS).into_iter().filter(|card| {
        let shown = card.blocks.to_string();
        shown.contains("Decided by") && shown.contains("When") && shown.contains("Open 10800")
    });
    let small = slack.posts(ACCOUNTING).iter().any(|message| message.text.contains("Corner Stationery"));
    let asked_small = slack.posts(APPROVALS).iter().any(|message| message.text.contains("Corner Stationery"));
    let checks = [
        ("six invoices are posted, each once", postings.len() == 6 && once.len() == 6),
        ("each over what somebody saw", totals == ["4300", "2500", "1900", "3100", "4800", "8200"]),
        (
            "the poster's registration posted them, and nobody else",
            postings.iter().all(|one| one.by == poster),
        ),
        ("no posting was repeated: one was refused, six were made", sent == 7),
        ("six cards show who decided, when, and the posted number", decided.count() == 6),
        ("the small invoice is told, and nobody is asked about it", small && !asked_small),
        ("who may not approve was told so", told(TOM) == 1),
        // One answer for each of Anna's six clicks, and one for the refusal.
        ("every click was answered", (told(ANNA), told(CARA)) == (7, 4)),
        ("three subscriptions are there again", erp.subscriptions().len() == 3),
        ("no message came twice", slack.duplicates().is_empty()),
        (
            "no limit was broken",
            erp.limit_violations() + slack.limit_violations() + slack.ignored_retry_afters() == 0,
        ),
        ("no notice cost a subscription", erp.notices().iter().all(|notice| !notice.cost_subscriptions)),
        ("nothing waits", connector.stats().parked == 0),
    ];
    println!();
    for (what, holds) in checks {
        println!("  {} {what}", if holds { "yes" } else { " NO" });
    }
    checks.iter().all(|(_, holds)| *holds)
}
