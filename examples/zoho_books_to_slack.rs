//! Zoho Books → Slack, and back: invoices and payments become messages, bills that wait for approval become cards with
//! buttons, a check mark on a message becomes a comment in the books. Two organizations in two regions, one by webhook,
//! one polled.
//!
//! ```console
//! cargo run --example zoho_books_to_slack                # plays a story on simulators and checks it
//! cargo run --example zoho_books_to_slack -- --serve     # keeps running; make your own story with curl
//! cargo run --example zoho_books_to_slack -- --backfill  # reads the past of all feeds, with progress bars
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program talks to real accounts.

use std::{process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, Result, Source, SourceMode, SystemClock,
    approval::{Approvals, Approvers, Policy},
    engine::{ConnectorBuilder, Settings},
    model::Zone,
    route::Route,
};
use ml_connector_examples::{
    bars, console,
    host::{Flags, Host, asked_to_stop, exit, log_from},
    introduction::introduce,
    report,
    settings::{Organization, SlackApp, ZohoBooksToSlack},
    simulation::{Simulation, US},
    stores::{Stores, StoryFile},
    story, wait,
};
use ml_connector_slack::{Directory, Slack, channel, clicker};
use ml_connector_zoho::ZohoBooks;

#[tokio::main]
async fn main() -> ExitCode {
    log_from("warn");
    let flags = Flags::from_args();
    let done = match ZohoBooksToSlack::from_env() {
        Ok(Some(settings)) => on_real_accounts(&settings, flags).await.map(|()| true),
        Ok(None) => on_simulators(flags).await,
        Err(error) => Err(error),
    };
    exit(done)
}

/// The connector of this integration.
fn connector(settings: &ZohoBooksToSlack, stores: Stores, public_url: &str) -> Result<Connector> {
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    if let Some(app) = &settings.slack_app {
        slack = slack.signing_secret(app.signing_secret.as_str()).team(&app.team);
    }
    let slack = slack.build()?;
    let accounting = || channel(&settings.slack_channel);
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    let mut connector = Connector::builder()
        .token_store(stores.tokens)
        .audit_log(stores.log)
        .public_url(public_url)
        .settings(engine)
        // That an invoice is paid is told by its payment: one payment is one message.
        .route(
            Route::new("invoices")
                .on("invoice.created")
                .on("invoice.sent")
                .on("invoice.updated")
                .on("invoice.overdue")
                .on("invoice.voided")
                .on("invoice.deleted")
                .to("slack", accounting()),
        )
        .route(
            Route::new("payments").on("customer_payment.*").on("vendor_payment.*").to("slack", accounting()),
        )
        .route(
            Route::new("trouble")
                .on("delivery.*")
                .on("signal.*")
                .on("connection.*")
                .to("slack", accounting()),
        );
    for organization in &settings.books {
        let (name, books) = (&*organization.connection, books(organization)?);
        connector = connector.connect(books);
        connector = match &settings.slack_app {
            Some(app) => decisions(connector, name, app, slack.directory())?,
            None => connector.route(
                Route::new(format!("bills of {name}"))
                    .from(name)
                    .on("bill.submitted")
                    .on("bill.approved")
                    .to("slack", accounting()),
            ),
        };
    }
    connector.connect(slack).build()
}

/// An organization: a source of what happens, and a sink for what people decide.
fn books(settings: &Organization) -> Result<ZohoBooks> {
    let mut books = ZohoBooks::builder(&*settings.connection)
        .organization_id(&settings.organization_id)
        .data_center(settings.data_center)
        .client(settings.client_id.as_str(), settings.client_secret.as_str())
        .refresh_token(settings.refresh_token.as_str())
        .time_zone(&settings.time_zone)
        .plan(settings.plan)
        .overdue_after([1, 7, 30]);
    books = match &settings.webhook_secret {
        Some(secret) => books.webhook_secret(secret.as_str()),
        None => books.mode(SourceMode::Poll),
    };
    if let Some(url) = &settings.accounts_url {
        books = books.accounts_url(url);
    }
    if let Some(url) = &settings.api_url {
        books = books.api_url(url);
    }
    books.build()
}

/// What comes back from Slack: buttons approve bills, a check mark is noted on the document.
fn decisions(
    connector: ConnectorBuilder,
    books: &str,
    app: &SlackApp,
    directory: Directory,
) -> Result<ConnectorBuilder> {
    let approvers =
        app.approvers.iter().fold(Approvers::default(), |rule, person| rule.person(person.as_str()));
    let approvals = Approvals::builder(format!("approvals-{books}"))
        .documents(books, "bill.*")
        .ask("slack", channel(&app.approvals_channel), clicker())
        .command(books, ml_connector_zoho::approve())
        .policy(Policy::default().allow(approvers))
        .directory(directory)
        .build()?;
    let about = |name: &str| Route::new(format!("{name} in {books}")).about(books).emoji("white_check_mark");
    let acknowledged = about("acknowledged").on("reaction.created");
    let withdrawn = about("withdrawn").on("reaction.deleted");
    Ok(connector
        .connect(approvals)
        .route(acknowledged.to(books, ml_connector_zoho::acknowledge()))
        .route(withdrawn.to(books, ml_connector_zoho::withdraw())))
}

