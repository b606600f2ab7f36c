//! The story, and what has to hold at its end.

use ml_connector_core::{Connector, Result, model::Decimal};
use ml_connector_sim::{
    exact::{Kind, NewDocument, NewLine, Settlement},
    slack::Posted,
};

use super::simulation::{CASH_FLOW, FINANCE, PURCHASES, Simulation, TOPICS, WHOLESALER};

/// Plays the end of a month in a wholesaler with three distribution centres.
///
/// # Errors
/// When something does not happen within a minute.
pub async fn play(simulation: &Simulation, connector: &Connector) -> Result<()> {
    let books = &simulation.books;
    println!("\nWhat happens:");
    simulation.purchase("Papierhandel Oost", [18_000, 0, 0], "PO-9");
    simulation.says(FINANCE, "Papierhandel Oost").await?;
    println!("  a purchase invoice of 180 euros is told to everybody");

    let large = simulation.purchase("Molen De Hoop B.V.", [520_000, 81_250, 300_000], "F-2026-0311");
    simulation.says(PURCHASES, "Molen De Hoop").await?;
    println!(
        "  one above 5,000 euros goes to the purchasing channel, with what each distribution centre bears"
    );

    let sold = NewDocument::new("Bakkerij Linde V.O.F.", Decimal::from(1_210));
    let invoice = books.create(Kind::SalesInvoices, &sold);
    simulation.says(FINANCE, "Bakkerij Linde").await?;
    books.process(Kind::SalesInvoices, &invoice)?;
    println!("  a sales invoice is entered and processed");

    books.settle(&large, Settlement::Bank)?;
    // Exact Online has no notification about payments: the next poll finds it.
    connector.poll_now(&WHOLESALER.into(), "payment_terms").await?;
    simulation.says_often(CASH_FLOW, "Molen De Hoop", 2).await?;
    println!("  the large invoice is paid, and confirmed in the channel where it was announced");

    let line = |text: &str, euros: i64, code: &str, name: &str| {
        NewLine::new(text, Decimal::from(euros)).on_account("4500", "Rent").for_cost_center(code, name)
    };
    let journal = NewDocument::empty("")
        .line(line("Rent Nijmegen", 3_000, "DC1", "Nijmegen"))
        .line(line("Rent Venlo", 1_500, "DC2", "Venlo"))
        .line(line("Rent, passed on", -4_500, "DC3", "Tilburg"));
    let _ = books.create(Kind::GeneralJournalEntries, &journal);
    simulation.says(FINANCE, "Rent Nijmegen").await?;
    println!("  the month is closed: the journal entry comes as a table of debit and credit");

    let costs =
        NewDocument::new("Verbouwing Venlo", Decimal::from(475)).with_description("Scaffold, two weeks");
    let _ = books.create(Kind::CostTransactions, &costs);
    simulation.says(FINANCE, "475.00").await?;
    println!("  what a project costs is told to finance");
    Ok(())
}

/// What happens while the host is away: notifications are not heard, and subscriptions are gone. Returns the supplier.
#[must_use]
pub fn away(simulation: &Simulation) -> &'static str {
    for subscription in simulation.books.subscriptions() {
        simulation.books.drop_subscription(&subscription.id);
    }
    simulation.purchase("Transport Zuid", [0, 910_000, 0], "TZ-77");
    println!("  the host is away; its subscriptions are removed, and an invoice of Transport Zuid comes in");
    "Transport Zuid"
}

/// Whether a message has the journal entry as a table, with each amount on its side.
fn has_journal(posts: &[Posted]) -> bool {
    let tables = posts.iter().flat_map(|post| post.blocks.as_array().into_iter().flatten());
    tables.filter(|block| block["type"] == "table").any(|table| {
        let rows = table["rows"].as_array().into_iter().flatten();
        let rows: Vec<Vec<&str>> = rows
            .map(|row| {
                let cells = row.as_array().into_iter().flatten();
                cells.map(|cell| cell["text"].as_str().unwrap_or_default().trim()).collect()
            })
            .collect();
        let column = |name: &str| rows.first()?.iter().position(|cell| *cell == name);
        let Some((debit, credit)) = column("Debit").zip(column("Credit")) else { return false };
        let has = |text: &str, on: usize, amount: &str, off: usize| {
            let row = rows.iter().find(|row| row[0] == text);
            row.is_some_and(|row| row[on].contains(amount) && row[off].is_empty())
        };
        has("Rent Nijmegen", debit, "3,000.00", credit)
            && has("Rent Venlo", debit, "1,500.00", credit)
            && has("Rent, passed on", credit, "4,500.00", debit)
    })
}

/// Prints the channels and what holds, and tells whether all of it does.
#[must_use]
pub fn checks(simulation: &Simulation, connector: &Connector) -> bool {
    let (books, slack) = (&simulation.books, &simulation.slack);
    for (name, channel) in [("finance", FINANCE), ("purchases", PURCHASES)] {
        println!("\nThe channel #{name}:");
        for message in slack.posts(channel) {
            println!("  {}", message.text);
        }
    }
    let about = |channel: &str, text: &str| {
        let posts = slack.posts(channel);
        posts.iter().filter(|post| post.text.contains(text)).count()
    };
    let shows = |channel: &str, texts: &[&str]| {
        let posts = slack.posts(channel);
        posts.iter().any(|post| {
            let all = format!("{} {}", post.text, post.blocks);
            texts.iter().all(|text| all.contains(text))
        })
    };
    let everywhere = |text: &str| {
        let posts = [FINANCE, PURCHASES].into_iter().flat_map(|channel| slack.posts(channel));
        posts.filter(|post| post.text.contains(text) || post.blocks.to_string().contains(text)).count()
    };
    let tallies = books.tallies();
    let checks = [
        ("the small invoice is told to everybody, and not as a large one", {
            about(FINANCE, "Papierhandel Oost") == 1 && about(PURCHASES, "Papierhandel Oost") == 0
        }),
        ("the large one shows what each distribution centre bears", {
            shows(PURCHASES, &["Molen De Hoop", "DC1", "DC2", "DC3"])
        }),
        ("what was paid is confirmed once, in the same channel", {
            about(PURCHASES, "Molen De Hoop") == 2 && everywhere("Molen De Hoop") == 2
        }),
        ("the journal entry has a table of debit and credit", has_journal(&slack.posts(FINANCE))),
        ("the cost transaction is told to finance", shows(FINANCE, &["Verbouwing Venlo", "475.00"])),
        ("what came in while nobody listened is told", about(PURCHASES, "Transport Zuid") == 1),
        ("every subscription is there again", books.subscriptions().len() == TOPICS),
        ("no message came twice", slack.duplicates().is_empty()),
        ("no limit was broken", tallies.limit_violations + slack.limit_violations() == 0),
        ("no two calls were made at once", tallies.parallel_calls == 0),
        (
            "no token was refused, and one was enough",
            tallies.refused_tokens == 0 && books.tokens_issued() == 1,
        ),
        ("nothing waits", connector.stats().parked == 0),
    ];
    println!();
    for (what, holds) in checks {
        println!("  {} {what}", if holds { "yes" } else { " NO" });
    }
    checks.iter().all(|(_, holds)| *holds)
}
