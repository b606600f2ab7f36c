//! Exact Online → Slack: purchase invoices above a limit go to a channel of their own with what each cost centre bears, and
//! what was paid is confirmed there; everything else is told to finance, the journal of the month as a table.
//!
//! ```console
//! cargo run --example exact_online_to_slack               # plays a story on simulators and checks it
//! cargo run --example exact_online_to_slack -- --serve    # keeps running: open the page, and create records with curl
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program talks to a real company.

use std::{process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Source, SourceMode, engine::Settings, model::RecordKind,
    route::Route,
};
use ml_connector_exact::{ExactOnline, Region};
use ml_connector_examples::{
    console,
    exact_online::{Simulation, WHOLESALER, away, checks, play},
    host::{Flags, Host, asked_to_stop, exit, log_from},
    introduction::introduce,
    settings::ExactOnlineToSlack,
    stores::{Stores, StoryFile},
    wait,
};
use ml_connector_slack::{Slack, channel};

#[tokio::main]
async fn main() -> ExitCode {
    log_from("error");
    let Flags { serve, .. } = Flags::from_args();
    let done = match ExactOnlineToSlack::from_env() {
        Ok(Some(settings)) => on_real_accounts(&settings).await.map(|()| true),
        Ok(None) => on_simulators(serve).await,
        Err(error) => Err(error),
    };
    exit(done)
}

/// What is read: what is bought and sold, what is paid, the ledger, and what projects cost.
const READ: [RecordKind; 9] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::PurchaseOrder,
    RecordKind::JournalEntry,
    RecordKind::BankEntry,
    RecordKind::CashEntry,
    RecordKind::VendorPayment,
    RecordKind::CustomerPayment,
    RecordKind::CostTransaction,
];

/// The company.
fn company(settings: &ExactOnlineToSlack) -> Result<ExactOnline> {
    let company = &settings.company;
    let region = match company.region.as_deref() {
        None | Some("nl") => Region::Nl,
        Some("be") => Region::Be,
        Some("de") => Region::De,
        Some("uk") => Region::Uk,
        Some("fr") => Region::Fr,
        Some("es") => Region::Es,
        Some("us") => Region::Us,
        Some(_) => {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the region must be one of nl, be, de, uk, fr, es, us",
            )
            .with_context("name", "EXACT_REGION"));
        }
    };
    let mut books = ExactOnline::builder(WHOLESALER)
        .region(region)
        .division(company.division)
        .client(&company.client_id, company.client_secret.as_str())
        .refresh_token(company.refresh_token.as_str())
        .resources(READ)
        .pace(company.calls_per_minute, 5_000)
        .coalesce(company.coalesce);
    books = match &company.webhook_secret {
        Some(secret) => books.webhook_secret(secret.as_str()),
        None => books.mode(SourceMode::Poll),
    };
    if let Some(uri) = &company.redirect_uri {
        books = books.redirect_uri(uri);
    }
    if let Some(url) = &company.base_url {
        books = books.base_url(url);
    }
    books.build()
}

/// The connector of this integration.
fn connector(
    settings: &ExactOnlineToSlack,
    books: ExactOnline,
    stores: Stores,
    public_url: &str,
) -> Result<Connector> {
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    let (finance, purchases) = (|| channel(&settings.slack_channel), || channel(&settings.purchases_channel));
    // Credit notes have a sign, and are as large as invoices.
    let large = Route::new("large purchases").on("bill.*").base_at_least(settings.large).absolute();
    let small = Route::new("purchases").on("bill.*").base_below(settings.large).absolute();
    let paid = Route::new("payments").on("vendor_payment.*").on("customer_payment.*");
    let rest = Route::new("books")
        .on("invoice.*")
        .on("purchase_order.*")
        .on("journal_entry.*")
        .on("cost_transaction.*");
    // A payment by bank is a bank entry as well: one of the two is told.
    let trouble = Route::new("trouble").on("delivery.*").on("signal.*").on("connection.*");
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    Connector::builder()
        .token_store(stores.tokens)
        .audit_log(stores.log)
        .public_url(public_url)
        .settings(engine)
        .connect(books)
        .connect(slack.build()?)
        .route(large.to("slack", purchases()))
        .route(small.to("slack", finance()))
        .route(paid.to("slack", purchases()))
        .route(rest.to("slack", finance()))
        .route(trouble.to("slack", finance()))
        .build()
}

async fn start(settings: &ExactOnlineToSlack) -> Result<Host> {
    let stores = Stores::open(&settings.database).await?;
    let public_url = settings.public_url.as_deref();
    Host::start(&settings.listen, public_url, |url| connector(settings, company(settings)?, stores, url))
        .await
}

async fn on_real_accounts(settings: &ExactOnlineToSlack) -> Result<()> {
    let asked = asked_to_stop();
    let host = start(settings).await?;
    let (connector, books) = (host.connector.clone(), company(settings)?);
    for division in books.divisions(&connector.context()).await? {
        println!("may be read: {} {} {:?}", division.code, division.name, division.caution);
    }
    println!("Ctrl-C ends it.");
    let sources = [books.info().clone()];
    host.run(introduce(&connector, &sources), asked).await
}

async fn on_simulators(serve: bool) -> Result<bool> {
    let simulation = Arc::new(Simulation::start().await?);
    let sender = Arc::clone(&simulation);
    tokio::spawn(async move { sender.keep_sending().await });
    let file = StoryFile::new()?;
    let settings = simulation.settings(file.path())?;
    println!("Exact Online and Slack are simulated; the channels are at {}/.", simulation.slack_server.url());
    println!("{}", file.fate());

    let host = start(&settings).await?;
    simulation.ready(&host.connector).await?;
    play(&simulation, &host.connector).await?;
    wait::rest(&host.connector).await?;
    host.stop().await?;

    let supplier = away(&simulation);
    let host = start(&settings).await?;
    simulation.ready(&host.connector).await?;
    simulation.hears_of(supplier).await?;
    let rested = wait::rest(&host.connector).await?;
    let good = checks(&simulation, &host.connector) && rested;
    println!("\n{}", if good { "Everything was told once." } else { "Something is missing or came twice!" });
    if serve {
        console::serve(&host.connector).await?;
        let (page, books) = (simulation.slack_server.url(), simulation.books_server.url());
        println!("\nGoing on until Ctrl-C. The channels are at {page}/. For another purchase invoice:");
        println!(
            "  curl -d '{{\"party\":\"Molen De Hoop\",\"amount\":\"8200\"}}' {books}/_sim/PurchaseEntries"
        );
        asked_to_stop().await;
    }
    host.stop().await.map(|()| good)
}
