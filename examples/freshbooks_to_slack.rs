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

use std::{future::Future, process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{Connector, Error, ErrorKind, Result, engine::Settings, route::RouteSet};
use ml_connector_examples::{
    bars,
    freshbooks::{BOOKS, Simulation, settings::FreshBooksToSlack, story},
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_slack::Slack;
use ml_connector_sql::SqliteLog;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "ml_connector_core=warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let wishes = Wishes { serve: has("--serve"), backfill: has("--backfill") };
    let done = match FreshBooksToSlack::from_env() {
        Ok(Some(settings)) => on_real_accounts(&settings, wishes).await.map(|()| true),
        Ok(None) => on_simulators(wishes).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
struct Wishes {
    /// Going on after the story.
    serve: bool,
    /// Reading the past. It is told to routes that take the origin `backfill`; those of this program do not.
    backfill: bool,
}

/// The connector of this integration.
fn connector(settings: &FreshBooksToSlack, public_url: &str) -> Result<Connector> {
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
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    let log = SqliteLog::open(&settings.database)?;
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    Connector::builder()
        .token_store(log.token_store())
        .audit_log(log)
        .public_url(public_url)
        .settings(engine)
        .connect(books.build()?)
        .connect(slack.build()?)
        .routes(RouteSet::from_toml(&settings.routes)?)
        .build()
}

/// The connector in a web server, as a host embeds it. Returns its address and what has to be awaited in the end.
async fn embed(
    settings: &FreshBooksToSlack,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(Connector, String, impl Future<Output = Result<()>>)> {
    let no_port = |source: std::io::Error| {
        Error::new(ErrorKind::ConfigInvalid, "cannot listen at this address")
            .with_context("listen", &settings.listen)
            .with_source(source)
    };
    let listener = TcpListener::bind(&settings.listen).await.map_err(no_port)?;
    let own_url = format!("http://{}/hooks", listener.local_addr().map_err(no_port)?);
    let connector = connector(settings, settings.public_url.as_deref().unwrap_or(&own_url))?;

    let app = axum::Router::new().nest_service("/hooks", connector.service());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let running = connector.clone();
    let worker = tokio::spawn(async move { running.run(shutdown).await });
    let ended = async move {
        let worked = worker.await;
        server.abort();
        worked.map_err(|panic| Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic))
    };
    let url = connector.webhook_url(&BOOKS.into()).map_or(own_url, String::from);
    Ok((connector, url, ended))
}

async fn on_real_accounts(settings: &FreshBooksToSlack, wishes: Wishes) -> Result<()> {
    let (connector, url, ended) = embed(settings, ctrl_c()).await?;
    println!("The callbacks at FreshBooks are set up within a minute; `health` says if that fails.");
    println!("webhooks: {url}");
    println!("Ctrl-C ends it.");
    let past = async {
        if wishes.backfill {
            bars::backfill(&connector, &BOOKS.into()).await?;
        }
        std::future::pending().await
    };
    tokio::select! { ended = ended => ended, failed = past => failed }
}

async fn on_simulators(wishes: Wishes) -> Result<bool> {
    let simulation = Arc::new(Simulation::start().await?);
    let folder = tempfile::tempdir()
        .map_err(|source| Error::new(ErrorKind::Unavailable, "no temporary folder").with_source(source))?;
    let database = folder.path().join("connector.db");
    let settings = simulation.settings(&database);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (connector, url, ended) = embed(&settings, async { drop(stopped.await) }).await?;
    println!("FreshBooks and Slack are simulated. Deliveries go to {url},");
    println!("the log is {}, the channels are at {}/", database.display(), simulation.slack_server.url());
    simulation.connected(&connector).await?;
    println!("Callbacks are proven: {}", simulation.books.callbacks().len());

    let told = story::play(&simulation, &connector).await?;
    let rested = simulation.rest(&connector).await?;
    let good = story::report(&simulation, &connector, &told, &database).await? && rested;
    println!(
        "\n{}",
        if good { "Everything arrived exactly once." } else { "Something is missing or came twice!" }
    );
    if wishes.backfill {
        println!("\nThe past once more, for routes that take the origin \"backfill\":");
        bars::backfill(&connector, &BOOKS.into()).await?;
    }
    if wishes.serve {
        let freshbooks = simulation.books_server.url();
        println!("\nGoing on until Ctrl-C. Look at {}/ and try:", simulation.slack_server.url());
        println!(
            "  curl -d '{{\"organization\":\"Larkspur\",\"amount\":\"7500.00\"}}' {freshbooks}/_sim/invoices"
        );
        println!("  curl -X POST {freshbooks}/_sim/invoices/ID/sent");
        println!("  curl -d '{{\"amount\":\"149.97\"}}' {freshbooks}/_sim/invoices/ID/payments");
        println!("  curl -d '{{\"amount\":\"1496.20\"}}' {freshbooks}/_sim/bills");
        tokio::select! { () = simulation.keep_sending() => {}, () = ctrl_c() => {} }
    }
    drop(stop);
    ended.await.map(|()| good)
}

async fn ctrl_c() {
    // Without a signal to wait for, the program runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
