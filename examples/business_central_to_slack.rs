//! Business Central → Slack, and back: invoices become messages, those above a limit cards with buttons; a click on Approve
//! posts the invoice in Business Central, once, by somebody who may, as it was shown.
//!
//! ```console
//! cargo run --example business_central_to_slack               # plays a story on simulators and checks it
//! cargo run --example business_central_to_slack -- --serve    # keeps running: open the page, and click Approve
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program talks to a real company.

use std::{process::ExitCode, sync::Arc, time::Duration};

use ml_connector_bc::{BusinessCentral, post};
use ml_connector_core::{
    Connector, Result, Source, SourceMode,
    approval::{Approvals, Approvers, Policy},
    engine::Settings,
    model::Status,
    route::Route,
};
use ml_connector_examples::{
    business_central::{COMPANY, Simulation, back, checks, play, while_nobody_listens},
    console,
    host::{Flags, Host, asked_to_stop, exit, log_from},
    introduction::introduce,
    settings::BusinessCentralToSlack,
    stores::{Stores, StoryFile},
    wait,
};
use ml_connector_slack::{Slack, channel, clicker};

#[tokio::main]
async fn main() -> ExitCode {
    log_from("error");
    let Flags { serve, .. } = Flags::from_args();
    let done = match BusinessCentralToSlack::from_env() {
        Ok(Some(settings)) => on_real_accounts(&settings).await.map(|()| true),
        Ok(None) => on_simulators(serve).await,
        Err(error) => Err(error),
    };
    exit(done)
}

/// The company: a source of what happens, and a sink that posts.
fn company(settings: &BusinessCentralToSlack) -> Result<BusinessCentral> {
    let company = &settings.company;
    let mut erp = BusinessCentral::builder(COMPANY)
        .tenant(&company.tenant)
        .environment(&company.environment)
        .company(&company.id, &company.name)
        .client(&company.reader.0, company.reader.1.as_str())
        .time_zone(&company.time_zone)
        .coalesce(company.coalesce);
    erp = match &company.webhook_secret {
        Some(secret) => erp.webhook_secret(secret.as_str()),
        None => erp.mode(SourceMode::Poll),
    };
    if let Some((id, secret)) = &company.poster {
        erp = erp.poster(id, secret.as_str());
    }
    if let Some(url) = &company.login_url {
        erp = erp.login_url(url);
    }
    if let Some(url) = &company.api_url {
        erp = erp.api_url(url);
    }
    erp.build()
}

/// The connector of this integration: what is large is asked about, and everything else is told.
fn connector(
    settings: &BusinessCentralToSlack,
    erp: BusinessCentral,
    stores: Stores,
    public_url: &str,
) -> Result<Connector> {
    let mut slack = Slack::builder("slack")
        .token(settings.slack_token.as_str())
        .signing_secret(settings.slack_app.signing_secret.as_str())
        .team(&settings.slack_app.team);
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    let slack = slack.build()?;
    let people = settings.slack_app.approvers.iter();
    let approvers = people.fold(Approvers::default(), |rule, person| rule.person(person.as_str()));
    let approvals = Approvals::builder("approvals")
        .documents(COMPANY, "bill.*")
        .documents(COMPANY, "invoice.*")
        // An unposted purchase invoice reads Draft, whatever it waits for.
        .awaiting(Status::Draft)
        // A sales invoice that was released there is approved, and waits to be posted all the same.
        .awaiting(Status::Approved)
        .at_least(settings.sign_off_from)
        .quiet_for(settings.quiet)
        .ask("slack", channel(&settings.slack_app.approvals_channel), clicker())
        .command(COMPANY, post())
        .policy(Policy::default().allow(approvers))
        .directory(slack.directory())
        .expire_after(Duration::from_secs(7 * 24 * 3600))
        .build()?;
    let accounting = || channel(&settings.slack_channel);
    let small = Route::new("small invoices").on("bill.created").on("invoice.created");
    let orders = Route::new("orders").on("purchase_order.*");
    let trouble = Route::new("trouble").on("delivery.*").on("signal.*").on("connection.*");
    // A process that died is replaced by the next one after this time.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(3);
    Connector::builder()
        .token_store(stores.tokens)
        .audit_log(stores.log)
        .public_url(public_url)
        .settings(engine)
        .connect(erp)
        .connect(slack)
        .connect(approvals)
        .route(small.below(settings.sign_off_from).to("slack", accounting()))
        .route(orders.to("slack", accounting()))
        .route(trouble.to("slack", accounting()))
        .build()
}

async fn start(settings: &BusinessCentralToSlack) -> Result<Host> {
    let stores = Stores::open(&settings.database).await?;
    let public_url = settings.public_url.as_deref();
    Host::start(&settings.listen, public_url, |url| connector(settings, company(settings)?, stores, url))
        .await
}

async fn on_real_accounts(settings: &BusinessCentralToSlack) -> Result<()> {
    let asked = asked_to_stop();
    let host = start(settings).await?;
    if let Some(url) = host.connector.webhook_url(&"slack".into()) {
        println!("The Slack app sends interactivity to {url}");
    }
    println!("Ctrl-C ends it.");
    let (connector, sources) = (host.connector.clone(), [company(settings)?.info().clone()]);
    host.run(introduce(&connector, &sources), asked).await
}

async fn on_simulators(serve: bool) -> Result<bool> {
    let simulation = Arc::new(Simulation::start().await?);
    let sender = Arc::clone(&simulation);
    tokio::spawn(async move { sender.keep_sending().await });
    let file = StoryFile::new()?;
    let settings = simulation.settings(file.path())?;
    println!(
        "Business Central and Slack are simulated; the channels are at {}/.",
        simulation.slack_server.url()
    );
    println!("{}", file.fate());

    let host = start(&settings).await?;
    simulation.ready(&host.connector).await?;
    play(&simulation, &host.connector).await?;
    wait::rest(&host.connector).await?;
    host.stop().await?;

    let number = while_nobody_listens(&simulation);
    let host = start(&settings).await?;
    simulation.ready(&host.connector).await?;
    back(&simulation, &number).await?;
    let rested = wait::rest(&host.connector).await?;
    let good = checks(&simulation, &host.connector) && rested;
    println!(
        "\n{}",
        if good {
            "Everything was posted once, as it was shown."
        } else {
            "Something is missing or came twice!"
        }
    );
    if serve {
        console::serve(&host.connector).await?;
        let (_, number) = simulation.invoice("Lakeside Pallets", 265_000, "LP-11");
        let (page, erp) = (simulation.slack_server.url(), simulation.erp_server.url());
        println!("\nGoing on until Ctrl-C. {number} waits: open {page}/ and click Approve. For another one:");
        println!(
            "  curl -d '{{\"counterparty\":\"Northline Packaging\",\"total\":\"8200\"}}' {erp}/_sim/purchaseInvoices"
        );
        println!("  curl {erp}/_sim/postings    # what is posted");
        tokio::select! { () = simulation.tell_postings() => {}, () = asked_to_stop() => {} }
    }
    host.stop().await.map(|()| good)
}
