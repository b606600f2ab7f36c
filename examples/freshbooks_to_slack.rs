//! FreshBooks → Slack: invoices, payments, bills and expenses become messages, large invoices in a second channel besides.
//! Callbacks are set up, proven and kept in repair by the connector itself.
//!
//! ```console
//! cargo run --example freshbooks_to_slack                # plays a story on simulators and checks it
//! cargo run --example freshbooks_to_slack -- --serve     # keeps running; make your own story with curl
//! cargo run --example freshbooks_to_slack -- --backfill  # reads the past of all feeds, with progress bars
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program talks to real accounts. What goes
//! where is in `examples/freshbooks_routes.toml`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{Connector, Result, Source, engine::Settings, route::RouteSet};
use ml_connector_examples::{
    bars, console,
    freshbooks::{BOOKS, Simulation, settings::FreshBooksToSlack, story},
    host::{Flags, Host, asked_to_stop, exit, log_from},
    introduction::introduce,
    stores::{Stores, StoryFile},
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_slack::Slack;

#[tokio::main]
async fn main() -> ExitCode {
    log_from("warn");
    let flags = Flags::from_args();
    let done = match FreshBooksToSlack::from_env() {
        Ok(Some(settings)) => on_real_accounts(&settings, flags).await.map(|()| true),
        Ok(None) => on_simulators(flags).await,
        Err(error) => Err(error),
    };
    exit(done)
}

/// The business.
fn books(settings: &FreshBooksToSlack) -> Result<FreshBooks> {
    let mut books = FreshBooks::builder(BOOKS)
        .account_id(&settings.account_id)
        .client(settings.client_id.as_str(), settings.client_secret.as_str())
        .redirect_uri(&settings.redirect_uri)
        .refresh_token(settings.refresh_token.as_str())
        .time_zone(&settings.time_zone)
        .overdue_after([1, 7, 30]);
    if let Some(url) = &settings.api_url {
        books = books.api_url(url);
    }
    books.build()
}

/// The connector of this integration.
fn connector(settings: &FreshBooksToSlack, stores: Stores, public_url: &str) -> Result<Connector> {
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    Connector::builder()
        .token_store(stores.tokens)
        .audit_log(stores.log)
        .public_url(public_url)
        .settings(engine)
        .connect(books(settings)?)
        .connect(slack.build()?)
        .routes(RouteSet::from_toml(&settings.routes)?)
        .build()
}

/// The connector in a web server, and where the books' webhooks go.
async fn start(settings: &FreshBooksToSlack, stores: Stores) -> Result<(Host, String)> {
    let public_url = settings.public_url.as_deref();
    let host = Host::start(&settings.listen, public_url, |url| connector(settings, stores, url)).await?;
    let url = host.connector.webhook_url(&BOOKS.into()).map_or_else(String::new, String::from);
    Ok((host, url))
}

async fn on_real_accounts(settings: &FreshBooksToSlack, flags: Flags) -> Result<()> {
    let asked = asked_to_stop();
    let (host, url) = start(settings, Stores::open(&settings.database).await?).await?;
    let connector = host.connector.clone();
    println!("The callbacks at FreshBooks are set up within a minute; `health` says if that fails.");
    println!("webhooks: {url}");
    println!("Ctrl-C ends it.");
    let sources = [books(settings)?.info().clone()];
    let past = Box::pin(async {
        introduce(&connector, &sources).await?;
        if flags.backfill {
            bars::backfill(&connector, &BOOKS.into()).await?;
        }
        Ok(())
    });
    host.run(past, asked).await
}

async fn on_simulators(flags: Flags) -> Result<bool> {
    let simulation = Arc::new(Simulation::start().await?);
    let file = StoryFile::new()?;
    let settings = simulation.settings(file.path());
    let (host, url) = start(&settings, Stores::for_simulation(file.path()).await?).await?;
    let connector = host.connector.clone();
    println!("FreshBooks and Slack are simulated. Deliveries go to {url},");
    println!("the channels are at {}/. {}", simulation.slack_server.url(), file.fate());
    simulation.connected(&connector).await?;
    println!("Callbacks are proven: {}", simulation.books.callbacks().len());

    let told = story::play(&simulation, &connector).await?;
    let rested = simulation.rest(&connector).await?;
    let good = story::report(&simulation, &connector, &told, file.path(), flags.explain).await? && rested;
    println!(
        "\n{}",
        if good { "Everything arrived exactly once." } else { "Something is missing or came twice!" }
    );
    if flags.backfill {
        println!("\nThe past once more, for routes that take the origin \"backfill\":");
        bars::backfill(&connector, &BOOKS.into()).await?;
    }
    if flags.serve {
        console::serve(&connector).await?;
        let freshbooks = simulation.books_server.url();
        println!("\nGoing on until Ctrl-C. Look at {}/ and try:", simulation.slack_server.url());
        println!(
            "  curl -d '{{\"organization\":\"Larkspur\",\"amount\":\"7500.00\"}}' {freshbooks}/_sim/invoices"
        );
        println!("  curl -X POST {freshbooks}/_sim/invoices/ID/sent");
        println!("  curl -d '{{\"amount\":\"149.97\"}}' {freshbooks}/_sim/invoices/ID/payments");
        println!("  curl -d '{{\"amount\":\"1496.20\"}}' {freshbooks}/_sim/bills");
        tokio::select! { () = simulation.keep_sending() => {}, () = asked_to_stop() => {} }
    }
    host.stop().await.map(|()| good)
}
