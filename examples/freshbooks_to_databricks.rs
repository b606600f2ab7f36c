//! FreshBooks → Databricks: another source fills the tables of the same sink, by configuration alone. The connector is put
//! together as in `zoho_books_to_databricks`; what FreshBooks' records look like as tables, FreshBooks says itself.
//!
//! ```console
//! cargo run --example freshbooks_to_databricks    # plays on simulators, and checks the tables
//! ```

use std::{process::ExitCode, sync::Arc, time::Duration};

use futures_util::StreamExt;
use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Source, SourceMode, SystemClock, audit::MemoryLog, model::Decimal,
    route::Route, token::MemoryTokenStore,
};
use ml_connector_databricks::{Databricks, tables};
use ml_connector_examples::{
    host::{exit, log_from},
    wait,
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Conditions, DatabricksSim, FreshBooksSim, SimTransport,
    freshbooks::{Client, Invoice},
};

#[tokio::main]
async fn main() -> ExitCode {
    log_from("error");
    exit(on_simulators().await)
}

/// The integration: a source, a sink that takes its tables, and one route for everything that happens to it.
fn connect(books: FreshBooks, lake: Databricks, network: SimTransport) -> Result<Connector> {
    let everything = Route::new("warehouse").with_pages().with_all_origins();
    Connector::builder()
        .audit_log(MemoryLog::new())
        .token_store(MemoryTokenStore::new())
        .transport(network)
        .connect(books)
        .connect(lake)
        .route(everything.to("lake", tables()))
        .build()
}

async fn on_simulators() -> Result<bool> {
    let (sim, lake) = (FreshBooksSim::new(Arc::new(SystemClock)), DatabricksSim::new(Arc::new(SystemClock)));
    sim.set_conditions(Conditions::kind());
    lake.set_conditions(Conditions::kind());
    let client = sim.create(Client::new("Larkspur Dental Group"))?;
    let mut unpaid = 0;
    for cents in [125_050, 14_997, 29_900] {
        unpaid = sim.create(Invoice::new(client, Decimal::new(cents, 2)).sent())?;
    }
    let app = sim.credentials();
    let books = FreshBooks::builder("books")
        .account_id(app.account_id)
        .client(app.client_id, app.client_secret.as_str())
        .redirect_uri(app.redirect_uri)
        .refresh_token(app.refresh_token.as_str())
        .time_zone("America/Toronto")
        .mode(SourceMode::Poll)
        .build()?;
    let workspace = lake.credentials();
    let sink = Databricks::builder("lake")
        .host(lake.host())
        .warehouse(workspace.warehouse_id)
        .schema("main", "ml_finance")
        .service_principal(workspace.client_id, workspace.client_secret)
        .tables_of(&books)
        .linger(Duration::from_millis(500))
        .build()?;
    let feeds: Vec<_> = books.info().feeds.iter().map(|feed| feed.name).collect();
    let network = SimTransport::new().with_freshbooks(&sim).with_router(lake.host(), lake.router());
    let connector = connect(books, sink.clone(), network)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = connector.clone();
    let worker = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });

    println!("The past, read list by list:");
    let mut reads = Vec::new();
    for feed in &feeds {
        let read = connector.backfill(&"books".into(), feed, None).await?;
        reads.push(connector.watch_backfill(&"books".into(), feed, read));
    }
    for read in reads {
        // The stream ends with the list.
        read.for_each(async |_| {}).await;
    }
    let mut good = wait::rest(&connector).await?;
    let past = show(&connector, &sink).await?;

    println!("\nAn invoice is paid:");
    let before = connector.stats().delivered;
    sim.pay_invoice(unpaid, Decimal::new(29_900, 2))?;
    for feed in &feeds {
        connector.poll_now(&"books".into(), feed).await?;
    }
    wait::until("nothing is told of the payment", || (connector.stats().delivered > before).then_some(()))
        .await?;
    good &= wait::rest(&connector).await?;
    let live = show(&connector, &sink).await?;
    drop(stop);
    worker
        .await
        .map_err(|panic| Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic))?;

    good &= past == [("1250.50", "0"), ("149.97", "0"), ("299.00", "0")].map(amounts)
        && live == [("1250.50", "0"), ("149.97", "0"), ("299.00", "299.00")].map(amounts);
    println!("\n{}", if good { "The tables are what the books are." } else { "Something is missing!" });
    Ok(good)
}

fn amounts((amount, paid): (&str, &str)) -> (Decimal, Decimal) {
    let read = |text: &str| Decimal::from_str_exact(text).unwrap_or_default().normalize();
    (read(amount), read(paid))
}

/// Prints what the table says. Returns the amounts of the invoices, and what was paid of them.
async fn show(connector: &Connector, lake: &Databricks) -> Result<Vec<(Decimal, Decimal)>> {
    let sql = "SELECT invoice_number, organization, amount, paid, currency_code FROM freshbooks_invoices \
               WHERE NOT _deleted ORDER BY invoice_number";
    let answer = lake.query(&connector.context(), sql, &[]).await?;
    println!("  {}", answer.columns.join(" | "));
    let mut told = Vec::new();
    for row in &answer.rows {
        let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect();
        println!("  {}", cells.join(" | "));
        told.push(amounts((cells[2], cells[3])));
    }
    Ok(told)
}