/// The connector in a web server, and where the books' webhooks go.
async fn start(settings: &ZohoBooksToSlack) -> Result<(Host, String)> {
    let stores = Stores::open(&settings.database).await?;
    let public_url = settings.public_url.as_deref();
    let host = Host::start(&settings.listen, public_url, |url| connector(settings, stores, url)).await?;
    let url = host.connector.webhook_url(&"books".into()).map_or_else(String::new, String::from);
    Ok((host, url))
}

async fn on_real_accounts(settings: &ZohoBooksToSlack, flags: Flags) -> Result<()> {
    let asked = asked_to_stop();
    let (host, url) = start(settings).await?;
    let connector = host.connector.clone();
    if settings.books.iter().any(|books| books.webhook_secret.is_some()) {
        println!(
            "In Zoho Books, Settings > Automation, create these webhooks with your secret, each with a workflow rule"
        );
        println!("(\"created or edited\" for changed, \"deleted\" for deleted):");
    }
    for books in settings.books.iter().filter(|books| books.webhook_secret.is_some()) {
        let url =
            connector.webhook_url(&books.connection.as_str().into()).map_or_else(String::new, String::from);
        for entity in ["invoice", "bill", "customerpayment", "vendorpayment"] {
            for kind in ["changed", "deleted"] {
                println!("  {url}?mlc_event={entity}.{kind}&mlc_org={}", books.organization_id);
            }
        }
    }
    if let Some(url) = connector.webhook_url(&"slack".into()).filter(|_| settings.slack_app.is_some()) {
        println!("The Slack app sends events and interactivity to {url}");
    }
    if settings.books.iter().any(|books| books.webhook_secret.is_some()) {
        println!("webhooks: {url}");
    }
    println!("Ctrl-C ends it.");
    let sources = settings.books.iter().map(|settings| Ok(books(settings)?.info().clone()));
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let past = Box::pin(async {
        introduce(&connector, &sources).await?;
        if flags.backfill {
            for books in &settings.books {
                bars::backfill(&connector, &books.connection.as_str().into()).await?;
            }
        }
        Ok(())
    });
    host.run(past, asked).await
}

async fn on_simulators(flags: Flags) -> Result<bool> {
    let simulation = Arc::new(Simulation::start().await?);
    let file = StoryFile::new()?;
    let settings = simulation.settings(file.path());
    let (host, url) = start(&settings).await?;
    let connector = host.connector.clone();
    simulation.send_webhooks_to(&url)?;
    println!("Zoho Books and Slack are simulated. Webhooks go to {url},");
    println!("the channel is at {}/. {}", simulation.slack_server.url(), file.fate());

    if let Some(url) = connector.webhook_url(&"slack".into()) {
        simulation.send_clicks_to(url.as_str()).await?;
    }

    let today = SystemClock.now().date_in(&Zone::named(&settings.books[0].time_zone)?);
    let told = story::play(&simulation, &connector, today).await?;
    let rested = wait::rest(&connector).await?;
    let good = report::report(&simulation, &connector, &told, flags.explain).await? && rested;
    println!(
        "\n{}",
        if good { "Everything arrived exactly once." } else { "Something is missing or came twice!" }
    );
    if flags.backfill {
        println!("\nThe past once more, for routes that take the origin \"backfill\":");
        bars::backfill(&connector, &US.into()).await?;
    }
    if flags.serve {
        console::serve(&connector).await?;
        let zoho = simulation.books_server.url();
        println!("\nGoing on until Ctrl-C. Look at {}/ and try:", simulation.slack_server.url());
        println!(
            "  curl -d '{{\"counterparty\":\"Bluebird Logistics\",\"total\":\"149.97\"}}' {zoho}/_sim/invoices"
        );
        println!("  curl -X POST {zoho}/_sim/invoices/ID/sent");
        println!(
            "  curl -d '{{\"counterparty\":\"Northgate Paper Co\",\"total\":\"8200\"}}' {zoho}/_sim/bills"
        );
        println!("  curl -X POST {zoho}/_sim/bills/ID/submit    # then click Approve on the page");
        tokio::select! { () = simulation.keep_sending() => {}, () = asked_to_stop() => {} }
    }
    host.stop().await.map(|()| good)
}
