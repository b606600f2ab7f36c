//! Zoho Books → Slack: invoices, bills and payments become messages in a channel.
//!
//! ```console
//! cargo run --example zoho_books_to_slack                # plays a story on simulators and checks it
//! cargo run --example zoho_books_to_slack -- --serve     # keeps running; make your own story with curl
//! cargo run --example zoho_books_to_slack -- --backfill  # reads the past of all feeds, with progress bars
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program talks to real accounts.

use std::{future::Future, path::Path, process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, Error, ErrorKind, Result, SystemClock,
    audit::{EntryKind, Query, State},
    engine::Settings,
    model::Zone,
    route::Route,
};
use ml_connector_examples::{bars, settings::ZohoBooksToSlack, simulation::Simulation};
use ml_connector_slack::Slack;
use ml_connector_sql::SqliteLog;
use ml_connector_zoho::ZohoBooks;
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
    let done = match ZohoBooksToSlack::from_env() {
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
fn connector(settings: &ZohoBooksToSlack, public_url: &str) -> Result<Connector> {
    let mut books = ZohoBooks::builder("books")
        .organization_id(&settings.organization_id)
        .data_center(settings.data_center)
        .client(settings.client_id.as_str(), settings.client_secret.as_str())
        .refresh_token(settings.refresh_token.as_str())
        .webhook_secret(settings.webhook_secret.as_str())
        .time_zone(&settings.time_zone)
        .overdue_after([7]);
    if let Some(url) = &settings.accounts_url {
        books = books.accounts_url(url);
    }
    if let Some(url) = &settings.api_url {
        books = books.api_url(url);
    }
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    let accounting = || ml_connector_slack::channel(&settings.slack_channel);
    let log = SqliteLog::open(&settings.database)?;
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    Connector::builder()
        .token_store(log.token_store())
        .audit_log(log)
        .public_url(public_url)
        .settings(engine)
        .source(books.build()?)
        .sink(slack.build()?)
        .route(Route::new("invoices").on("invoice.*").to("slack", accounting()))
        .route(
            Route::new("payments").on("customer_payment.*").on("vendor_payment.*").to("slack", accounting()),
        )
        .route(Route::new("approvals").on("bill.submitted").on("bill.approved").to("slack", accounting()))
        .route(
            Route::new("trouble")
                .on("delivery.*")
                .on("signal.*")
                .on("connection.*")
                .to("slack", accounting()),
        )
        .build()
}

/// The connector in a web server, as a host embeds it. Returns its address and what has to be awaited in the end.
async fn embed(
    settings: &ZohoBooksToSlack,
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
        worked.unwrap_or_else(|panic| {
            Err(Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic))
        })
    };
    let url = connector.webhook_url(&"books".into()).map_or(own_url, String::from);
    Ok((connector, url, ended))
}

async fn on_real_accounts(settings: &ZohoBooksToSlack, wishes: Wishes) -> Result<()> {
    let (connector, url, ended) = embed(settings, ctrl_c()).await?;
    println!(
        "In Zoho Books, Settings > Automation, create these webhooks with your secret, each with a workflow rule"
    );
    println!("(\"created or edited\" for changed, \"deleted\" for deleted):");
    for entity in ["invoice", "bill", "customerpayment", "vendorpayment"] {
        for kind in ["changed", "deleted"] {
            println!("  {url}?mlc_event={entity}.{kind}&mlc_org={}", settings.organization_id);
        }
    }
    println!("webhooks: {url}");
    println!("Ctrl-C ends it.");
    let past = async {
        if wishes.backfill {
            bars::backfill(&connector, &"books".into()).await?;
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
    simulation.send_webhooks_to(&url)?;
    println!("Zoho Books and Slack are simulated. Webhooks go to {url},");
    println!("the log is {}, the channel is at {}/", database.display(), simulation.slack_server.url());

    simulation.play(SystemClock.now().date_in(&Zone::named(&settings.time_zone)?)).await?;
    let rested = simulation.rest(&connector).await;
    let good = report(&simulation, &connector, &database).await? && rested;
    println!(
        "\n{}",
        if good { "Everything arrived exactly once." } else { "Something is missing or came twice!" }
    );
    if wishes.backfill {
        println!("\nThe past once more, for routes that take the origin \"backfill\":");
        bars::backfill(&connector, &"books".into()).await?;
    }
    if wishes.serve {
        let zoho = simulation.books_server.url();
        println!("\nGoing on until Ctrl-C. Look at {}/ and try:", simulation.slack_server.url());
        println!(
            "  curl -d '{{\"counterparty\":\"Bluebird Logistics\",\"total\":\"149.97\"}}' {zoho}/_sim/invoices"
        );
        println!("  curl -X POST {zoho}/_sim/invoices/ID/sent");
        tokio::select! { () = simulation.keep_sending() => {}, () = ctrl_c() => {} }
    }
    drop(stop);
    ended.await.map(|()| good)
}

/// Prints what happened, and tells whether everything arrived exactly once.
async fn report(simulation: &Simulation, connector: &Connector, database: &Path) -> Result<bool> {
    let messages = simulation.messages();
    println!("\nThe channel #accounting:");
    for message in &messages {
        println!("  {}  {}", message.at, as_shown(&message.text));
    }
    let deliveries = connector.search(&Query::of_kind(EntryKind::Delivery)).await?;
    if let Some(last) = deliveries.last() {
        println!("\nThe story of the last message, from {}:", database.display());
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
    let events = connector.search(&Query::of_kind(EntryKind::Event)).await?;
    let each_once = events.iter().all(|event| {
        let mut own = deliveries.iter().filter(|delivery| delivery.parent == Some(event.seq));
        matches!((own.next(), own.next()), (Some(delivery), None) if delivery.state == State::Done)
    });
    Ok(each_once
        && !events.is_empty()
        && messages.len() == deliveries.len()
        && simulation.slack.duplicates().is_empty()
        && simulation.slack.limit_violations() == 0
        && simulation.slack.faults_waiting() == 0
        && (stats.forged, stats.dead) == (1, 0)
        && stats.unchanged > 0)
}

/// A message's text as people see it: what comes from outside is escaped on its way to Slack.
fn as_shown(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

async fn ctrl_c() {
    // Without a signal to wait for, the program runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
